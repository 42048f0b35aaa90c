"""What a run folder of the league holds: a method's answers in one fold, and what it took."""

import json
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from safetensors import SafetensorError, safe_open

from mcalc import records
from mcalc.errors import DataError

# Of a state dict: what batch norms measured, which is not learned.
MEASURED = ("running_mean", "running_var", "num_batches_tracked")


class LeagueRun(NamedTuple):
    """A method's answers in one fold of a protocol.

    Attributes
    ----------
    folder : Path
    model, protocol : str
    fold : int
    rows : DataFrame
        PREDICTIONS.
    parameters : int
        How many numbers were learned.
    seconds : float
        Of the whole job; NaN where Snakemake's file is not there.
    """

    folder: Path
    model: str
    protocol: str
    fold: int
    rows: pd.DataFrame
    parameters: int
    seconds: float


def read_run(folder: str | os.PathLike, time: str | os.PathLike | None) -> LeagueRun:
    """Read a run folder whose parent has the method's name; `DataError` where it is none.

    A card that names its method must name the same. That of a network names none: one network
    serves several methods.
    """
    folder = Path(folder).resolve()  # a relative one may not say its parent's name
    path = folder / "run.json"
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        settings = card["settings"]
        protocol, fold = settings["protocol"], int(settings["fold"])
        model = settings.get("model", folder.parent.name)
        learned = card.get("fitted", {}).get("parameters")
        learned = None if learned is None else int(learned)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise DataError(f"{path}: not the card of a run; run it again.") from error
    if model != folder.parent.name:
        raise DataError(
            f"{path}: the card of {model}, but its folder is called {folder.parent.name}; give "
            "each run the folder of its method."
        )
    rows = records.read(folder / "predictions.csv", records.PREDICTIONS)
    if rows.empty:
        raise DataError(f"{folder / 'predictions.csv'}: the table has no row; run it again.")
    parameters = _count(folder / "weights.safetensors") if learned is None else learned
    return LeagueRun(folder, model, protocol, fold, rows, parameters, _seconds(time))


def _count(weights: Path) -> int:
    """Return the number of weights in a file, from its header."""
    try:
        with safe_open(weights, framework="np") as file:
            names = [name for name in file.keys() if not name.endswith(MEASURED)]  # noqa: SIM118
            return sum(int(np.prod(file.get_slice(name).get_shape())) for name in names)
    except (OSError, SafetensorError) as error:
        raise DataError(f"{weights}: not the weights of a run; train it again.") from error


def _seconds(time: str | os.PathLike | None) -> float:
    """Return the seconds that Snakemake's benchmark file tells, NaN where it does not."""
    if time is None or not Path(time).exists():
        return np.nan
    try:
        return float(pd.read_csv(time, sep="\t")["s"].iloc[0])
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise DataError(f"{time}: not a benchmark file of Snakemake's; leave it out.") from error
