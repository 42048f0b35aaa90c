"""The features `specks` and `speck_graph`: what they say of drawn specks with known answers."""

import cv2
import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hypothesis_numpy
from skimage import draw

from mcalc.data.datasets.phantom.crops import draw_crop
from mcalc.data.datasets.phantom.patients import draw_patient
from mcalc.images.convert import convert_image
from mcalc.learning.features import speck_graph, specks

SIZE, TISSUE, BRIGHT = 200, 100, 80
MODULES = (specks, speck_graph)
SIDES = (32, 64, 100, 224, 512)


def flat(size: int = SIZE) -> np.ndarray:
    return np.full((size, size), TISSUE, np.uint8)


def sloped() -> np.ndarray:
    return np.tile(np.linspace(60, 120, SIZE), (SIZE, 1)).astype(np.uint8)


def add_squares(image: np.ndarray, places: list[tuple[int, int]], side: int = 5) -> np.ndarray:
    """Return the image with squares around the places, brighter by BRIGHT."""
    image = image.copy()
    for row, column in places:
        half = side // 2
        image[row - half : row + half + 1, column - half : column + half + 1] += BRIGHT
    return image


def add_ellipse(image: np.ndarray, place: tuple[int, int], along: float, across: float, **turn):
    image = image.copy()
    image[draw.ellipse(*place, across, along, image.shape, **turn)] += BRIGHT
    return image


def phantom_crop(number: int, size: int) -> np.ndarray:
    rng = np.random.default_rng([1, number])
    patient = draw_patient(rng, number)
    return convert_image(draw_crop(rng, patient, patient.findings[0], "CC"), size=size, bits=8)


def areas(image: np.ndarray) -> list[int]:
    found = specks.find_specks(image)
    return sorted(np.bincount(found.labels.ravel(), minlength=found.number + 1)[1:].tolist())


@pytest.mark.parametrize("background", [flat(), sloped()], ids=["flat", "sloped"])
def test_specks_are_counted_and_covered_exactly(background):
    image = add_squares(background, [(40, 40), (40, 150)], side=5)
    image = add_squares(image, [(120, 90)], side=11)
    disc = draw.disk((160, 30), 6, shape=image.shape)
    image[disc] += BRIGHT
    assert areas(image) == sorted([25, 25, 121, len(disc[0])])
    features = specks.extract(image)
    assert features["number"] == 4
    assert features["area_total"] == pytest.approx(100 * (171 + len(disc[0])) / SIZE**2)


def test_diameters_are_percent_of_the_side():
    image = add_squares(add_squares(flat(), [(50, 50)], side=5), [(120, 120)], side=11)
    features = specks.extract(image)
    small, large = (100 / SIZE * 2 * np.sqrt(area / np.pi) for area in (25, 121))
    assert features["diameter_mean"] == pytest.approx((small + large) / 2)
    assert features["diameter_deviation"] == pytest.approx((large - small) / 2)
    assert features["diameter_largest"] == pytest.approx(large)


def test_a_larger_copy_of_a_crop_has_the_same_features():
    small = add_ellipse(add_squares(flat(), [(40, 60), (100, 120)], 9), (150, 60), 8, 4)
    large = cv2.resize(small, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    assert specks.extract(large) == pytest.approx(specks.extract(small), rel=0.05, abs=0.02)
    assert speck_graph.extract(large) == pytest.approx(speck_graph.extract(small))


def test_a_bright_speck_is_no_larger_than_a_dim_one():
    image = flat().astype(float)
    image[draw.disk((60, 60), 6)] += 120
    image[draw.disk((140, 140), 6)] += 50
    dim, bright = areas(np.rint(cv2.GaussianBlur(image, (0, 0), 1.5)).astype(np.uint8))
    assert bright == pytest.approx(dim, rel=0.1)


def test_contrast_is_what_a_speck_rises_above_the_tissue():
    image = flat()
    image[50:55, 50:55] += 40
    image[150:155, 150:155] += 100
    features = specks.extract(image)
    assert features["contrast_mean"] == 70
    assert features["contrast_deviation"] == 30
    assert features["contrast_largest"] == 100


def test_wide_bright_tissue_and_single_pixels_are_no_specks():
    image = flat()
    image[draw.disk((70, 70), 50)] += BRIGHT
    image[150, 150] += BRIGHT
    assert specks.find_specks(image).number == 0


def test_air_beside_the_breast_hides_no_specks():
    """Blanked air is flat; taken for tissue, it would make all other texture into specks."""
    grain = np.random.default_rng(0).normal(TISSUE, 30, (SIZE, SIZE))
    image = cv2.GaussianBlur(grain, (0, 0), 1).clip(0, 255).astype(np.uint8)
    image = add_squares(image, [(50, 50), (100, 70)])
    assert specks.find_specks(image).number == 2
    image[:, 80:] = 0
    assert specks.find_specks(image).number == 2


def test_spacing_of_a_grid():
    grid = [(row, column) for row in range(30, 180, 20) for column in range(30, 180, 20)]
    features = specks.extract(add_squares(flat(), grid))
    assert features["number"] == len(grid)
    assert features["spacing_mean"] == pytest.approx(100 * 20 / SIZE)
    assert features["spacing_deviation"] == pytest.approx(0, abs=1e-9)
    assert features["cluster_elongation"] == pytest.approx(0, abs=1e-6)


def test_spread_of_known_points():
    places = [(100, 60), (100, 140), (80, 100), (120, 100)]
    features = specks.extract(add_squares(flat(), places))
    assert features["spread"] == pytest.approx(100 * np.sqrt((2 * 40**2 + 2 * 20**2) / 4) / SIZE)
    assert features["cluster_elongation"] == pytest.approx(1 - 20 / 40)
    in_a_row = specks.extract(add_squares(flat(), [(100, column) for column in (40, 90, 120)]))
    assert in_a_row["cluster_elongation"] == pytest.approx(1)


def test_a_line_is_elongated_and_a_disc_is_not():
    line, disc = (add_ellipse(flat(), (100, 100), along, 2.5) for along in (15, 2.5))
    assert specks.extract(disc)["elongation_mean"] == pytest.approx(0, abs=1e-6)
    assert specks.extract(line)["elongation_mean"] == pytest.approx(1 - 2.5 / 15, abs=0.03)
    both = add_ellipse(line, (30, 30), 2.5, 2.5)
    assert specks.extract(both)["elongation_largest"] > 0.8


def test_specks_that_point_one_way_are_aligned():
    found = []
    for directions in [(0, 0, 0, 0), (0, np.pi / 2, 0, np.pi / 2)]:
        image = flat()
        for turn, column in zip(directions, (30, 75, 120, 165), strict=True):
            image = add_ellipse(image, (100, column), 15, 2.5, rotation=turn)
        found.append(specks.extract(image)["alignment"])
    assert found[0] > 0.9
    assert found[1] < 0.02


def test_solid_hollow_and_angular_specks_differ():
    square = add_squares(flat(), [(100, 100)], side=11)
    ring, angle = square.copy(), square.copy()
    ring[98:103, 98:103] = TISSUE
    angle[95:102, 95:102] = TISSUE
    solid, hollow, angular = (specks.extract(image) for image in (square, ring, angle))
    assert (solid["solidity_mean"], solid["lucency_mean"]) == (1, 0)
    assert hollow["solidity_mean"] == 1
    assert hollow["lucency_mean"] == pytest.approx(25 / 121)
    assert angular["solidity_mean"] < 0.8
    assert angular["lucency_mean"] == 0


def test_the_graph_of_drawn_specks():
    # A triangle with a tail, a pair and a single one: the gaps are 5 to 7 pixels of 256, and a
    # 64th of growth on either side closes gaps up to 8.
    places = [(40, 40), (40, 50), (50, 45), (40, 62), (200, 200), (200, 211), (200, 40)]
    graph = nx.Graph([(0, 1), (0, 2), (1, 2), (1, 3), (4, 5)])
    graph.add_node(6)
    features = speck_graph.extract(add_squares(flat(256), places))
    assert features["number"] == 7
    assert features["grown_64_components"] == nx.number_connected_components(graph) == 3
    assert features["grown_64_isolated_share"] == pytest.approx(1 / 7)
    assert features["grown_64_giant_share"] == pytest.approx(4 / 7)
    assert features["grown_64_degree_mean"] == pytest.approx(2 * 5 / 7)
    assert features["grown_64_degree_largest"] == 3
    assert features["grown_64_density"] == pytest.approx(nx.density(graph))
    assert features["grown_64_diameter"] == 2
    assert features["grown_64_clustering"] == pytest.approx(nx.average_clustering(graph))
    # Twice the growth closes one gap more, of 13 pixels.
    graph.add_edge(2, 3)
    assert features["grown_32_degree_mean"] == pytest.approx(2 * 6 / 7)
    assert features["grown_32_clustering"] == pytest.approx(nx.average_clustering(graph))


@pytest.mark.parametrize(
    ("apart", "joined"), [(4 + 9, True), (4 + 10, False)], ids=["touch", "miss"]
)
def test_specks_are_joined_where_they_touch_once_dilated(apart, joined):
    """Squares that are 5 wide and grow by 4 touch when 8 pixels lie between them."""
    features = speck_graph.extract(add_squares(flat(256), [(100, 100), (100, 100 + apart)]))
    assert features["grown_64_degree_largest"] == joined


@pytest.mark.parametrize(
    "graph",
    [nx.path_graph(6), nx.star_graph(5), nx.complete_graph(4), nx.cycle_graph(7)]
    + [nx.karate_club_graph(), nx.disjoint_union(nx.path_graph(3), nx.complete_graph(5))]
    + [nx.empty_graph(3), nx.empty_graph(1), nx.gnp_random_graph(25, 0.08, seed=3)],
)
def test_measures_agree_with_networkx(graph):
    parts = [graph.subgraph(nodes) for nodes in nx.connected_components(graph)]
    eccentricity = [steps for part in parts for steps in nx.eccentricity(part).values()]
    giants = [part for part in parts if len(part) == max(map(len, parts))]
    degrees = [degree for _, degree in graph.degree()]
    wanted = {
        "components": len(parts),
        "isolated_share": nx.number_of_isolates(graph) / len(graph),
        "giant_share": len(giants[0]) / len(graph),
        "degree_mean": np.mean(degrees),
        "degree_largest": max(degrees),
        "density": nx.density(graph),
        "eccentricity_mean": np.mean(eccentricity),
        "diameter": max(eccentricity),
        "clustering": nx.average_clustering(graph),
        "algebraic_connectivity": 0
        if len(giants[0]) == 1
        else max(nx.laplacian_spectrum(part, weight=None)[1] for part in giants),
    }
    joined = nx.to_numpy_array(graph, weight=None).astype(bool)
    assert speck_graph.measure_graph(joined) == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("size", SIDES)
@pytest.mark.parametrize("level", [0, 100, 255])
def test_without_specks_all_is_zero(module, size, level):
    assert set(module.extract(np.full((size, size), level, np.uint8)).values()) == {0.0}


@pytest.mark.parametrize("module", MODULES)
def test_one_speck_is_enough(module):
    features = module.extract(add_squares(flat(), [(60, 60)]))
    assert features["number"] == 1
    assert all(np.isfinite(value) for value in features.values())


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("size", SIDES)
def test_a_quarter_turn_changes_nothing(module, size):
    assert not module.TURNED
    image = phantom_crop(5, size)
    features = module.extract(image)
    assert features["number"] > 1
    for turns in (1, 2, 3):
        turned = module.extract(np.rot90(image, turns))
        assert turned == pytest.approx(features, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("module", MODULES)
@settings(max_examples=30, deadline=None)
@given(data=st.data(), side=st.integers(32, 72))
def test_features_are_finite_and_named_alike_for_every_image(module, data, side):
    image = data.draw(hypothesis_numpy.arrays(np.uint8, (side, side)))
    # Draws are mostly flat; grain from a drawn seed makes the rest.
    seed, grain = data.draw(st.integers(0, 2**16)), data.draw(st.sampled_from([0, 3, 60]))
    noise = np.random.default_rng(seed).normal(0, grain, image.shape)
    features = module.extract((image + noise).clip(0, 255).astype(np.uint8))
    assert list(features) == list(module.extract(flat(32)))
    assert all(type(value) is float and np.isfinite(value) for value in features.values())
