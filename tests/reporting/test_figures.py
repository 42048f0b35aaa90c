import xml.etree.ElementTree as ElementTree

import cv2
import matplotlib
import numpy as np
import pytest

from mcalc import records
from mcalc.errors import DataError
from mcalc.evaluation.evaluate import evaluate_runs
from mcalc.images.shards import read_png
from mcalc.reporting.figures import write_figures
from mcalc.reporting.image_figures import figure4a, figure4b, top_losses
from mcalc.reporting.results import Results
from mcalc.reporting.training_figures import figure3, figure5, figure6
from mcalc.reporting.truth_figure import truth

NAMES = (
    *("figure3", "figure4a", "figure4b", "truth", "figure5", "figure6"),
    *("auc", "calibration", "top_losses"),
)


@pytest.fixture(scope="session")
def figures(usual_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures")
    write_figures(usual_run, run_name="usual", figures=folder)
    return folder


@pytest.fixture
def usual(usual_run):
    return Results(usual_run, "usual")


def svg_text(path) -> str:
    return " ".join(ElementTree.parse(path).getroot().itertext())


def words(figure) -> list[str]:
    """Return everything that can be read in a figure, panel by panel."""
    found = [text.get_text() for text in figure.texts]
    for panel in figure.axes:
        if panel.get_visible():
            found += [panel.get_title(), panel.get_xlabel(), panel.get_ylabel()]
            found += [text.get_text() for text in panel.texts]
    return [text for text in found if text]


def shown_images(panel) -> list[np.ndarray]:
    return [np.asarray(image.get_array()) for image in panel.images]


@pytest.mark.parametrize("name", NAMES)
def test_each_figure_is_a_picture_as_png_and_as_svg(figures, name):
    picture = cv2.imread(str(figures / f"{name}.png"))
    assert picture.shape[1] >= 1600, "as wide as a slide"
    assert picture.std() > 5, "not blank"
    assert ElementTree.parse(figures / f"{name}.svg").getroot().tag.endswith("}svg")


def test_nothing_else_lies_in_the_folder(figures):
    wanted = {f"{name}.{ending}" for name in NAMES for ending in ("png", "svg")}
    assert {path.name for path in figures.iterdir()} == wanted


@pytest.mark.parametrize("name", NAMES)
def test_each_figure_says_where_it_comes_from(figures, usual, name):
    text = svg_text(figures / f"{name}.svg")
    assert f"run usual, data {usual.data_hash}" in text
    assert "made-up phantom" in text


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("figure3", ["VGG16", "ResNet34", "learning rate", "paper, ", "patient, ", "1e-4"]),
        ("figure4a", ["real film mammogram", "30% of the film", "45% of the film"]),
        ("figure4b", ["benign", "malignant", "Adaptive median 7", ": chosen", "Mean 3"]),
        (
            "truth",
            ["made-up crop 2", "Adaptive median 7", "Poisson", "3000 quanta", "10% of the pix"],
        ),
        ("figure5", ["training loss", "validation loss", "validation error rate", "epoch"]),
        ("figure6", ["actual", "predicted", "benign", "malignant", "correct"]),
        ("top_losses", ["Prediction/Actual/Loss/Probability", "protocol patient"]),
    ],
)
def test_the_text_of_a_figure_can_be_read_and_searched(figures, name, expected):
    text = " ".join(svg_text(figures / f"{name}.svg").split())
    for words_in_figure in expected:
        assert words_in_figure in text


@pytest.mark.slow
def test_the_same_results_give_the_same_bytes_whatever_the_settings(
    figures, usual_run, tmp_path, monkeypatch
):
    monkeypatch.setitem(matplotlib.rcParams, "font.size", 31.0)
    monkeypatch.setitem(matplotlib.rcParams, "axes.facecolor", "red")
    write_figures(usual_run, run_name="usual", figures=tmp_path)
    assert matplotlib.rcParams["font.size"] == 31, "a caller's settings stay as they were"
    for path in sorted(figures.iterdir()):
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name


@pytest.mark.slow
def test_real_data_are_not_called_a_phantom(make_scored_run, tmp_path):
    run = make_scored_run(
        dataset="cbis_ddsm", networks=("alexnet",), protocols=("patient",), one_answer="alexnet"
    )
    write_figures(run, run_name="one $x$ < two", figures=tmp_path / "figures")
    for name in NAMES:
        text = svg_text(tmp_path / f"figures/{name}.svg")
        assert "phantom" not in text
        assert "run one $x$ < two, data" in text


def test_figure3_marks_the_advice_of_each_card(usual):
    figure = figure3(usual)
    panels = [panel for panel in figure.axes if panel.get_visible()]
    assert [panel.get_title() for panel in panels] == ["VGG16", "ResNet34"]
    for panel in panels:
        assert panel.get_xscale() == "log"
        assert len(panel.lines) == 2
        for line in panel.lines:
            advice = float(line.get_label().split(", ")[1])
            marked = line.get_xdata()[line.get_markevery()[0]]
            assert marked == pytest.approx(advice, rel=0.3), "the curve's rates are 1.5 apart"


@pytest.mark.parametrize("many", [1, 2, 5])
def test_figure3_has_one_panel_a_network(make_run, many):
    names = ("vgg16", "resnet34", "alexnet", "resnet50", "vgg16_bn")[:many]
    figure = figure3(Results(make_run(networks=names), "run"))
    assert sum(panel.get_visible() for panel in figure.axes) == many


def test_figure4a_prefers_a_real_mammogram_and_tells_a_phantom(make_run):
    with_both = words(figure4a(Results(make_run("both"), "run")))
    assert with_both[0] == "Figure 4A. Artefact removal on a real film mammogram (CBIS-DDSM)"
    assert not any("Dice" in text for text in with_both), "nobody knows the true breast"
    phantom = words(figure4a(Results(make_run("phantom", mammograms=("dataset",)), "run")))
    assert phantom[0] == "Figure 4A. Artefact removal on a made-up phantom"
    assert "Otsu alone keeps\n30% of the film, Dice 0.800" in phantom
    assert "Grown to the skin line keeps\n45% of the film, Dice 0.980" in phantom


def test_figure4a_blanks_what_lies_outside_the_grown_mask(usual):
    before, _, _, after = figure4a(usual).axes
    mask = read_png(usual.folder / "images/mammograms/samples_film.otsu_grown.png") > 0
    shown, blanked = shown_images(before)[0], shown_images(after)[0]
    assert shown[~mask].max() > 0, "there is a label to remove"
    assert (blanked[~mask] == 0).all()
    np.testing.assert_array_equal(blanked[mask], shown[mask])


def test_figure4a_stretches_by_the_square_root(usual):
    image = read_png(usual.folder / "images/mammograms/samples_film.png")
    shown = shown_images(figure4a(usual).axes[0])[0]
    np.testing.assert_allclose((shown / 255) ** 2, image / 255, atol=1e-9)


def test_figure4a_without_a_mammogram_is_one_sentence(make_run):
    run = make_run(mammograms=(), dataset="folder")
    assert "There is no whole mammogram" in words(figure4a(Results(run, "run")))[1]


def test_figure4b_shows_what_its_numbers_say(usual):
    figure = figure4b(usual)
    rows = np.array([p for p in figure.axes if p.get_label() != "<colorbar>"][:16]).reshape(4, 4)
    for images, changes in ((rows[0], rows[1]), (rows[2], rows[3])):
        cleaned = shown_images(images[0])[0].astype(float)
        for panel, change in zip(images[1:], changes[1:], strict=True):
            filtered = shown_images(panel)[0].astype(float)
            error = ((filtered - cleaned) ** 2).mean()
            ratio = 10 * np.log10(255**2 / error)
            assert panel.get_xlabel() == f"MSE {error:.2f}, PSNR {ratio:.1f} dB"
            np.testing.assert_array_equal(shown_images(change)[0], np.abs(filtered - cleaned))
    assert [rows[0, 0].get_ylabel(), rows[2, 0].get_ylabel()] == ["benign", "malignant"]


def test_the_figure_of_truth_shows_the_middle_levels_with_the_scores_of_its_crop(usual):
    panels = np.array(truth(usual).axes).reshape(3, 5)
    scores = usual.truth_scores.query("crop == 2").set_index(["noise", "level", "filter"])
    names = ["none", "adaptive_median", "median", "mean"]
    settings = [("gaussian", 3), ("poisson", 3000), ("salt_and_pepper", 0.1)]
    for row, (noise, level) in zip(panels, settings, strict=True):
        for panel, name in zip(row[1:], names, strict=True):
            score = scores.loc[(noise, level, name)]
            left = f"contrast left: {score['contrast_left']:.0%}"
            assert panel.get_xlabel() == f"PSNR {score['psnr']:.1f} dB\n{left}"
            path = usual.folder / f"filters/speck/2-{noise}-{level:g}-{name}.png"
            np.testing.assert_array_equal(shown_images(panel)[0], read_png(path))


def test_a_missing_picture_of_a_speck_is_named_with_its_stage(make_run):
    run = make_run()
    (run / "filters/speck/2-truth.png").unlink()
    with pytest.raises(DataError, match=r"filters/speck: holds no picture .* run bench-filters"):
        truth(Results(run, "run"))


def test_figure5_shades_the_epochs_of_the_head_alone(usual):
    panel = figure5(usual).axes[0]
    assert [patch.get_x() + patch.get_width() for patch in panel.patches] == [1.5]
    assert panel.get_title() == "VGG16\ntest " + str(
        usual.best_runs.query("protocol == 'patient' and network == 'vgg16'")["test"].iloc[0]
    )
    training, validation = panel.lines
    np.testing.assert_allclose(training.get_ydata(), [0.8, 0.4, 0.8 / 3, 0.2])
    np.testing.assert_allclose(validation.get_ydata()[:3], [0.6, 0.65, 0.7])
    np.testing.assert_array_equal(training.get_xdata(), [1, 2, 3, 4])


@pytest.mark.parametrize("positive_class", ["malignant", "benign"])
def test_figure6_counts_the_predictions_whatever_class_is_positive(make_run, positive_class):
    folder = make_run(networks=("vgg16", "alexnet"), one_answer="alexnet")
    runs = sorted(folder.glob("runs/paper/*/test*/fold0"))
    evaluate_runs(runs, results=folder / "evaluation/paper.csv", positive_class=positive_class)
    results = Results(folder, "run")
    for panel, (_, run) in zip(figure6(results).axes, results.best_runs.iterrows(), strict=True):
        rows = records.read(results.run_folder(run) / "predictions.csv", records.PREDICTIONS)
        counts = [
            ((rows["label"] == actual) & (rows["predicted"] == predicted)).sum()
            for actual in ("benign", "malignant")
            for predicted in ("benign", "malignant")
        ]
        assert [text.get_text() for text in panel.texts[::2]] == [str(count) for count in counts]
        shares = [f"{25 * count:.1f}%" for count in counts]
        assert [text.get_text() for text in panel.texts[1::2]] == shares, "four ROIs of each class"
        assert f"{run['accuracy']:.1%} correct" in panel.get_title()


def test_top_losses_shows_the_worst_images_as_the_network_saw_them(usual):
    figure = top_losses(usual)
    runs = usual.best_runs[usual.best_runs["protocol"] == "patient"]
    for panel, (_, run) in zip(figure.axes[::3], runs.iterrows(), strict=True):
        rows = records.read(usual.run_folder(run) / "predictions.csv", records.PREDICTIONS)
        worst = rows.loc[rows["loss"].idxmax()]
        probability = max(worst["probability_malignant"], 1 - worst["probability_malignant"])
        assert panel.get_title() == (
            f"{worst['predicted']}/{worst['label']}\n{worst['loss']:.2f} / {probability:.2f}"
        )
        enhanced = read_png(usual.image_path("enhanced", worst["roi_id"]))
        np.testing.assert_array_equal(
            shown_images(panel)[0], np.rot90(enhanced, worst["quarter_turns"])
        )
        assert worst["roi_id"] in panel.get_xlabel()


def test_top_losses_shows_each_roi_once(usual):
    shown = [panel.get_xlabel().split("\n")[0] for panel in top_losses(usual).axes]
    assert shown.count(usual.rois["roi_id"].iloc[0]) == 2, "once for each of two networks"


def test_a_missing_file_is_named(make_scored_run, tmp_path):
    run = make_scored_run()
    best = Results(run, "run").best_runs.iloc[0]
    path = Results(run, "run").run_folder(best) / "lr_find.csv"
    path.unlink()
    with pytest.raises(DataError, match=r"lr_find\.csv"):
        write_figures(run, run_name="run", figures=tmp_path / "figures")
