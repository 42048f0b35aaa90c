"""The tables that flow between stages: what is written is read, and what does not fit is named."""

import math

import pandas as pd
import pytest

from mcalc import records
from mcalc.errors import DataError


def catalog_row(**changes) -> dict:
    row = {
        "roi_id": "Calc-Test_P_00038_LEFT_CC_1",
        "patient_id": "P_00038",
        "laterality": "LEFT",
        "view": "CC",
        "abnormality_id": 1,
        "label": "benign",
        "pathology": "BENIGN",
        "official_split": "test",
        "in_any_test": "no",
        "dataset": "cbis_ddsm",
        "source": "CBIS-DDSM/a b/1-1.dcm",
        "mask": "",
        "mammogram": "",
        "sha256": "0123456789abcdef",
        "shard": 3,
        "breast_density": 2,
        "calc_type": "PUNCTATE-PLEOMORPHIC",
        "calc_distribution": "CLUSTERED",
        "abnormality_type": "calcification",
        "mass_shape": "",
        "mass_margins": "",
        "assessment": 4,
        "subtlety": None,
    }
    return row | changes


def score_row(**changes) -> dict:
    row = {"roi_id": "roi", "filter": "mean", "mse": 2.5, "psnr": 40.0, "ssim": 0.9}
    return row | {"contrast_retention": 0.5} | changes


def cleaning_row(**changes) -> dict:
    row = {"roi_id": "r", "method": "otsu", "has_background": True, "otsu_kept": 0.5}
    return row | {"otsu_grown_kept": 1} | changes


@pytest.fixture
def path(tmp_path):
    return tmp_path / "table.csv"


# --- reading what is not there or not right -----------------------------------------------------


def test_a_missing_table_is_named(path):
    with pytest.raises(DataError, match=r"table\.csv: cannot be read as a table"):
        records.read(path, records.CATALOG)


def test_a_folder_is_no_table(path):
    path.mkdir()
    with pytest.raises(DataError, match=r"table\.csv: cannot be read as a table"):
        records.read(path, records.CATALOG)


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"\xff\xfe\x00", b'a,b\n"1,2\n', b"a,b\n1,2,3\n4,5,6,7\n", b"\0\0\0\0"]
)
def test_what_is_no_table_is_named(path, content):
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"table\.csv: "):
        records.read(path, records.CATALOG)


def test_missing_columns_are_named_with_the_way_out(path):
    path.write_text("roi_id,filter,mse,psnr\nr,mean,1,2\n")
    pattern = r"table\.csv: column ssim, contrast_retention is missing; run its stage again"
    with pytest.raises(DataError, match=pattern):
        records.read(path, records.FILTERS)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("label", "cancer"),
        ("label", ""),
        ("laterality", "BOTH"),
        ("view", "XCC"),
        ("official_split", "validation"),
        ("in_any_test", "perhaps"),
        ("roi_id", ""),
        ("source", ""),
        ("sha256", ""),
        ("shard", "-1"),
        ("shard", "1.5"),
        ("shard", ""),
        ("shard", "two"),
        ("abnormality_id", "one"),
        ("breast_density", "dense"),
    ],
)
def test_a_cell_that_cannot_be_is_named_with_its_column(path, column, value):
    records.write([catalog_row()], path, records.CATALOG)
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    table.loc[0, column] = value
    table.to_csv(path, index=False)
    with pytest.raises(DataError, match=rf"table\.csv: .*column {column}"):
        records.read(path, records.CATALOG)


@pytest.mark.parametrize("value", ["perhaps", "", "0", "2", "TRUE", "no"])
def test_a_yes_or_no_that_is_neither_is_refused_never_taken_for_yes(path, value):
    """Anything but True and False is a damaged table."""
    records.write([cleaning_row()], path, records.CLEANING)
    text = path.read_text()
    assert ",True," in text
    path.write_text(text.replace(",True,", f",{value},"))
    with pytest.raises(DataError, match=r"table\.csv: .*has_background"):
        records.read(path, records.CLEANING)


@pytest.mark.parametrize(
    ("column", "value"),
    [("mse", "-1"), ("ssim", "1.5"), ("mse", ""), ("psnr", "nan"), ("mse", "x")],
)
def test_a_number_out_of_its_bounds_is_named(path, column, value):
    records.write([score_row()], path, records.FILTERS)
    table = pd.read_csv(path, dtype=str)
    table.loc[0, column] = value
    table.to_csv(path, index=False)
    with pytest.raises(DataError, match=rf"table\.csv: .*column {column}"):
        records.read(path, records.FILTERS)


def test_an_id_given_twice_is_named(path):
    records.write([catalog_row()], path, records.CATALOG)
    path.write_text(path.read_text() + path.read_text().splitlines()[1] + "\n")
    with pytest.raises(DataError, match=r"table\.csv: .*Calc-Test_P_00038_LEFT_CC_1.*roi_id"):
        records.read(path, records.CATALOG)


def test_a_column_too_many_is_named(path):
    records.write([score_row()], path, records.FILTERS)
    table = pd.read_csv(path).assign(extra=1)
    table.to_csv(path, index=False)
    with pytest.raises(DataError, match=r"table\.csv: .*extra"):
        records.read(path, records.FILTERS)


def test_a_row_cut_short_is_named(path):
    records.write([score_row(), score_row(roi_id="other")], path, records.FILTERS)
    path.write_text(path.read_text().rstrip("\n").rpartition(",")[0])
    with pytest.raises(DataError, match=r"table\.csv: .*contrast_retention"):
        records.read(path, records.FILTERS)


def test_a_table_that_is_wrong_is_not_written_and_the_older_stays(path):
    records.write([score_row()], path, records.FILTERS)
    before = path.read_bytes()
    for row in (score_row(ssim=2), score_row(mse=math.nan), {"roi_id": "x"}):
        with pytest.raises(DataError, match=r"table\.csv"):
            records.write([row], path, records.FILTERS)
    with pytest.raises(DataError, match=r"table\.csv"):
        records.write([score_row(), score_row()], path, records.FILTERS)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["table.csv"]


# --- round trips --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["NA", "N/A", "nan", "NULL", "None", "inf", "007", "1e5", "True", "a,b", 'say "no"', " lead"]
    + ["two\nlines", "ünï", "-", "#", ""],
)
def test_text_comes_back_as_it_was(path, text):
    """`N/A` is a value of the tables' column calc type, no missing one; 007 is no 7."""
    records.write([catalog_row(calc_type=text, patient_id=text)], path, records.CATALOG)
    (row,) = records.read(path, records.CATALOG).to_dict("records")
    assert row["calc_type"] == text
    assert row["patient_id"] == text


@pytest.mark.parametrize("number", [0.1, 1 / 3, 1e-300, 5e-324, 123456789.123456789, math.pi])
def test_numbers_come_back_to_the_last_bit(path, number):
    records.write([score_row(mse=number)], path, records.FILTERS)
    assert records.read(path, records.FILTERS)["mse"].iloc[0] == number


def test_infinity_comes_back(path):
    records.write([score_row(mse=0, psnr=math.inf)], path, records.FILTERS)
    assert records.read(path, records.FILTERS)["psnr"].iloc[0] == math.inf


def test_an_empty_cell_is_no_value_and_takes_none_from_its_neighbours(path):
    rows = [catalog_row(roi_id=f"r{n}", subtlety=n if n % 2 else None) for n in range(6)]
    records.write(rows, path, records.CATALOG)
    found = records.read(path, records.CATALOG)["subtlety"].tolist()
    assert [None if math.isnan(value) else value for value in found] == [None, 1, None, 3, None, 5]


def test_types_come_back(path):
    records.write(
        [cleaning_row(), cleaning_row(roi_id="s", has_background=False)], path, records.CLEANING
    )
    table = records.read(path, records.CLEANING)
    assert table["has_background"].tolist() == [True, False]
    assert table["has_background"].dtype == bool
    records.write([catalog_row()], path, records.CATALOG)
    row = records.read(path, records.CATALOG).iloc[0]
    assert (row["shard"] + 1, row["breast_density"] / 4) == (4, 0.5)


@pytest.mark.parametrize(
    "schema",
    [records.CATALOG, records.REJECTED, records.CLEANING, records.MAMMOGRAMS, records.FILTERS]
    + [records.SPLIT, records.HISTORY, records.LR_FIND, records.PREDICTIONS, records.RUNS],
)
def test_a_table_without_rows_comes_back_with_its_columns(path, schema):
    records.write([], path, schema)
    table = records.read(path, schema)
    assert table.empty
    assert list(table.columns) == list(schema.columns)
    assert path.read_text() == ",".join(schema.columns) + "\n"


def test_columns_are_written_in_one_order_whatever_the_rows_say(path):
    records.write([dict(reversed(catalog_row().items()))], path, records.CATALOG)
    first = path.read_bytes()
    records.write([catalog_row()], path, records.CATALOG)
    assert path.read_bytes() == first
    assert first.startswith(b"roi_id,patient_id,laterality,view,")
    assert b"\r" not in first


def test_a_second_round_trip_changes_no_byte(path):
    records.write(
        [catalog_row(), catalog_row(roi_id="x", breast_density=None)], path, records.CATALOG
    )
    first = path.read_bytes()
    records.write(records.read(path, records.CATALOG), path, records.CATALOG)
    assert path.read_bytes() == first


def test_several_tables_become_one_in_the_order_of_their_names(tmp_path):
    for name in ("1.csv", "0.csv"):
        records.write([score_row(roi_id=name)], tmp_path / name, records.FILTERS)
    table = records.read_all([tmp_path / "1.csv", tmp_path / "0.csv"], records.FILTERS)
    assert list(table["roi_id"]) == ["0.csv", "1.csv"]
    assert list(table.index) == [0, 1]


def test_no_tables_become_an_empty_one_with_columns():
    table = records.read_all([], records.REJECTED)
    assert table.empty
    assert list(table.columns) == list(records.REJECTED.columns)


def test_one_broken_table_among_several_is_named(tmp_path):
    records.write([score_row()], tmp_path / "0.csv", records.FILTERS)
    (tmp_path / "1.csv").write_text("x\n")
    with pytest.raises(DataError, match=r"1\.csv"):
        records.read_all([tmp_path / "0.csv", tmp_path / "1.csv"], records.FILTERS)


def test_every_reason_can_be_written_and_no_other(path):
    row = {"roi_id": "r", "source": "", "stage": "convert", "detail": ""}
    rows = [row | {"reason": reason} for reason in records.REJECTION_REASONS]
    records.write(rows, path, records.REJECTED)
    assert len(records.read(path, records.REJECTED)) == len(records.REJECTION_REASONS)
    with pytest.raises(DataError, match="mood"):
        records.write([row | {"reason": "mood"}], path, records.REJECTED)


def test_the_data_hash_follows_ids_labels_places_and_contents_only():
    place = {"roi_top": 1.0, "roi_left": 2.0, "roi_rows": 3.0, "roi_columns": 4.0}
    rows = [catalog_row(**place), catalog_row(roi_id="x", label="malignant", **place)]
    table = pd.DataFrame(rows)
    first = records.data_hash(table)
    assert len(first) == 12
    assert int(first, 16) >= 0
    assert records.data_hash(table[::-1]) == first
    assert records.data_hash(table.assign(shard=9, source="elsewhere", subtlety=1)) == first
    changes = {"roi_id": "y", "label": "malignant", "sha256": "f" * 16, "roi_left": 5.0}
    for column, value in changes.items():
        changed = table.copy()
        changed.loc[0, column] = value
        assert records.data_hash(changed) != first, column


def test_the_rows_of_one_shard_are_read_and_others_are_not_checked(path):
    rows = [catalog_row(roi_id=str(number), shard=number % 3) for number in range(7)]
    records.write(rows, path, records.CATALOG)
    assert list(records.read(path, records.CATALOG, shard=2)["roi_id"]) == ["2", "5"]
    assert records.read(path, records.CATALOG, shard=9).empty
    path.write_text(path.read_text().replace("LEFT,CC,1,benign", "LEFT,CC,1,unsure", 1))
    assert len(records.read(path, records.CATALOG, shard=1)) == 2
    with pytest.raises(DataError, match="unsure"):
        records.read(path, records.CATALOG, shard=0)
    path.write_text(path.read_text().replace("shard", "part", 1))
    with pytest.raises(DataError, match="column shard is missing"):
        records.read(path, records.CATALOG, shard=1)
