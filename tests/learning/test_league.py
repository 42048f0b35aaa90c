"""The league: what `mcalc models` shows, and that each entry has all that it needs."""

import re
from importlib import resources

import pytest

from mcalc.errors import UsageError
from mcalc.learning.extract_features import DESIGNED, FROZEN, SETS
from mcalc.learning.heads import HEADS
from mcalc.learning.league import find_entry, read_league
from mcalc.records import LEAGUE_GROUPS

LEAGUE = read_league()
TEXT = resources.files("mcalc.learning").joinpath("league.yaml").read_text(encoding="utf-8")

every_method = pytest.mark.parametrize("entry", LEAGUE.values(), ids=LEAGUE)


def test_models_prints_a_line_for_each_method_with_its_group_source_and_year(mcalc):
    code, printed, _ = mcalc("models")
    lines = printed.splitlines()
    assert code == 0
    assert [line.split()[0] for line in lines] == list(LEAGUE)
    for line, entry in zip(lines, LEAGUE.values(), strict=True):
        assert line.split()[1] == entry.group
        assert entry.line in line
        assert line.endswith(f"{entry.source.journal}, {entry.source.year}")


def test_a_method_that_is_not_there_is_told_with_where_to_look():
    with pytest.raises(UsageError, match=r"^Model 'wang2017' is unknown; `mcalc models` lists"):
        find_entry("wang2017")
    assert find_entry("wang2016_svm") is LEAGUE["wang2016_svm"]


def test_no_name_stands_twice_and_no_source_is_left_over():
    """YAML would keep the last of two without a word."""
    names = re.findall(r"^  (\w+):", TEXT, flags=re.MULTILINE)
    assert len(names) == len(set(names))
    sources = set(re.findall(r"^  (\w+):", TEXT.split("\nmodels:")[0], flags=re.MULTILINE))
    assert sources == set(re.findall(r"source: (\w+)", TEXT))
    assert len({entry.source for entry in LEAGUE.values()}) == len(sources)
    assert len({entry.line for entry in LEAGUE.values()}) == len(LEAGUE)


def test_every_group_and_every_set_of_features_is_used():
    assert {entry.group for entry in LEAGUE.values()} == set(LEAGUE_GROUPS)
    assert {name for entry in LEAGUE.values() for name in entry.features} == set(SETS)


@every_method
def test_a_method_is_a_network_a_head_on_features_or_a_pair_with_volumes(entry):
    if entry.network:
        assert not (entry.head or entry.features or entry.base or entry.volumes)
    elif entry.head:
        assert entry.head in HEADS
        assert entry.features or entry.base
    else:
        assert entry.volumes and entry.base
        assert not entry.features
    assert set(entry.features) <= set(SETS)
    assert len(set(entry.features)) == len(entry.features)
    assert entry.weights in ("none", "imagenet")
    assert entry.schedule in ("one_cycle", "plateau")
    if not entry.network:
        assert (entry.weights, entry.schedule) == ("none", "one_cycle")


@every_method
def test_what_a_method_rests_on_is_a_network_of_the_league(entry):
    if entry.base:
        assert LEAGUE[entry.base].network
        assert entry.group == LEAGUE[entry.base].group


@every_method
def test_the_group_says_what_weights_are_needed(entry):
    needs_weights = (
        entry.weights != "none"
        or any(name in FROZEN for name in entry.features)
        or (bool(entry.base) and LEAGUE[entry.base].weights != "none")
    )
    assert (entry.group == "pretrained") == needs_weights
    if entry.group == "scratch":
        assert entry.network
    if entry.group == "classical":
        assert entry.features and set(entry.features) <= set(DESIGNED)
        assert not (entry.network or entry.base)


@every_method
def test_an_accuracy_is_told_where_the_source_calls_it_one_and_is_the_same_number(entry):
    calls_it_so = re.match(r"accuracy (?:up to )?([\d.]+)( %)?", entry.printed)
    if entry.printed_accuracy is None:
        assert not calls_it_so
    else:
        number = float(calls_it_so[1]) / (100 if calls_it_so[2] else 1)
        assert entry.printed_accuracy == pytest.approx(number, abs=1e-12)
        assert 0 < entry.printed_accuracy < 1


@every_method
def test_a_method_says_what_it_is_and_where_it_is_from(entry):
    assert entry.line and not entry.line.endswith(".")
    assert "\n" not in entry.line
    source = entry.source
    assert source.title and source.journal and source.question
    assert 1990 < source.year < 2030
    assert re.fullmatch(r"(10\.\d{4,}/\S+)?", source.doi)
    for text in (entry.printed, entry.choices, source.data, source.split, source.question):
        assert isinstance(text, str)


def test_the_name_of_a_method_begins_with_its_source():
    names = dict(re.findall(r"^  (\w+):.*\n    line: .*\n    source: (\w+)", TEXT, re.MULTILINE))
    assert len(names) > 20
    for name, source in names.items():
        assert name.startswith((f"{source}_", "modern_"))


@pytest.mark.slow
def test_every_network_of_the_league_can_be_trained():
    from mcalc.learning.networks import NAMES

    assert {entry.network for entry in LEAGUE.values() if entry.network} <= set(NAMES)
    assert {network for network, _ in FROZEN.values()} <= set(NAMES)
