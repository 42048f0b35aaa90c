"""An audit for the eyes: on screen and as JSON."""

import json
import os

from rich.console import Console

from mcalc.files import write_text
from mcalc.reporting.audit_metrics import Audit
from mcalc.reporting.audit_metrics.arithmetic import spans
from mcalc.reporting.audit_metrics.figures import Matrix
from mcalc.reporting.audit_metrics.reconcile import Change, Reading, Verdict
from mcalc.reporting.audit_metrics.search import Found

# How many matrices, other values and readings are named on screen; JSON has all that were found.
MATRICES, VALUES, READINGS = 4, 3, 6
STYLES = {"impossible": "bold red", "holds": "green", "note": "bold"}


def show(audit: Audit, console: Console | None = None) -> None:
    """Print what was found, the confusion matrices first."""
    console = console or Console()

    def line(text: str, style: str = "") -> None:
        console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)

    line(f"{audit.paper.name}: {audit.paper.source['title']}", "bold")
    for verdict in audit.verdicts:
        word = "can be true" if verdict.consistent else "impossible"
        line(f"{word:>12}  {verdict.row.where}", "green" if verdict.consistent else "bold red")
        for text in sentences(verdict):
            line(f"              {text}")
    for finding in audit.findings:
        line(f"{finding.verdict:>12}  {finding.where}", STYLES[finding.verdict])
        line(f"              {finding.says}")
    for remark in audit.remarks:
        line(f"{'remark':>12}  {remark.where}", "bold")
        line(f"              {remark.says}")
    line(last_word(audit), "bold")


def last_word(audit: Audit) -> str:
    """Return how much cannot be true."""
    if not audit.impossible:
        return "Nothing printed here is impossible."
    return f"{audit.impossible} of the above cannot be true, whatever the data."


def sentences(verdict: Verdict) -> list[str]:
    """Say in sentences what was found of one confusion matrix."""
    said = []
    if verdict.row.positive:
        said.append(f"Positive is {verdict.row.positive}.")
    for reading in verdict.readings[:READINGS]:
        said += _sentences_of(reading)
    if len(verdict.readings) > READINGS:
        said.append(f"There are {len(verdict.readings) - READINGS} more ways to read it.")
    if verdict.truncated:
        said.append("All figures fit if they were cut off instead of rounded.")
    for one, other in verdict.exchanges:
        said.append(f"All figures fit if {one} and {other} were exchanged.")
    if not verdict.decided:
        said.append("Some searches were given up; fewer wrong figures might do.")
    return said


def write_json(audit: Audit, path: str | os.PathLike) -> None:
    """Write everything that was found, whole or not at all."""
    content = {
        "paper": audit.paper.name,
        "source": audit.paper.source,
        "impossible": audit.impossible,
        "matrices": [_as_json(verdict) for verdict in audit.verdicts],
        "findings": [finding._asdict() for finding in audit.findings],
        "remarks": [remark._asdict() for remark in audit.remarks],
    }
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _sentences_of(reading: Reading) -> list[str]:
    found = reading.found
    said = [_change(change, found) for change in reading.changes]
    if not found.decided:
        return [*said, "Not decided: the search was given up."]
    rest = "The other figures fit" if reading.changes else "The figures fit"
    said.append(f"{rest} {_matrices(found)}.")
    loose = reading.loose
    if loose and loose.complete and set(loose.matrices) != set(found.matrices):
        said.append(f"If figures may be cut off as well as rounded: {_matrices(loose)}.")
    return said


def _change(change: Change, found: Found) -> str:
    instead = "" if found.complete else "for example "
    instead += " or ".join(change.instead[:VALUES])
    if len(change.instead) > VALUES:
        instead += f" or {len(change.instead) - VALUES} other values"
    name = change.figure.measure
    return (
        f"No matrix carries {name} {change.figure.digits}: it would be {instead} ({change.kind})."
    )


def _matrices(found: Found) -> str:
    """Name the matrices: all of a few, of more the range of each count."""
    many = f"{len(found.matrices)} matrices" if found.complete else "more matrices than were listed"
    if len(found.matrices) == 1 and found.complete:
        return f"one matrix only: {_name(found.matrices[0])}"
    counts = zip(Matrix._fields, zip(*found.matrices, strict=True), strict=True)
    ranges = ", ".join(f"{name.upper()} {spans(each)}" for name, each in counts)
    said = f"{many}: {ranges}"
    if len(found.matrices) <= MATRICES and found.complete:
        said += f" ({'; '.join(_name(matrix) for matrix in found.matrices)})"
    elif not found.complete:
        said = f"{many}, the smallest: {_name(found.matrices[0])}"
    return said


def _name(matrix: Matrix) -> str:
    counts = ", ".join(f"{name.upper()} {count}" for name, count in matrix._asdict().items())
    return f"{counts}, N {sum(matrix)}"


def _as_json(verdict: Verdict) -> dict:
    return {
        "where": verdict.row.where,
        "positive": verdict.row.positive,
        "figures": {figure.measure: figure.digits for figure in verdict.row.figures},
        "consistent": verdict.consistent,
        "decided": verdict.decided,
        "readings": [
            {
                "impossible": [
                    {
                        "measure": change.figure.measure,
                        "printed": change.figure.digits,
                        "instead": list(change.instead),
                        "change": change.kind,
                    }
                    for change in reading.changes
                ],
                "complete": reading.found.complete,
                "matrices": [matrix._asdict() for matrix in reading.found.matrices],
                "matrices_if_cut_off": reading.loose
                and [matrix._asdict() for matrix in reading.loose.matrices],
            }
            for reading in verdict.readings
        ],
        "fits_if_truncated": verdict.truncated,
        "fits_if_exchanged": [list(pair) for pair in verdict.exchanges],
    }
