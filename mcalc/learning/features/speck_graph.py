"""How specks hang together when they grow: measures of their graphs at several scales.

After Chen et al., IEEE Trans Biomed Eng 62:1203, 2015, who model the topology of a cluster of
microcalcifications so, and classify it by its nearest neighbours.
"""

import cv2
import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import shortest_path
from scipy.spatial.distance import cdist
from skimage.morphology import disk

from mcalc.learning.features.specks import find_specks

# A quarter turn of the image does not change the features.
TURNED = False

# By these shares of the image's side specks grow in every direction; names of the features say
# which: `grown_64_degree_mean` is by a 64th.
SCALES = {f"grown_{part}": 1 / part for part in (64, 32, 16, 8)}

# Time grows with the third power of the number of specks; a cluster has tens. Of more than so many,
# as noise has, the largest make the graphs.
MOST = 300


def extract(image: np.ndarray) -> dict[str, float]:
    """Return measures of the graphs of an image's specks, one graph a scale.

    Specks are the vertices. Two are joined where, both dilated by a disc, they touch or overlap:
    where the pixels between them are no more than twice its radius. That is found from the
    distances between specks, which are the same for all scales, rather than from dilated images.

    Parameters
    ----------
    image : ndarray, shape (size, size), uint8

    Returns
    -------
    dict of str to float
        `number` of specks, and for each of `SCALES` what `measure_graph` returns.
    """
    specks = find_specks(image)
    gaps = _gaps(*_largest(specks.labels, specks.number))
    features = {"number": float(specks.number)}
    for name, share in SCALES.items():
        measures = measure_graph(gaps <= 2 * share * len(image))
        features |= {f"{name}_{measure}": value for measure, value in measures.items()}
    return features


def measure_graph(joined: np.ndarray) -> dict[str, float]:
    """Return measures of an undirected graph; all are 0 of a graph without vertices.

    Parameters
    ----------
    joined : ndarray, shape (vertices, vertices), bool
        Symmetric; its diagonal is not looked at.

    Returns
    -------
    dict of str to float
        `components`: how many parts hang together. `isolated_share`, `giant_share`: of vertices,
        those without an edge, and those in the largest component. `degree_mean`,
        `degree_largest`: edges of a vertex. `density`: the share of pairs that are joined.
        `eccentricity_mean`, `diameter`: mean and largest of the steps from a vertex to the
        farthest that it can reach. `clustering`: mean over vertices of the share of pairs of
        neighbours that are joined (Watts, Strogatz, Nature 393:440, 1998).
        `algebraic_connectivity`: the second smallest eigenvalue of the Laplacian of the largest
        component, 0 of one vertex (Fiedler, Czech Math J 23:298, 1973).
    """
    if not len(joined):
        return dict.fromkeys(measure_graph(np.zeros((1, 1), bool)), 0.0)
    edges = joined & ~np.eye(len(joined), dtype=bool)
    degree = edges.sum(axis=1)
    steps = shortest_path(csr_array(edges, dtype=float), method="D", unweighted=True)
    reached = np.isfinite(steps)
    eccentricity = np.where(reached, steps, 0).max(axis=1)
    # The first vertex that a vertex reaches names its component.
    component, sizes = np.unique(reached.argmax(axis=1), return_counts=True)
    return {
        "components": float(len(component)),
        "isolated_share": float(np.mean(degree == 0)),
        "giant_share": float(sizes.max() / len(edges)),
        "degree_mean": float(degree.mean()),
        "degree_largest": float(degree.max()),
        "density": float(degree.mean() / max(len(edges) - 1, 1)),
        "eccentricity_mean": float(eccentricity.mean()),
        "diameter": float(eccentricity.max()),
        "clustering": _clustering(edges, degree),
        "algebraic_connectivity": _algebraic_connectivity(
            edges, reached[component[sizes == sizes.max()]]
        ),
    }


def _largest(labels: np.ndarray, number: int) -> tuple[np.ndarray, int]:
    """Return the labels of the `MOST` largest specks, numbered anew, and how many they are."""
    if number <= MOST:
        return labels, number
    sizes = np.bincount(labels.ravel(), minlength=number + 1)[1:]
    kept = np.sort(np.argsort(-sizes, kind="stable")[:MOST]) + 1
    renamed = np.zeros(number + 1, labels.dtype)
    renamed[kept] = np.arange(1, MOST + 1)
    return renamed[labels], MOST


def _gaps(labels: np.ndarray, number: int) -> np.ndarray:
    """Return how many pixels lie between each two specks, shape (number, number), float."""
    if not number:
        return np.zeros((0, 0))
    specks = (labels > 0).astype(np.uint8)
    # The nearest pixels of two specks lie on their outlines.
    points = np.argwhere(specks > cv2.erode(specks, disk(1)))
    of_speck = labels[tuple(points.T)]
    order = np.argsort(of_speck, kind="stable")
    points, starts = points[order], np.searchsorted(of_speck[order], np.arange(1, number + 1))
    nearest = [
        np.minimum.reduceat(cdist(own, points).min(axis=0), starts)
        for own in np.split(points, starts[1:])
    ]
    return np.stack(nearest) - 1


def _clustering(edges: np.ndarray, degree: np.ndarray) -> float:
    # Floats, since only those are multiplied by the fast library.
    matrix = edges.astype(float)
    closed = (matrix @ matrix * matrix).sum(axis=1)
    return float(np.mean(closed / np.maximum(degree * (degree - 1), 1)))


def _algebraic_connectivity(edges: np.ndarray, parts: np.ndarray) -> float:
    """Return the largest value of the components whose vertices `parts` has, one a row."""
    values = [0.0]
    for part in parts if parts[0].sum() > 1 else ():
        inside = edges[np.ix_(part, part)].astype(float)
        values.append(np.linalg.eigvalsh(np.diag(inside.sum(axis=1)) - inside)[1])
    return float(max(values))
