"""Writing the Secondary Captures that CBIS-DDSM consists of."""

import hashlib
import os
from datetime import date
from pathlib import Path

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, RLELossless, SecondaryCaptureImageStorage


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
