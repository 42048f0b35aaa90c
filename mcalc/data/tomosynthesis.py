"""Stacks of slices of digital breast tomosynthesis: reading them, and which slice is in focus.

A stack is one multi-frame DICOM file. Whatever it holds, the answer is an array or one `DataError`,
by the same rules as for single images (docs/dicom.md).
"""

import os

import cv2
import numpy as np
import pydicom

from mcalc.data.dicom import to_levels
from mcalc.data.dicom_frame import decode, frame_of
from mcalc.data.dicom_parsing import explained, parse
from mcalc.data.image_size import MAX_PIXELS
from mcalc.errors import DataError

# Multi-frame images keep their rescaling in the groups that all frames share, or in each frame's.
_SHARED_GROUPS, _GROUPS_OF_FRAMES = 0x52009229, 0x52009230

# The smoothing, in pixels: specks of about three pixels answer most, some 0.3 mm where slices have
# pixels of 0.085 to 0.1 mm; noise of single pixels is averaged away.
_SPECK_SIGMA = 1.0
# The standard deviation of normal noise in units of its median absolute deviation, and how many
# deviations an answer has to exceed: one in 740 pixels of noise does.
_MAD_TO_DEVIATION, _DEVIATIONS = 1.4826, 3.0


def read_slices(path: str | os.PathLike, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Read the slices of a multi-frame grey DICOM image, bright tissue on dark ground.

    The class of the image is not looked at: Breast Tomosynthesis Image Storage and Multi-frame
    Grayscale Word (or Byte) Secondary Capture are read alike.

    Parameters
    ----------
    path : path
        A DICOM file, native, deflated, or with frames compressed as RLE, JPEG, JPEG-LS or JPEG
        2000.
    max_pixels : int
        A stack of more samples (NumberOfFrames x Rows x Columns) is refused by its header.

    Returns
    -------
    ndarray, shape (slices, rows, columns), uint8 or uint16
        In the order of the file. What `read_dicom` says of its values holds for the stack as a
        whole: one inversion and one shift for all slices. A rescaling may also stand among the
        functional groups (5200,9229 or 5200,9230: 0028,9145).

    Raises
    ------
    DataError
        If the file is missing, empty, cut off, no DICOM, holds colour, no image or a single one,
        cannot be decoded, or rescales slices differently; reason `too_large` where it holds or
        claims more than `max_pixels`.
    """
    groups = (_SHARED_GROUPS, _GROUPS_OF_FRAMES)
    dataset, is_certain = parse(path, max_pixels, more=groups)
    with explained(path, "the slices cannot be decoded"):
        frame = frame_of(dataset, path, is_certain, max_pixels, is_stack=True)
        _find_rescaling(dataset, path)
        pixels, _, _ = to_levels(decode(dataset, frame, path), dataset, frame, path)
    return pixels.reshape(frame.frames, frame.rows, frame.columns)


def sharpest(slices: np.ndarray) -> int:
    """Return the number of the slice in which the specks are in focus.

    Off its own depth a speck is smeared along the sweep of the tube, which takes away what is small
    and leaves what is large. So the measure is the energy of the Laplacian (Pech-Pacheco et al.,
    ICPR 2000, take its variance) of a slice smoothed a little, but of each answer only what exceeds
    three standard deviations of the slice's own noise. They are estimated by the median absolute
    deviation, which few specks hardly move: a slice with more noise is no sharper for it, and the
    specks of a cluster, which cover a hundredth of it, are not outvoted by the grain of all the
    rest. Answers of dark spots, such as dead pixels or the shadows that reconstruction leaves
    beside a speck, do not count.

    Parameters
    ----------
    slices : ndarray, shape (slices, rows, columns), uint8 or uint16

    Returns
    -------
    int
        From 0; the first of several that are equally sharp.
    """
    return int(np.argmax([_sharpness(one) for one in slices]))


def _sharpness(pixels: np.ndarray) -> float:
    """Return the squared grey levels, per pixel, by which specks stand out."""
    smooth = cv2.GaussianBlur(pixels.astype(np.float32), (0, 0), _SPECK_SIGMA)
    answer = -cv2.Laplacian(smooth, cv2.CV_32F)
    answer -= np.median(answer)
    noise = _MAD_TO_DEVIATION * float(np.median(np.abs(answer)))
    excess = np.maximum(answer - _DEVIATIONS * noise, 0)
    return float(np.square(excess, dtype=np.float64).mean())


def _find_rescaling(dataset: pydicom.Dataset, path: str | os.PathLike) -> None:
    """Put a rescaling that stands among the functional groups where single images have theirs."""
    items = [
        group.PixelValueTransformationSequence[0]
        for tag in (_SHARED_GROUPS, _GROUPS_OF_FRAMES)
        for group in (dataset[tag].value if tag in dataset else ())
        if group.get("PixelValueTransformationSequence")
    ]
    found = {(float(item.RescaleSlope), float(item.RescaleIntercept)) for item in items}
    if len(found) > 1:
        raise DataError(
            f"{path}: slices that are rescaled differently (0028,9145), which is not read; convert "
            "the file."
        )
    for slope, intercept in found:
        if "RescaleSlope" not in dataset and "ModalityLUTSequence" not in dataset:
            dataset.RescaleSlope, dataset.RescaleIntercept = slope, intercept
