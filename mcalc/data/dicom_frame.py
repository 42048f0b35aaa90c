"""One frame of a DICOM image: what its header promises, checked before anything is decoded."""

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
    """The image pixel module (PS3.3, C.7.6.3) as far as it decides what a stored value means."""

    rows: int
    columns: int
    samples: int
    allocated: int
    stored: int
    is_signed: bool
    is_inverted: bool


def frame_of(
    dataset: pydicom.Dataset, path: str | os.PathLike, is_certain: bool, max_pixels: int
) -> Frame:
    """Read and check the image pixel module.

    Raises
    ------
    DataError
        If there are no pixels, colours that differ by nature, several frames, more than
        `max_pixels` samples (reason `too_large`), or bits in an order that is not read. Where
        the transfer syntax is not certain, also if the pixels are not exactly as long as they
        should be.
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
    )
    if frame.rows * frame.columns * frame.samples > max_pixels:
        raise DataError(
            f"{path}: {frame.rows} x {frame.columns} pixels; at most {max_pixels} are read.",
            "too_large",
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
    ndarray, shape (rows, columns)
        Of as many bits as are allocated; one channel of a colour image whose channels are equal.

    Raises
    ------
    DataError
        If the compressed frame claims another size or depth than the header, or colours differ.
    """
    syntax = dataset.file_meta.TransferSyntaxUID
    is_coded = syntax not in NATIVE and syntax != RLELossless
    if is_coded:
        _check_codestream(dataset, frame, path)
    elif syntax == RLELossless:
        _check_rle(dataset, frame)
    # One plugin for each syntax: which of several answers must not depend on what is installed.
    plugin = "" if syntax in NATIVE else "pylibjpeg"
    pixels = pixel_array(dataset, index=0, decoding_plugin=plugin, correct_unused_bits=False)
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
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames != 1:
        raise DataError(f"{path}: {frames} frames; only single images are read.")


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
    bits = frame.rows * frame.columns * frame.samples * frame.allocated
    if dataset.PhotometricInterpretation == "YBR_FULL_422":
        bits = bits * 2 // 3
    expected, found = -(-bits // 8), len(dataset.PixelData)
    expected += expected % 2  # an even length (PS3.5, 7.1.1)
    if found < expected - 1:
        raise DataError(
            f"{path}: cut off, {found} bytes of pixels where {frame.rows} x {frame.columns} of "
            f"them take {expected}; download it again."
        )
    if found >= 2 * expected and frame.allocated > 1:
        raise DataError(f"{path}: pixels for several frames; only single images are read.")
    if not is_certain and (found != expected or frame.allocated not in (8, 16)):
        raise DataError(
            f"{path}: no DICOM meta header, and the pixels are not exactly as long as the rest "
            "says; download it again."
        )


def _check_codestream(dataset: pydicom.Dataset, frame: Frame, path: str | os.PathLike) -> None:
    content = get_frame(dataset.PixelData, 0, number_of_frames=1)
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


def _check_rle(dataset: pydicom.Dataset, frame: Frame) -> None:
    """Check the RLE header (PS3.5, G.5): a segment for each byte of a pixel, one after another."""
    content = get_frame(dataset.PixelData, 0, number_of_frames=1)
    header = np.frombuffer(content[:64], "<u4").astype(np.int64)
    count = int(header[0])
    offsets = [*header[1 : count + 1], len(content)]
    if count != frame.samples * -(-frame.allocated // 8) or offsets[0] != 64:
        raise ValueError("another number of segments")
    if any(later <= earlier for earlier, later in pairwise(offsets)):
        raise ValueError("segments out of order")
