"""What the models that must not be good read of a ROI: columns, a size, or pixels without specks.

Each function takes CATALOG rows and the images by ROI id, and returns one row of features a ROI.
"""

from collections.abc import Mapping

import cv2
import numpy as np
import pandas as pd
from skimage.feature import graycomatrix, graycoprops
from skimage.morphology import disk

from mcalc.data.pixels import read_size

Images = Mapping[str, np.ndarray]

HISTOGRAM_BINS = 32

# The disc that removes specks is about so many times smaller than the image's side.
SPECK_SHARE = 8

# Grey levels, and distances in pixels, of the background's co-occurrence matrices.
TEXTURE_LEVELS, TEXTURE_DISTANCES = 16, (1, 4, 8)
TEXTURES = ("contrast", "homogeneity", "correlation")
DIRECTIONS = tuple(np.pi / 4 * np.arange(4))


def nothing(rois: pd.DataFrame, images: Images) -> np.ndarray:
    """Return a column of zeros, shape (n, 1)."""
    return np.zeros((len(rois), 1))


def five_fields(rois: pd.DataFrame, images: Images) -> np.ndarray:
    """Return the five clinical fields of the published tables as text, shape (n, 5).

    Breast density, the finding's type, its distribution, the assessment (BI-RADS, where 0 is "needs
    more imaging", so that it is no order) and the subtlety. Of a mass, shape and margins stand for
    type and distribution. A missing value is an empty text.
    """
    fields = pd.DataFrame(
        {
            "density": rois["breast_density"],
            "type": rois["calc_type"] + rois["mass_shape"],
            "distribution": rois["calc_distribution"] + rois["mass_margins"],
            "assessment": rois["assessment"],
            "subtlety": rois["subtlety"],
        }
    ).astype(object)
    return fields.where(fields.notna(), "").astype(str).to_numpy(dtype=object)


def empty_distribution(rois: pd.DataFrame, images: Images) -> np.ndarray:
    """Return 1 where nobody wrote a distribution (of a mass: margins), else 0; shape (n, 1)."""
    distribution = rois["calc_distribution"] + rois["mass_margins"]
    return (distribution == "").to_numpy(dtype=float)[:, None]


def without_callback(rois: pd.DataFrame, images: Images) -> np.ndarray:
    """Return 1 where the finding is benign without callback, else 0; shape (n, 1)."""
    return (rois["pathology"] == "BENIGN_WITHOUT_CALLBACK").to_numpy(dtype=float)[:, None]


def crop_size(rois: pd.DataFrame, images: Images) -> np.ndarray:
    """Return rows, columns, rows / columns and rows x columns of the source crop, shape (n, 4).

    In pixels, before it was resized: the ROI's own where the catalog places it in a larger image,
    else those that the file's header claims. No pixel is read.

    Raises
    ------
    DataError
        If a file is missing or broken.
    """
    known = rois[["roi_rows", "roi_columns"]].notna().all(axis=1)
    sizes = [
        (row.roi_rows, row.roi_columns) if is_known else read_size(row.source)
        for row, is_known in zip(rois.itertuples(), known, strict=True)
    ]
    rows, columns = np.asarray(sizes, dtype=float).T
    return np.column_stack([rows, columns, rows / columns, rows * columns])


def histogram(rois: pd.DataFrame, images: Images) -> np.ndarray:
    """Return the share of the image's pixels in each of 32 bins of grey level, shape (n, 32)."""
    return np.stack([_histogram(images[roi_id], HISTOGRAM_BINS) for roi_id in rois["roi_id"]])


def background(rois: pd.DataFrame, images: Images) -> np.ndarray:
    """Return histogram (16 bins), mean, deviation and texture of the tissue, shape (n, 27).

    Of the image without its specks (`without_specks`). The textures are contrast, homogeneity and
    correlation of the co-occurrence of 16 grey levels at 1, 4 and 8 pixels, the mean over four
    directions (Haralick et al., IEEE Trans Syst Man Cybern 3:610, 1973).
    """
    return np.stack([_tissue(without_specks(images[roi_id])) for roi_id in rois["roi_id"]])


def without_specks(image: np.ndarray) -> np.ndarray:
    """Return the image with every bright detail removed into which a disc does not fit.

    A morphological opening by a disc whose diameter is about an eighth of the shorter side (9
    pixels of 64, 29 of 224, at least 3). Larger bright structures, such as a coarse calcification
    that fills a small crop, stay.

    Parameters
    ----------
    image : ndarray, shape (rows, columns), uint8
    """
    # OpenCV's own ellipse is not the same after a quarter turn.
    shape = disk(max(1, min(image.shape) // (2 * SPECK_SHARE)))
    return cv2.morphologyEx(image, cv2.MORPH_OPEN, shape)


def _histogram(image: np.ndarray, bins: int) -> np.ndarray:
    counts = np.bincount(image.ravel(), minlength=256).reshape(bins, -1).sum(axis=1)
    return counts / image.size


def _tissue(image: np.ndarray) -> np.ndarray:
    levels = image // (256 // TEXTURE_LEVELS)
    pairs = graycomatrix(
        levels, TEXTURE_DISTANCES, DIRECTIONS, TEXTURE_LEVELS, symmetric=True, normed=True
    )
    textures = [graycoprops(pairs, name).mean(axis=1) for name in TEXTURES]
    return np.concatenate([_histogram(image, 16), [image.mean(), image.std()], *textures])
