"""Stage `audit-leakage`: what a model answers under one protocol, for true labels and shuffled."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd

from mcalc import records
from mcalc.errors import DataError
from mcalc.evaluation.leakage import audit_folds, mark_known, shuffle_labels
from mcalc.evaluation.protocols import rotated_images
from mcalc.images.stack import Stack, read_stack
from mcalc.learning.shortcut_models import fit_and_answer, read_features

# Learns in a second, and knows a crop again in any turn.
FOREST = "histogram"


def audit_leakage(
    catalog: str | os.PathLike,
    stack: str | os.PathLike,
    *,
    rejected: list[str | os.PathLike],
    protocol: str,
    protocols: list[str],
    answers: str | os.PathLike,
    folds: int = 5,
    repeats: int = 10,
    seed: int = 1,
    like: str | os.PathLike | None = None,
    device: str = "auto",
    threads: int = 1,
) -> str:
    """Write a model's answers under `protocol` to the table `answers` (LEAKAGE_ANSWERS).

    Each repeat splits anew and trains each fold twice: with the labels as they are, and with the
    labels dealt out at random over the ROIs. Where the second can be told, the model has not
    learned what a malignant finding looks like; it has met the crop before.

    Parameters
    ----------
    catalog : path
        The table of ROIs (CATALOG).
    stack : path
        The enhanced images, as `mcalc stack` wrote them.
    rejected : list of path
        The tables of ROIs that later stages set aside; they are left out.
    protocol : str
    protocols : list of str
        All that are audited: each trains with the same number of images.
    answers : path
    folds, repeats, seed : int
    like : path, optional
        The card of a run (run.json), whose network is trained with its settings and augmentation.
        Without, a random forest learns from the histogram of a ROI's grey levels
        (`shortcut_models`).
    device : {'auto', 'cpu', 'cuda'}
        For a network.
    threads : int
        Threads that compute a network on the CPU.

    Raises
    ------
    UsageError
        If the protocol cannot be audited.
    DataError
        If the card cannot be read, the ROIs cannot be split so, or are all alike to the forest.
    """
    rois = records.read(catalog, records.CATALOG)
    aside = records.read_all(rejected, records.REJECTED)
    rois = rois[~rois["roi_id"].isin(aside["roi_id"])].sort_values("roi_id", ignore_index=True)
    pixels = read_stack(stack, list(rois["roi_id"]))
    if like is None:
        name, ask = FOREST, _forest(rois, pixels)
    else:
        name, ask = _network(Path(like), pixels, device, threads)
    rotated = rotated_images(rois)
    wanted = list(dict.fromkeys([*protocols, protocol]))
    tables = []
    for repeat in range(repeats):
        splits = audit_folds(rotated, wanted, folds=folds, seed=seed + repeat)[protocol]
        dealt = shuffle_labels(rotated, seed + repeat)
        for rows in splits:
            size = int((rows["subset"] == "train").sum())
            for labels in records.AUDITED_LABELS:
                asked = rows
                if labels == "shuffled":
                    asked = rows.assign(label=rows["roi_id"].map(dealt))
                found = mark_known(asked).assign(probability_malignant=ask(asked, seed + repeat))
                tables.append(
                    found.assign(labels=labels, repeat=repeat, training_images=size, model=name)
                )
    records.write(pd.concat(tables).assign(protocol=protocol), answers, records.LEAKAGE_ANSWERS)
    return f"{answers}: {name}, {protocol}, {repeats} times {len(splits)} folds, {size} train"


def _forest(rois: pd.DataFrame, pixels: Stack):
    """Return a function of a fold and a seed: the forest's answers for the measured rows."""
    found, _ = read_features(rois, pixels, (FOREST,))
    if not found:
        raise DataError(
            "All ROIs have the same grey levels, so that no model can tell them apart; look at "
            "the enhanced images."
        )
    features = pd.DataFrame(found[FOREST], index=rois["roi_id"])

    def ask(rows: pd.DataFrame, seed: int) -> np.ndarray:
        trains = rows["subset"] == "train"
        training, measured = rows[trains], rows[~trains]
        return fit_and_answer(
            FOREST,
            features.loc[training["roi_id"]].to_numpy(),
            training["label"].to_numpy(dtype=str),
            features.loc[measured["roi_id"]].to_numpy(),
            seed=seed,
        )

    return ask


def _network(card: Path, pixels: Stack, device: str, threads: int):
    """Return the network's name, and a function as `_forest` returns it."""
    # Here, since a forest needs no torch, which takes seconds to import.
    import torch

    from mcalc.learning.batches import Augmentation
    from mcalc.learning.devices import find_device
    from mcalc.learning.fitting import Settings, fit_network
    from mcalc.learning.inference import predict_images
    from mcalc.learning.networks import load_weights

    torch.set_num_threads(threads)
    found = find_device(device)
    try:
        described = json.loads(card.read_text(encoding="utf-8"))
        settings = described["settings"]
        Settings(**settings)
        augmentation = Augmentation(**described["augmentation"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{card}: not the card of a run; train it again.") from error
    weights = load_weights(settings["network"], Settings(**settings).weights)

    def ask(rows: pd.DataFrame, seed: int) -> np.ndarray:
        trained = fit_network(
            rows,
            pixels,
            settings=Settings(**settings | {"seed": seed}),
            weights=weights,
            augmentation=augmentation,
            device=found,
        )
        answers = predict_images(trained.learner, rows, pixels)
        return answers["probability_malignant"].to_numpy()

    return settings["network"], ask
