"""Commands of the wing evaluation: what may be compared with what."""

from pathlib import Path
from typing import Annotated

import typer

from mcalc.cli.options import (
    Aggregation,
    Catalog,
    Confidence,
    Folds,
    Label,
    Protocol,
    Resamples,
    ResampleSeed,
    Threads,
    ValidFraction,
)
from mcalc.errors import UsageError
from mcalc.progress import bar


def draw_seed(
    path: Annotated[Path, typer.Argument(help="JSON file to write.")],
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**31 - 1, help="The seed; without it one is drawn.")
    ] = None,
):
    """Write down the seed of the splits; draw one where none is given."""
    from mcalc.evaluation.draw_seed import draw_seed

    typer.echo(draw_seed(path, seed))


def split(
    catalog: Catalog,
    protocol: Annotated[
        Protocol,
        typer.Option(help="What is kept apart; docs/protocols.md explains each."),
    ],
    split: Annotated[Path, typer.Option(help="Table to write: one row an image.")],
    rejected: Annotated[
        list[Path] | None, typer.Option(help="A table of ROIs set aside later; repeat.")
    ] = None,
    folds: Folds = 1,
    valid_fraction: ValidFraction = 0.2,
    seed: Annotated[int, typer.Option(min=0)] = 1,
    seed_file: Annotated[
        Path | None, typer.Option(help="What `mcalc draw-seed` wrote, instead of --seed.")
    ] = None,
):
    """Decide which images train, validate and test; each ROI is four images, turned."""
    from mcalc.evaluation.draw_seed import read_seed
    from mcalc.evaluation.split import write_split

    message = write_split(
        catalog,
        rejected=rejected or [],
        protocol=protocol,
        split=split,
        folds=folds,
        valid_fraction=valid_fraction,
        seed=read_seed(seed_file) if seed_file else seed,
    )
    typer.echo(message)


def overlap(
    splits: Annotated[
        list[Path] | None, typer.Argument(help="Tables of `mcalc split`, named after protocols.")
    ] = None,
    catalog: Annotated[
        Path | None, typer.Option(help="The table of ROIs that `mcalc catalog` wrote.")
    ] = None,
    overlap: Annotated[
        Path | None, typer.Option(help="Table to write: protocol, fold and kind of overlap.")
    ] = None,
    images: Annotated[
        list[Path] | None, typer.Option(help="A shard's folder, to find look-alikes; repeat.")
    ] = None,
    max_distance: Annotated[
        int, typer.Option(min=0, max=31, help="Bits of 64 in which look-alikes may differ.")
    ] = 6,
    threads: Threads = 1,
    tables: Annotated[
        Path | None,
        typer.Option(help="Instead: CBIS-DDSM's tables, split here by every protocol; no images."),
    ] = None,
    folds: Folds = 1,
    valid_fraction: ValidFraction = 0.2,
    seed: Annotated[int, typer.Option(min=0, help="With --tables: of the first split.")] = 1,
    repeats: Annotated[int, typer.Option(min=1, help="With --tables: splits a protocol.")] = 10,
    json: Annotated[Path | None, typer.Option(help="JSON file to write.")] = None,
):
    """Count what evaluated images share with training: a ROI, lesion, breast, patient, look."""
    from mcalc.evaluation import overlap as stage
    from mcalc.evaluation.overlap_tables import print_tables

    if tables:
        if splits or catalog or overlap or images:
            raise UsageError("--tables makes splits of its own; leave out splits and their files.")
        options = {"folds": folds, "valid_fraction": valid_fraction, "seed": seed}
        typer.echo(print_tables(tables, repeats=repeats, json=json, **options))
        return
    if not (splits and catalog and overlap):
        raise UsageError("Give splits, --catalog and --overlap, or --tables and a folder.")
    message = stage.write_overlap(
        splits,
        catalog=catalog,
        overlap=overlap,
        images=images or [],
        max_distance=max_distance,
        json=json,
        threads=threads,
        progress=bar("hashing images"),
    )
    typer.echo(message)


def evaluate(
    runs: Annotated[list[Path], typer.Argument(help="Run folders that `mcalc train` wrote.")],
    results: Annotated[Path, typer.Option(help="Table to write: one row a run.")],
    positive_class: Annotated[
        Label, typer.Option(help="Which class counts as positive; the study took benign.")
    ] = Label.malignant,
):
    """Collect losses, confusion matrix and measures of training runs."""
    from mcalc.evaluation.evaluate import evaluate_runs

    typer.echo(evaluate_runs(runs, results=results, positive_class=str(positive_class)))


def score(
    runs: Annotated[list[Path], typer.Argument(help="Run folders of one protocol, all folds.")],
    protocol: Annotated[Protocol, typer.Option(help="Whose runs they are.")],
    scores: Annotated[Path, typer.Option(help="Folder to write: seven tables.")],
    shortcuts: Annotated[
        list[Path] | None,
        typer.Option("--shortcuts", help="A fold's table of shortcut models; repeat."),
    ] = None,
    catalog: Annotated[
        Path | None, typer.Option(help="The table of ROIs, which knows lesions and breasts.")
    ] = None,
    confidence: Confidence = 0.95,
    resamples: Resamples = 2000,
    seed: ResampleSeed = 1,
    screening_prevalence: Annotated[
        float,
        typer.Option(min=1e-6, max=0.5, help="Share of malignant for which PPV is told, too."),
    ] = 0.0059,
    aggregations: Annotated[
        list[Aggregation] | None,
        typer.Option("--aggregation", help="How ROIs become a lesion, breast, patient; repeat."),
    ] = None,
):
    """Score a protocol's models with intervals, compare them, calibrate them."""
    from mcalc.evaluation.score import score_protocol
    from mcalc.evaluation.score_rows import Settings

    settings = Settings(
        confidence=confidence,
        resamples=resamples,
        seed=seed,
        screening_prevalence=screening_prevalence,
        aggregations=tuple(str(way) for way in aggregations or Aggregation),
    )
    message = score_protocol(
        runs,
        protocol=str(protocol),
        scores=scores,
        shortcuts=shortcuts or [],
        catalog=catalog,
        settings=settings,
    )
    typer.echo(message)


def score_league(
    run: Annotated[
        list[Path], typer.Option(help="A run folder that lies in one of its method's name; repeat.")
    ],
    protocol: Annotated[Protocol, typer.Option(help="The protocol of the runs.")],
    catalog: Catalog,
    scores: Annotated[Path, typer.Option(help="Table to write: one row a method.")],
    time: Annotated[
        list[Path] | None,
        typer.Option(help="Snakemake's benchmark file of each run, in their order; repeat."),
    ] = None,
    confidence: Confidence = 0.95,
    resamples: Resamples = 2000,
    seed: ResampleSeed = 1,
):
    """Score the methods of the league under one protocol, with intervals over patients."""
    from mcalc.evaluation.score_league import score_league
    from mcalc.evaluation.score_rows import Settings

    message = score_league(
        run,
        protocol=str(protocol),
        catalog=catalog,
        scores=scores,
        times=time or [],
        settings=Settings(confidence=confidence, resamples=resamples, seed=seed),
    )
    typer.echo(message)
