"""Which data sets there are, and what holds for all of them."""

from mcalc.data.datasets import cbis_ddsm, cmmd, folder, inbreast, mini_mias, vindr_mammo

# How a data set's folder is read: a module of mcalc.data.datasets with a function `list_rois`.
DATASETS = {
    "phantom": cbis_ddsm,  # laid out as CBIS-DDSM is
    "cbis_ddsm": cbis_ddsm,
    "folder": folder,
    "mini_mias": mini_mias,
    "inbreast": inbreast,
    "cmmd": cmmd,
    "vindr_mammo": vindr_mammo,
}

# What stands in a column that a data set does not know; numbers that are not known are empty.
UNKNOWN = {
    "patient_id": "",
    "laterality": "",
    "view": "",
    "abnormality_id": 0,
    "official_split": "",
    "mask": "",
    "mammogram": "",
    "abnormality_type": "",
    "calc_type": "",
    "calc_distribution": "",
    "mass_shape": "",
    "mass_margins": "",
}
