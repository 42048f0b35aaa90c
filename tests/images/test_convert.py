"""Stage `convert`: exact grey levels, sizes, and bad files that never stop the good ones."""

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pydicom
import pytest

from mcalc import records
from mcalc.data.dicom import read_dicom, write_dicom
from mcalc.errors import DataError, UsageError
from mcalc.images import convert as convert_module
from mcalc.images.convert import convert_image, convert_shard


def interpolated(image: np.ndarray, size: int) -> np.ndarray:
    """Bilinear interpolation between pixel centres, the border repeated, written out plainly."""

    def weights(length: int) -> np.ndarray:
        matrix = np.zeros((size, length))
        for place in range(size):
            position = min(max((place + 0.5) * length / size - 0.5, 0), length - 1)
            left = int(position)
            matrix[place, left] += 1 - (position - left)
            matrix[place, min(left + 1, length - 1)] += position - left
        return matrix

    return weights(image.shape[0]) @ image @ weights(image.shape[1]).T


# --- grey levels --------------------------------------------------------------------------------


def test_a_constant_image_is_refused_with_its_level():
    with pytest.raises(DataError, match="every pixel is 777") as caught:
        convert_image(np.full((20, 20), 777, np.uint16), size=16)
    assert caught.value.reason == "constant_image"


def test_a_mask_is_refused():
    mask = np.zeros((30, 30), np.uint8)
    mask[5:9, 5:9] = 255
    for image in (mask, mask.astype(np.uint16) * 257):
        with pytest.raises(DataError, match="a mask, not a crop") as caught:
            convert_image(image, size=16)
        assert caught.value.reason == "mask_not_crop"


def test_minmax_maps_the_darkest_to_0_and_the_brightest_to_255():
    image = np.array([[1000, 1300], [2200, 3000]], np.uint16)
    converted = convert_image(image, size=2, bits=8, intensity="minmax")
    assert converted.dtype == np.uint8
    np.testing.assert_array_equal(converted, [[0, 38], [153, 255]])  # 38.25 and 153.0


def test_full_range_keeps_the_levels_of_the_type():
    """Sixteen bits are divided by 257, eight bits stay as they are."""
    sixteen = np.array([[0, 257], [25700, 65535]], np.uint16)
    converted = convert_image(sixteen, size=2, bits=8, intensity="full_range")
    np.testing.assert_array_equal(converted, [[0, 1], [100, 255]])
    eight = np.array([[3, 200], [100, 7]], np.uint8)
    converted = convert_image(eight, size=2, bits=8, intensity="full_range")
    np.testing.assert_array_equal(converted, eight)


def test_full_range_of_a_faint_image_stays_faint_and_minmax_stretches_it():
    image = np.array([[100, 101], [102, 104]], np.uint8)
    faint = convert_image(image, size=2, bits=8, intensity="full_range")
    np.testing.assert_array_equal(faint, image)
    stretched = convert_image(image, size=2, bits=8, intensity="minmax")
    assert (stretched[0, 0], stretched[0, 1], stretched[1, 1]) == (0, 64, 255)


def test_every_16_bit_level_is_rounded_to_the_nearest():
    """All 65,536 levels at once: half a level off at most, and with 16 bits none."""
    image = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    for intensity in ("minmax", "full_range"):
        converted = convert_image(image, size=256, bits=8, intensity=intensity)
        np.testing.assert_allclose(converted, image / 257.0, atol=0.5 + 1e-4)
        np.testing.assert_array_equal(convert_image(image, size=256, intensity=intensity), image)


def test_the_mapping_uses_the_extremes_before_resizing():
    """A single white pixel that averaging dims still defines what white is."""
    image = np.full((4, 4), 100, np.uint8)
    image[0, 0], image[3, 3] = 0, 200
    converted = convert_image(image, size=2, bits=8)
    assert converted[0, 0] == round(75 / 200 * 255)
    assert converted[1, 1] == round(125 / 200 * 255)
    assert converted[0, 1] == converted[1, 0]


def test_16_bits_keep_levels_that_8_bits_merge():
    """A crop of 31,000 to 65,535: two levels next to each other stay two."""
    image = np.array([[31000, 31001], [50000, 65535]], np.uint16)
    assert convert_image(image, size=2)[0, 1] > convert_image(image, size=2)[0, 0]
    eight = convert_image(image, size=2, bits=8)
    assert eight[0, 1] == eight[0, 0]


def test_a_fixed_window_is_linear_and_cuts_off_beyond():
    image = np.array([[50, 100], [150, 201]], np.uint16)
    converted = convert_image(image, size=2, bits=8, intensity="fixed", window=(100, 200))
    np.testing.assert_array_equal(converted, [[0, 0], [128, 255]])  # 127.5 goes to the even one


@pytest.mark.parametrize("row", [0, 1, 63, 64, 129])
def test_a_third_level_anywhere_makes_it_a_crop(row):
    image = np.zeros((130, 40), np.uint8)
    image[:, 20:] = 255
    image[row, 7] = 100
    assert convert_image(image, size=32).max() == 65535


def test_a_mask_stays_a_mask_whatever_the_window():
    mask = np.array([[0, 255], [255, 0]], np.uint8)
    with pytest.raises(DataError, match="a mask, not a crop"):
        convert_image(mask, size=2, intensity="fixed", window=(10, 20))


# --- sizes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("brightest", [255, 4095, 65535])
@pytest.mark.parametrize(("bits", "top"), [(8, 255), (16, 65535)])
def test_shrinking_averages_areas(bits, top, brightest, dtype):
    """Whole blocks of 3 x 2 pixels become their mean; nothing is skipped or rounded before."""
    brightest = min(brightest, int(np.iinfo(dtype).max))
    image = np.random.default_rng(1).integers(0, brightest + 1, (12, 8)).astype(dtype)
    blocks = image.reshape(4, 3, 4, 2).mean(axis=(1, 3))
    expected = (blocks - image.min()) / np.ptp(image) * top
    converted = convert_image(image, size=4, bits=bits)
    np.testing.assert_allclose(converted, expected, atol=0.5 + 1e-6 * top)


@pytest.mark.parametrize(("bits", "top"), [(8, 255), (16, 65535)])
def test_growing_draws_lines_between_pixels(bits, top):
    image = np.random.default_rng(2).integers(0, 256, (5, 7)).astype(np.uint8)
    expected = (interpolated(image.astype(float), 16) - image.min()) / np.ptp(image) * top
    converted = convert_image(image, size=16, bits=bits)
    np.testing.assert_allclose(converted, expected, atol=0.5 + 1e-6 * top)


@pytest.mark.parametrize("shape", [(1, 500), (500, 1), (2, 3), (16, 16), (17, 400), (300, 301)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_any_shape_becomes_a_square_of_the_size_and_type(shape, dtype):
    top = int(np.iinfo(dtype).max)
    image = np.random.default_rng(3).integers(0, top + 1, shape).astype(dtype)
    for bits, wanted in ((8, np.uint8), (16, np.uint16)):
        converted = convert_image(image, size=24, bits=bits)
        assert (converted.shape, converted.dtype) == ((24, 24), wanted)
        assert np.ptp(converted) > 0


def test_the_same_size_changes_no_pixel():
    image = np.random.default_rng(4).permutation(256).astype(np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(convert_image(image, size=16, bits=8), image)
    np.testing.assert_array_equal(convert_image(image, size=16), image * np.uint16(257))


# --- a shard ------------------------------------------------------------------------------------


def catalog_row(number: int, source: Path, shard: int = 0) -> dict:
    return {
        "roi_id": f"roi{number}",
        "patient_id": f"P_{number}",
        "laterality": "LEFT",
        "view": "CC",
        "abnormality_id": 1,
        "label": "benign",
        "pathology": "BENIGN",
        "official_split": "train",
        "in_any_test": "no",
        "dataset": "cbis_ddsm",
        "source": str(source),
        "mask": "",
        "mammogram": "",
        "sha256": "0123456789abcdef",
        "shard": shard,
        "breast_density": 2,
        "calc_type": "",
        "calc_distribution": "",
        "abnormality_type": "calcification",
        "mass_shape": "",
        "mass_margins": "",
        "assessment": 4,
        "subtlety": 3,
    }


def write_crop(path: Path, pixels: np.ndarray) -> None:
    write_dicom(
        path,
        pixels,
        patient_id="P",
        study_uid="1.2.3",
        series_uid="1.2.4",
        series_description="ROI mask images",
    )


@pytest.fixture
def shard(tmp_path) -> Path:
    """A catalog of two shards; shard 0 holds six good files and one of each kind of bad one."""
    generator = np.random.default_rng(5)
    sources = [tmp_path / f"{number}.dcm" for number in range(12)]
    for number in range(6):
        write_crop(sources[number], generator.integers(0, 65536, (40, 30)).astype(np.uint16))
    whole = sources[0].read_bytes()
    sources[6].write_bytes(whole[: len(whole) // 2])
    sources[7].write_bytes(b"")
    mask = np.zeros((60, 60), np.uint8)
    mask[10:20, 10:20] = 255
    write_crop(sources[9], mask)
    write_crop(sources[10], np.full((20, 20), 1234, np.uint16))
    write_crop(sources[11], generator.integers(0, 65536, (40, 30)).astype(np.uint16))
    rows = [catalog_row(number, path) for number, path in enumerate(sources)]
    rows[11]["shard"] = 1
    records.write(rows, tmp_path / "catalog.csv", records.CATALOG)
    return tmp_path


def convert(folder: Path, number: int = 0, **options) -> str:
    return convert_shard(
        folder / "catalog.csv",
        shard=number,
        images=folder / f"images/{number}",
        rejected=folder / f"images/{number}.rejected.csv",
        size=32,
        **options,
    )


def digests(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


def test_bad_files_are_set_aside_each_with_its_reason_and_the_good_ones_converted(shard):
    message = convert(shard)
    assert "6 ROIs converted, 5 set aside" in message
    names = sorted(path.name for path in (shard / "images/0").iterdir())
    assert names == [f"roi{number}.png" for number in range(6)]
    rejected = records.read(shard / "images/0.rejected.csv", records.REJECTED)
    reasons = dict(zip(rejected["roi_id"], rejected["reason"], strict=True))
    assert reasons == {
        "roi6": "unreadable",
        "roi7": "empty_file",
        "roi8": "missing_file",
        "roi9": "mask_not_crop",
        "roi10": "constant_image",
    }
    assert set(rejected["stage"]) == {"convert"}
    assert list(rejected["source"]) == [str(shard / f"{n}.dcm") for n in (6, 7, 8, 9, 10)]
    assert (rejected["detail"] != "").all()


def test_the_pictures_are_those_of_the_files(shard):
    convert(shard)
    for number in range(6):
        picture = cv2.imread(str(shard / f"images/0/roi{number}.png"), cv2.IMREAD_UNCHANGED)
        expected = convert_image(read_dicom(shard / f"{number}.dcm"), size=32)
        np.testing.assert_array_equal(picture, expected)


def read(path: Path) -> np.ndarray:
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def test_pictures_have_16_bits_but_where_8_are_asked_for(shard):
    convert(shard)
    sixteen = read(shard / "images/0/roi0.png")
    convert(shard, bits=8)
    eight = read(shard / "images/0/roi0.png")
    assert (sixteen.dtype, eight.dtype) == (np.uint16, np.uint8)
    assert abs(sixteen / 257 - eight).max() <= 0.51


def test_settings_that_do_not_belong_together_stop_before_anything_is_written(shard):
    with pytest.raises(UsageError, match="fixed needs a window"):
        convert(shard, intensity="fixed")
    assert not (shard / "images").exists()


def test_each_file_is_converted_by_its_own_window_and_one_without_is_set_aside(shard, monkeypatch):
    windows = {"0.dcm": (40000.5, 20001), "1.dcm": (1000, 1), "2.dcm": (32768, 65536)}
    monkeypatch.setattr(
        "mcalc.data.dicom.read_window", lambda path, **_: windows.get(Path(path).name)
    )
    convert(shard, intensity="dicom_window")
    crop = read_dicom(shard / "0.dcm")
    expected = convert_image(crop, size=32, intensity="fixed", window=(30000, 50000))
    np.testing.assert_array_equal(read(shard / "images/0/roi0.png"), expected)
    assert sorted(path.name for path in (shard / "images/0").iterdir()) == ["roi0.png", "roi2.png"]
    rejected = records.read(shard / "images/0.rejected.csv", records.REJECTED).set_index("roi_id")
    assert set(rejected.loc[["roi1", "roi3", "roi4", "roi5"], "reason"]) == {"bad_field"}
    assert "width 1 shows nothing but black and white" in rejected.loc["roi1", "detail"]
    assert "3.dcm: the file carries no window" in rejected.loc["roi3", "detail"]


def test_the_window_stands_in_the_file_itself(shard):
    dataset = pydicom.dcmread(shard / "0.dcm")
    dataset.WindowCenter, dataset.WindowWidth = "40000.5", "20001"
    dataset.save_as(shard / "0.dcm")
    convert(shard, intensity="dicom_window")
    crop = read_dicom(shard / "0.dcm")
    expected = convert_image(crop, size=32, intensity="fixed", window=(30000, 50000))
    np.testing.assert_array_equal(read(shard / "images/0/roi0.png"), expected)
    rejected = records.read(shard / "images/0.rejected.csv", records.REJECTED).set_index("roi_id")
    assert "1.dcm: the file carries no window" in rejected.loc["roi1", "detail"]


def test_a_picture_has_no_window_and_is_not_read_as_dicom(shard):
    cv2.imwrite(str(shard / "crop.png"), read_dicom(shard / "0.dcm"))
    catalog = pd.read_csv(shard / "catalog.csv", keep_default_na=False)
    catalog["source"] = str(shard / "crop.png")
    catalog.to_csv(shard / "catalog.csv", index=False)
    convert(shard, 1, intensity="dicom_window")
    rejected = records.read(shard / "images/1.rejected.csv", records.REJECTED)
    assert list(rejected["reason"]) == ["bad_field"]
    assert "crop.png: the file carries no window" in rejected.loc[0, "detail"]


def test_only_the_shard_is_converted(shard):
    convert(shard, 1)
    assert [path.name for path in (shard / "images/1").iterdir()] == ["roi11.png"]
    assert records.read(shard / "images/1.rejected.csv", records.REJECTED).empty


def test_a_shard_without_rois_leaves_an_empty_folder_and_an_empty_table(shard):
    assert "0 ROIs converted" in convert(shard, 5)
    assert list((shard / "images/5").iterdir()) == []
    assert records.read(shard / "images/5.rejected.csv", records.REJECTED).empty


def test_one_thread_and_four_write_the_same_bytes(shard):
    convert(shard, threads=1)
    one = digests(shard / "images/0"), (shard / "images/0.rejected.csv").read_bytes()
    convert(shard, threads=4)
    assert (digests(shard / "images/0"), (shard / "images/0.rejected.csv").read_bytes()) == one


def test_a_second_run_leaves_nothing_of_the_first(shard):
    """A ROI that became unreadable is no longer in the folder."""
    convert(shard)
    (shard / "3.dcm").unlink()
    convert(shard)
    assert not (shard / "images/0/roi3.png").exists()
    rejected = records.read(shard / "images/0.rejected.csv", records.REJECTED)
    assert "roi3" in set(rejected["roi_id"])


def test_a_failure_midway_leaves_the_older_folder_and_no_litter(shard, monkeypatch):
    """An error that is no bad file (a full disk, say) stops the stage; outputs stay whole."""
    convert(shard)
    before = digests(shard / "images/0"), (shard / "images/0.rejected.csv").read_bytes()
    written = []

    def fails_at_the_third(path, image):
        if len(written) == 2:
            raise OSError("No space left on device")
        written.append(path)

    monkeypatch.setattr(convert_module, "write_png", fails_at_the_third)
    (shard / "0.dcm").unlink()
    with pytest.raises(OSError, match="No space left"):
        convert(shard)
    assert len(written) == 2
    assert (digests(shard / "images/0"), (shard / "images/0.rejected.csv").read_bytes()) == before
    assert sorted(path.name for path in (shard / "images").iterdir()) == ["0", "0.rejected.csv"]


def test_a_failure_at_first_leaves_nothing(shard, monkeypatch):
    def fails(path, image):
        raise OSError("No space left on device")

    monkeypatch.setattr(convert_module, "write_png", fails)
    with pytest.raises(OSError, match="No space left"):
        convert(shard)
    assert list((shard / "images").iterdir()) == []


def test_a_picture_too_large_to_decode_is_set_aside_as_any_other(shard):
    """OpenCV raises its own error for a PNG that claims more than 2^30 pixels."""
    import struct
    import zlib

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    content += chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    (shard / "huge.png").write_bytes(content)
    catalog = pd.read_csv(shard / "catalog.csv", keep_default_na=False)
    catalog.loc[catalog["roi_id"] == "roi0", "source"] = str(shard / "huge.png")
    catalog.to_csv(shard / "catalog.csv", index=False)
    convert(shard)
    rejected = records.read(shard / "images/0.rejected.csv", records.REJECTED)
    assert rejected.set_index("roi_id").loc["roi0", "reason"] == "too_large"


@pytest.mark.parametrize("intensity", ["minmax", "dicom_window"])
def test_the_limit_on_pixels_is_the_callers(shard, intensity):
    convert(shard, max_pixels=100, intensity=intensity)
    rejected = records.read(shard / "images/0.rejected.csv", records.REJECTED)
    assert list(rejected["reason"]).count("too_large") == 9  # all but an empty and a missing file


def test_a_catalog_that_is_none_is_named(shard):
    (shard / "catalog.csv").write_text("roi_id,shard\nx,0\n")
    with pytest.raises(DataError, match=r"catalog\.csv: column .*source.* is missing"):
        convert(shard)
    (shard / "catalog.csv").unlink()
    with pytest.raises(DataError, match=r"catalog\.csv: cannot be read as a table"):
        convert(shard)
    assert not (shard / "images/0").exists()


def test_progress_sees_every_roi_once_and_changes_nothing(shard):
    """A bar wrapped around the work is told the total and neither loses nor doubles a ROI."""
    seen = []

    def progress(items, total):
        for item in items:
            seen.append(total)
            yield item

    assert "6 ROIs converted, 5 set aside" in convert(shard, threads=2, progress=progress)
    assert seen == [11] * 11


def test_a_long_narrow_crop_is_averaged_along_its_length():
    """Stripes of one column each are grey after averaging; taking every ninth would keep them."""
    stripes = np.tile(np.array([0, 1000], np.uint16), (100, 1000))
    stripes[0, 0] = 500  # two values alone would be a mask
    converted = convert_image(stripes, size=224, bits=8)
    assert abs(converted[8:].astype(int) - 127).max() < 20
