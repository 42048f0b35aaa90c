"""Stage `compare-paper`: every number of the study's Tables 2 to 9 beside the run's own."""

import os
from collections import Counter
from decimal import Decimal

import numpy as np

from mcalc import records
from mcalc.evaluation.score_rows import Settings
from mcalc.reporting.audit_metrics import Audit, audit_metrics
from mcalc.reporting.results import Results
from mcalc.reporting.run_numbers import Ours, run_numbers

STUDY = "leong2022"
TABLES = tuple("23456789")


def compare_paper(
    results: str | os.PathLike,
    *,
    run_name: str,
    comparison: str | os.PathLike,
    protocol: str = "paper",
    settings: Settings | None = None,
) -> str:
    """Write the table `comparison` (COMPARISON): one row for each cell that the study prints.

    Parameters
    ----------
    results : path
        The folder `results/{run}`.
    run_name : str
    comparison : path
        The table to write.
    protocol : str
        Whose splits and runs stand beside the study's: 'paper' splits as it did.
    settings : score_rows.Settings or None
        Confidence, resamples and seed of the intervals.

    Returns
    -------
    str
        One line that counts the verdicts.

    Notes
    -----
    Verdicts: `impossible` where arithmetic alone excludes the printed digits; `not_comparable`
    where the run has no such number, or has it of other data; `reproduced` where the printed number
    lies in the interval of the run's, which is over patients (`measured`), else `differs`. Counts
    and the training loss have no interval: they must agree to the digits printed.
    """
    run = Results(results, run_name, settings)
    audit = audit_metrics(STUDY)
    impossible = _impossible(audit)
    other = _other_data(run)
    ours = run_numbers(run, protocol)
    rows = []
    for number in TABLES:
        for row, cells in audit.paper.tables[number].rows.items():
            for column, digits in cells.items():
                if digits is None:
                    continue
                cell = f"{number}/{row}/{column}"
                verdict, why = _verdict(digits, ours[cell], impossible.get(cell), other)
                rows.append(
                    {"table": int(number), "row": row, "column": column, "printed": digits}
                    | _numbers(digits, ours[cell])
                    | {"verdict": verdict, "why": why}
                )
    records.write(rows, comparison, records.COMPARISON)
    counts = Counter(row["verdict"] for row in rows)
    told = ", ".join(f"{counts[name]} {name.replace('_', ' ')}" for name in records.VERDICTS)
    return f"{comparison}: {len(rows)} printed numbers, {told}"


def _impossible(audit: Audit) -> dict[str, str]:
    """Return by cell why its digits cannot be true."""
    found = {
        finding.where: finding.says
        for finding in audit.findings
        if finding.verdict == "impossible" and finding.where.count("/") == 2
    }
    for verdict in audit.verdicts:
        for change in verdict.readings[0].changes:
            cell = f"{verdict.row.where}/{change.figure.measure}"
            found[cell] = f"No confusion matrix carries it; it would be {change.instead[0]}."
    return found


def _other_data(run: Results) -> str:
    """Say why no number of the run can be set beside the study's; empty where they can."""
    if run.dataset != "cbis_ddsm":
        return f"other data: {run.dataset.replace('_', '-')}"
    weights = run.card(run.runs.iloc[0])["settings"]["weights"]
    return "" if weights == "imagenet" else f"the networks started from {weights} weights"


def _verdict(digits: str, ours: Ours | str, impossible: str | None, other: str) -> tuple[str, str]:
    if impossible:
        return "impossible", impossible
    if isinstance(ours, str):
        return "not_comparable", ours
    if other:
        return "not_comparable", other
    half = 0.5 * 10.0 ** Decimal(digits).as_tuple().exponent
    low, high = (ours.value if np.isnan(end) else end for end in ours[1:])
    is_near = low - half <= float(digits) <= high + half
    return ("reproduced" if is_near else "differs"), ""


def _numbers(digits: str, ours: Ours | str) -> dict[str, float | None]:
    if isinstance(ours, str):
        return dict.fromkeys(("ours", "difference", "low", "high"))
    return {
        "ours": ours.value,
        "difference": ours.value - float(digits),
        "low": ours.low,
        "high": ours.high,
    }
