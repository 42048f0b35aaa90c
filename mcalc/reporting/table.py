"""A table as people read it, and the sentences that notes of several tables say."""

from typing import NamedTuple

import pandas as pd

from mcalc.records import TRAINED_AS
from mcalc.reporting.results import Results


class Table(NamedTuple):
    """A table as people read it: the file's `name`, a `title`, a `note` and the rows."""

    name: str
    title: str
    note: str
    rows: pd.DataFrame


def explain_intervals(results: Results) -> str:
    """Say what stands in brackets behind a number."""
    return (
        f"In brackets {100 * results.settings.confidence:g} % intervals over patients, whose "
        "images or ROIs all count as one draw; none where patients are too few or all alike."
    )


def warn_of_a_mistake(results: Results) -> str:
    """Return what must be said of measures on images that a network has been trained on."""
    return "".join(
        f" {protocol} demonstrates a mistake and is no result: the networks that {trained} trained "
        "are measured on images split anew, most of which they have been trained on."
        for protocol, trained in TRAINED_AS.items()
        if protocol in results.protocols
    )
