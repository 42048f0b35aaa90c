"""All of DICOM: telling a crop from a mask, reading pixels, writing secondary captures."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.multival import MultiValue
from pydicom.pixels import apply_modality_lut, pixel_array
from pydicom.uid import ExplicitVRLittleEndian, RLELossless, SecondaryCaptureImageStorage

from mcalc.errors import DataError

# A mask holds two values; a crop of film holds thousands. The line lies far from both.
MASK_MAX_VALUES = 2


def read_dicom(path: str | os.PathLike) -> np.ndarray:
    """Read the pixels of a single-frame grey DICOM image, bright tissue on dark ground.

    Parameters
    ----------
    path : path
        A DICOM file in any transfer syntax that pydicom, pylibjpeg or gdcm decode.

    Returns
    -------
    ndarray, shape (rows, columns), uint8 or uint16
        Stored values after the modality LUT (0028,1052-1053, 0028,3000), shifted to start at
        zero where they would be negative; MONOCHROME1 (0028,0004) is inverted over the range of
        BitsStored (0028,0101), so that larger always means brighter.

    Raises
    ------
    DataError
        If the file is empty, is no DICOM, holds colour or several frames, or cannot be decoded.
    """
    dataset = _read_dataset(path)
    with _explained(path, "the pixels cannot be decoded"):
        return _as_unsigned(_levels(dataset, path), path)


def read_window(path: str | os.PathLike) -> tuple[float, float] | None:
    """Read the first display window of a DICOM image, in the units that `read_dicom` returns.

    Returns
    -------
    (centre, width) or None
        Window Center and Width (0028,1050-1051), inverted and shifted as the pixels are; None if
        the image has none, or one that is no number or narrower than 1.

    Raises
    ------
    DataError
        As `read_dicom` does.
    """
    dataset = _read_dataset(path)
    with _explained(path, "the window cannot be read"):
        values = [dataset.get(name) for name in ("WindowCenter", "WindowWidth")]
        if any(value is None or value == "" for value in values):
            return None
        centre, width = (
            float(value[0] if isinstance(value, MultiValue) else value) for value in values
        )
        if not (np.isfinite(centre) and width >= 1):
            return None
        levels = _levels(dataset, path)
        if dataset.PhotometricInterpretation == "MONOCHROME1":
            # A level l became m(low + high) + m(0) - l, where m is the rescaling; black and white
            # swap, and with them which end of the window is open (PS3.3, C.11.2.1.2).
            ends = np.array([sum(_stored_range(dataset)), 0])
            centre = float(apply_modality_lut(ends, dataset).sum()) - centre + 1
        return centre - min(0.0, float(levels.min(initial=0))), width


def is_mask(path: str | os.PathLike) -> bool:
    """Tell by content whether a CBIS-DDSM file is a region mask (True) or an image (False).

    Neither the file's name nor its size decides: the tables and the downloader number the two
    files differently. Sixteen bits allocated (0028,0100) settle an image without decoding; an
    8-bit file is a mask when its pixels take at most two values.
    """
    dataset = _read_dataset(path, stop_before_pixels=True)
    with _explained(path, "the header cannot be read"):
        if int(dataset.get("BitsAllocated", 0)) > 8:
            return False
    return holds_mask(read_dicom(path))


def holds_mask(pixels: np.ndarray) -> bool:
    """Tell whether `pixels` take at most two values, as a mask does and a crop of film never."""
    sample = np.unique(pixels[:: max(1, pixels.shape[0] // 64)])
    return len(sample) <= MASK_MAX_VALUES and len(np.unique(pixels)) <= MASK_MAX_VALUES


def write_dicom(
    path: str | os.PathLike,
    pixels: np.ndarray,
    *,
    patient_id: str,
    study_uid: str,
    series_uid: str,
    series_description: str,
    instance_number: int = 1,
    study_date: date = date(2016, 7, 20),
    compress: bool = False,
) -> None:
    """Write `pixels` (2-D, uint8 or uint16) as the Secondary Capture that CBIS-DDSM consists of.

    Like TCIA's files it carries no PixelSpacing, no window and no ViewPosition. `compress`
    chooses RLE Lossless. The SOP instance UID follows from the series and the number, so the
    same call writes the same bytes.
    """
    bits = pixels.dtype.itemsize * 8
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = uid_from(f"{series_uid}/{instance_number}")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID = meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.StudyDate = study_date.strftime("%Y%m%d")
    dataset.Modality = "MG"
    dataset.ConversionType = "WSD"
    dataset.SeriesDescription = series_description
    dataset.PatientName = dataset.PatientID = patient_id
    dataset.StudyInstanceUID = study_uid
    dataset.SeriesInstanceUID = series_uid
    dataset.InstanceNumber = instance_number
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit = bits - 1
    dataset.PixelRepresentation = 0
    content = np.ascontiguousarray(pixels).tobytes()
    dataset.PixelData = content + b"\0" * (len(content) % 2)  # an even length (PS3.5, 7.1.1)
    dataset["PixelData"].VR = "OW" if bits > 8 else "OB"
    if compress:
        # gdcm's encoder ends the process on an odd number of bytes.
        dataset.compress(
            RLELossless, pixels, encoding_plugin="pylibjpeg", generate_instance_uid=False
        )
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)


def uid_from(text: str) -> str:
    """Return the DICOM UID under 2.25 (PS3.5 B.2) that stands for `text`: same text, same UID."""
    return f"2.25.{int.from_bytes(hashlib.sha256(text.encode()).digest()[:16])}"


def _read_dataset(path: str | os.PathLike, **options) -> pydicom.Dataset:
    path = Path(path)
    with _explained(path, "not a readable DICOM file"):
        if path.stat().st_size == 0:
            raise DataError(f"{path}: the file is empty; download it again.", "empty_file")
        return pydicom.dcmread(path, **options)


@contextmanager
def _explained(path: str | os.PathLike, problem: str) -> Iterator[None]:
    """Turn whatever a broken file makes a parser or a decoder raise into a `DataError`."""
    try:
        yield
    except (DataError, MemoryError, KeyboardInterrupt, SystemExit):
        raise
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file.", "missing_file") from error
    except BaseException as error:  # a decoder written in Rust panics past Exception
        raise DataError(f"{path}: {problem} ({_first_line(error)}).") from error


def _check_grey(dataset: pydicom.Dataset, path: str | os.PathLike) -> None:
    colours = dataset.get("PhotometricInterpretation")
    if int(dataset.SamplesPerPixel) != 1 or colours not in ("MONOCHROME1", "MONOCHROME2"):
        raise DataError(f"{path}: a colour image ({colours}); only grey images are read.")
    if int(dataset.get("NumberOfFrames", 1) or 1) != 1:
        raise DataError(f"{path}: {dataset.NumberOfFrames} frames; only single images are read.")


def _levels(dataset: pydicom.Dataset, path: str | os.PathLike) -> np.ndarray:
    """Decode a grey image into its levels after the modality LUT, larger always brighter."""
    _check_grey(dataset, path)
    stored = pixel_array(dataset)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        stored = (sum(_stored_range(dataset)) - stored.astype(np.int64)).astype(np.int32)
    return np.asarray(apply_modality_lut(stored, dataset))


def _stored_range(dataset: pydicom.Dataset) -> tuple[int, int]:
    """Return the lowest and the highest value that BitsStored (0028,0101) can hold."""
    bits = int(dataset.BitsStored)
    if int(dataset.PixelRepresentation):
        return -(1 << bits - 1), (1 << bits - 1) - 1
    return 0, (1 << bits) - 1


def _as_unsigned(values: np.ndarray, path: str | os.PathLike) -> np.ndarray:
    if values.dtype in (np.uint8, np.uint16):
        return values
    values = np.rint(values.astype(np.float64))
    values -= min(0.0, values.min(initial=0.0))
    top = values.max(initial=0.0)
    if top > np.iinfo(np.uint16).max:
        raise DataError(f"{path}: values up to {top:.0f} after rescaling; at most 65535 are read.")
    return values.astype(np.uint8 if top <= np.iinfo(np.uint8).max else np.uint16)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
