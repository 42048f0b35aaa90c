"""The made-up data set: laid out as CBIS-DDSM, the same for the same seed, neither trivial nor
hopeless."""

import hashlib
import itertools
from collections import Counter

import cv2
import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2_contingency
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict

from mcalc.data.datasets.phantom import draw_mammogram, write_phantom
from mcalc.data.datasets.phantom.crops import draw_crop
from mcalc.data.datasets.phantom.lesions import (
    APPEARANCES,
    LARGEST_MM,
    MORPHOLOGIES,
    SMALLEST_MM,
    draw_lesion,
    draw_specks,
)
from mcalc.data.datasets.phantom.patients import LABEL_NOISE, draw_patient
from mcalc.data.datasets.phantom.tissue import PIXEL_MM, clustered_lumps, power_law_noise
from mcalc.data.datasets.phantom.tree import MARKER
from mcalc.data.dicom import is_mask, read_dicom

PATIENTS = 6


def files_of(root):
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name != MARKER
    }


def read_tables(root):
    tables = [pd.read_csv(root / f"calc_case_description_{part}_set.csv", keep_default_na=False)
              for part in ("train", "test")]  # fmt: skip
    return pd.concat(tables, keys=["train", "test"], names=["part"]).reset_index("part")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantom")
    write_phantom(folder, patients=PATIENTS, seed=5)
    return folder


@pytest.fixture(scope="module")
def table(root):
    return read_tables(root)


@pytest.mark.slow
def test_same_seed_same_bytes_and_other_seed_other_bytes(root, tmp_path):
    write_phantom(tmp_path / "again", patients=PATIENTS, seed=5)
    assert files_of(tmp_path / "again") == files_of(root)
    write_phantom(tmp_path / "other", patients=PATIENTS, seed=6)
    assert not set(files_of(tmp_path / "other").values()) & set(files_of(root).values())


@pytest.mark.slow
def test_more_patients_leave_the_first_as_they_were(root, tmp_path):
    write_phantom(tmp_path, patients=PATIENTS + 1, seed=5)
    more, fewer = files_of(tmp_path), files_of(root)
    images = {name for name in fewer if not name.endswith(".csv")}
    assert {name: more[name] for name in images} == {name: fewer[name] for name in images}


def test_tables_have_the_published_columns_and_quirks(table, shared_data):
    published = pd.read_csv(
        shared_data / "cbis_ddsm_csv/calc_case_description_train_set.csv", keep_default_na=False
    )
    assert list(table.columns[1:]) == list(published.columns)
    assert table["cropped image file path"].str.endswith("/000001.dcm\n").all()
    assert table["ROI mask file path"].str.endswith("/000000.dcm").all()
    for column in ("pathology", "calc type", "calc distribution", "left or right breast",
                   "image view", "abnormality type", "assessment", "subtlety"):  # fmt: skip
        assert set(table[column]) <= set(published[column]), column


def test_every_row_has_a_16_bit_crop_and_an_8_bit_mask(root, table):
    for path in table["cropped image file path"]:
        case = path.split("/")[0]
        (crop,) = root.glob(f"CBIS-DDSM/{case}/*/1.000000-ROI mask images-*/1-1.dcm")
        (mask,) = root.glob(f"CBIS-DDSM/{case}/*/1.000000-ROI mask images-*/1-2.dcm")
        pixels = read_dicom(crop)
        assert pixels.dtype == np.uint16
        assert pixels.max() == 65535
        assert not is_mask(crop)
        assert is_mask(mask)
        assert set(np.unique(read_dicom(mask))) == {0, 255}


def test_each_patient_has_one_whole_mammogram_with_its_true_mask(root, table):
    for patient in set(table["patient_id"]):
        (image,) = root.glob(f"CBIS-DDSM/*_{patient}_*/*/1.000000-full mammogram images-*/1-1.dcm")
        case = image.parts[-4]
        mask = cv2.imread(str(root / f"truth/{case}.png"), cv2.IMREAD_UNCHANGED)
        assert mask.shape == read_dicom(image).shape
        assert 0.1 < (mask > 0).mean() < 0.7


def test_both_classes_are_in_both_parts_and_no_patient_is(table):
    malignant = table["pathology"] == "MALIGNANT"
    assert (malignant.groupby(table["part"]).nunique() == 2).all()
    assert (table.groupby("patient_id")["part"].nunique() == 1).all()


def test_both_views_of_a_lesion_agree_in_the_table(table):
    lesions = table.groupby(["patient_id", "left or right breast", "abnormality id"])
    for column in ("calc type", "calc distribution", "pathology", "subtlety", "assessment"):
        assert (lesions[column].nunique() == 1).all()
    assert (lesions["image view"].agg(set).map({"CC", "MLO"}.__eq__)).all()


def test_the_table_says_what_was_drawn():
    for pathology, appearances in APPEARANCES.items():
        drawn = {
            (lesion.morphology, lesion.distribution)
            for lesion in (
                draw_lesion(np.random.default_rng(seed), pathology) for seed in range(200)
            )
        }
        assert drawn == {(morphology, distribution) for morphology, distribution, _ in appearances}


def test_typical_lesions_of_the_two_classes_have_no_appearance_in_common():
    looks = {"BENIGN": set(), "MALIGNANT": set()}
    for number in range(120):
        rng = np.random.default_rng([5, number])
        for finding in draw_patient(rng, number, looks="typical").findings:
            label = "MALIGNANT" if finding.pathology == "MALIGNANT" else "BENIGN"
            looks[label].add((finding.lesion.morphology, finding.lesion.distribution))
    assert not looks["BENIGN"] & looks["MALIGNANT"]
    assert {morphology for morphology, _ in looks["MALIGNANT"]} == {
        *("PLEOMORPHIC", "FINE_LINEAR_BRANCHING"),
    }
    assert len(looks["BENIGN"]) == 6


@pytest.mark.parametrize(("looks", "told"), [("published", True), ("random", False)])
def test_random_lesions_say_nothing_about_their_class_and_others_do(looks, told):
    seen = {"BENIGN": Counter(), "BENIGN_WITHOUT_CALLBACK": Counter(), "MALIGNANT": Counter()}
    for number in range(1500):
        for finding in draw_patient(
            np.random.default_rng([5, number]), number, looks=looks
        ).findings:
            lesion = finding.lesion
            seen[finding.pathology][lesion.morphology, lesion.distribution] += 1
    appearances = sorted(set().union(*seen.values()))
    table = [[counts[look] for look in appearances] for counts in seen.values()]
    chance = chi2_contingency(table).pvalue
    assert chance < 1e-9 if told else chance > 0.01


def test_who_knew_the_true_morphology_and_distribution_would_reach_what_the_readme_says():
    """Of the usual phantom: exactly, from the shares of the appearances and of the surprises."""
    drawn = {pathology: _shares(pathology) for pathology in APPEARANCES}
    surprised = {name: 1 - LABEL_NOISE if name else LABEL_NOISE for name in (True, False)}
    of_class = {"malignant": Counter(), "benign": Counter()}
    for label, pathology, weight in (
        ("malignant", "MALIGNANT", 1),
        ("benign", "BENIGN", 2 / 3),
        ("benign", "BENIGN_WITHOUT_CALLBACK", 1 / 3),
    ):
        other = "BENIGN" if pathology == "MALIGNANT" else "MALIGNANT"
        for looks, as_it_is in ((pathology, True), (other, False)):
            for appearance, share in drawn[looks].items():
                of_class[label][appearance] += weight * surprised[as_it_is] * share
    seen = sorted(of_class["malignant"] | of_class["benign"])
    malignant, benign = (np.array([of_class[c][look] for look in seen]) for c in of_class)
    odds = malignant / (malignant + benign)
    auc = roc_auc_score(
        [1] * len(seen) + [0] * len(seen), [*odds, *odds], sample_weight=[*malignant, *benign]
    )
    assert auc == pytest.approx(0.86, abs=0.005)


def _shares(pathology: str) -> dict:
    appearances = APPEARANCES[pathology]
    whole = sum(weight for *_, weight in appearances)
    return {(look, place): weight / whole for look, place, weight in appearances}


def test_speck_diameters_are_those_of_calcifications():
    for morphology in MORPHOLOGIES.values():
        assert SMALLEST_MM <= morphology.diameters[0] < morphology.diameters[1] <= LARGEST_MM
    for seed in range(100):
        lesion = draw_lesion(np.random.default_rng(seed), "MALIGNANT")
        assert (lesion.diameters_mm >= SMALLEST_MM).all()
        assert (lesion.diameters_mm <= LARGEST_MM).all()


def test_a_round_speck_covers_the_area_of_its_diameter():
    """Half the brightness of a disc of 1 mm lies at its edge: the area above is that of a disc."""
    rng = np.random.default_rng(3)
    lesion = next(
        lesion
        for lesion in (draw_lesion(rng, "BENIGN") for _ in range(500))
        if lesion.morphology == "ROUND_AND_REGULAR"
    )
    one = lesion.__class__(
        lesion.morphology, lesion.distribution, np.zeros((1, 3)), np.array([1.0]), np.array([1.0]),
        np.array([0.0]),
    )  # fmt: skip
    drawn = draw_specks(rng, one, (200, 200), "CC")
    area_mm2 = (drawn > 0.5).sum() * PIXEL_MM**2
    assert area_mm2 == pytest.approx(np.pi / 4, rel=0.1)


def test_noise_has_the_spectrum_of_breast_tissue():
    """The radial spectrum of 20 fields falls as f^-3; 0.15 is three times the fit's spread."""
    slopes = [spectral_slope(power_law_noise(np.random.default_rng(seed), (256, 256)))
              for seed in range(20)]  # fmt: skip
    assert np.mean(slopes) == pytest.approx(-3.0, abs=0.15)


def spectral_slope(image):
    """Fit log power over log frequency between 1/32 and 1/4 cycles a pixel.

    The window keeps the cut's edges, which are not periodic, from leaking into high frequencies.
    """
    window = np.outer(np.hanning(image.shape[0]), np.hanning(image.shape[1]))
    power = np.abs(np.fft.fft2(image * window)) ** 2
    frequency = np.hypot(*np.meshgrid(*map(np.fft.fftfreq, image.shape), indexing="ij"))
    edges = np.geomspace(1 / 32, 1 / 4, 12)
    means = [power[(frequency >= low) & (frequency < high)].mean()
             for low, high in itertools.pairwise(edges)]  # fmt: skip
    return np.polyfit(np.log(np.sqrt(edges[:-1] * edges[1:])), np.log(means), 1)[0]


def test_textures_have_mean_0_and_deviation_1():
    for texture in (power_law_noise, clustered_lumps):
        drawn = texture(np.random.default_rng(1), (120, 97))
        assert drawn.shape == (120, 97)
        assert drawn.mean() == pytest.approx(0, abs=1e-4)
        assert drawn.std() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("view", ["CC", "MLO"])
@pytest.mark.parametrize("laterality", ["LEFT", "RIGHT"])
def test_a_mammograms_label_and_border_lie_outside_the_breast(view, laterality):
    image, breast = draw_mammogram(np.random.default_rng(7), view=view, laterality=laterality)
    chest_wall = breast[:, 0] if laterality == "LEFT" else breast[:, -1]
    assert chest_wall.mean() > 0.3
    assert cv2.connectedComponents(breast.astype(np.uint8))[0] == 2
    # Letters and frame are brighter than any tissue; some of them are there.
    assert (image[~breast] > 58000).sum() > 500
    assert np.median(image[~breast]) < 1000 < np.percentile(image[breast], 1)


@pytest.mark.slow
def test_the_task_is_neither_trivial_nor_hopeless():
    """A forest on simple features of 100 patients; over seeds its AUC spreads by about 0.02."""
    features, malignant, patients = [], [], []
    for number in range(100):
        rng = np.random.default_rng([11, number])
        patient = draw_patient(rng, number)
        for finding in patient.findings:
            for view in ("CC", "MLO"):
                features.append(speck_features(draw_crop(rng, patient, finding, view)))
                malignant.append(finding.pathology == "MALIGNANT")
                patients.append(number)
    forest = RandomForestClassifier(100, random_state=0)
    scores = cross_val_predict(
        forest, np.array(features), malignant, groups=patients, cv=GroupKFold(5),
        method="predict_proba",
    )[:, 1]  # fmt: skip
    assert 0.6 < roc_auc_score(malignant, scores) < 0.97


def speck_features(crop):
    """Number, sizes and shapes of the bright specks in a crop, by a white top-hat."""
    image = cv2.GaussianBlur(crop.astype(np.float32), (0, 0), 1)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (31, 31))
    top_hat = cv2.morphologyEx(image, cv2.MORPH_TOPHAT, kernel)
    specks = (top_hat > top_hat.mean() + 3 * top_hat.std()).astype(np.uint8)
    _, _, statistics, centroids = cv2.connectedComponentsWithStats(specks)
    areas = statistics[1:, cv2.CC_STAT_AREA]
    centroids, areas = centroids[1:][areas > 3], areas[areas > 3]
    if len(areas) == 0:
        return [0.0] * 8
    sides = statistics[1:][statistics[1:, cv2.CC_STAT_AREA] > 3]
    sides = sides[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]]
    fill = areas / sides.prod(axis=1)
    shape = sides.max(axis=1) / sides.min(axis=1)
    spread = centroids.std(axis=0)
    return [len(areas), areas.mean(), areas.std(), areas.max(), fill.mean(), shape.mean(),
            spread.min(), spread.max()]  # fmt: skip
