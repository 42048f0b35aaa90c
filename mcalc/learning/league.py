"""The league: methods that other studies published, and what each of them needs (league.yaml)."""

from functools import cache
from importlib import resources
from typing import NamedTuple

import yaml

from mcalc.errors import UsageError


class Source(NamedTuple):
    """A publication.

    Attributes
    ----------
    title, journal, doi : str
    year : int
    data, split, question : str
        What it measured on, how it kept training apart from testing, and what it asked, in a few
        words; empty where it measured nothing of the kind, 'not known here' where nobody looked.
    """

    title: str
    journal: str
    year: int
    doi: str = ""
    data: str = ""
    split: str = ""
    question: str = ""


class Entry(NamedTuple):
    """A method of the league.

    Attributes
    ----------
    line : str
        What it is, in one line.
    source : Source
    group : str
        One of `records.LEAGUE_GROUPS`: whether it learns from features that people designed, is a
        network from random weights, or needs weights of ImageNet.
    printed : str
        What the source prints for this arm, in its words and digits; empty where it is not known.
    printed_accuracy : float or None
        The same, 0 to 1, where the source calls it an accuracy.
    choices : str
        Where this one differs from the source, and what was chosen where the source is silent.
    features : tuple of str
        Sets of features that it reads (`features`).
    head : str
        What learns from them (`heads.HEADS`); empty for a network.
    network, weights, schedule : str
        Of a network: as `mcalc train` takes them.
    base : str
        The network of the league whose last layer it replaces, or that is its 2-D half.
    volumes : bool
        Whether it also looks at the slices of tomosynthesis, where there are some.
    """

    line: str
    source: Source
    group: str
    printed: str = ""
    printed_accuracy: float | None = None
    choices: str = ""
    features: tuple[str, ...] = ()
    head: str = ""
    network: str = ""
    weights: str = "none"
    schedule: str = "one_cycle"
    base: str = ""
    volumes: bool = False


@cache
def read_league() -> dict[str, Entry]:
    """Return the methods by name, in the order in which they are shown."""
    text = resources.files("mcalc.learning").joinpath("league.yaml").read_text(encoding="utf-8")
    found = yaml.safe_load(text)
    sources = {name: Source(**source) for name, source in found["sources"].items()}
    return {
        name: Entry(
            **entry
            | {"source": sources[entry["source"]], "features": tuple(entry.get("features", ()))}
        )
        for name, entry in found["models"].items()
    }


def find_entry(model: str) -> Entry:
    """Return a method by its name; `UsageError` where there is none."""
    league = read_league()
    if model not in league:
        raise UsageError(f"Model {model!r} is unknown; `mcalc models` lists those there are.")
    return league[model]
