"""Stage `tables`: the study's tables as CSV and Markdown files."""

import os
from pathlib import Path

from mcalc.evaluation.score_rows import Settings
from mcalc.files import whole_file, write_text
from mcalc.reporting.results import Results
from mcalc.reporting.shown_tables import as_markdown
from mcalc.reporting.study_tables import make_tables


def write_tables(
    results: str | os.PathLike,
    *,
    run_name: str,
    tables: str | os.PathLike,
    settings: Settings | None = None,
) -> str:
    """Write each table of `make_tables` as CSV and as Markdown into the folder `tables`.

    Every CSV row ends with the run's name and the data set's hash; the Markdown says both below
    the table. `settings` are confidence, resamples and seed of the intervals.
    """
    read = Results(results, run_name, settings)
    folder = Path(tables)
    written = list(make_tables(read))
    for table in written:
        rows = table.rows.assign(run=run_name, data_hash=read.data_hash)
        with whole_file(folder / f"{table.name}.csv") as temporary:
            rows.to_csv(temporary, index=False, lineterminator="\n")
        write_text(folder / f"{table.name}.md", as_markdown(table, read))
    return f"{folder}: {len(written)} tables"
