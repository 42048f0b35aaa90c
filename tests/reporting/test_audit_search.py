"""The exact search for confusion matrices, against trying every matrix."""

import random
from fractions import Fraction
from itertools import product

import pytest

from mcalc.evaluation.metrics import Confusion, measures
from mcalc.reporting.audit_metrics import search as search_module
from mcalc.reporting.audit_metrics.figures import (
    COUNTS,
    MEASURES,
    RATIOS,
    ROUNDINGS,
    Figure,
    Interval,
    Matrix,
    carries,
    mcc_against,
    shown,
)
from mcalc.reporting.audit_metrics.ratios import denominators
from mcalc.reporting.audit_metrics.search import search

PRINTED = (*RATIOS, "mcc")
TABLE_9 = {"recall": "0.9239", "precision": "0.8979", "specificity": "0.8239", "accuracy": "0.8865"}
ALEXNET = Matrix(765, 63, 87, 407)
ANY_N = range(1, 100_001)


def figures(**digits: str) -> list[Figure]:
    return [Figure.parse(measure, text) for measure, text in digits.items()]


def all_matrices(n: int) -> list[Matrix]:
    counts = range(n + 1)
    return [
        Matrix(tp, fn, fp, n - tp - fn - fp)
        for tp, fn, fp in product(counts, counts, counts)
        if tp + fn + fp <= n
    ]


def printed(generator: random.Random, matrix: Matrix, measures: list[str]) -> list[Figure]:
    """Round a matrix's measures as a paper would, each with decimals, unit and rounding drawn."""
    found = []
    for measure in measures:
        rounding = generator.choice(ROUNDINGS)
        blank = Figure(
            measure,
            "0." + "0" * generator.randint(2, 4),
            1 if measure in COUNTS else generator.choice([1, 100]),
            Interval(Fraction(0), Fraction(0)),
            rounding,
        )
        unit = "percent" if blank.scale == 100 else "fraction"
        digits = shown(matrix, blank)
        found.append(Figure.parse(measure, digits, unit=unit, rounding=rounding))
    return found


def digits_swapped(generator: random.Random, figure: Figure) -> Figure | None:
    """Exchange two digits that differ; None where all are equal."""
    places = [i for i, digit in enumerate(figure.digits) if digit.isdigit()]
    pairs = [(i, j) for i in places for j in places if figure.digits[i] < figure.digits[j]]
    if not pairs:
        return None
    i, j = generator.choice(pairs)
    text = list(figure.digits)
    text[i], text[j] = text[j], text[i]
    unit = "percent" if figure.scale == 100 else "fraction"
    return Figure.parse(figure.measure, "".join(text), unit=unit, rounding=figure.rounding)


def compare_with_trying_all(seed: int, rounds: int, largest: int) -> None:
    generator = random.Random(seed)
    tables = {n: all_matrices(n) for n in range(1, largest + 2)}
    for _ in range(rounds):
        n = generator.randint(1, largest)
        sizes = range(max(1, n - 2), n + 2) if generator.random() < 0.4 else [n]
        wanted = generator.sample(MEASURES, generator.randint(1, 5))
        asked = printed(generator, generator.choice(tables[n]), wanted)
        if generator.random() < 0.4:
            swapped = digits_swapped(generator, asked[0])
            asked = [swapped or asked[0], *asked[1:]]
        expected = {
            matrix
            for size in sizes
            for matrix in tables[size]
            if all(carries(matrix, figure) for figure in asked)
        }
        found = search(asked, sizes, limit=10**9)
        assert found.complete
        assert len(found.matrices) == len(expected), asked
        assert set(found.matrices) == expected, asked


NARROWED = pytest.mark.parametrize("many", [search_module.MANY, -1], ids=["", "by MCC first"])


@NARROWED
def test_the_search_finds_what_trying_all_matrices_finds(monkeypatch, many):
    monkeypatch.setattr(search_module, "MANY", many)
    compare_with_trying_all(seed=1, rounds=10 if many < 0 else 100, largest=8)


@pytest.mark.slow
@NARROWED
@pytest.mark.parametrize("seed", range(2))
def test_the_search_finds_what_trying_all_matrices_finds_at_length(monkeypatch, seed, many):
    monkeypatch.setattr(search_module, "MANY", many)
    compare_with_trying_all(seed, rounds=300 if many < 0 else 2000, largest=13)


@pytest.mark.slow
def test_a_range_of_n_finds_what_each_n_finds():
    generator = random.Random(8)
    for _ in range(60):
        n = generator.randint(2, 300)
        cuts = sorted(generator.randint(0, n) for _ in range(3))
        matrix = Matrix(cuts[0], cuts[1] - cuts[0], cuts[2] - cuts[1], n - cuts[2])
        asked = printed(generator, matrix, generator.sample(PRINTED, generator.randint(3, 5)))
        asked += printed(generator, matrix, [generator.choice(["fn", "fp", "tp"])])
        each = [found for n in range(1, 301) for found in search(asked, [n], limit=10**6).matrices]
        assert search(asked, range(1, 301), limit=10**6).matrices == each
        assert matrix in each


def true_one_is_found(seed: int, rounds: int, largest: int, figures: tuple[int, int]) -> None:
    """Round random matrices; with the margin known, so that all candidates can be listed."""
    generator = random.Random(seed)
    for _ in range(rounds):
        n = generator.randint(2, largest)
        cuts = sorted(generator.randint(0, n) for _ in range(3))
        matrix = Matrix(cuts[0], cuts[1] - cuts[0], cuts[2] - cuts[1], n - cuts[2])
        asked = printed(generator, matrix, generator.sample(PRINTED, generator.randint(*figures)))
        known = generator.choice(["positives", "predicted_positives"])
        asked += printed(generator, matrix, [known])
        found = search(asked, [n], limit=10**7, budget=10**9)
        assert found.complete
        assert matrix in found.matrices, (matrix, asked)


def test_the_true_matrix_is_among_the_candidates():
    true_one_is_found(seed=2, rounds=1000, largest=25, figures=(1, 3))


@pytest.mark.slow
def test_the_true_matrix_is_among_the_candidates_at_length():
    true_one_is_found(seed=3, rounds=3000, largest=1500, figures=(3, 7))


def flags_swaps(seed: int, rounds: int, largest: int) -> None:
    generator = random.Random(seed)
    tables = {n: all_matrices(n) for n in range(3, largest + 1)}
    impossible = flagged = 0
    while impossible < rounds:
        n = generator.randint(3, largest)
        matrix = generator.choice(tables[n])
        asked = printed(generator, matrix, generator.sample(PRINTED, generator.randint(2, 5)))
        swapped = digits_swapped(generator, asked[0])
        if swapped is None:
            continue
        asked[0] = swapped
        if any(all(carries(each, figure) for figure in asked) for each in tables[n]):
            assert search(asked, [n], limit=1).matrices
            continue
        impossible += 1
        found = search(asked, [n])
        flagged += found.complete and not found.matrices
    assert flagged >= 0.99 * impossible


def test_a_digit_swap_is_flagged_where_no_matrix_fits():
    flags_swaps(seed=4, rounds=100, largest=10)


@pytest.mark.slow
def test_a_digit_swap_is_flagged_where_no_matrix_fits_at_length():
    flags_swaps(seed=5, rounds=1000, largest=18)


def test_alexnets_row_fits_one_matrix():
    assert search(figures(**TABLE_9, mcc="0.7558"), [1322]) == ([ALEXNET], True, True)


def test_any_n_up_to_100000_is_searched_from_the_smallest():
    found = search(figures(**TABLE_9, mcc="0.7558"), ANY_N, limit=3)
    assert found.matrices[0] == ALEXNET
    assert not found.complete
    assert [sum(matrix) for matrix in found.matrices] == sorted(map(sum, found.matrices))


@pytest.mark.parametrize(
    "digits",
    [
        pytest.param({**TABLE_9, "mcc": "0.7658"}, marks=pytest.mark.slow),
        {**TABLE_9, "accuracy": "0.8685"},
        pytest.param({"accuracy": "0.9900", "mcc": "0.9990"}, marks=pytest.mark.slow),
        pytest.param(
            {"recall": "0.9239", "specificity": "0.8239", "mcc": "0.8558"}, marks=pytest.mark.slow
        ),
        {"accuracy": "0.0000001"},
        {"recall": "1.0001", "specificity": "0.8239"},
    ],
    ids=lambda digits: " ".join(digits),
)
def test_what_is_impossible_for_any_n_is_proved_so(digits):
    assert search(figures(**digits), ANY_N) == ([], True, True)


def test_a_search_that_is_given_up_says_so():
    found = search(figures(f1="0.9239", mcc="0.8239"), [2000], budget=100)
    assert found == ([], False, False)


def test_only_possible_n_are_used():
    asked = figures(accuracy="0.8865")
    found = search(asked, [1320, 1322], limit=50)
    assert {sum(matrix) for matrix in found.matrices} == {1322}
    assert search(figures(tp="3", fn="1", fp="0", tn="5"), ANY_N).matrices == [(3, 1, 0, 5)]
    assert search(asked, []) == ([], True, True)


@pytest.mark.parametrize(
    ("rounding", "digits", "inside", "outside"),
    [
        ("nearest", "0.12", ["0.115", "0.125"], ["0.1149", "0.1251"]),
        ("truncated", "0.12", ["0.12", "0.1299"], ["0.1199", "0.13"]),
        ("either", "0.12", ["0.115", "0.1299"], ["0.1149", "0.13"]),
        ("truncated", "-0.12", ["-0.12", "-0.1299"], ["-0.1199", "-0.13"]),
        ("truncated", "0.00", ["0.0099", "-0.0099"], ["0.01", "-0.01"]),
        ("truncated", "-0.00", ["0", "-0.0099"], ["0.0001", "-0.01"]),
        ("nearest", "-.5", ["-0.55", "-0.45"], ["-0.4499", "-0.5501"]),
    ],
)
def test_digits_stand_for_an_interval(rounding, digits, inside, outside):
    interval = Figure.parse("mcc", digits, rounding=rounding).interval
    assert all(interval.holds(Fraction(value)) for value in inside)
    assert not any(interval.holds(Fraction(value)) for value in outside)


def test_a_per_cent_sign_and_the_unit_say_the_same():
    sign, unit = Figure.parse("ppv", "91.5%"), Figure.parse("precision", "91.5", unit="percent")
    assert sign.interval == unit.interval == (Fraction("0.9145"), Fraction("0.9155"), False, False)
    assert sign.measure == "precision"
    assert Figure.parse("n", "1,322").interval.low == 1322


@pytest.mark.parametrize("digits", ["", ".", "0,98", "1e-3", "nan", "0.98 (0.9-1.0)", "--1"])
def test_what_is_no_number_is_refused(digits):
    with pytest.raises(ValueError, match="is no number"):
        Figure.parse("recall", digits)


def test_measures_are_those_of_the_evaluation():
    generator = random.Random(6)
    for _ in range(200):
        matrix = Matrix(*(generator.randint(1, 400) for _ in range(4)))
        tp, fn, fp, tn = matrix
        for name, value in measures(Confusion(tp, fp, fn, tn)).items():
            blank = Figure(name, "0.000000", 1, Interval(Fraction(0), Fraction(0)))
            assert float(shown(matrix, blank)) == pytest.approx(value, abs=5.1e-7)
            close = Fraction(value).limit_denominator(10**9)
            if name == "mcc":
                assert mcc_against(matrix, close - Fraction(1, 10**8)) == 1
                assert mcc_against(matrix, close + Fraction(1, 10**8)) == -1


def test_the_coefficient_is_compared_without_rounding():
    assert mcc_against(Matrix(1, 0, 0, 1), Fraction(1)) == 0
    assert mcc_against(Matrix(0, 1, 1, 0), Fraction(-1)) == 0
    assert mcc_against(Matrix(3, 0, 0, 0), Fraction(0)) == 0
    large = Matrix(10**9, 1, 1, 10**9)
    assert mcc_against(large, Fraction(10**9 - 1, 10**9 + 1)) == 0
    assert mcc_against(large, Fraction(10**9 - 1, 10**9)) == -1
    assert mcc_against(large, Fraction(10**9 - 3, 10**9)) == 1


def test_denominators_are_those_with_a_numerator():
    generator = random.Random(7)
    for _ in range(50):
        low = Fraction(generator.randint(-5, 999), 1000)
        high = low + Fraction(generator.randint(1, 200), 4000)
        interval = Interval(low, high, *generator.choices([True, False], k=2))
        found = denominators([interval, Interval(Fraction(0), Fraction(1))], 60)
        for b in range(1, 61):
            assert found[b] == any(interval.holds(Fraction(a, b)) for a in range(b + 1))
        assert found[0] == interval.holds(Fraction(0))
    assert denominators([], 3)[:4] == bytes([1, 1, 1, 1])
