import base64
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from mcalc import records
from mcalc.errors import DataError
from mcalc.evaluation.evaluate import evaluate_runs
from mcalc.reporting.report import write_report
from mcalc.reporting.results import Results
from mcalc.reporting.shown_tables import show_table
from mcalc.reporting.study_tables import Table, make_tables

FIGURES = (
    *("figure3", "figure4a", "figure4b", "truth", "figure5", "figure6"),
    *("auc", "calibration", "top_losses"),
)
HOSTILE = "<script>alert('x')</script>"


class Page(HTMLParser):
    """What a browser would see: attributes, text in order, and the cells of each table."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.sources, self.links, self.words = [], [], [], []
        self.tables: dict[str, list[list[str]]] = {}
        self.number_cells: list[str] = []
        self.table = ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.tags.append(tag)
        self.sources += [
            values[key] for key in ("src", "srcset", "data", "poster") if key in values
        ]
        self.links += [values["href"]] if "href" in values else []
        if tag == "figure" and "table" in values["class"]:
            self.table = values["id"]
            self.tables[self.table] = []
        elif tag == "tr":
            self.tables[self.table].append([])
        elif tag in ("td", "th"):
            self.tables[self.table][-1].append("")
            self.is_number = values.get("class") == "number"

    def handle_data(self, data):
        if self.tags and self.tags[-1] not in ("style", "script") and data.strip():
            self.words.append(" ".join(data.split()))
        if self.tags and self.tags[-1] in ("td", "th") and data.strip():
            self.tables[self.table][-1][-1] += data
            self.number_cells += [data] if self.is_number else []

    @property
    def text(self) -> str:
        return " ".join(self.words).replace(" ,", ",").replace(" .", ".")

    @property
    def body(self) -> list[str]:
        """The words behind the title."""
        return self.words[1:]


def add_figures(folder):
    (folder / "figures").mkdir(exist_ok=True)
    for name in FIGURES:
        (folder / f"figures/{name}.png").write_bytes(f"picture {name}".encode())
    return folder


def read_report(folder, name="usual") -> str:
    path = add_figures(folder).parent / "report.html"
    write_report(folder, run_name=name, report=path)
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def text(usual_run) -> str:
    return read_report(usual_run)


@pytest.fixture(scope="module")
def page(text) -> Page:
    return Page(text)


def test_the_file_loads_nothing_from_elsewhere(page, text):
    assert page.sources, "the figures"
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    assert not {"script", "link", "iframe", "object", "embed", "base"} & set(page.tags)
    assert "@import" not in text and "url(" not in text
    assert all(link.startswith(("#", "https://doi.org/")) for link in page.links)


def test_all_figures_are_inside_each_once(page):
    inside = [base64.b64decode(source.partition(",")[2]).decode() for source in page.sources]
    assert sorted(inside) == [f"picture {name}" for name in sorted(FIGURES)]


def test_contents_lead_to_sections(page, text):
    targets = [link[1:] for link in page.links if link.startswith("#")]
    assert len(targets) == 7
    assert all(f'<h2 id="{target}">' in text for target in targets)


def test_a_phantom_is_called_so_before_anything_else(page):
    assert page.body[0] == "Made-up phantom data: no number here says anything about patients."
    assert page.body[1] == "Research software, not for diagnosis."
    assert "(made-up phantom data)" in page.words[0], "and in the title of the window"


@pytest.mark.slow
def test_real_data_are_not_called_a_phantom(make_scored_run):
    folder = make_scored_run(dataset="cbis_ddsm", mammograms=("dataset",))
    real = read_report(folder, "cbis_ddsm")
    assert Page(real).body[0] == "Research software, not for diagnosis."
    before, _, behind = real.partition('<h3 id="known-truth">')
    section, _, after = behind.partition("</section>")
    assert "not clinical data" in section, "the truth bench is made up whatever the data"
    assert "made-up" not in (before + after).lower()
    assert "10.7937/K9/TCIA.2016.7O02S9CY" in real


@pytest.mark.parametrize(("mammograms", "cited"), [((), False), (("samples",), True)])
@pytest.mark.slow
def test_the_archive_is_cited_where_its_images_are_shown(make_scored_run, mammograms, cited):
    folder = make_scored_run(dataset="folder", mammograms=mammograms)
    text = read_report(folder)
    assert ("10.7937/K9/TCIA.2016.7O02S9CY" in text) == cited
    assert "10.3389/fpubh.2022.875305" in text


def test_every_table_stands_in_the_report_with_all_its_cells(page, usual_run):
    tables = list(make_tables(Results(usual_run, "usual")))
    assert len(tables) >= 7
    for table in tables:
        head, *rows = page.tables[table.name]
        ends = [name for name in table.rows if name.endswith(("_low", "_high"))]
        told = table.rows.drop(columns=ends)
        assert len(head) == len(told.columns)
        assert len(rows) == len(told)
        for cells, (_, row), (_, whole) in zip(
            rows, told.iterrows(), table.rows.iterrows(), strict=True
        ):
            for cell, (name, value) in zip(cells, row.items(), strict=True):
                if not isinstance(value, float) or np.isnan(value):
                    assert cell == ("n/a" if pd.isna(value) else str(value))
                    continue
                numbers = [value, whole.get(f"{name}_low"), whole.get(f"{name}_high")]
                numbers = [number for number in numbers if number is not None]
                numbers = numbers[:1] if np.isnan(numbers[-1]) else numbers
                shown = [float(text) for text in re.findall(r"-?[\d.]+(?:e-?\d+)?", cell)]
                assert shown == pytest.approx(numbers, rel=0.06, abs=6e-4)


def test_every_measure_on_images_has_its_interval_its_patients_and_its_protocol(usual_run):
    tables = {table.name: table.rows for table in make_tables(Results(usual_run, "usual"))}
    for name in ("table5_vgg16", "table6_resnet34", "table9"):
        assert {"protocol", "patients", "images"} <= set(tables[name])
        assert (tables[name]["patients"] > 0).all()
    measured = ("recall", "precision", "specificity", "accuracy", "f1", "mcc", "auc")
    best = tables["table9"]
    of_paper = best[best["protocol"] == "paper"]
    for measure in measured:
        known = of_paper.dropna(subset=[f"{measure}_low"])
        assert len(known) > 0
        assert (known[f"{measure}_low"] <= known[measure]).all()
        assert (known[measure] <= known[f"{measure}_high"]).all()
    # The patient protocol validates one patient here: no interval can be had, and none is told.
    alone = best[best["protocol"] == "patient"]
    assert set(alone["patients"]) == {1}
    assert alone[[f"{measure}_low" for measure in measured]].isna().all(axis=None)


def test_numbers_are_set_to_the_right(page):
    assert "accuracy" in page.number_cells
    assert page.tables["table9"][1][9] in page.number_cells
    assert "paper" not in page.number_cells


@pytest.mark.slow
def test_a_measure_without_a_value_is_not_zero(make_scored_run):
    folder = make_scored_run(networks=("vgg16", "alexnet"), one_answer="alexnet")
    page = Page(read_report(folder))
    head, *rows = page.tables["table9"]
    precision = head.index("precision")
    assert {row[1]: row[precision] for row in rows}["alexnet"] == "n/a"
    assert "has a measure without a value" in page.text


def test_rounding_keeps_what_a_reader_needs():
    rows = pd.DataFrame(
        {
            "lr_min": [8e-6, 1e-4],
            "psnr": [37.1234, np.inf],
            "accuracy": [0.87654, np.nan],
            "mse": [123.456, 1.0],
            "test": [1, 24],
            "network": ["vgg16", "resnet34"],
        }
    )
    shown = show_table(Table("name", "title", "note", rows))
    assert shown.rows == [
        ["8.0e-6", "37.12", "0.877", "123.5", "1", "vgg16"],
        ["1.0e-4", "infinite", "n/a", "1.0", "24", "resnet34"],
    ]
    assert shown.columns[0] == ("LR min", True)
    assert shown.columns[-1] == ("network", False)


@pytest.mark.slow
def test_rejected_rois_are_counted_and_the_first_are_listed(make_scored_run):
    rejected = [
        {"roi_id": f"r{number}", "source": "a.dcm", "stage": "catalog", "detail": HOSTILE}
        | {"reason": "empty_file" if number < 3 else "mask_not_crop"}
        for number in range(25)
    ]
    text = read_report(make_scored_run(rejected=rejected))
    page = Page(text)
    assert "25 ROIs could not be used and were set aside" in page.text
    assert page.tables["reasons"][1:] == [
        ["catalog", "empty_file", "3"],
        ["catalog", "mask_not_crop", "22"],
    ]
    assert [row[0] for row in page.tables["rejected"][1:]] == [f"r{n}" for n in range(20)]
    assert "The first 20 of 25 ROIs set aside" in page.text
    assert "<script" not in text, "a file's words are shown, not run"
    assert page.tables["rejected"][1][-1] == HOSTILE


def test_without_rejected_rois_the_report_says_so(page):
    assert "No ROI was set aside." in page.text
    assert "reasons" not in page.tables


def test_rois_are_counted_by_label_and_view(page):
    assert page.tables["rois"] == [
        ["label", "ROIs", "patients", "CC view", "MLO view"],
        ["benign", "4", "4", "4", "0"],
        ["malignant", "4", "4", "0", "4"],
        ["both", "8", "4", "4", "4"],
    ]
    assert "8 ROIs (regions of interest: crops around a finding) of 4 patients" in page.text


def test_the_protocol_that_keeps_patients_apart_is_told_before_the_papers(page):
    assert page.text.index("It does not leak") < page.text.index("It leaks")
    assert [row[0] for row in page.tables["table9"][1:]] == ["patient"] * 2 + ["paper"] * 2
    assert "patient, paper" in page.text.replace(" and ", ", ")


def test_the_overlap_stands_beside_the_results(page, usual_run):
    tables = {table.name: table.rows for table in make_tables(Results(usual_run, "usual"))}
    shares = tables["overlap"].set_index("protocol")
    assert list(shares.index) == ["patient", "paper"]
    assert tuple(shares.loc["paper", ["rotated_sibling", "same_roi", "same_patient"]]) == (1, 1, 1)
    assert tuple(shares.loc["patient", ["rotated_sibling", "same_patient"]]) == (0, 0)
    assert shares["patients"].to_dict() == {"patient": 1, "paper": 4}
    assert page.tables["overlap"][0][:3] == ["protocol", "images", "patients"]


def test_protocols_are_compared_by_what_they_share(page):
    text = page.text
    assert "8 images of 8 ROIs and 4 patients validate. It leaks: all these ROIs" in text
    assert "8 images of 2 ROIs and 1 patient validate. It does not leak" in text
    assert "under paper a single ROI weighs 12.5% of the result" in text
    assert "under patient a single ROI weighs 50.0% of the result" in text
    assert "chosen on the same validation images" in text


@pytest.mark.slow
def test_a_protocol_with_test_images_names_the_network_that_validation_chose(make_scored_run):
    """The better network on test images is the worse one on validation images."""
    folder = make_scored_run(networks=("vgg16", "resnet34"), protocols=("nested", "paper"))
    for network, valid, tested in (("vgg16", True, False), ("resnet34", False, True)):
        (run,) = folder.glob(f"runs/nested/{network}/test*/fold0")
        path = run / "predictions.csv"
        rows = records.read(path, records.PREDICTIONS)
        right = rows["subset"].map({"valid": valid, "test": tested})
        other = rows["label"].map({"benign": "malignant", "malignant": "benign"})
        rows["predicted"] = rows["label"].where(right, other)
        rows["probability_malignant"] = (rows["predicted"] == "malignant").astype(float)
        records.write(rows, path, records.PREDICTIONS)
    runs = sorted(folder.glob("runs/nested/*/test*/fold0"))
    evaluate_runs(runs, results=folder / "evaluation/nested.csv")
    text = Page(read_report(folder)).text
    assert "8 images of 2 ROIs and 1 patient test." in text
    assert (
        "The best run by validation images, VGG16 (test 1), is right on 0.0% of the images" in text
    )
    assert "Under nested each network's best test was chosen on validation images" in text
    assert "Under the others each network's best test was chosen on the same" in text


@pytest.mark.slow
def test_a_second_split_is_called_a_mistake_and_has_no_training_of_its_own(make_scored_run):
    folder = make_scored_run(protocols=("paper", "paper_resplit"))
    page = Page(read_report(folder, "second"))
    # 2 of 8 ROIs validate anew, in four turns; of each, three turns were trained on.
    assert "Protocol paper_resplit" in page.text
    assert "This demonstrates a mistake and is no result. The networks are those that paper" in (
        page.text
    )
    assert "so that 6 of the 8 validation images (75.0%) are images on which they were" in page.text
    tables = {table.name: table for table in make_tables(Results(folder, "second"))}
    assert "paper_resplit demonstrates a mistake and is no result" in tables["table9"].note
    assert list(tables["table9"].rows["protocol"]) == ["paper", "paper_resplit"]
    assert set(tables["table5_vgg16"].rows["protocol"]) == {"paper"}
    assert "paper_resplit_train" not in tables["table2"].rows


def test_the_best_run_of_the_text_is_that_of_the_table(page, usual_run):
    for protocol, rows in Results(usual_run, "usual").best_runs.groupby("protocol"):
        accuracy = f"{rows['accuracy'].max():.1%}"
        sentence = page.text.partition(f"Protocol {protocol}")[2]
        assert f"is right on {accuracy} of the images" in sentence[:600]


def test_cleaning_says_how_much_each_way_keeps(page):
    assert "Otsu alone keeps 75% of the image on average" in page.text
    assert "On 1 real film mammogram of CBIS-DDSM, Otsu alone keeps 30%" in page.text
    assert "On 1 phantom mammogram, Otsu alone keeps 30%" in page.text


def test_random_weights_are_not_hidden(page):
    assert "start from random weights, not from ImageNet's as in the study" in page.text


def test_the_filter_and_its_caveat_are_told(page, usual_run):
    choice = Results(usual_run, "usual").filter_choice
    assert f"The {choice['filter'].replace('_', ' ')} with a window of" in page.text
    assert "no filter at all would score best" in page.text


def test_a_hostile_run_name_is_only_words(make_scored_run):
    assert "<script" not in read_report(make_scored_run(), HOSTILE)


def test_a_missing_figure_is_named(make_scored_run, tmp_path):
    folder = add_figures(make_scored_run())
    (folder / "figures/figure5.png").unlink()
    with pytest.raises(
        DataError, match=r"figure5\.png: the figure cannot be read .* run mcalc fig"
    ):
        write_report(folder, run_name="run", report=tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_the_same_results_give_the_same_report(text, usual_run):
    assert read_report(usual_run) == text


def test_every_printed_number_of_the_study_stands_beside_the_runs(page, usual_run):
    """The phantom is said to be one before any of them, and the decimals are the page's."""
    rows = records.read(usual_run / "paper.csv", records.COMPARISON)
    shown = {name: rows for name, rows in page.tables.items() if name.startswith("paper")}
    assert list(shown) == [f"paper{number}" for number in (2, 4, 5, 6, 7, 8, 9)]
    assert sum(len(rows) - 1 for rows in shown.values()) == len(rows) == 131
    assert ["benign", "before", "1077", "4", "", "-1073"] == shown["paper2"][1][:6]
    assert [row[2] for row in shown["paper9"][1:]] == rows[rows["table"] == 9]["printed"].tolist()
    assert all(row[6] for rows in shown.values() for row in rows)
    said = page.text.index("no number of it can be set beside the study's")
    assert said < page.text.index("Table 2 as the study prints it")
    assert "12 cannot be true whatever the data" in page.text


def test_the_auc_of_the_first_model_stands_beside_the_best_that_must_not_be_good(page, usual_run):
    tables = {table.name: table.rows for table in make_tables(Results(usual_run, "usual"))}
    first = tables["scores"].query("protocol == 'paper'").iloc[0]
    interval = f"{first['auc_low']:.2f} to {first['auc_high']:.2f}"
    assert f"{first['model']} has an AUC of {first['auc']:.2f} ({interval})" in page.text
    assert "only the share of malignant, has 0.50 (0.50 to 0.50)" in page.text


@pytest.mark.slow
def test_the_leakage_audit_is_shown_where_it_was_run(page, make_scored_run, tmp_path):
    assert "snakemake --cores all leakage_audit measures it; it was not run" in page.text
    folder = add_figures(make_scored_run())
    (folder / "figures/leakage.png").write_bytes(b"picture leakage")
    row = {"model": "histogram", "score": "balanced_accuracy", "method": "bootstrap"}
    row |= {"confidence": 0.95, "roi_trained": 1, "patient_trained": 1, "training_images": 9}
    row |= {"repeats": 1, "n": 8, "n_images": 8, "n_rois": 8, "n_patients": 4, "high": 0.99}
    values = {("paper", "true"): 0.91, ("paper", "shuffled"): 0.92, ("patient", "shuffled"): 0.48}
    rows = [
        row | {"protocol": protocol, "labels": labels, "value": value, "low": value - 0.1}
        for (protocol, labels), value in values.items()
    ]
    records.write(rows, folder / "tables/leakage.csv", records.LEAKAGE)
    report = tmp_path / "report.html"
    write_report(folder, run_name="r", report=report, leakage=folder / "tables/leakage.csv")
    told = Page(report.read_text(encoding="utf-8"))
    assert "paper 0.92 (0.82 to 0.99), patient 0.48 (0.38 to 0.99)." in told.text
    assert base64.b64encode(b"picture leakage").decode() in told.sources[-2]
    (folder / "figures/leakage.png").unlink()
    with pytest.raises(DataError, match=r"leakage\.png: .* run mcalc show-leakage first"):
        write_report(folder, run_name="r", report=report, leakage=folder / "tables/leakage.csv")


@pytest.mark.slow
def test_a_run_scored_without_models_that_must_not_be_good_is_told_without_them(make_scored_run):
    folder = make_scored_run()
    for name in ("scores", "comparisons"):
        path = folder / f"scores/paper/{name}.csv"
        rows = pd.read_csv(path, keep_default_na=False)
        column = "model" if name == "scores" else "model_b"
        rows[rows[column] != "majority"].to_csv(path, index=False)
    page = Page(read_report(folder))
    assert "VGG16, test 1 has an AUC of" in page.text
    assert "the best of the models that must not be good" not in page.text
    assert len(page.tables["comparisons"]) == 1, "the heading alone"


@pytest.mark.slow
def test_the_league_is_shown_where_it_was_run(page, make_scored_run, tmp_path):
    assert "snakemake --cores all league measures them; it was not run" in page.text
    folder = add_figures(make_scored_run())
    (folder / "figures/league.png").write_bytes(b"picture league")
    rows = [
        {name: "x" for name in records.LEAGUE.columns}
        | {"protocol": protocol, "model": model, "group": "classical", "cluster": "patient"}
        | {
            f"{name}{end}": value
            for name in records.LEAGUE_MEASURES
            for end, value in (("", 0.7), ("_low", 0.6), ("_high", 0.8))
        }
        | {"seconds": 3.0, "parameters": 9, "printed_accuracy": None, "year": 2016}
        | {"n_folds": 1, "n": 9, "n_malignant": 3, "n_images": 36, "n_rois": 9}
        | {"n_patients": 5, "confidence": 0.95}
        for protocol in ("patient", "paper")
        for model in ("wang2016_svm", "fadil2020_dwt_forest")
    ]
    table = folder / "tables/league.csv"
    records.write(rows, table, records.LEAGUE)
    report = tmp_path / "league.html"
    write_report(folder, run_name="r", report=report, league=table)
    told = Page(report.read_text(encoding="utf-8"))
    assert "2 methods that other studies published" in told.text
    assert "patient wang2016_svm, 0.70 (0.60 to 0.80); paper wang2016_svm" in told.text
    assert base64.b64encode(b"picture league").decode() in "".join(told.sources)
    (folder / "figures/league.png").unlink()
    with pytest.raises(DataError, match=r"league\.png: .* run mcalc show-league first"):
        write_report(folder, run_name="r", report=report, league=table)
