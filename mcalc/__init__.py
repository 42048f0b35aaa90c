"""mcalc: benign or malignant breast microcalcifications, from DICOM to the tables of a study.

Research software, not for diagnosis. Five wings, in the order in which data pass through them:
`data`, `images`, `evaluation`, `learning`, `reporting`. Importing `mcalc` imports none of them.
"""

__version__ = "0.1.0"
