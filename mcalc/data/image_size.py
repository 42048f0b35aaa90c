"""How large a picture or a compressed frame says it is, read from its own first bytes.

A decoder takes memory for what its input claims, whatever the DICOM header around it says, so the
claim is read here before any decoder sees the bytes. Nothing is decoded.
"""

import struct
from typing import NamedTuple

# The largest film of CBIS-DDSM has some 40 million pixels.
MAX_PIXELS = 1 << 26

# SOF0-15 without DHT (C4), JPG (C8) and DAC (CC), and SOF55 of JPEG-LS (ITU-T T.81, T.87).
_JPEG_FRAMES = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
_JPEG_START_OF_SCAN = 0xDA
_JPEG_ALONE = {0x01, *range(0xD0, 0xD9)}
_TIFF_WIDTH, _TIFF_HEIGHT, _TIFF_BITS, _TIFF_SAMPLES = 256, 257, 258, 277
_TIFF_TILE_WIDTH, _TIFF_TILE_HEIGHT = 322, 323
_TIFF_READ = {_TIFF_WIDTH, _TIFF_HEIGHT, _TIFF_SAMPLES, _TIFF_TILE_WIDTH, _TIFF_TILE_HEIGHT}
_TIFF_TYPES = {1: "B", 3: "H", 4: "I"}

# OpenJPEG takes about 7 KB for each tile, and memory for each precinct, before it decodes.
_MAX_TILES = 8192
_MIN_PRECINCT = 5


class Size(NamedTuple):
    """What an image claims to be: `bits` are those of one sample, `samples` those of a pixel."""

    rows: int
    columns: int
    samples: int
    bits: int


def jpeg_size(content: bytes) -> Size:
    """Read the frame header of a JPEG or JPEG-LS stream (ITU-T T.81, B.2.2; T.87, C.2.2).

    Raises
    ------
    ValueError
        If there is no frame header before the first scan, or several that disagree.
    """
    if content[:2] != b"\xff\xd8":
        raise ValueError("no JPEG stream")
    found: set[Size] = set()
    place = 2
    while place + 4 <= len(content):
        if content[place] != 0xFF:
            raise ValueError("no marker where one is due")
        marker = content[place + 1]
        if marker == 0xFF:  # a fill byte
            place += 1
        elif marker in _JPEG_ALONE:
            place += 2
        elif marker == _JPEG_START_OF_SCAN:
            break
        else:
            length = int.from_bytes(content[place + 2 : place + 4], "big")
            if marker in _JPEG_FRAMES:
                bits, rows, columns, samples = struct.unpack_from(">BHHB", content, place + 4)
                found.add(Size(rows, columns, samples, bits))
            place += 2 + max(2, length)
    if len(found) != 1:
        raise ValueError("not one frame header")
    return found.pop()


def jpeg2000_size(content: bytes) -> Size:
    """Read the SIZ segment of a JPEG 2000 codestream (ITU-T T.800, A.5.1).

    Raises
    ------
    ValueError
        If the stream is no bare codestream (PS3.5, A.4.4), its components differ in size or
        depth, or its tiles or precincts are so small that their bookkeeping would fill memory.
    """
    if content[:4] != b"\xff\x4f\xff\x51":
        raise ValueError("no JPEG 2000 codestream")
    right, lower, left, upper, tile_width, tile_height, tile_left, tile_upper = struct.unpack_from(
        ">8I", content, 8
    )
    samples = struct.unpack_from(">H", content, 40)[0]
    components = {content[42 + 3 * i : 45 + 3 * i] for i in range(samples)}
    if len(components) != 1:
        raise ValueError("components that differ")
    depth, across, down = components.pop()
    if (across, down) != (1, 1) or not 0 < tile_width or not 0 < tile_height:
        raise ValueError("components that are thinned out, or tiles without extent")
    if max(left, tile_left) >= right or max(upper, tile_upper) >= lower:
        raise ValueError("an image without extent")
    tiles = -(-(right - tile_left) // tile_width) * -(-(lower - tile_upper) // tile_height)
    if tiles > _MAX_TILES:
        raise ValueError("too many tiles")
    _check_precincts(content, 4 + int.from_bytes(content[4:6], "big"))
    return Size(lower - upper, right - left, samples, (depth & 0x7F) + 1)


def picture_size(content: bytes) -> Size | None:
    """Read the size that a PNG, JPEG, TIFF or PGM file claims; None for any other content.

    Raises
    ------
    ValueError, struct.error
        If the header is broken or cut off.
    """
    if content[:8] == b"\x89PNG\r\n\x1a\n" and content[12:16] == b"IHDR":
        columns, rows, bits, kind = struct.unpack_from(">IIBB", content, 16)
        return Size(rows, columns, {2: 3, 3: 3, 4: 2, 6: 4}.get(kind, 1), bits)
    if content[:2] == b"\xff\xd8":
        return jpeg_size(content)
    if content[:4] in (b"II*\0", b"MM\0*"):
        return _tiff_size(content)
    if content[:1] == b"P" and content[1:2] in b"1234567":
        return _netpbm_size(content)
    return None


def _check_precincts(content: bytes, place: int) -> None:
    while content[place : place + 1] == b"\xff" and content[place + 1] not in (0x90, 0x93):
        if content[place + 1] in (0x52, 0x53):  # COD and COC say how a tile is divided
            _check_coding(content, place)
        place += 2 + max(2, int.from_bytes(content[place + 2 : place + 4], "big"))


def _check_coding(content: bytes, place: int) -> None:
    """Refuse precincts under 32 pixels at the full resolution (ITU-T T.800, A.6.1, A.6.2)."""
    component_wide = content[place + 1] == 0x53
    style = place + (5 if component_wide else 4)
    levels = style + (1 if component_wide else 5)
    if content[style] & 1:
        last = content[levels + 5 + content[levels]]
        if min(last & 15, last >> 4) < _MIN_PRECINCT:
            raise ValueError("precincts too small")


def _tiff_size(content: bytes) -> Size:
    """Read the first directory of a TIFF file (TIFF 6.0, section 2)."""
    order = "<" if content[:2] == b"II" else ">"
    place = struct.unpack_from(f"{order}I", content, 4)[0]
    count = struct.unpack_from(f"{order}H", content, place)[0]
    values = {_TIFF_BITS: 1, _TIFF_SAMPLES: 1, _TIFF_TILE_WIDTH: 1, _TIFF_TILE_HEIGHT: 1}
    for entry in range(place + 2, place + 2 + 12 * count, 12):
        tag, kind, length = struct.unpack_from(f"{order}HHI", content, entry)
        if tag in _TIFF_READ or (tag == _TIFF_BITS and length == 1):
            values[tag] = struct.unpack_from(f"{order}{_TIFF_TYPES[kind]}", content, entry + 8)[0]
    # A tile takes its memory even where the image is smaller.
    rows = max(values[_TIFF_HEIGHT], values[_TIFF_TILE_HEIGHT])
    columns = max(values[_TIFF_WIDTH], values[_TIFF_TILE_WIDTH])
    return Size(rows, columns, values[_TIFF_SAMPLES], values[_TIFF_BITS])


def _netpbm_size(content: bytes) -> Size:
    words = b" ".join(line.split(b"#")[0] for line in content[2:4096].split(b"\n")).split()
    columns, rows = int(words[0]), int(words[1])
    return Size(rows, columns, 3 if content[1:2] in b"36" else 1, 16)
