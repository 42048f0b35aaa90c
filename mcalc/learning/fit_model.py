"""Stage `fit-model`: one method of the league that learns from features, on one fold."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from mcalc import records
from mcalc.errors import DataError, UsageError
from mcalc.evaluation.levels import with_clusters
from mcalc.images.stack import read_stack
from mcalc.learning.feature_tables import features_of, is_turned, read_features
from mcalc.learning.heads import ask_head, count_parameters, fit_head
from mcalc.learning.league import Entry, find_entry
from mcalc.learning.model_runs import Settings, answered, write_run


def fit_model(
    split: str | os.PathLike,
    *,
    run: str | os.PathLike,
    settings: Settings,
    features: list[str | os.PathLike] = (),
    base: str | os.PathLike | None = None,
    stack: str | os.PathLike | None = None,
    threads: int = 1,
) -> str:
    """Fit a method on a fold's training images; write its folder `run`.

    The folder receives `run.json` (its card) and `predictions.csv` (PREDICTIONS: the images that
    did not train, in the split's order). Nothing is fitted or chosen by an image that did not
    train. A ROI whose turns are all alike to the method trains once, however many of them do.

    Parameters
    ----------
    split : path
        The protocol's table (SPLIT).
    run : path
    settings : Settings
    features : list of path
        What `mcalc extract-features` wrote, of all sets that the method reads and all shards: the
        folder's name is the set's.
    base : path, optional
        The run of the network whose last layer is replaced, trained on the same fold.
    stack : path, optional
        The enhanced images, which that network sees.
    threads : int
        Threads that compute.

    Returns
    -------
    str
        One line with the error rate.

    Raises
    ------
    UsageError
        If the method is no such one, or features or the network that it needs are not given.
    DataError
        If a table is missing or not whole, or the training images do not do.
    """
    entry, found = find_entry(settings.model), _by_set(features)
    _check(entry, settings, found, base, stack)
    rows = records.read_fold(split, settings.fold)
    blocks = _blocks(entry, rows, found, base, stack, threads)
    columns = np.hstack([values for values, _ in blocks])
    asked = (rows["subset"] != "train").to_numpy()
    if not asked.any():
        raise DataError(f"{split}: every image of fold {settings.fold} trains; split again.")
    learned = _is_first(rows, any(turned for _, turned in blocks))
    patients = with_clusters(rows)["cluster"]
    with threadpool_limits(threads):
        model = fit_head(
            entry.head,
            columns[learned],
            rows["label"].to_numpy(dtype=str)[learned],
            patients.to_numpy(dtype=str)[learned],
            seed=settings.seed,
        )
        predictions = answered(rows[asked], ask_head(model, columns[asked]))
    fitted = {"columns": columns.shape[1], "rows": int(learned.sum())}
    fitted |= {"parameters": count_parameters(model)}
    write_run(Path(run), settings, rows, predictions, fitted)
    wrong = (predictions["label"] != predictions["predicted"]).mean()
    return f"{run}: {settings.model}, error rate {wrong:.4f} on {len(predictions)} images"


def _check(entry: Entry, settings: Settings, features: dict[str, list], base, stack) -> None:
    if not entry.head:
        kind, command = ("an ensemble", "fit-ensemble") if entry.volumes else ("a network", "train")
        raise UsageError(f"{settings.model} is {kind}; use `mcalc {command}`.")
    if missing := [name for name in entry.features if name not in features]:
        raise UsageError(
            f"{settings.model} reads the features {', '.join(missing)}; give their files, which "
            "`mcalc extract-features` writes into a folder of that name."
        )
    if entry.base and (base is None or stack is None):
        raise UsageError(
            f"{settings.model} takes the place of the last layer of {entry.base}; give the run of "
            "this network as --base, and the images as --stack."
        )


def _by_set(features: list[str | os.PathLike]) -> dict[str, list[Path]]:
    """Return the files by the name of their folder, which is the set's."""
    found = {}
    for path in map(Path, features):
        found.setdefault(path.parent.name, []).append(path)
    return found


def _blocks(
    entry: Entry, rows: pd.DataFrame, features: dict[str, list], base, stack, threads: int
) -> list[tuple[np.ndarray, bool]]:
    """Return for each set its features of all rows, and whether quarter turns change them."""
    blocks = []
    for name in entry.features:
        table = read_features(features[name])
        blocks.append((features_of(rows, table, name=name), is_turned(table)))
    if entry.base:
        # Here, since methods without a network need no torch, which takes seconds to import.
        import torch

        from mcalc.learning.features.frozen import trained_features
        from mcalc.learning.trained import read_card

        found, wanted = read_card(Path(base))["network"], find_entry(entry.base).network
        if found != wanted:
            raise DataError(
                f"{base}: a run of {found}, not of {wanted}; give that of {entry.base}."
            )
        torch.set_num_threads(threads)
        blocks.append((trained_features(base, rows, read_stack(stack, list(rows["roi_id"]))), True))
    return blocks


def _is_first(rows: pd.DataFrame, turned: bool) -> np.ndarray:
    """Mark the rows that train: each image, or of a ROI whose turns are alike the first."""
    training = rows[rows["subset"] == "train"]
    same = ["roi_id", "quarter_turns"] if turned else ["roi_id"]
    return rows.index.isin(training.drop_duplicates(same).index)
