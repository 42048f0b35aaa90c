"""What the run folders and shortcut tables of one protocol hold: models and their answers."""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mcalc import records
from mcalc.errors import DataError, UsageError
from mcalc.evaluation.levels import patient_groups, units, with_clusters
from mcalc.evaluation.scores import log_losses

SETTING_KEYS = ("protocol", "network", "test", "fold", "batch_size", "lr_min", "lr_max", "epochs")

# Where no test images are kept, what is fitted is fitted on the other four fifths of the patients.
GROUPS = 5

# The test that is chosen anew in each fold, without a look at the fold's test images.
CHOSEN = "chosen_inside"


@dataclass(frozen=True)
class Model:
    """A model's answers in all folds of a protocol.

    `rows` are PREDICTIONS or SHORTCUTS columns with `fold` and those of `levels.with_clusters`.
    `kind` is 'network', 'shortcut' or 'chosen'; `test` is 0 where it is no single test.
    """

    kind: str
    name: str
    network: str
    test: int
    rows: pd.DataFrame

    @property
    def identity(self) -> dict:
        """The columns that name the model in every table."""
        return {
            "kind": self.kind,
            "model": self.name,
            "network": self.network,
            "test": self.test,
        }

    @property
    def keeps_test(self) -> bool:
        """Whether there are test images, so that the validation images may be fitted to."""
        return bool((self.rows["subset"] == "test").any())

    @property
    def measured(self) -> pd.DataFrame:
        """The rows on which the model is measured, those of all folds together."""
        return self.rows[self.rows["subset"] == ("test" if self.keeps_test else "valid")]

    def fitting_pairs(self, seed: int) -> list[tuple[pd.DataFrame, pd.DataFrame]]:
        """Return pairs of ROIs (`levels.units`): to fit something on, and to apply it to.

        In no pair does a patient of the one side stand on the other, unless the protocol itself
        puts it on both. With test images: a fold's validation ROIs and its test ROIs. Without: the
        ROIs of four fifths of the patients and those of the last fifth, five times (cross-fitting).
        """
        if self.keeps_test:
            sides = [
                (rows[rows["subset"] == "valid"], rows[rows["subset"] == "test"])
                for _, rows in self.rows.groupby("fold")
            ]
            return [(units(valid, "roi"), units(test, "roi")) for valid, test in sides]
        rois = units(self.measured, "roi")
        group = patient_groups(rois, GROUPS, seed)
        return [(rois[group != part], rois[group == part]) for part in sorted(set(group))]


def read_settings(path: Path) -> dict:
    """Read the settings on a run's card; `DataError` where it is none."""
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))["settings"]
        missing = [key for key in SETTING_KEYS if key not in settings]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not the card of a run; train it again.") from error
    if missing:
        raise DataError(f"{path}: {', '.join(missing)} is missing; train the run again.")
    return settings


def read_rows(path: Path, schema) -> pd.DataFrame:
    """Read a run's table; `DataError` where it has no row."""
    rows = records.read(path, schema)
    if rows.empty:
        raise DataError(f"{path}: the table has no row; train the run again.")
    return rows


def read_models(
    runs: list[str | os.PathLike],
    shortcuts: list[str | os.PathLike],
    catalog: pd.DataFrame | None,
    *,
    protocol: str,
) -> list[Model]:
    """Return the models of a protocol, networks by test, then shortcuts by name.

    Parameters
    ----------
    runs : list of path
        Run folders, of any tests and folds.
    shortcuts : list of path
        Tables of SHORTCUTS, one a fold, which its name tells: fold0.csv.
    catalog : DataFrame or None
    protocol : str

    Raises
    ------
    DataError
        If a run is of another protocol, a run or an image's answer is given twice, or a model
        lacks a fold that others have.
    """
    parts, names = {}, {}
    for run in sorted(map(Path, runs)):
        settings = read_settings(run / "run.json")
        if settings["protocol"] != protocol:
            raise DataError(
                f"{run}: a run of {settings['protocol']}, not of {protocol}; score each by itself."
            )
        rows = read_rows(run / "predictions.csv", records.PREDICTIONS)
        key = ("network", settings["test"], settings["network"])
        names[key] = f"test{settings['test']}_{settings['network']}"
        _add_fold(parts, key, settings["fold"], rows, run)
    for table in sorted(map(Path, shortcuts)):
        for name, rows in read_rows(table, records.SHORTCUTS).groupby("model"):
            key = ("shortcut", 0, name)
            names[key] = name
            _add_fold(parts, key, _fold_of(table), rows.drop(columns="model"), table)
    if not parts:
        raise DataError(f"There is no run of the protocol {protocol} to score; train one.")
    _check_folds(parts, names)
    return [
        Model(
            kind=key[0],
            name=names[key],
            network=key[2] if key[0] == "network" else "",
            test=key[1],
            rows=with_clusters(pooled(folds, names[key]), catalog),
        )
        for key, folds in sorted(parts.items())
    ]


def choose_inside(models: list[Model]) -> tuple[list[Model], list[dict]]:
    """Return the models that are chosen in each fold by its validation images, and what they were.

    In each fold it is the network with the lowest mean log loss on the fold's validation images (of
    equal ones the first test); its answers for the fold's test images are pooled. So the choice of
    a test is part of what is measured, and no test image takes part in it.

    Returns
    -------
    chosen : list of Model
        That chosen among all tests (`CHOSEN`), then that of each network among its own, where other
        networks are there and it has several. Empty where the protocol keeps no test images or has
        but one test.
    choices : list of dict
        CHOICES rows without the protocol, one a fold and test.
    """
    tests = [model for model in models if model.kind == "network"]
    if len(tests) < 2 or not all(model.keeps_test for model in tests):
        return [], []
    folds = sorted(tests[0].rows["fold"].unique())
    losses = {
        (fold, model.test): _validation_loss(model, fold) for fold in folds for model in tests
    }
    networks = list(dict.fromkeys(model.network for model in tests))
    own = {name: [model for model in tests if model.network == name] for name in networks}
    taken = {name: _choose(own[name], folds, losses) for name in networks}
    overall = _choose(tests, folds, losses)
    chosen = [_pool_chosen(CHOSEN, "", overall)]
    if len(networks) > 1:
        several = [name for name in networks if len(own[name]) > 1]
        chosen += [_pool_chosen(f"chosen_{name}", name, taken[name]) for name in several]
    choices = [
        {
            "fold": int(fold),
            "test": model.test,
            "network": model.network,
            "valid_log_loss": losses[fold, model.test],
            "chosen": overall[fold] is model,
            "chosen_of_network": taken[model.network][fold] is model,
        }
        for fold in folds
        for model in tests
    ]
    return chosen, choices


def _choose(tests: list[Model], folds: list[int], losses: dict) -> dict[int, Model]:
    """Return by fold the test with the lowest loss on its validation images."""
    return {fold: min(tests, key=lambda model: losses[fold, model.test]) for fold in folds}


def _pool_chosen(name: str, network: str, by_fold: dict[int, Model]) -> Model:
    rows = [model.rows[model.rows["fold"] == fold] for fold, model in by_fold.items()]
    return Model("chosen", name, network, 0, pd.concat(rows, ignore_index=True))


def _validation_loss(model: Model, fold: int) -> float:
    rows = model.rows[(model.rows["fold"] == fold) & (model.rows["subset"] == "valid")]
    if rows.empty:
        raise DataError(
            f"{model.name} has no answer for the validation images of fold {fold}, by which the "
            "best test is chosen; train it again."
        )
    malignant = (rows["label"] == records.MALIGNANT).to_numpy()
    return float(log_losses(malignant, rows["probability_malignant"].to_numpy()).mean())


def _add_fold(parts: dict, key: tuple, fold: int, rows: pd.DataFrame, place: Path) -> None:
    folds = parts.setdefault(key, {})
    if fold in folds:
        raise DataError(f"{place}: {key[2]}, test {key[1]}, fold {fold} is given twice.")
    folds[fold] = rows


def _fold_of(table: Path) -> int:
    number = re.fullmatch(r"fold(\d+)", table.stem)
    if number is None:
        raise UsageError(f"{table}: the name tells no fold; call it fold0.csv, fold1.csv, ...")
    return int(number.group(1))


def _check_folds(parts: dict, names: dict) -> None:
    wanted = set().union(*parts.values())
    for key, folds in parts.items():
        missing = sorted(wanted - set(folds))
        if missing:
            raise DataError(
                f"{names[key]} has no answers in fold {missing[0]}, others have; train or predict "
                "it there, too."
            )


def pooled(folds: dict[int, pd.DataFrame], name: str) -> pd.DataFrame:
    """Return a model's answers with `fold`; `DataError` where an image is measured in two."""
    rows = pd.concat([rows.assign(fold=fold) for fold, rows in sorted(folds.items())])
    measured = pd.concat([records.evaluated(rows) for rows in folds.values()])
    twice = measured["image_id"][measured["image_id"].duplicated()]
    if len(twice):
        raise DataError(
            f"{name} is measured on {twice.iloc[0]} in two folds, so that folds cannot be pooled; "
            "split again."
        )
    return rows.reset_index(drop=True)
