"""INbreast: squares around clusters and groups of calcifications, labels from BI-RADS."""

import plistlib
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mcalc import records
from mcalc.data.catalog import write_catalog
from mcalc.data.dicom import write_dicom
from mcalc.data.rois import read_roi
from mcalc.errors import DataError
from mcalc.images.clean_mammograms import clean_mammograms
from mcalc.images.convert import convert_shard

XLS = Path(__file__).with_name("INbreast.xls")  # made by make_inbreast_xls.py
PATIENTS = {"20586908": "6c613a14b80a8591", "20587054": "b6a4f750c6df4f90"}
SHAPE = (1200, 900)
SQUARE = [(-40, -30), (40, -30), (40, 30), (-40, 30)]


def outline(x: float, y: float, name: str = "Cluster", shape=SQUARE) -> dict:
    """A ROI as OsiriX writes it, 80 x 60 pixels around (x, y)."""
    points = [(x + across, y + down) for across, down in shape]
    return {
        "Area": 0.1,
        "Center": "(0.0, 0.0, 0.0)",
        "IndexInImage": 0,
        "Name": name,
        "NumberOfPoints": len(points),
        "Point_mm": [f"({x * 0.07:f}, {y * 0.07:f}, 0.000000)" for x, y in points],
        "Point_px": [f"({x:f}, {y:f})" for x, y in points],
        "Type": 15,
    }


def specks(*centres: tuple[float, float], name: str = "Calcification") -> list[dict]:
    return [outline(x, y, name, shape=[(0, 0)]) for x, y in centres]


GROUP = [(100, 200), (220, 200), (340, 200), (460, 200), (580, 200)]  # each step is 8.4 mm
INSIDE = [(480 + 8 * n, 690 + 4 * n) for n in range(6)]  # a group, but within the cluster
ROIS = {
    "20586908": [outline(500, 700), outline(200, 900, "Mass"), *specks(*INSIDE)],
    "20586960": [*specks(*GROUP), *specks((800, 1100), (805, 1105))],
    "20587054": [outline(300, 300), *specks(*((x, y + 800) for x, y in GROUP), name="Unnamed")],
    "20587080": specks((10, 10), (20, 20), (30, 30), (40, 40)),
    "20587174": [outline(300, 300, "Assymetry")],
}


class Release:
    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir()
        shutil.copyfile(XLS, root / "INbreast.xls")
        for number, (image, side, view) in enumerate(
            [
                *(("20586908", "R", "CC"), ("20586960", "R", "ML"), ("20587054", "L", "CC")),
                *(("20587080", "L", "ML"), ("20587148", "L", "CC"), ("20587174", "R", "CC")),
            ]
        ):
            patient = PATIENTS["20586908" if number < 2 else "20587054"]
            pixels = np.random.default_rng(number).integers(0, 4096, SHAPE).astype(np.uint16)
            uids = {"study_uid": "1.2", "series_uid": "1.3", "series_description": ""}
            path = root / "AllDICOMs" / f"{image}_{patient}_MG_{side}_{view}_ANON.dcm"
            write_dicom(path, pixels, patient_id="removed", **uids)
        for image, rois in ROIS.items():
            self.write_rois(image, rois)

    def write_rois(self, image: str, rois: list[dict]) -> None:
        path = self.root / "AllXML" / f"{image}.xml"
        path.parent.mkdir(exist_ok=True)
        images = [{"ImageIndex": 0, "NumberOfROIs": len(rois), "ROIs": rois}]
        path.write_bytes(plistlib.dumps({"Images": images}))

    def write_csv(self, change=lambda table: table) -> None:
        """As in the mirrors: semicolons, a blank density as spaces, no rows that are no images."""
        table = pd.read_excel(XLS, dtype=str, engine="calamine").iloc[:6, :8]
        table["ACR"] = table["ACR"].fillna("     ")
        (self.root / "INbreast.xls").unlink(missing_ok=True)
        change(table).to_csv(self.root / "INbreast.csv", sep=";", index=False)

    def catalog(self) -> tuple[dict[str, dict], dict[str, dict]]:
        paths = self.root.parent / "c.csv", self.root.parent / "r.csv"
        write_catalog(self.root, dataset="inbreast", catalog=paths[0], rejected=paths[1])
        tables = records.read(paths[0], records.CATALOG), records.read(paths[1], records.REJECTED)
        return tuple({row["roi_id"]: row for row in t.to_dict("records")} for t in tables)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Release:
    return Release(tmp_path_factory.mktemp("inbreast") / "INbreast Release 1.0")


@pytest.fixture
def release(whole, tmp_path) -> Release:
    """A copy of `whole` to damage."""
    shutil.copytree(whole.root, tmp_path / "INbreast Release 1.0")
    copy = object.__new__(Release)
    copy.root = tmp_path / "INbreast Release 1.0"
    return copy


def centre(row: dict) -> tuple[float, float]:
    """The middle of a ROI as (x, y)."""
    return row["roi_left"] + row["roi_columns"] / 2, row["roi_top"] + row["roi_rows"] / 2


def test_clusters_and_groups_are_rois_and_nothing_else_is(whole):
    found, rejected = whole.catalog()
    places = {roi: (*centre(row), row["roi_rows"]) for roi, row in found.items()}
    assert places == {
        "20586908_1": (500, 700, 224),  # and no second for the six calcifications within it
        "20586960_1": (340, 300, 600),  # 1.25 x 480; moved down to lie within the image
        "20587054_1": (300, 300, 224),
        "20587054_2": (340, 900, 600),  # moved up
    }
    (aside,) = rejected.values()
    assert (aside["roi_id"], aside["reason"]) == ("20587080", "no_group")
    assert "4 calcifications, no cluster, no 5 within steps of 10 mm" in aside["detail"]


def test_labels_sides_views_and_patients(whole):
    found, _ = whole.catalog()
    fields = ("patient_id", "laterality", "view", "label", "pathology", "assessment")
    assert {roi: tuple(row[name] for name in fields) for roi, row in found.items()} == {
        "20586908_1": ("6c613a14b80a8591", "RIGHT", "CC", "malignant", "BI-RADS 5", 5),
        "20586960_1": ("6c613a14b80a8591", "RIGHT", "MLO", "malignant", "BI-RADS 4a", 4),
        "20587054_1": ("b6a4f750c6df4f90", "LEFT", "CC", "benign", "BI-RADS 2", 2),
        "20587054_2": ("b6a4f750c6df4f90", "LEFT", "CC", "benign", "BI-RADS 2", 2),
    }
    assert found["20586908_1"]["breast_density"] == 4
    assert np.isnan(found["20587054_1"]["breast_density"])
    assert {row["abnormality_type"] for row in found.values()} == {"calcification"}


def test_squares_are_cut_out_and_converted(whole, tmp_path):
    found, _ = whole.catalog()
    assert read_roi(found["20586960_1"]).shape == (600, 600)
    said = convert_shard(
        whole.root.parent / "c.csv",
        shard=0,
        images=tmp_path / "images",
        rejected=tmp_path / "0.csv",
        size=64,
    )
    assert "4 ROIs converted, 0 set aside" in said


def test_a_mammogram_of_two_rois_is_shown_once(whole, tmp_path):
    whole.catalog()
    paths = {"images": tmp_path / "mammograms", "kept": tmp_path / "mammograms.csv"}
    clean_mammograms(whole.root.parent / "c.csv", origin="dataset", **paths)
    kept = records.read(paths["kept"], records.MAMMOGRAMS)
    assert list(kept["mammogram_id"]) == ["20586908", "20586960", "20587054"]


def test_the_mirrors_csv_says_the_same(release):
    from_xls = release.catalog()
    release.write_csv()
    assert str(release.catalog()) == str(from_xls)  # as text, since nan is not nan


def test_a_table_saved_anew_may_hold_its_numbers_with_a_point(release):
    from_xls = release.catalog()
    release.write_csv(lambda table: table.assign(**{"File Name": table["File Name"] + ".0"}))
    assert str(release.catalog()) == str(from_xls)


def test_five_calcifications_too_far_apart_are_no_group(release):
    release.write_rois("20586960", specks(*((x * 1.3, y) for x, y in GROUP)))  # steps of 10.9 mm
    release.write_rois("20587080", [outline(500, 500)])
    assert release.catalog()[1]["20586960"]["reason"] == "no_group"


@pytest.mark.parametrize(
    ("category", "label"),
    [("1", "benign"), ("3", "benign"), ("4B", "malignant"), ("6", "malignant"), ("0", None)],
)
def test_the_category_is_mapped_as_documented(release, category, label):
    def change(table):
        table.loc[table["File Name"] == "20587080", "Bi-Rads"] = category
        return table

    release.write_csv(change)
    release.write_rois("20587080", [outline(500, 500)])
    found, rejected = release.catalog()
    if label:
        assert found["20587080_1"]["label"] == label
        assert found["20587080_1"]["pathology"] == f"BI-RADS {category.lower()}"
    else:
        assert rejected["20587080"]["reason"] == "bad_field"
        assert "Bi-Rads is '0'" in rejected["20587080"]["detail"]


@pytest.mark.parametrize(
    "content",
    [b"", b"<plist>not really", b"<?xml version='1.0'?><plist><dict/></plist>", b"bplist00"]
    + [
        plistlib.dumps({"Images": [{"ROIs": [{"Name": "Cluster", "Point_px": points}]}]})
        for points in (["(1, nan)"], ["(1)", "(2)", "(3)"], "x", [7])
    ]
    + [
        b"<!DOCTYPE p [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><plist><string>&e;</string></plist>"
    ],
)
def test_a_broken_list_of_rois_is_set_aside(release, content):
    (release.root / "AllXML/20587054.xml").write_bytes(content)
    release.write_rois("20587080", [outline(500, 500)])
    found, rejected = release.catalog()
    assert {"20586908_1", "20587080_1"} <= set(found)
    assert rejected["20587054"]["reason"] == "unreadable"
    assert "20587054.xml: not a readable list of ROIs" in rejected["20587054"]["detail"]


def test_a_place_outside_the_image_is_set_aside(release):
    release.write_rois("20586960", [outline(2000, 300)])
    aside = release.catalog()[1]["20586960"]
    assert aside["reason"] == "bad_field"
    assert "column 2000 is outside" in aside["detail"]


def test_missing_broken_and_oddly_named_images_are_set_aside(release):
    images = {path.name[:8]: path for path in (release.root / "AllDICOMs").iterdir()}
    images["20586908"].unlink()
    release.write_rois("20587080", [outline(500, 500)])
    images["20587080"].write_bytes(b"")
    images["20587174"].rename(images["20587174"].with_name("20587174_b6a4_MG_R_FB_ANON.dcm"))
    release.write_rois("20587174", [outline(500, 500)])
    _, rejected = release.catalog()
    assert {roi: row["reason"] for roi, row in rejected.items()} == {
        "20586908": "missing_file",
        "20587080": "empty_file",
        "20587174": "bad_field",
    }


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "..", "²"])
def test_a_name_leads_nowhere_out_of_the_folder(release, name):
    def change(table):
        table.loc[table["File Name"] == "20586908", "File Name"] = name
        return table

    release.write_csv(change)
    found, _ = release.catalog()
    assert set(found) == {"20586960_1", "20587054_1", "20587054_2"}
    assert all(Path(row["source"]).is_relative_to(release.root) for row in found.values())


def test_a_missing_table_or_column_is_named(release):
    release.write_csv(lambda table: table.drop(columns="Bi-Rads"))
    pattern = r"INbreast\.csv: column Bi-Rads is missing; use the table as it is published"
    with pytest.raises(DataError, match=pattern):
        release.catalog()
    (release.root / "INbreast.csv").unlink()
    with pytest.raises(DataError, match=r"Release 1\.0: no table inbreast\.xls or inbreast\.xlsx"):
        release.catalog()
    (release.root / "INbreast.xls").write_bytes(XLS.read_bytes()[:700])
    with pytest.raises(DataError, match=r"INbreast\.xls: cannot be read as a table"):
        release.catalog()
