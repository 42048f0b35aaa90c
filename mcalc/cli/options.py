"""What more than one command asks for: choices, and options with their help."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

# Choices of options; a value is its name.
Label = StrEnum("Label", ["benign", "malignant"])
Dataset = StrEnum(
    "Dataset",
    [
        *("phantom", "cbis_ddsm", "folder", "mini_mias", "inbreast", "cmmd", "vindr_mammo"),
        "tomosynthesis",
    ],
)
Abnormality = StrEnum("Abnormality", ["calcification", "mass"])
WithoutCallback = StrEnum("WithoutCallback", ["benign", "drop"])
Quirk = StrEnum(
    "Quirk",
    [
        *("missing_crop", "missing_case", "empty_file", "cut_file", "web_page", "constant_crop"),
        *("wrong_case", "second_image", "swapped_numbers", "series_apart", "without_na"),
        *("classic_tree", "flat_tree", "windows_tables"),
    ],
)
Looks = StrEnum("Looks", ["published", "typical", "random"])
OnRejected = StrEnum("OnRejected", ["continue", "stop"])
Bits = StrEnum("Bits", ["8", "16"])
Intensity = StrEnum("Intensity", ["minmax", "full_range", "percentile", "dicom_window", "fixed"])
MaskMethod = StrEnum("MaskMethod", ["otsu_grown", "otsu"])
Origin = StrEnum("Origin", ["auto", "dataset", "samples"])
Protocol = StrEnum(
    "Protocol",
    [
        *("paper", "paper_resplit", "image", "lesion", "patient"),
        *("official", "official_strict", "nested"),
    ],
)
Recipe = StrEnum("Recipe", ["fastai2", "fastai1"])
Device = StrEnum("Device", ["auto", "cpu", "cuda"])
Precision = StrEnum("Precision", ["auto", "float32"])
Schedule = StrEnum("Schedule", ["one_cycle", "plateau"])
OnFullMemory = StrEnum("OnFullMemory", ["halve", "stop"])
Aggregation = StrEnum("Aggregation", ["mean", "max"])

Catalog = Annotated[Path, typer.Option(help="The table of ROIs that `mcalc catalog` wrote.")]
Rejected = Annotated[Path, typer.Option(help="Table to write: ROIs set aside, with the reason.")]
Shard = Annotated[Path, typer.Argument(help="A shard's folder of PNG files.")]
Stack = Annotated[Path, typer.Argument(help="The images that `mcalc stack` wrote.")]
MaxPixels = Annotated[
    int, typer.Option(min=1, help="Images that claim more pixels are set aside undecoded.")
]
Threads = Annotated[int, typer.Option(min=1, help="Threads that work at the same time.")]
Filters = Annotated[
    list[str],
    typer.Option("--filter", help="A filter as NAME:WINDOW, such as adaptive_median:7; repeat."),
]
LooksOption = Annotated[
    Looks,
    typer.Option(
        help="Whether lesions overlap as published, look as their class alone does, or say "
        "nothing about it."
    ),
]
Abnormalities = Annotated[
    list[Abnormality] | None,
    typer.Option("--abnormality", help="CBIS-DDSM's calcifications (the default), masses; repeat."),
]
Folds = Annotated[
    int, typer.Option(min=1, help="1 holds images out once; k evaluates each in one of k folds.")
]
ValidFraction = Annotated[
    float, typer.Option(min=0.05, max=0.5, help="Share of images that validate.")
]
RunName = Annotated[str, typer.Option(help="Name of the data set, printed on every output.")]
Results = Annotated[Path, typer.Argument(help="results/RUN, as the workflow fills it.")]
Confidence = Annotated[float, typer.Option(min=0.5, max=0.999, help="Confidence of all intervals.")]
Resamples = Annotated[int, typer.Option(min=100, help="Resamples of patients.")]
ResampleSeed = Annotated[int, typer.Option(min=0, help="Same seed, same resamples.")]


def calcification_unless_named(abnormalities: list[Abnormality] | None) -> tuple[str, ...]:
    """Return the names of the findings that are asked for: calcifications unless told."""
    return tuple(str(name) for name in abnormalities or [Abnormality.calcification])
