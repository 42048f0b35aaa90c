"""A header read quickly says what pydicom says, and a file that is none is refused."""

import os
import tracemalloc
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian

from mcalc.data.dicom import read_dicom, write_dicom
from mcalc.data.dicom_header import read_header
from mcalc.errors import DataError

OPTIONS = {"patient_id": "Calc-Test_P_00001_LEFT_CC_1", "study_uid": "1.2", "series_uid": "1.3"}


@pytest.fixture
def path(tmp_path) -> Path:
    pixels = np.arange(12 * 10, dtype=np.uint16).reshape(12, 10)
    write_dicom(tmp_path / "a.dcm", pixels, series_description="ROI", **OPTIONS)
    return tmp_path / "a.dcm"


@pytest.mark.filterwarnings("ignore")
def test_the_header_is_pydicoms_for_every_image_that_it_ships():
    """Little and big endian, implicit and explicit, deflated and compressed."""
    compared = 0
    for name in sorted(Path(pydicom.__file__).parent.glob("data/test_files/**/*.dcm")):
        try:
            dataset = pydicom.dcmread(name)
            expected = int(dataset.Rows), int(dataset.Columns), int(dataset.BitsAllocated)
            header = read_header(name)
        except (DataError, AttributeError, TypeError, pydicom.errors.InvalidDicomError):
            continue
        assert header[:3] == expected, name
        assert header.case == str(dataset.get("PatientID", "")).strip(), name
        assert header.series == str(dataset.get("SeriesInstanceUID", "")), name
        compared += 1
    assert compared > 30, compared


def test_a_deflated_file_is_read(path):
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.save_as(path, enforce_file_format=True)
    assert read_header(path) == (12, 10, 16, OPTIONS["patient_id"], "1.3")


@pytest.mark.parametrize("cut", [0, 1, 100, 131, 200, 400, -1, -200])
def test_a_file_that_is_cut_off_is_refused(path, cut):
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DataError) as caught:
        read_header(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert caught.value.reason == ("unreadable" if cut else "empty_file")


def test_no_word_of_the_header_is_in_a_refusal(path):
    secret = b"SECRET^NAME^AND^BIRTHDATES!"
    content = path.read_bytes().replace(b"Calc-Test_P_00001_LEFT_CC_1", secret)
    path.write_bytes(content[:-1])
    with pytest.raises(DataError) as caught:
        read_header(path)
    assert "SECRET" not in str(caught.value)


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(DataError, match="no such file") as caught:
        read_header(tmp_path / "b.dcm")
    assert caught.value.reason == "missing_file"


def test_a_header_is_read_where_the_reader_reads_the_pixels_without_a_meta_header(path):
    dataset = pydicom.dcmread(path)
    expected = read_header(path)
    dataset.preamble = None
    del dataset.file_meta
    dataset.save_as(path, implicit_vr=False, little_endian=True, enforce_file_format=False)
    assert path.read_bytes()[:2] == b"\x08\0"
    assert read_header(path) == expected
    assert read_dicom(path).shape == (12, 10)


def test_a_deflated_header_takes_no_more_memory_than_it_needs(path):
    """A hundred megabytes of zeros behind the header, deflated to a tenth of one, stay deflated."""
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.PixelData = bytes(100 << 20)
    dataset.save_as(path, enforce_file_format=True)
    tracemalloc.start()
    try:
        assert read_header(path).rows == 12
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_pipe_is_refused_rather_than_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.dcm")
    with pytest.raises(DataError, match="not a file"):
        read_header(tmp_path / "a.dcm")
