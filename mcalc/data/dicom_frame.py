"""The frames of a DICOM image: what the header promises, checked before anything is decoded."""

import os
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pydicom
from pydicom.encaps import get_frame
from pydicom.pixels import pixel_array
from pydicom.uid import JPEGBaseline8Bit, JPEGLossless, JPEGLosslessSV1, RLELossless

from mcalc.data.dicom_parsing import JPEG_2000, NATIVE
from mcalc.data.image_size import jpeg2000_size, jpeg_size
from mcalc.errors import DataError

_GREY = ("MONOCHROME1", "MONOCHROME2")
_COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "YBR_PARTIAL_420")
_NAMES = (*_COLOURS, "PALETTE COLOR", "ARGB", "HSV", "CMYK")

# A Huffman code takes a bit, and JPEG writes one for each pixel, or two for each 8 x 8 of them.
_LEAST_BITS = {JPEGLossless: 1, JPEGLosslessSV1: 1, JPEGBaseline8Bit: 1 / 32}
_END_OF_IMAGE = b"\xff\xd9"  # of JPEG, JPEG-LS and JPEG 2000 alike


class Frame(NamedTuple):
    """The image pixel module (PS3.3, C.7.6.3) as far as it decides what a stored value means.

    `frames` is how many the file holds (0028,0008); all else is of each of them.
    """

    rows: int
    columns: int
    samples: int
    allocated: int
    stored: int
    is_signed: bool
    is_inverted: bool
    frames: int = 1

    @property
    def extent(self) -> str:
        """How large the image is, in words."""
        slices = f"{self.frames} slices of " if self.frames > 1 else ""
        return f"{slices}{self.rows} x {self.columns}"


def frame_of(
    dataset: pydicom.Dataset,
    path: str | os.PathLike,
    is_certain: bool,
    max_pixels: int,
    *,
    is_stack: bool = False,
) -> Frame:
    """Read and check the image pixel module.

    Parameters
    ----------
    is_stack : bool
        Whether several frames are wanted, or a single one.

    Raises
    ------
    DataError
        If there are no pixels, colours that differ by nature, several frames where one is wanted or
        one where several are, more than `max_pixels` samples in all of them (reason `too_large`),
        or bits in an order that is not read. Where the transfer syntax is not certain, also if the
        pixels are not exactly as long as they should be.
    """
    if "PixelData" not in dataset or "Rows" not in dataset:
        raise DataError(f"{path}: a DICOM file that holds no image; leave it out.")
    _check_grey(dataset, path)
    frame = Frame(
        int(dataset.Rows),
        int(dataset.Columns),
        int(dataset.SamplesPerPixel),
        int(dataset.BitsAllocated),
        int(dataset.BitsStored),
        bool(int(dataset.get("PixelRepresentation") or 0)),
        dataset.PhotometricInterpretation == "MONOCHROME1",
        _count_frames(dataset, path, is_stack),
    )
    if frame.frames * frame.rows * frame.columns * frame.samples > max_pixels:
        advice = "; cut the ROI out of it" if is_stack else ""
        raise DataError(
            f"{path}: {frame.extent} pixels; at most {max_pixels} are read{advice}.", "too_large"
        )
    _check_bits(dataset, frame, path)
    if dataset.file_meta.TransferSyntaxUID in NATIVE:
        _check_length(dataset, frame, path, is_certain)
    elif not is_certain:
        raise ValueError("compressed without a meta header")
    return frame


def decode(dataset: pydicom.Dataset, frame: Frame, path: str | os.PathLike) -> np.ndarray:
    """Decode the pixels as they are stored.

    Returns
    -------
    ndarray, shape (frames * rows, columns)
        The frames one below another, of as many bits as are allocated; one channel of a colour
        image whose channels are equal.

    Raises
    ------
    DataError
        If a compressed frame claims another size or depth than the header, or colours differ.
    """
    first = _decode_frame(dataset, frame, 0, path)
    if frame.frames == 1:
        return first
    pixels = np.empty((frame.frames, *first.shape), first.dtype)
    pixels[0] = first
    for index in range(1, frame.frames):
        decoded = _decode_frame(dataset, frame, index, path)
        if decoded.dtype != pixels.dtype:
            raise ValueError("slices of different types")
        pixels[index] = decoded
    return pixels.reshape(-1, frame.columns)


def _decode_frame(
    dataset: pydicom.Dataset, frame: Frame, index: int, path: str | os.PathLike
) -> np.ndarray:
    syntax = dataset.file_meta.TransferSyntaxUID
    is_coded = syntax not in NATIVE and syntax != RLELossless
    if is_coded:
        _check_codestream(dataset, frame, index, path)
    elif syntax == RLELossless:
        _check_rle(dataset, frame, index)
    # One plugin for each syntax: which of several answers must not depend on what is installed.
    plugin = "" if syntax in NATIVE else "pylibjpeg"
    pixels = pixel_array(dataset, index=index, decoding_plugin=plugin, correct_unused_bits=False)
    if frame.samples > 1:
        if (pixels != pixels[..., :1]).any():
            raise DataError(f"{path}: a colour image; only grey images are read.")
        pixels = np.ascontiguousarray(pixels[..., 0])
    if pixels.shape != (frame.rows, frame.columns):
        raise ValueError("another shape")
    low = -(1 << frame.stored - 1) if frame.is_signed else 0
    if is_coded and (pixels.min() < low or int(pixels.max()) >> frame.stored):
        raise DataError(f"{path}: the compressed values exceed BitsStored; download it again.")
    return pixels.astype(pixels.dtype.newbyteorder("="), copy=False)


def _check_grey(dataset: pydicom.Dataset, path: str | os.PathLike) -> None:
    colours = dataset.get("PhotometricInterpretation")
    samples = int(dataset.SamplesPerPixel)
    if colours not in {1: _GREY, 3: _COLOURS}.get(samples, ()):
        name = colours if colours in _NAMES else "of an unknown kind"
        raise DataError(f"{path}: a colour image ({name}); only grey images are read.")


def _count_frames(dataset: pydicom.Dataset, path: str | os.PathLike, is_stack: bool) -> int:
    frames = int(dataset.get("NumberOfFrames") or 1)
    if is_stack and frames < 2:
        raise DataError(
            f"{path}: a single image where a stack of slices is wanted; give one file with all "
            "slices, or read single images as a data set of the kind folder."
        )
    if frames != 1 and not is_stack:
        raise DataError(f"{path}: {frames} frames; only single images are read.")
    return frames


def _check_bits(dataset: pydicom.Dataset, frame: Frame, path: str | os.PathLike) -> None:
    if min(frame.rows, frame.columns) < 1:
        raise DataError(f"{path}: an image without pixels; download it again.")
    if frame.allocated not in (1, 8, 16, 32) or not 1 <= frame.stored <= frame.allocated:
        raise DataError(
            f"{path}: {frame.stored} bits stored in {frame.allocated}; "
            "values of 1 to 32 bits in 1, 8, 16 or 32 are read."
        )
    if int(dataset.get("HighBit") or frame.stored - 1) != frame.stored - 1:
        raise DataError(
            f"{path}: the values do not lie in the lowest bits (HighBit), which is not read; "
            "convert the file."
        )


def _check_length(
    dataset: pydicom.Dataset, frame: Frame, path: str | os.PathLike, is_certain: bool
) -> None:
    bits = frame.frames * frame.rows * frame.columns * frame.samples * frame.allocated
    if dataset.PhotometricInterpretation == "YBR_FULL_422":
        bits = bits * 2 // 3
    expected, found = -(-bits // 8), len(dataset.PixelData)
    expected += expected % 2  # an even length (PS3.5, 7.1.1)
    if found < expected - 1:
        raise DataError(
            f"{path}: cut off, {found} bytes of pixels where {frame.extent} of "
            f"them take {expected}; download it again."
        )
    if found >= expected + expected // frame.frames and frame.allocated > 1:
        if frame.frames > 1:
            raise DataError(
                f"{path}: pixels for more than {frame.frames} slices, as many as the header says; "
                "download it again."
            )
        raise DataError(f"{path}: pixels for several frames; only single images are read.")
    if not is_certain and (found != expected or frame.allocated not in (8, 16)):
        raise DataError(
            f"{path}: no DICOM meta header, and the pixels are not exactly as long as the rest "
            "says; download it again."
        )


def _check_codestream(
    dataset: pydicom.Dataset, frame: Frame, index: int, path: str | os.PathLike
) -> None:
    content = get_frame(dataset.PixelData, index, number_of_frames=frame.frames)
    is_2000 = dataset.file_meta.TransferSyntaxUID in JPEG_2000
    size = jpeg2000_size(content) if is_2000 else jpeg_size(content)
    if size[:3] != frame[:3]:
        raise DataError(
            f"{path}: the compressed image is {size.rows} x {size.columns} x {size.samples}, the "
            f"header says {frame.rows} x {frame.columns} x {frame.samples}; download it again."
        )
    if size.bits > frame.allocated or size.bits <= 8 < frame.stored:
        raise DataError(
            f"{path}: the compressed values have {size.bits} bits, the header says "
            f"{frame.stored}; download it again."
        )
    least = size.rows * size.columns * _LEAST_BITS.get(dataset.file_meta.TransferSyntaxUID, 0) / 8
    # Decoders fill what is missing with grey: a stream cut short would pass as an image. Encoders
    # pad to an even length with either byte.
    if len(content) < least or content.rstrip(b"\0\xff")[-2:] != _END_OF_IMAGE:
        raise DataError(f"{path}: cut off within the compressed image; download it again.")


def _check_rle(dataset: pydicom.Dataset, frame: Frame, index: int) -> None:
    """Check the RLE header (PS3.5, G.5): a segment for each byte of a pixel, one after another."""
    content = get_frame(dataset.PixelData, index, number_of_frames=frame.frames)
    header = np.frombuffer(content[:64], "<u4").astype(np.int64)
    count = int(header[0])
    offsets = [*header[1 : count + 1], len(content)]
    if count != frame.samples * -(-frame.allocated // 8) or offsets[0] != 64:
        raise ValueError("another number of segments")
    if any(later <= earlier for earlier, later in pairwise(offsets)):
        raise ValueError("segments out of order")
