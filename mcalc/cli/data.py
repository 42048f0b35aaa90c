"""Commands of the wing data: where ROIs come from."""

from pathlib import Path
from typing import Annotated

import typer

from mcalc.cli.options import (
    Abnormalities,
    Catalog,
    Dataset,
    Looks,
    LooksOption,
    MaxPixels,
    OnRejected,
    Quirk,
    Rejected,
    Threads,
    WithoutCallback,
    calcification_unless_named,
)
from mcalc.data.image_size import MAX_PIXELS
from mcalc.errors import DataError, UsageError
from mcalc.progress import bar


def phantom(
    root: Annotated[Path, typer.Argument(help="Folder to write the tables and DICOM files into.")],
    patients: Annotated[int, typer.Option(min=6, help="Number of patients.")] = 24,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same files.")] = 1,
    quirks: Annotated[
        list[Quirk] | None, typer.Option("--quirk", help="What is odd or broken about it; repeat.")
    ] = None,
    looks: LooksOption = Looks.published,
):
    """Write a made-up data set of real DICOM files, laid out as CBIS-DDSM is."""
    from mcalc.data.datasets.phantom import write_phantom

    write_phantom(
        root,
        patients=patients,
        seed=seed,
        quirks=[str(quirk) for quirk in quirks or []],
        looks=looks,
        progress=bar("drawing patients"),
    )
    typer.echo(f"{root}: {patients} phantom patients")


def phantom_stacks(
    root: Annotated[
        Path, typer.Argument(help="Folder to write DICOM files and patients.csv into.")
    ],
    patients: Annotated[int, typer.Option(min=6, help="Number of patients.")] = 24,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same files.")] = 1,
    slices: Annotated[
        tuple[int, int], typer.Option(help="How many slices a stack has at least and at most.")
    ] = (12, 24),
    looks: LooksOption = Looks.published,
):
    """Write a made-up data set of tomosynthesis: a stack of slices a lesion."""
    from mcalc.data.datasets.phantom.stacks import write_stacks

    count = write_stacks(
        root,
        patients=patients,
        seed=seed,
        slices=slices,
        looks=looks,
        progress=bar("drawing patients"),
    )
    typer.echo(f"{root}: {count} stacks of {patients} phantom patients")


def doctor(
    root: Annotated[Path, typer.Argument(help="The data set's folder; nothing in it is changed.")],
    dataset: Annotated[Dataset, typer.Option(help="How the folder is laid out.")] = (
        Dataset.cbis_ddsm
    ),
    abnormalities: Abnormalities = None,
    json: Annotated[Path | None, typer.Option(help="JSON file to write.")] = None,
    html: Annotated[Path | None, typer.Option(help="HTML page to write.")] = None,
    max_pixels: MaxPixels = MAX_PIXELS,
    threads: Threads = 1,
):
    """Say what is wrong with a download; exit code 3 when something needs a person."""
    from mcalc.data import doctor

    if dataset == Dataset.tomosynthesis:
        raise UsageError(
            "Stacks of slices are not examined here; mcalc catalog and mcalc convert say what is "
            "wrong with each."
        )
    examination = doctor.examine(
        root,
        dataset=dataset,
        abnormalities=calcification_unless_named(abnormalities),
        max_pixels=max_pixels,
        threads=threads,
        progress=bar("reading crops"),
    )
    doctor.show(examination)
    if json:
        doctor.write_json(examination, json)
    if html:
        doctor.write_html(examination, html)
    if examination.needs_person:
        raise typer.Exit(DataError.exit_code)


def catalog(
    root: Annotated[Path, typer.Argument(help="The data set's folder.")],
    dataset: Annotated[Dataset, typer.Option(help="How the folder is laid out.")],
    catalog: Annotated[Path, typer.Option(help="Table to write: one row a ROI.")],
    rejected: Rejected,
    shards: Annotated[int, typer.Option(min=1, help="Parts in which later stages work.")] = 1,
    patients: Annotated[
        Path | None,
        typer.Option(
            help="For a folder or tomosynthesis: CSV with the columns file and patient_id."
        ),
    ] = None,
    abnormalities: Abnormalities = None,
    benign_without_callback: Annotated[
        WithoutCallback, typer.Option(help="Count BENIGN_WITHOUT_CALLBACK as benign or drop it.")
    ] = WithoutCallback.benign,
    max_pixels: MaxPixels = MAX_PIXELS,
    threads: Annotated[int, typer.Option(min=1, help="Processes that read headers.")] = 1,
):
    """List a data set's ROIs: those that can be read, and those set aside with the reason."""
    from mcalc.data.catalog import write_catalog

    message = write_catalog(
        root,
        dataset=dataset,
        catalog=catalog,
        rejected=rejected,
        shards=shards,
        patients=patients,
        abnormalities=calcification_unless_named(abnormalities),
        benign_without_callback=benign_without_callback,
        max_pixels=max_pixels,
        threads=threads,
        progress=bar("reading files"),
    )
    typer.echo(message)


def accept(
    catalog: Catalog,
    rejected: Annotated[
        list[Path], typer.Option(help="A table of ROIs set aside by catalog or convert; repeat.")
    ],
    accepted: Annotated[Path, typer.Option(help="JSON file to write: counts and reasons.")],
    on_rejected: Annotated[
        OnRejected, typer.Option(help="Whether a ROI that was set aside stops the analysis.")
    ] = OnRejected["continue"],
    max_rejected: Annotated[
        float, typer.Option(min=0, max=1, help="Share that may be set aside all the same.")
    ] = 0.05,
):
    """Go on with what could be read, or stop because too much was set aside."""
    from mcalc.data.accept import accept

    message = accept(
        catalog,
        rejected,
        accepted=accepted,
        on_rejected=on_rejected,
        max_rejected=max_rejected,
    )
    typer.echo(message)
