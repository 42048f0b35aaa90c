"""Stage `show-league`: every method on the same folds, as a table and one figure."""

import os
from pathlib import Path

import numpy as np
import pandas as pd

from mcalc import records
from mcalc.errors import DataError
from mcalc.files import write_text
from mcalc.learning.league import find_entry
from mcalc.reporting.canvas import save_figure, style, with_interval
from mcalc.reporting.league_figure import draw_league
from mcalc.reporting.results import HONEST_FIRST

# What is told of a protocol by its first row: where others differ they cannot stand in one ranking.
ALIKE = ("protocol", "n_folds", "n_rois", "n_patients", "n_malignant", "confidence")
# What the table for reading shows of each method.
SHOWN = {"auc": "AUC", "accuracy": "accuracy", "balanced_accuracy": "balanced accuracy"}


def show_league(
    scores: list[str | os.PathLike],
    *,
    catalog: str | os.PathLike,
    run_name: str,
    league: str | os.PathLike,
    figures: str | os.PathLike,
) -> str:
    """Write the table `league` (LEAGUE), as Markdown beside it, and the figure.

    Parameters
    ----------
    scores : list of path
        The tables that `mcalc score-league` wrote (LEAGUE_SCORES), one a protocol.
    catalog : path
        The data set, whose hash the figure carries.
    run_name : str
    league : path
        The CSV file; the Markdown file has its name with the ending `.md`.
    figures : path
        The folder in which `league.png` and `league.svg` are written.

    Raises
    ------
    DataError
        If a table holds no row or rows that do not fit together, or two do not fit together.
    UsageError
        If a method is none of the league.
    """
    rows = _with_sources(_read_scores(scores))
    rois = records.read(catalog, records.CATALOG)
    origin = f"Run {run_name}, data {records.data_hash(rois)}."
    if (rois["dataset"] == "phantom").any():
        origin += " The run's data are a made-up phantom."
    records.write(rows, league, records.LEAGUE)
    write_text(Path(league).with_suffix(".md"), _as_markdown(rows, origin))
    best = rows.iloc[0]
    with style():
        note = f"{100 * best['confidence']:g} % intervals over patients. {origin}"
        if rows["protocol"].nunique() > 1:
            note = f"Seconds and numbers learned: under {best['protocol']}. {note}"
        save_figure(draw_league(rows), Path(figures), "league", note)
    return (
        f"{league}: {rows['model'].nunique()} methods; the highest AUC under {best['protocol']} "
        f"has {best['model']}, {with_interval(_interval(best, 'auc'))}"
    )


def _read_scores(paths: list[str | os.PathLike]) -> pd.DataFrame:
    """Return the rows of all tables, honest protocols first."""
    tables = {}
    for path in paths:
        table = _read_protocol(path)
        protocol, confidence = table.loc[0, ["protocol", "confidence"]]
        if protocol in tables:
            raise DataError(f"{path}: the protocol {protocol} is given twice; leave one out.")
        tables[protocol] = table
        # One level is written below all of them.
        first = next(iter(tables.values()))["confidence"].iloc[0]
        if confidence != first:
            raise DataError(
                f"{path}: intervals of {100 * confidence:g} %, those of {paths[0]} are of "
                f"{100 * first:g} %; score all with one --confidence."
            )
    rows = [tables[name] for name in sorted(tables, key=HONEST_FIRST.index)]
    return pd.concat(rows, ignore_index=True)


def _read_protocol(path: str | os.PathLike) -> pd.DataFrame:
    """Read the scores of one protocol, whose rows can stand in one ranking."""
    table = records.read(path, records.LEAGUE_SCORES)
    if table.empty:
        raise DataError(f"{path}: the table has no row; score the league again.")
    for column in ALIKE:
        first, *others = table[column].unique()
        if others:
            raise DataError(
                f"{path}: {column} is {first} in one row and {others[0]} in another; score the "
                "methods of one protocol together."
            )
    protocol = table["protocol"].iloc[0]
    if protocol not in HONEST_FIRST:
        known = ", ".join(HONEST_FIRST)
        raise DataError(f"{path}: the protocol {protocol!r} is unknown; use one of {known}.")
    return table


def _with_sources(rows: pd.DataFrame) -> pd.DataFrame:
    """Add what each method is, what its source prints, and what differs there."""
    told = []
    for name in rows["model"]:
        entry = find_entry(name)
        source = entry.source
        told.append(
            {
                "what": entry.line,
                "group": entry.group,
                "printed": entry.printed,
                "printed_accuracy": entry.printed_accuracy,
                "source": f"{source.title}, {source.journal}",
                "year": source.year,
                "doi": source.doi,
                "source_data": source.data,
                "source_split": source.split,
                "source_question": source.question,
                "choices": entry.choices,
            }
        )
    return rows.join(pd.DataFrame(told).astype({"printed_accuracy": float}))


def _interval(row: pd.Series, score: str) -> pd.Series:
    ends = {"value": score, "low": f"{score}_low", "high": f"{score}_high"}
    return pd.Series({name: row[column] for name, column in ends.items()})


def _as_markdown(rows: pd.DataFrame, origin: str) -> str:
    parts = [_protocol_as_markdown(part) for _, part in rows.groupby("protocol", sort=False)]
    note = (
        "ROI by ROI; positive class: malignant. In brackets "
        f"{100 * rows['confidence'].iloc[0]:g} % intervals over patients. Seconds: wall-clock time "
        "of one fold's job, from its start to its answers. Seconds and numbers of a method that "
        "stands on another network of the league are its own, without that network's. Printed: "
        "what the source prints, of the data, split and question beside it; no "
        f"number of this data set. {origin}"
    )
    return "\n\n".join([*parts, note]) + "\n"


def _protocol_as_markdown(rows: pd.DataFrame) -> str:
    first = rows.iloc[0]
    table = pd.DataFrame({"method": rows["model"]})
    for score, name in SHOWN.items():
        table[name] = [with_interval(_interval(row, score)) for _, row in rows.iterrows()]
    table["seconds"] = [_number(value, ".0f") for value in rows["seconds"]]
    table["numbers learned"] = [f"{value:,}" for value in rows["parameters"]]
    table["printed"] = rows["printed"]
    told = ["source_data", "source_split", "source_question"]
    table["of"] = ["; ".join(filter(None, row)) for row in rows[told].itertuples(index=False)]
    table["year"] = rows["year"]
    title = f"**{first['protocol']}: {first['n_rois']} ROIs of {first['n_patients']} patients**"
    return f"{title}\n\n{table.to_markdown(index=False)}"


def _number(value: float, form: str) -> str:
    return "" if np.isnan(value) else format(value, form)
