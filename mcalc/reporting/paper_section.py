"""The report's section that puts the study's printed numbers beside the run's."""

import numpy as np

from mcalc.records import VERDICTS
from mcalc.reporting.results import Results
from mcalc.reporting.shown_tables import ShownTable, name_column

# Columns of numbers beside the study's.
PAPER_NUMBERS = ("printed", "here", "interval", "difference")


def paper_section(results: Results) -> dict:
    """Return the study's tables beside the run's numbers, and how many have which verdict."""
    rows = results.comparison
    counts = rows["verdict"].value_counts().reindex(VERDICTS, fill_value=0).to_dict()
    tables = []
    for number, cells in rows.groupby("table"):
        title = f"Table {number} as the study prints it, and this run"
        shown = [_show_cell(cell) for cell in cells.itertuples()]
        columns = [(name, name in PAPER_NUMBERS) for name in shown[0]]
        body = [list(cell.values()) for cell in shown]
        tables.append(ShownTable(f"paper{number}", title, "", columns, body))
    return {"tables": tables, "counts": counts, "cells": len(rows)}


def _show_cell(cell) -> dict[str, str]:
    """Return a row of COMPARISON in words, its numbers with the decimals of the page."""
    layout = f".{len(cell.printed.partition('.')[2])}f"
    interval = f"{cell.low:{layout}} to {cell.high:{layout}}"
    return {
        "row": cell.row,
        "number": name_column(cell.column),
        "printed": cell.printed,
        "here": "" if np.isnan(cell.ours) else f"{cell.ours:{layout}}",
        "interval": "" if np.isnan(cell.low) else interval,
        "difference": "" if np.isnan(cell.ours) else f"{cell.difference:+{layout}}",
        "verdict": cell.verdict.replace("_", " "),
        "why": cell.why,
    }
