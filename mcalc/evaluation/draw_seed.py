"""Stage `draw-seed`: the seed of a run's splits, given or drawn, written down either way."""

import json
import os
import secrets
from pathlib import Path

from mcalc.errors import DataError
from mcalc.files import write_text

# Seeds are whole numbers below this one; a split may add 1, and NumPy takes 32 bits.
LIMIT = 2**31


def draw_seed(path: str | os.PathLike, seed: int | None = None) -> str:
    """Write the seed of a run's splits to the JSON file `path`.

    Parameters
    ----------
    path : path
        Receives `seed` and `drawn`, which says whether chance gave it.
    seed : int or None
        From 0; None draws one, as a split without a seed does. Whoever gives the drawn number as
        the seed has the same splits again.
    """
    drawn = seed is None
    chosen = secrets.randbelow(LIMIT) if drawn else seed
    write_text(path, json.dumps({"seed": chosen, "drawn": drawn}, indent=2) + "\n")
    return f"{path}: seed {chosen}{' (drawn)' if drawn else ''}"


def read_seed(path: str | os.PathLike) -> int:
    """Read the seed that `draw_seed` wrote; `DataError` where the file holds none."""
    try:
        seed = json.loads(Path(path).read_text(encoding="utf-8"))["seed"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not a file of mcalc draw-seed; draw the seed again.") from error
    if type(seed) is not int or not 0 <= seed < LIMIT:
        raise DataError(f"{path}: {seed!r} is no seed; draw it again or give a number from 0.")
    return seed
