"""A ROI's pixels: the whole file, or its place in a mammogram."""

import cv2
import numpy as np
import pytest

from mcalc.data.rois import read_roi, square_around
from mcalc.errors import DataError

IMAGE = np.arange(30 * 40, dtype=np.uint16).reshape(30, 40)


@pytest.fixture
def row(tmp_path):
    cv2.imwrite(str(tmp_path / "mammogram.png"), IMAGE)
    nowhere = dict.fromkeys(("roi_top", "roi_left", "roi_rows", "roi_columns"), float("nan"))
    return {"roi_id": "one", "source": str(tmp_path / "mammogram.png"), **nowhere}


def test_without_a_place_the_file_is_the_roi(row):
    np.testing.assert_array_equal(read_roi(row), IMAGE)


def test_a_place_is_cut_out(row):
    row |= {"roi_top": 3.0, "roi_left": 5.0, "roi_rows": 7.0, "roi_columns": 11.0}
    np.testing.assert_array_equal(read_roi(row), IMAGE[3:10, 5:16])


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ((25, 0, 6, 4), "30 x 40"),
        ((0, 38, 4, 3), "30 x 40"),
        ((0, 0, float("nan"), 3), "incomplete"),
    ],
)
def test_a_place_that_is_none_is_refused(row, place, said):
    row |= dict(zip(("roi_top", "roi_left", "roi_rows", "roi_columns"), place, strict=True))
    with pytest.raises(DataError, match=said) as caught:
        read_roi(row)
    assert caught.value.reason == "bad_field"


@pytest.mark.parametrize(
    ("centre", "side", "smallest", "place"),
    [
        ((15, 20), 10, 4, (10, 15, 10, 10)),
        ((0, 0), 10, 4, (0, 0, 10, 10)),
        ((29, 39), 10, 4, (20, 30, 10, 10)),
        ((15, 20), 2, 8, (11, 16, 8, 8)),
        ((15, 20), 35, 4, (0, 2, 30, 35)),
    ],
)
def test_a_square_stays_within_the_image(centre, side, smallest, place):
    found = square_around(*centre, side, IMAGE.shape, smallest=smallest)
    assert tuple(found.values()) == place
