"""A made download of CBIS-DDSM that tests can damage."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mcalc.data.dicom import write_dicom

ROWS = 60
COLUMNS = (
    *("patient_id", "breast density", "left or right breast", "image view", "abnormality id"),
    *("abnormality type", "calc type", "calc distribution", "assessment", "pathology", "subtlety"),
    *("image file path", "cropped image file path", "ROI mask file path"),
)


@dataclass(frozen=True)
class Tree:
    """TCIA's layout: `rows` cases of a patient each, with a crop and a mask."""

    root: Path
    rows: int = ROWS

    @staticmethod
    def case(number: int) -> str:
        return f"Calc-Training_P_{number:05}_LEFT_CC_1"

    def crop(self, number: int) -> Path:
        study = f"CBIS-DDSM/{self.case(number)}/08-29-2017-DDSM-NA-12345"
        return self.root / study / "1.000000-ROI mask images-00001/1-1.dcm"

    def mask(self, number: int) -> Path:
        return self.crop(number).with_name("1-2.dcm")

    def write(self, path: Path, pixels: np.ndarray, case: str) -> None:
        uids = {"study_uid": "1.2", "series_uid": "1.3"}
        write_dicom(path, pixels, patient_id=case, series_description="ROI mask images", **uids)


@pytest.fixture
def tree(tmp_path) -> Tree:
    tree = Tree(tmp_path / "root")
    rows = []
    mask = np.zeros((20, 16), np.uint8)
    mask[3:6, 4:8] = 255
    for number in range(ROWS):
        case = tree.case(number)
        pathology = "MALIGNANT" if number % 2 else "BENIGN"
        series = f"{case}/1.2/1.3.{number}"
        rows.append(
            (f"P_{number:05}", 2, "LEFT", "CC", 1, "calcification", "PUNCTATE", "CLUSTERED", 4)
            + (pathology, 3, f"{case[:-2]}/1.2/1.4.{number}/000000.dcm")
            + (f"{series}/000001.dcm\n", f"{series}/000000.dcm")
        )
        crop = np.random.default_rng(number).integers(0, 65536, (12, 10)).astype(np.uint16)
        tree.write(tree.crop(number), crop, case)
        tree.write(tree.mask(number), mask, case)
    table = pd.DataFrame(rows, columns=COLUMNS)
    table.to_csv(tree.root / "calc_case_description_train_set.csv", index=False)
    return tree
