"""CBIS-DDSM: the real tables beside a tree as TCIA's downloader leaves it, and everything odd."""

import csv
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from mcalc import records
from mcalc.data.catalog import write_catalog
from mcalc.data.dicom import write_dicom
from mcalc.errors import DataError

HEADER = (
    "patient_id,breast density,left or right breast,image view,abnormality id,abnormality type,"
    "calc type,calc distribution,assessment,pathology,subtlety,image file path,"
    "cropped image file path,ROI mask file path"
)


def write(path: Path, pixels: np.ndarray) -> Path:
    options = {"patient_id": "case", "study_uid": "1.2.3", "series_uid": "1.2.4"}
    write_dicom(path, pixels, series_description="ROI mask images", **options)
    return path


def draw_crop() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 65536, (12, 10)).astype(np.uint16)


def draw_mask() -> np.ndarray:
    mask = np.zeros((20, 16), np.uint8)
    mask[3:6, 4:8] = 255
    return mask


class Download:
    """A small tree in TCIA's layout: a table, and a crop and a mask for each row."""

    def __init__(self, root: Path) -> None:
        root.mkdir()
        self.root = root
        self.table = root / "calc_case_description_train_set.csv"
        self.rows = [self.row(n, "BENIGN" if n % 2 else "MALIGNANT") for n in range(1, 5)]
        self.write_table()
        for row in self.rows:
            self.add(row, "1-1.dcm", draw_crop())
            self.add(row, "1-2.dcm", draw_mask())

    @staticmethod
    def row(number: int, pathology: str) -> list[str]:
        case = f"Calc-Training_P_{number:05}_LEFT_CC_1"
        return [
            *(f"P_{number:05}", "2", "LEFT", "CC", "1", "calcification", "AMORPHOUS", "CLUSTERED"),
            *("4", pathology, "3", f"{case[:-2]}/1.2/1.3/000000.dcm"),
            *(f"{case}/1.4/1.5/000001.dcm\n", f"{case}/1.4/1.5/000000.dcm"),
        ]

    def write_table(self, header: str = HEADER) -> None:
        with open(self.table, "w", newline="", encoding="utf-8") as file:
            file.write(header + "\n")
            csv.writer(file).writerows(self.rows)

    def folder(self, row: list[str]) -> Path:
        case = row[12].split("/")[0]
        series = "1.000000-ROI mask images-12345"
        return self.root / "CBIS-DDSM" / case / "08-29-2017-DDSM-NA-54321" / series

    def add(self, row: list[str], name: str, pixels: np.ndarray) -> Path:
        return write(self.folder(row) / name, pixels)

    def catalog(self, **options) -> tuple[dict[str, dict], dict[str, dict]]:
        """Run the stage; return the rows of both tables by ROI id."""
        paths = self.root.parent / "catalog.csv", self.root.parent / "rejected.csv"
        write_catalog(
            self.root, dataset="cbis_ddsm", catalog=paths[0], rejected=paths[1], **options
        )
        tables = records.read(paths[0], records.CATALOG), records.read(paths[1], records.REJECTED)
        return tuple({row["roi_id"]: row for row in t.to_dict("records")} for t in tables)


@pytest.fixture
def download(tmp_path) -> Download:
    return Download(tmp_path / "download")


@pytest.fixture(scope="module")
def tree(shared_data, tmp_path_factory) -> Path:
    """The four real tables and, for each of the 1,872 calcifications, a tiny crop and mask."""
    root = tmp_path_factory.mktemp("cbis")
    crop, mask = write(root / "crop", draw_crop()), write(root / "mask", draw_mask())
    for table in (shared_data / "cbis_ddsm_csv").glob("*.csv"):
        shutil.copyfile(table, root / table.name)
        if table.name.startswith("calc"):
            for number, row in enumerate(read_real(table)):
                case = row["cropped image file path"].split("/")[0]
                study = f"08-29-2017-DDSM-NA-{number:05}"
                folder = root / "CBIS-DDSM" / case / study / f"1.000000-ROI mask images-{number:05}"
                folder.mkdir(parents=True)
                shutil.copyfile(crop, folder / "1-1.dcm")
                shutil.copyfile(mask, folder / "1-2.dcm")
    crop.unlink()
    mask.unlink()
    return root


def read_real(table: Path) -> list[dict]:
    with open(table, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def real_catalog(tree):
    """What `mcalc catalog` makes of the tree: catalog, rejected and the printed line."""
    catalog, rejected = tree / "../catalog.csv", tree / "../rejected.csv"
    said = write_catalog(tree, dataset="cbis_ddsm", catalog=catalog, rejected=rejected, shards=26)
    tables = records.read(catalog, records.CATALOG), records.read(rejected, records.REJECTED)
    return *tables, said


# --- what cannot be used ------------------------------------------------------------------------


def test_a_folder_without_a_table_says_which_to_put_there(download):
    download.table.unlink()
    with pytest.raises(DataError, match=r"download: no table like calc_case_description_train_set"):
        download.catalog()


def test_a_folder_with_mass_tables_only_is_refused(download):
    download.table.rename(download.root / "mass_case_description_train_set.csv")
    with pytest.raises(DataError, match="no table like calc_case_description_train_set"):
        download.catalog()


@pytest.mark.parametrize(
    "column",
    ["left or right breast", "image view", "abnormality id", "pathology"]
    + ["abnormality type", "cropped image file path"],
)
def test_a_missing_column_is_named_with_its_table(download, column):
    download.write_table(HEADER.replace(column, "something else"))
    pattern = rf"calc_case_description_train_set\.csv: column {column} is missing; use the table as"
    with pytest.raises(DataError, match=pattern):
        download.catalog()


def test_the_real_table_without_paths_is_refused(shared_data, tmp_path):
    """`calc_test_no_paths.csv`, as it is met in the wild."""
    variant = shared_data / "cbis_ddsm_csv_variants/calc_test_no_paths.csv"
    shutil.copyfile(variant, tmp_path / "calc_case_description_test_set.csv")
    with pytest.raises(DataError, match=r"test_set\.csv: column image file path, cropped"):
        write_catalog(
            tmp_path, dataset="cbis_ddsm", catalog=tmp_path / "c.csv", rejected=tmp_path / "r.csv"
        )


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n\n",
        b"a;b;c\n1;2;3\n",
        b"PK\x03\x04\x00\xff\xfe",
        (HEADER + "\nx\xe9\n").encode("latin1"),
    ]
    + [(HEADER + '\n"P_1,2\n').encode(), (HEADER + "\nP_1,2,LEFT\n").encode()],
    ids=["empty", "blank", "semicolons", "zip", "latin1", "open quote", "short row"],
)
def test_a_table_that_is_none_is_named(download, content):
    download.table.write_bytes(content)
    with pytest.raises(DataError, match=r"calc_case_description_train_set\.csv: "):
        download.catalog()


def test_a_table_cut_off_in_the_middle_of_a_row_is_named(download):
    """A download that broke off: the last row has no path, and the user learns which."""
    text = download.table.read_text()
    download.table.write_text(text[: text.rindex('"Calc-Training_P_00004_LEFT_CC_1')])
    with pytest.raises(DataError, match=r"row 4 has no cropped image file path; the table"):
        download.catalog()


def test_an_empty_class_is_refused_with_the_counts(download):
    download.rows = [row for row in download.rows if row[9] == "BENIGN"]
    download.write_table()
    with pytest.raises(DataError, match="no malignant ROI can be read among 2; both classes"):
        download.catalog()
    assert not (download.root / "../catalog.csv").exists()


def test_tables_without_images_say_what_is_missing(download):
    """The commonest mistake: the tables are there, the download is somewhere else."""
    shutil.rmtree(download.root / "CBIS-DDSM")
    pattern = r"no benign ROI.*4 were set aside, 4 of them as missing_file, such as Calc-Training_P"
    with pytest.raises(DataError, match=pattern):
        download.catalog()


# --- rows that are set aside --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("position", "value", "said"),
    [
        (9, "UNKNOWN", "pathology is 'UNKNOWN', not one of BENIGN, BENIGN_WITHOUT"),
        (9, "", "pathology is ''"),
        (9, "benign", "pathology is 'benign'"),
        (2, "L", "left or right breast is 'L', not one of LEFT, RIGHT"),
        (3, "ML", "image view is 'ML', not one of CC, MLO"),
        (4, "one", "abnormality id is 'one', not a number"),
        (4, "", "abnormality id is '', not a number"),
        (4, "²", "abnormality id is '²', not a number"),
    ],
)
def test_a_bad_field_sets_its_row_aside_with_field_and_value(download, position, value, said):
    download.rows[0][position] = value
    download.write_table()
    found, rejected = download.catalog()
    assert len(found) == 3
    (row,) = rejected.values()
    assert (row["roi_id"], row["reason"]) == ("Calc-Training_P_00001_LEFT_CC_1", "bad_field")
    assert said in row["detail"]


def test_a_missing_file_sets_its_row_aside(download):
    (download.folder(download.rows[0]) / "1-1.dcm").unlink()
    (download.folder(download.rows[0]) / "1-2.dcm").unlink()
    found, rejected = download.catalog()
    assert len(found) == 3
    assert rejected["Calc-Training_P_00001_LEFT_CC_1"]["reason"] == "missing_file"


def test_a_mask_without_its_crop_is_never_taken_for_it(download):
    (download.folder(download.rows[0]) / "1-1.dcm").unlink()
    found, rejected = download.catalog()
    assert len(found) == 3
    row = rejected["Calc-Training_P_00001_LEFT_CC_1"]
    assert row["reason"] == "mask_not_crop"
    assert row["source"].endswith("1-2.dcm")


def test_two_images_are_ambiguous(download):
    download.add(download.rows[0], "1-3.dcm", draw_crop()[::-1])
    found, rejected = download.catalog()
    assert len(found) == 3
    row = rejected["Calc-Training_P_00001_LEFT_CC_1"]
    assert row["reason"] == "ambiguous_crop"
    assert "1-1.dcm, 1-3.dcm" in row["detail"]


@pytest.mark.parametrize(
    ("content", "reason"), [(b"", "empty_file"), (b"<html>not found</html>", "unreadable")]
)
def test_a_broken_crop_gives_its_reason_not_the_masks(download, content, reason):
    path = download.folder(download.rows[0]) / "1-1.dcm"
    path.write_bytes(content)
    found, rejected = download.catalog()
    assert len(found) == 3
    row = rejected["Calc-Training_P_00001_LEFT_CC_1"]
    assert (row["reason"], row["source"]) == (reason, path.as_posix())


def test_a_broken_mask_does_not_matter(download):
    (download.folder(download.rows[0]) / "1-2.dcm").write_bytes(b"broken")
    found, rejected = download.catalog()
    assert (len(found), len(rejected)) == (4, 0)


def test_an_empty_mask_does_not_make_the_crop_ambiguous(download):
    """A mask in which nothing is marked is still a mask, by `is_mask`'s own promise."""
    download.add(download.rows[0], "1-2.dcm", np.zeros((20, 16), np.uint8))
    found, rejected = download.catalog()
    assert (len(found), len(rejected)) == (4, 0)


def test_a_row_given_twice_counts_once(download):
    download.rows.append(list(download.rows[0]))
    download.write_table()
    found, rejected = download.catalog()
    assert len(found) == 4
    assert [row["reason"] for row in rejected.values()] == ["duplicate_id"]


# --- layouts ------------------------------------------------------------------------------------


def test_the_crop_is_found_by_content(download):
    found, rejected = download.catalog()
    assert not rejected
    for row in download.rows:
        case = row[12].split("/")[0]
        assert found[case]["source"] == (download.folder(row) / "1-1.dcm").as_posix()
        assert found[case]["patient_id"] == row[0]
        assert found[case]["label"] == row[9].lower()


def test_swapped_names_change_nothing(download):
    """`1-2.dcm` and `000000.dcm` are the crop where that is what they hold."""
    for row in download.rows:
        folder = download.folder(row)
        (folder / "1-1.dcm").rename(folder / "x.dcm")
        (folder / "1-2.dcm").rename(folder / "1-1.dcm")
        (folder / "x.dcm").rename(folder / "1-2.dcm")
    found, rejected = download.catalog()
    assert not rejected
    assert {Path(row["source"]).name for row in found.values()} == {"1-2.dcm"}


@pytest.mark.parametrize("crop", ["000000.dcm", "000001.dcm"])
def test_the_classic_layout_is_read(download, crop):
    """`<case>/<uid>/<uid>/000001.dcm`, straight below the root, whichever number the crop has."""
    shutil.rmtree(download.root / "CBIS-DDSM")
    other = {"000000.dcm": "000001.dcm", "000001.dcm": "000000.dcm"}[crop]
    for row in download.rows:
        folder = download.root / row[12].rsplit("/", 1)[0]
        write(folder / crop, draw_crop())
        write(folder / other, draw_mask())
    found, rejected = download.catalog()
    assert not rejected
    assert {Path(row["source"]).name for row in found.values()} == {crop}


def test_crop_and_mask_in_different_series_belong_together(download):
    for row in download.rows:
        folder = download.folder(row)
        apart = folder.parents[1] / "08-29-2017-DDSM-99999/1.000000-cropped images-00001"
        apart.mkdir(parents=True)
        (folder / "1-1.dcm").rename(apart / "1-1.dcm")
    found, rejected = download.catalog()
    assert (len(found), len(rejected)) == (4, 0)


def test_what_a_mac_leaves_behind_is_ignored(download):
    folder = download.folder(download.rows[0])
    (folder / "._1-1.dcm").write_bytes(b"\0\5\x16\7" * 20)
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / "license.txt").write_text("CC BY 3.0")
    found, rejected = download.catalog()
    assert (len(found), len(rejected)) == (4, 0)


def test_tables_one_folder_down_and_a_linked_tree_are_found(download):
    """The tables in a folder of their own; the images on another disk, linked."""
    (download.root / "tables").mkdir()
    download.table.rename(download.root / "tables" / download.table.name)
    (download.root / "CBIS-DDSM").rename(download.root.parent / "disk")
    (download.root / "images").symlink_to(download.root.parent / "disk")
    found, rejected = download.catalog()
    assert (len(found), len(rejected)) == (4, 0)


def test_a_link_back_to_the_root_does_not_double_the_files(download):
    """A link that leads in a circle must not make every crop ambiguous."""
    (download.root / "circle").symlink_to(".")
    found, rejected = download.catalog()
    assert (len(found), len(rejected)) == (4, 0)


def test_columns_spelled_with_underscores_or_capitals_are_the_same(download):
    """`breast density` and `breast_density`: the tables themselves do not agree."""
    download.write_table(
        HEADER.replace("breast density", "Breast_Density").replace("patient_id", "patient id")
    )
    found, _ = download.catalog()
    assert {row["breast_density"] for row in found.values()} == {2.0}


def test_a_byte_order_mark_and_windows_line_ends_are_read(download):
    text = download.table.read_text()
    download.table.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    found, rejected = download.catalog()
    assert (len(found), len(rejected)) == (4, 0)


def test_the_mammogram_of_a_roi_is_found_where_it_was_downloaded(download):
    case = "Calc-Training_P_00001_LEFT_CC"
    path = download.root / f"CBIS-DDSM/{case}/x/1.000000-full mammogram images-1/1-1.dcm"
    write(path, draw_crop())
    found, rejected = download.catalog()
    assert not rejected
    assert found[f"{case}_1"]["mammogram"] == path.as_posix()
    assert found["Calc-Training_P_00002_LEFT_CC_1"]["mammogram"] == ""


def test_masses_are_left_out(download):
    download.rows[0][5] = "mass"
    download.write_table()
    found, rejected = download.catalog()
    assert (len(found), len(rejected)) == (3, 0)


def test_a_table_that_someone_joined_keeps_the_official_test(download):
    """The cases are named after the part they belong to, whatever the table is called."""
    joined = download.table.read_text().replace("Calc-Training_P_00001", "Calc-Test_P_00001")
    download.table.rename(download.root / "calc_case_description.csv").write_text(joined)
    images = download.root / "CBIS-DDSM"
    (images / "Calc-Training_P_00001_LEFT_CC_1").rename(images / "Calc-Test_P_00001_LEFT_CC_1")
    found, _ = download.catalog()
    splits = Counter(row["official_split"] for row in found.values())
    assert splits == {"train": 3, "test": 1}
    assert found["Calc-Test_P_00001_LEFT_CC_1"]["official_split"] == "test"


@pytest.mark.parametrize("without_callback", ["benign", "drop"])
def test_benign_without_callback_is_benign_or_dropped_as_configured(download, without_callback):
    download.rows[0][9] = "BENIGN_WITHOUT_CALLBACK"
    download.write_table()
    found, rejected = download.catalog(benign_without_callback=without_callback)
    row = found.get("Calc-Training_P_00001_LEFT_CC_1")
    if without_callback == "drop":
        assert row is None
    else:
        assert (row["label"], row["pathology"]) == ("benign", "BENIGN_WITHOUT_CALLBACK")
    assert not rejected


def test_without_the_masses_tables_it_is_not_known_who_is_in_any_test(download):
    found, _ = download.catalog()
    assert {row["in_any_test"] for row in found.values()} == {""}


# --- the real tables ----------------------------------------------------------------------------


def test_the_real_tables_give_the_published_counts(real_catalog):
    """1,872 ROIs of 753 patients: 1,199 benign, 673 malignant, 541 of them without callback."""
    catalog, rejected, said = real_catalog
    assert rejected.empty
    assert len(catalog) == 1872
    assert catalog["patient_id"].nunique() == 753
    assert catalog["label"].value_counts().to_dict() == {"benign": 1199, "malignant": 673}
    assert catalog["pathology"].value_counts().to_dict() == {
        "BENIGN": 658,
        "BENIGN_WITHOUT_CALLBACK": 541,
        "MALIGNANT": 673,
    }
    assert catalog["official_split"].value_counts().to_dict() == {"train": 1546, "test": 326}
    assert said == "1872 ROIs of 753 patients: 1199 benign, 673 malignant"


def test_who_is_in_any_test_table_is_known(real_catalog):
    """151 patients test on calcifications; 18 who train on them test on masses."""
    patients = real_catalog[0].groupby(["official_split", "in_any_test"])["patient_id"].nunique()
    assert patients.to_dict() == {("test", "yes"): 151, ("train", "no"): 584, ("train", "yes"): 18}


def test_each_official_split_has_its_patients_and_classes(real_catalog):
    catalog = real_catalog[0]
    patients = catalog.groupby("official_split")["patient_id"].nunique().to_dict()
    assert patients == {"test": 151, "train": 602}
    counts = catalog.groupby(["official_split", "pathology"]).size().to_dict()
    assert counts == {
        ("test", "BENIGN"): 130,
        ("test", "BENIGN_WITHOUT_CALLBACK"): 67,
        ("test", "MALIGNANT"): 129,
        ("train", "BENIGN"): 528,
        ("train", "BENIGN_WITHOUT_CALLBACK"): 474,
        ("train", "MALIGNANT"): 544,
    }


def test_the_patient_with_the_most_findings_keeps_all(real_catalog):
    catalog = real_catalog[0]
    assert catalog["patient_id"].value_counts().iloc[0] == 24
    assert (catalog["patient_id"] == "P_01437").sum() == 24


def test_every_field_is_the_tables(real_catalog, shared_data):
    """Row by row against Python's own CSV reader."""
    rows = {row["roi_id"]: row for row in real_catalog[0].to_dict("records")}
    for table in (shared_data / "cbis_ddsm_csv").glob("calc*.csv"):
        for real in read_real(table):
            row = rows.pop(real["cropped image file path"].split("/")[0])
            assert row["patient_id"] == real["patient_id"]
            assert row["laterality"] == real["left or right breast"]
            assert row["view"] == real["image view"]
            assert row["abnormality_id"] == int(real["abnormality id"])
            assert row["pathology"] == real["pathology"]
            assert row["calc_type"] == real["calc type"].replace("N/A", "")
            assert row["calc_distribution"] == real["calc distribution"].replace("N/A", "")
            assert row["breast_density"] == float(real["breast density"])
            assert row["assessment"] == float(real["assessment"])
            assert row["subtlety"] == float(real["subtlety"])
            assert row["dataset"] == "cbis_ddsm"
            assert Path(row["source"]).name == "1-1.dcm"
    assert not rows


@pytest.mark.parametrize(
    ("tables", "benign", "malignant", "dropped"),
    [("*test*", 130, 129, 67), pytest.param("*", 658, 673, 541, marks=pytest.mark.slow)],
)
def test_without_callback_dropped_leaves_the_biopsied(
    tree, tmp_path, tables, benign, malignant, dropped
):
    """Findings that needed no biopsy are gone, and the line says how many."""
    root = tmp_path / "root"
    root.mkdir()
    for table in tree.glob(f"calc{tables}.csv"):
        shutil.copyfile(table, root / table.name)
    (root / "CBIS-DDSM").symlink_to(tree / "CBIS-DDSM")
    paths = {"catalog": tmp_path / "catalog.csv", "rejected": tmp_path / "rejected.csv"}
    said = write_catalog(root, dataset="cbis_ddsm", benign_without_callback="drop", **paths)
    table = records.read(paths["catalog"], records.CATALOG)
    counts = {"benign": benign, "malignant": malignant}
    assert table["label"].value_counts().to_dict() == counts
    assert "BENIGN_WITHOUT_CALLBACK" not in set(table["pathology"])
    assert f"{dropped} benign without callback dropped" in said
    assert records.read(paths["rejected"], records.REJECTED).empty


def test_the_shards_share_the_work_evenly(real_catalog):
    """Twenty-six parts of 72 on average: none empty, none more than half as large again."""
    sizes = real_catalog[0]["shard"].value_counts()
    assert sorted(sizes.index) == list(range(26))
    assert sizes.max() < 108
    assert sizes.min() > 36


def test_the_real_table_with_windows_line_ends_and_na_is_read(shared_data, tmp_path):
    """CRLF, `NA` for `N/A`: every row is found or set aside for want of a file."""
    source = shared_data / "cbis_ddsm_csv_variants/calc_train_na_rewritten_crlf.csv"
    shutil.copyfile(source, tmp_path / "calc_case_description_train_set.csv")
    cases = [row["cropped image file path"].split("/")[0] for row in read_real(source)]
    first = {row["pathology"]: case for row, case in zip(read_real(source), cases, strict=True)}
    for case in first.values():
        write(tmp_path / case / "1-1.dcm", draw_crop())
    paths = {"catalog": tmp_path / "c.csv", "rejected": tmp_path / "r.csv"}
    write_catalog(tmp_path, dataset="cbis_ddsm", **paths)
    found = records.read(paths["catalog"], records.CATALOG)
    rejected = records.read(paths["rejected"], records.REJECTED)
    assert set(found["roi_id"]) == set(first.values())
    assert len(found) + len(rejected) == len(cases)
    assert set(rejected["reason"]) == {"missing_file"}
    assert not {"NA", "N/A"} & (set(found["calc_type"]) | set(found["calc_distribution"]))


def test_the_real_table_that_is_cut_off_is_refused(shared_data, tmp_path):
    """`calc_train_truncated.csv`: 63 rows, a column without its name."""
    source = shared_data / "cbis_ddsm_csv_variants/calc_train_truncated.csv"
    shutil.copyfile(source, tmp_path / "calc_case_description_train_set.csv")
    with pytest.raises(DataError, match=r"train_set\.csv: column subtlety is missing; use the"):
        write_catalog(
            tmp_path, dataset="cbis_ddsm", catalog=tmp_path / "c.csv", rejected=tmp_path / "r.csv"
        )
