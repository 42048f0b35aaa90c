"""Writing DICOM: the Secondary Captures that CBIS-DDSM consists of, and stacks of slices."""

import hashlib
import os
from datetime import date
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    BreastTomosynthesisImageStorage,
    ExplicitVRLittleEndian,
    RLELossless,
    SecondaryCaptureImageStorage,
)

STUDY_DATE = date(2016, 7, 20)


def write_dicom(
    path: str | os.PathLike,
    pixels: np.ndarray,
    *,
    patient_id: str,
    study_uid: str,
    series_uid: str,
    series_description: str,
    instance_number: int = 1,
    study_date: date = STUDY_DATE,
    compress: bool = False,
) -> None:
    """Write `pixels` (2-D, uint8 or uint16) as the Secondary Capture that CBIS-DDSM consists of.

    Like TCIA's files it carries no PixelSpacing, no window and no ViewPosition. `compress`
    chooses RLE Lossless. The SOP instance UID follows from the series and the number, so the
    same call writes the same bytes.
    """
    dataset = _named(path, SecondaryCaptureImageStorage, series_uid, instance_number)
    dataset.StudyDate = study_date.strftime("%Y%m%d")
    dataset.ConversionType = "WSD"
    dataset.SeriesDescription = series_description
    dataset.PatientName = dataset.PatientID = patient_id
    dataset.StudyInstanceUID = study_uid
    _save(dataset, path, pixels, compress=compress)


def write_slices(
    path: str | os.PathLike,
    slices: np.ndarray,
    *,
    patient_id: str,
    study_uid: str,
    series_uid: str,
    pixel_mm: float,
    slice_mm: float = 1.0,
    compress: bool = False,
) -> None:
    """Write `slices` as one multi-frame file of Breast Tomosynthesis Image Storage.

    It has what describes and places the pixels (0028; 5200,9229; 5200,9230), not all that PS3.3,
    A.55 asks of a scanner. The same call writes the same bytes.

    Parameters
    ----------
    path : path
    slices : ndarray, shape (slices, rows, columns), uint8 or uint16
    patient_id, study_uid, series_uid : str
    pixel_mm, slice_mm : float
        Distances of pixels (PixelSpacing) and of slices, in millimetres.
    compress : bool
        RLE Lossless.
    """
    dataset = _named(path, BreastTomosynthesisImageStorage, series_uid, 1)
    dataset.StudyDate = STUDY_DATE.strftime("%Y%m%d")
    dataset.PatientName = dataset.PatientID = patient_id
    dataset.StudyInstanceUID = study_uid
    dataset.NumberOfFrames = len(slices)
    measures = _item(PixelSpacing=[pixel_mm, pixel_mm], SliceThickness=slice_mm)
    rescaling = _item(RescaleIntercept=0, RescaleSlope=1, RescaleType="US")
    dataset.SharedFunctionalGroupsSequence = [
        _item(PixelMeasuresSequence=[measures], PixelValueTransformationSequence=[rescaling])
    ]
    dataset.PerFrameFunctionalGroupsSequence = [
        _item(PlanePositionSequence=[_item(ImagePositionPatient=[0, 0, number * slice_mm])])
        for number in range(len(slices))
    ]
    _save(dataset, path, slices, compress=compress)


def _item(**elements: object) -> Dataset:
    item = Dataset()
    for name, value in elements.items():
        setattr(item, name, value)
    return item


def _named(
    path: str | os.PathLike, sop_class: str, series_uid: str, instance_number: int
) -> FileDataset:
    """Return an image without pixels, whose UID follows from its series and number."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = uid_from(f"{series_uid}/{instance_number}")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID = meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.Modality = "MG"
    dataset.SeriesInstanceUID = series_uid
    dataset.InstanceNumber = instance_number
    return dataset


def _save(
    dataset: FileDataset, path: str | os.PathLike, pixels: np.ndarray, *, compress: bool
) -> None:
    bits = pixels.dtype.itemsize * 8
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
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
