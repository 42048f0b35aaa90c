"""Stage `show-league`: the table of methods as people read it, and its figure."""

import re

import matplotlib.axes
import pandas as pd
import pytest

from mcalc import records
from mcalc.evaluation.protocols import PROTOCOLS
from mcalc.learning.league import read_league

MODELS = ("wang2016_svm", "fadil2020_dwt_forest", "cai2019_alexnet_svm_selected")


def score_rows(protocol: str, models=MODELS, **changes) -> list[dict]:
    return [
        {"protocol": protocol, "model": model, "seconds": 2.4, "parameters": 1234, "n_folds": 5}
        | {
            f"{measure}{end}": value - 0.01 * place
            for measure in records.LEAGUE_MEASURES
            for end, value in (("", 0.7), ("_low", 0.6), ("_high", 0.8))
        }
        | {"n": 9, "n_malignant": 3, "n_images": 36, "n_rois": 9, "n_patients": 5}
        | {"cluster": "patient", "confidence": 0.95}
        | changes
        for place, model in enumerate(models)
    ]


@pytest.fixture
def show(mcalc, tmp_path):
    """Call the command for tables of rows; return what it printed, and the folder it wrote."""
    catalog = {
        name: 1 if str(column.dtype) in ("int64", "float64") else "x"
        for name, column in records.CATALOG.columns.items()
    }
    catalog |= {"laterality": "LEFT", "view": "CC", "label": "benign", "dataset": "phantom"}
    catalog |= {"official_split": "", "in_any_test": "", "abnormality_type": ""}
    records.write([catalog], tmp_path / "catalog.csv", records.CATALOG)

    def call(*tables, to="out"):
        paths = []
        for number, rows in enumerate(tables):
            paths.append(tmp_path / f"{number}.csv")
            records.write(rows, paths[-1], records.LEAGUE_SCORES)
        folder = tmp_path / to
        result = mcalc(
            "show-league", *paths, "--catalog", tmp_path / "catalog.csv", "--run-name", "r",
            "--league", folder / "league.csv", "--figures", folder,
        )  # fmt: skip
        return result, folder

    return call


def test_the_table_has_what_each_source_prints_and_the_honest_protocol_first(show):
    (code, said, _), folder = show(score_rows("paper"), score_rows("patient"))
    assert code == 0
    assert "3 methods; the highest AUC under patient has wang2016_svm, 0.700 (0.600 to 0.800)" in (
        said
    )
    table = records.read(folder / "league.csv", records.LEAGUE)
    assert list(table["protocol"]) == ["patient"] * 3 + ["paper"] * 3
    first = table.set_index("model").loc["wang2016_svm"].iloc[0]
    source = read_league()["wang2016_svm"].source
    assert (first["printed"], first["printed_accuracy"]) == ("accuracy 85.8 %", 0.858)
    assert (first["year"], first["doi"], first["source_question"]) == (
        2016,
        source.doi,
        source.question,
    )
    # What is printed is a precision, no accuracy.
    selected = table.set_index("model").loc["cai2019_alexnet_svm_selected"]
    assert selected["printed_accuracy"].isna().all()
    assert selected["printed"].str.startswith("precision 89.32 %").all()


def test_the_page_says_the_same_numbers_and_that_a_phantom_is_made_up(show):
    _, folder = show(score_rows("patient"))
    page = (folder / "league.md").read_text()
    assert "**patient: 9 ROIs of 5 patients**" in page
    assert page.count("0.700 (0.600 to 0.800)") == 3  # AUC, accuracy, balanced accuracy
    assert " 1,234 |" in page
    assert "made-up phantom" in page


def test_the_same_tables_give_the_same_files(show):
    tables = (score_rows("patient"), score_rows("paper"))
    folders = [show(*tables, to=name)[1] for name in ("one", "two")]
    for name in ("league.csv", "league.md", "league.png", "league.svg"):
        first, second = ((folder / name).read_bytes() for folder in folders)
        assert first == second, name


def test_the_figure_names_all_methods_and_protocols(show):
    """Thirty methods, one of them without an interval, and one without a time."""
    rows = score_rows("patient", list(read_league()), auc=0.6, auc_low=0.5, auc_high=0.7)
    rows[0] |= {"auc_low": None, "auc_high": None}
    rows[1] |= {"seconds": None, "auc": None}
    _, folder = show(rows, score_rows("paper"))
    drawn = (folder / "league.svg").read_text()
    assert all(f">{model}<" in drawn for model in read_league())
    assert "patient (9 ROIs, 5 patients)" in drawn
    assert "accuracy printed by the source: other data, split or question" in drawn
    for number in ("85.8%", "up to 96%", "82.00%", "0.91"):  # as their sources print them
        assert f">{number}<" in drawn
    assert "Seconds and numbers learned: under patient." in drawn


def test_no_two_protocols_look_alike(show, monkeypatch):
    drawn = []
    draw = matplotlib.axes.Axes.errorbar

    def remember(panel, *values, **options):
        drawn.append((options["color"], options["fmt"], options["label"]))
        return draw(panel, *values, **options)

    monkeypatch.setattr(matplotlib.axes.Axes, "errorbar", remember)
    (code, _, _), _ = show(*(score_rows(name) for name in PROTOCOLS))
    assert code == 0
    colours, markers, labels = (set(column) for column in zip(*drawn, strict=True))
    assert len(colours) == len(markers) == len(labels) == len(PROTOCOLS)


def test_what_guessing_reaches_is_drawn_where_it_lies(show, monkeypatch):
    """An AUC of 0.5, and as accuracy the share of the larger class, which a protocol may change."""
    lines = []
    monkeypatch.setattr(
        matplotlib.axes.Axes, "axvline", lambda _, place, **style: lines.append((place, style))
    )
    _, folder = show(score_rows("patient"), score_rows("paper"), score_rows("lesion", n=12))
    assert [place for place, _ in lines] == pytest.approx([0.5] * 3 + [6 / 9, 9 / 12, 6 / 9])
    colours = [style["color"] for _, style in lines]
    # That which differs has its protocol's colour.
    assert len(set(colours)) == 2
    assert colours.count(colours[4]) == 1
    assert (
        "guessing: AUC 0.5, accuracy the share of the larger class"
        in (folder / "league.svg").read_text()
    )


def test_the_level_of_the_intervals_is_told(show):
    _, folder = show(score_rows("patient", confidence=0.9))
    for name in ("league.md", "league.svg"):
        assert "90 % intervals over patients" in (folder / name).read_text()


@pytest.mark.parametrize(
    ("tables", "code", "said"),
    [
        ([score_rows("patient"), score_rows("patient")], 3, "patient is given twice; leave one"),
        ([[]], 3, "the table has no row; score the league again."),
        (
            [score_rows("patient"), score_rows("paper", confidence=0.9)],
            3,
            r"1.csv: intervals of 90 %, those of \S+0.csv are of 95 %; score all with one "
            "--confidence.",
        ),
        (
            [score_rows("patient"), score_rows("wards")],
            3,
            "1.csv: the protocol 'wards' is unknown; use one of nested,",
        ),
        (
            [score_rows("paper"), score_rows("patient") + score_rows("paper")],
            3,
            "1.csv: protocol is patient in one row and paper in another; score the methods of one "
            "protocol together.",
        ),
        (
            [score_rows("patient", MODELS[:1]) + score_rows("patient", MODELS[1:], n_folds=4)],
            3,
            "0.csv: n_folds is 5 in one row and 4 in another; score",
        ),
        ([score_rows("patient", ["nobody2020"])], 2, "Model 'nobody2020' is unknown"),
    ],
)
def test_what_cannot_be_shown_is_told_in_one_sentence(show, tables, code, said):
    (found, _, told), folder = show(*tables)
    assert found == code
    assert re.search(said, told)
    assert "Traceback" not in told
    assert not (folder / "league.csv").exists()


def test_methods_whose_sources_print_no_accuracy_are_shown_too(show):
    rows = score_rows("patient", ["modern_vit", "modern_linear"], parameters=999_700)
    (code, _, _), folder = show(rows)
    assert code == 0
    assert ">1 M<" in (folder / "league.svg").read_text()


def test_the_table_can_be_read_by_others(show):
    _, folder = show(score_rows("patient"))
    table = pd.read_csv(folder / "league.csv")
    assert list(table.columns) == list(records.LEAGUE.columns)
