"""mcalc: benign or malignant breast microcalcifications, from DICOM to the tables of a study.

Research software, not for diagnosis. Five wings, in the order in which data pass through them:
`data`, `images`, `evaluation`, `learning`, `reporting`. Importing `mcalc` imports none of them; the
filters, which are of use without the rest, are imported when they are asked for:
`from mcalc import adaptive_median, median, otsu_threshold`.
"""

__version__ = "0.1.0"
__all__ = ["adaptive_median", "median", "otsu_threshold"]


def __getattr__(name: str):
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from mcalc.images import filters

    return getattr(filters, name)
