"""docs/datasets.md: the example of a data set of one's own runs as it is printed."""

import re

import numpy as np
import pytest

from mcalc import records
from mcalc.data.catalog import write_catalog
from mcalc.data.datasets.registry import DATASETS
from mcalc.data.dicom import write_dicom
from mcalc.data.rois import read_roi
from mcalc.errors import DataError


class Example:
    def __init__(self, code: str) -> None:
        names = {}
        exec(compile(code, "docs/datasets.md", "exec"), names)
        self.list_rois = names["list_rois"]


@pytest.fixture
def root(tmp_path, pytestconfig, monkeypatch):
    text = (pytestconfig.rootpath / "docs/datasets.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    monkeypatch.setitem(DATASETS, "clinic", Example(code))
    uids = {"study_uid": "1.2", "series_uid": "1.3", "series_description": ""}
    pixels = np.arange(3328 * 2560, dtype=np.uint16).reshape(3328, 2560)
    write_dicom(tmp_path / "root/a/17.dcm", pixels, patient_id="", compress=False, **uids)
    table = "film,patient,cancer,row,column\n17,P1,yes,1000,1200\n17,P1,no,10,2550\n"
    table += "18,P2,no,5,5\n17,P1,?,5,5\n"
    (tmp_path / "root/lesions.csv").write_text(table)
    return tmp_path / "root"


def test_the_example_lists_and_rejects(root, tmp_path):
    paths = {"catalog": tmp_path / "c.csv", "rejected": tmp_path / "r.csv"}
    write_catalog(root, dataset="clinic", **paths)
    found = records.read(paths["catalog"], records.CATALOG).set_index("roi_id", drop=False)
    assert found["label"].to_dict() == {"17_0": "malignant", "17_1": "benign"}
    assert read_roi(found.loc["17_0"])[150, 150] == (1000 * 2560 + 1200) % 65536
    rejected = records.read(paths["rejected"], records.REJECTED)
    assert list(rejected["reason"]) == ["missing_file", "bad_field"]


def test_the_example_names_a_missing_column(root, tmp_path):
    (root / "lesions.csv").write_text("film;patient;row;column\n17;P1;5;5\n")
    with pytest.raises(DataError, match=r"lesions\.csv: column cancer is missing"):
        write_catalog(root, dataset="clinic", catalog=tmp_path / "c", rejected=tmp_path / "r")
