"""Commands of the wing reporting: what people read."""

from pathlib import Path
from typing import Annotated

import typer

from mcalc.cli.options import (
    Catalog,
    Confidence,
    Protocol,
    Resamples,
    ResampleSeed,
    Results,
    RunName,
)
from mcalc.errors import DataError


def tables(
    results: Results,
    run_name: RunName,
    tables: Annotated[Path, typer.Option(help="Folder to write: CSV and Markdown.")],
    confidence: Confidence = 0.95,
    resamples: Resamples = 2000,
    seed: ResampleSeed = 1,
):
    """Write Tables 2 to 9 of the study and those of all scores from a run's results."""
    from mcalc.evaluation.score_rows import Settings
    from mcalc.reporting.tables import write_tables

    settings = Settings(confidence=confidence, resamples=resamples, seed=seed)
    typer.echo(write_tables(results, run_name=run_name, tables=tables, settings=settings))


def figures(
    results: Results,
    run_name: RunName,
    figures: Annotated[Path, typer.Option(help="Folder to write: PNG and SVG.")],
    confidence: Confidence = 0.95,
):
    """Draw Figures 3 to 6 of the study and those of all scores from a run's results."""
    from mcalc.evaluation.score_rows import Settings
    from mcalc.reporting.figures import write_figures

    settings = Settings(confidence=confidence)
    typer.echo(write_figures(results, run_name=run_name, figures=figures, settings=settings))


def compare_paper(
    results: Results,
    run_name: RunName,
    comparison: Annotated[Path, typer.Option(help="Table to write: one row a printed number.")],
    protocol: Annotated[
        Protocol, typer.Option(help="Whose runs stand beside the study's.")
    ] = Protocol.paper,
    confidence: Confidence = 0.95,
    resamples: Resamples = 2000,
    seed: ResampleSeed = 1,
):
    """Put every number of the study's Tables 2 to 9 beside the run's own, with a verdict."""
    from mcalc.evaluation.score_rows import Settings
    from mcalc.reporting.compare_paper import compare_paper

    message = compare_paper(
        results,
        run_name=run_name,
        comparison=comparison,
        protocol=str(protocol),
        settings=Settings(confidence=confidence, resamples=resamples, seed=seed),
    )
    typer.echo(message)


def report(
    results: Annotated[Path, typer.Argument(help="results/RUN, with its tables and figures.")],
    run_name: RunName,
    report: Annotated[Path, typer.Option(help="HTML file to write.")],
    leakage: Annotated[
        Path | None, typer.Option(help="The table of the leakage audit, to be shown, too.")
    ] = None,
    league: Annotated[
        Path | None, typer.Option(help="The table of other studies' methods, likewise.")
    ] = None,
    confidence: Confidence = 0.95,
    resamples: Resamples = 2000,
    seed: ResampleSeed = 1,
):
    """Write the report: one HTML file that opens offline and tells the whole story."""
    from mcalc.evaluation.score_rows import Settings
    from mcalc.reporting.report import write_report

    settings = Settings(confidence=confidence, resamples=resamples, seed=seed)
    message = write_report(
        results, run_name=run_name, report=report, leakage=leakage, league=league, settings=settings
    )
    typer.echo(message)


def show_leakage(
    answers: Annotated[list[Path], typer.Argument(help="What `mcalc audit-leakage` wrote.")],
    catalog: Catalog,
    run_name: RunName,
    leakage: Annotated[Path, typer.Option(help="Table to write, and Markdown beside it.")],
    figures: Annotated[Path, typer.Option(help="Folder for the figure: PNG and SVG.")],
    confidence: Confidence = 0.95,
    resamples: Resamples = 2000,
    seed: ResampleSeed = 1,
):
    """Show, protocol by protocol, how much of a result is memory."""
    from mcalc.evaluation.score_rows import Settings
    from mcalc.reporting.show_leakage import show_leakage

    message = show_leakage(
        answers,
        catalog=catalog,
        run_name=run_name,
        leakage=leakage,
        figures=figures,
        settings=Settings(confidence=confidence, resamples=resamples, seed=seed),
    )
    typer.echo(message)


def show_league(
    scores: Annotated[list[Path], typer.Argument(help="What `mcalc score-league` wrote.")],
    catalog: Catalog,
    run_name: RunName,
    league: Annotated[Path, typer.Option(help="Table to write, and Markdown beside it.")],
    figures: Annotated[Path, typer.Option(help="Folder for the figure: PNG and SVG.")],
):
    """Put the methods of the league beside each other, and beside what their sources print."""
    from mcalc.reporting.show_league import show_league

    message = show_league(
        scores, catalog=catalog, run_name=run_name, league=league, figures=figures
    )
    typer.echo(message)


def audit_metrics(
    file: Annotated[
        str, typer.Argument(help="A YAML of printed figures, or a shipped paper: leong2022.")
    ],
    json: Annotated[Path | None, typer.Option(help="JSON file to write.")] = None,
):
    """Say which printed figures cannot be true whatever the data; exit code 3 if there are any."""
    from mcalc.reporting.audit_metrics import audit_metrics
    from mcalc.reporting.audit_metrics.show import show, write_json

    audit = audit_metrics(file)
    show(audit)
    if json:
        write_json(audit, json)
    if audit.impossible:
        raise typer.Exit(DataError.exit_code)


def status(
    results: Annotated[Path, typer.Argument(help="results/RUN, which `snakemake` fills.")],
):
    """Say what of a run is done, running, failed and waiting; exit code 3 if a job has failed."""
    from mcalc.reporting.status import read_status
    from mcalc.reporting.status.show import show

    found = read_status(results)
    show(found)
    if found.count("failed"):
        raise typer.Exit(DataError.exit_code)
