"""Which data sets there are, and what holds for all of them."""

import inspect
from pathlib import Path

from mcalc.data.datasets import cbis_ddsm, cmmd, folder, inbreast, mini_mias, vindr_mammo
from mcalc.data.pixels import DICOM_SUFFIXES
from mcalc.progress import Progress, silent

# How a data set's folder is read: a module of mcalc.data.datasets with a function `list_rois`.
DATASETS = {
    "phantom": cbis_ddsm,  # laid out as CBIS-DDSM is
    "cbis_ddsm": cbis_ddsm,
    "folder": folder,
    "mini_mias": mini_mias,
    "inbreast": inbreast,
    "cmmd": cmmd,
    "vindr_mammo": vindr_mammo,
    "tomosynthesis": folder,
}

# Those whose files are stacks of slices, and those whose patients a table of the user's names.
STACKS = ("tomosynthesis",)
WITH_PATIENTS_TABLE = ("folder", "tomosynthesis")

# What stands in a column that a data set does not know; numbers that are not known are empty.
UNKNOWN = {
    "patient_id": "",
    "laterality": "",
    "view": "",
    "abnormality_id": 0,
    "official_split": "",
    "in_any_test": "",
    "mask": "",
    "mammogram": "",
    "abnormality_type": "",
    "calc_type": "",
    "calc_distribution": "",
    "mass_shape": "",
    "mass_margins": "",
}

# What a reader is told of a data set besides its folder: a phantom has no tables of masses, and a
# picture is no stack.
TOLD = {
    "phantom": {"collection": ("calcification",)},
    "tomosynthesis": {"suffixes": DICOM_SUFFIXES},
}


def list_rois(
    dataset: str, root: Path, *, progress: Progress = silent, **options
) -> tuple[list[dict], list[dict]]:
    """List a data set's ROIs and those rejected.

    `options` are for all data sets: `abnormalities`, `processes`, `max_pixels`; each is given those
    that its `list_rois` takes.
    """
    function = DATASETS[dataset].list_rois
    options = TOLD.get(dataset, {}) | options
    names = inspect.signature(function).parameters.keys() & options.keys()
    return function(root, progress=progress, **{name: options[name] for name in names})
