"""Stage `clean`: the background of 16- and 8-bit images is blanked, and nothing of the breast."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from mcalc import records
from mcalc.images.clean import clean_shard


def draw_crop(dtype) -> tuple[np.ndarray, np.ndarray]:
    """Return textured tissue on dark film, white where it meets the left edge; and where it is."""
    rows, columns = np.indices((200, 160))
    distance = np.hypot(rows - 100, columns)
    breast = distance < 110
    rim = np.clip((110 - distance) / 20, 0.05, 1)
    texture = np.random.default_rng(3).normal(1, 0.02, breast.shape)
    top = np.iinfo(dtype).max
    image = np.where(breast, 0.6 * top * rim * texture, 0).astype(dtype)
    image[70:130, :30] = top
    return image, breast


@pytest.fixture
def shard(tmp_path) -> Path:
    """A folder with the same crop in 8 and in 16 bits."""
    (tmp_path / "in").mkdir()
    for dtype in (np.uint8, np.uint16):
        image = draw_crop(dtype)[0]
        cv2.imwrite(str(tmp_path / f"in/{image.dtype}.png"), image)
    return tmp_path


def clean(folder: Path, **options) -> str:
    tables = {"cleaned": folder / "out", "kept": folder / "out.csv"}
    return clean_shard(folder / "in", **tables, **options)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_type_and_the_breast_stay_and_the_background_goes(shard, dtype):
    """White tissue at the edge, too: in a stretched image it is no bare film."""
    assert "2 images, background blanked in 2" in clean(shard)
    image, breast = draw_crop(dtype)
    cleaned = cv2.imread(str(shard / f"out/{image.dtype}.png"), cv2.IMREAD_UNCHANGED)
    assert cleaned.dtype == dtype
    np.testing.assert_array_equal(cleaned[75:125, :25], image[75:125, :25])
    kept = cleaned > 0
    assert 2 * (kept & breast).sum() / (kept.sum() + breast.sum()) > 0.98


def test_both_types_are_measured_alike(shard):
    clean(shard)
    table = records.read(shard / "out.csv", records.CLEANING).set_index("roi_id")
    for column in ("otsu_kept", "otsu_grown_kept"):
        assert table.loc["uint8", column] == pytest.approx(table.loc["uint16", column], abs=0.005)
