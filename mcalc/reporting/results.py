"""What a run left behind, read once for tables, figures and the report."""

import json
import os
from functools import cached_property
from pathlib import Path

import pandas as pd

from mcalc import records
from mcalc.errors import DataError
from mcalc.evaluation.score import TABLES as SCORE_TABLES
from mcalc.evaluation.score_rows import Settings
from mcalc.reporting.folds import choose_tests, pool_folds

# The study's tables of training results, by network.
TRAINING_TABLES = {"vgg16": 5, "vgg16_bn": 5, "resnet34": 6, "alexnet": 7, "resnet50": 8}

# Protocols in the order in which results are told: first what says most about a new patient.
HONEST_FIRST = (
    *("nested", "official_strict", "official", "patient"),
    *("lesion", "image", "paper", "paper_resplit"),
)

NETWORK_NAMES = {
    "vgg16": "VGG16",
    "vgg16_bn": "VGG16 with batch norm",
    "resnet34": "ResNet34",
    "alexnet": "AlexNet",
    "resnet50": "ResNet50",
}


class Results:
    """The folder `results/{run}`; each attribute reads its files when it is first used.

    Parameters
    ----------
    folder : path
    run_name : str
        The data set's name, printed on everything that people read.
    settings : score_rows.Settings or None
        Confidence, resamples and seed of the intervals.
    """

    def __init__(
        self, folder: str | os.PathLike, run_name: str, settings: Settings | None = None
    ) -> None:
        self.folder = Path(folder)
        self.run_name = run_name
        self.settings = settings or Settings()
        self._scored: dict[tuple[str, str], pd.DataFrame] = {}
        if not self.folder.is_dir():
            raise DataError(f"{folder}: no such folder; run the workflow first.")

    @cached_property
    def catalog(self) -> pd.DataFrame:
        """The ROIs that could be listed (CATALOG)."""
        return records.read(self.folder / "catalog.csv", records.CATALOG)

    @cached_property
    def rejected(self) -> pd.DataFrame:
        """All ROIs that were set aside, by any stage (REJECTED)."""
        shards = self._shard_paths("images/converted/{}.rejected.csv")
        return records.read_all([self.folder / "rejected.csv", *shards], records.REJECTED)

    @cached_property
    def rois(self) -> pd.DataFrame:
        """The ROIs that took part: the catalog without those set aside later."""
        return self.catalog[~self.catalog["roi_id"].isin(self.rejected["roi_id"])]

    @cached_property
    def cleaning(self) -> pd.DataFrame:
        """What artefact removal kept of each ROI (CLEANING, `patient_id`)."""
        rows = records.read_all(self._shard_paths("images/cleaned/{}.csv"), records.CLEANING)
        return self._with_patients(rows)

    @cached_property
    def mammograms(self) -> pd.DataFrame:
        """What artefact removal kept of the whole mammograms (MAMMOGRAMS, `patient_id`, `roi_id`).

        A mammogram that is not of the data set has no known patient, and counts for itself.
        """
        rows = records.read(self.folder / "mammograms.csv", records.MAMMOGRAMS)
        patients = self.catalog.drop_duplicates("mammogram").set_index("mammogram")["patient_id"]
        patients = rows["source"].map(patients).fillna("")
        return rows.assign(roi_id=rows["mammogram_id"], patient_id=patients)

    @cached_property
    def filter_scores(self) -> pd.DataFrame:
        """The filters' scores on each ROI (FILTERS, `patient_id`)."""
        rows = records.read_all(self._shard_paths("filters/{}.csv"), records.FILTERS)
        return self._with_patients(rows)

    @cached_property
    def truth_scores(self) -> pd.DataFrame:
        """The filters' scores on phantoms against their clean truth (TRUTH)."""
        return records.read(self.folder / "filters/truth.csv", records.TRUTH)

    @cached_property
    def filter_choice(self) -> dict:
        """What the stage choose-filter decided."""
        return _read_json(self.folder / "filters/choice.json")

    @cached_property
    def splits(self) -> dict[str, pd.DataFrame]:
        """The split of each protocol that was trained (SPLIT)."""
        return {
            protocol: records.read(self.folder / f"splits/{protocol}.csv", records.SPLIT)
            for protocol in self.protocols
        }

    @cached_property
    def overlap(self) -> pd.DataFrame:
        """What evaluated images share with training, by protocol and fold (OVERLAP)."""
        return records.read(self.folder / "overlap.csv", records.OVERLAP)

    @cached_property
    def runs(self) -> pd.DataFrame:
        """One row a training run (RUNS), all protocols of `overlap`.

        What lies there of others is of an earlier configuration.
        """
        protocols = sorted(self.overlap["protocol"].unique())
        paths = [self.folder / f"evaluation/{protocol}.csv" for protocol in protocols]
        return records.read_all(paths, records.RUNS)

    @cached_property
    def comparison(self) -> pd.DataFrame:
        """The study's printed numbers beside the run's own (COMPARISON)."""
        return records.read(self.folder / "paper.csv", records.COMPARISON)

    @property
    def dataset(self) -> str:
        """The kind of the data set: phantom, cbis_ddsm or folder."""
        return str(self.catalog["dataset"].iloc[0])

    @property
    def cleaning_method(self) -> str:
        """The method of artefact removal that was applied: otsu or otsu_grown."""
        return str(self.cleaning["method"].iloc[0])

    @property
    def protocols(self) -> list[str]:
        """The protocols that were trained or measured, the honest ones first (HONEST_FIRST)."""
        return sorted(self.runs["protocol"].unique(), key=HONEST_FIRST.index)

    @property
    def trained_protocols(self) -> list[str]:
        """The protocols that have networks of their own, which `records.TRAINED_AS` names not."""
        return [name for name in self.protocols if name not in records.TRAINED_AS]

    @cached_property
    def tested_protocols(self) -> list[str]:
        """The protocols that keep test images."""
        splits = self.splits.items()
        return [protocol for protocol, split in splits if (split["subset"] == "test").any()]

    def sides(self, protocol: str) -> list[tuple[pd.DataFrame, pd.DataFrame]]:
        """Return for each fold the SPLIT rows that trained its networks, and those that measure."""
        trained = self.splits[records.TRAINED_AS.get(protocol, protocol)]
        trained = trained[trained["subset"] == "train"]
        return [
            (trained[trained["fold"] == fold], records.evaluated(rows))
            for fold, rows in self.splits[protocol].groupby("fold")
        ]

    @property
    def networks(self) -> list[str]:
        """The networks that were trained, in the order of the grid."""
        return list(self.runs.sort_values("test")["network"].unique())

    @cached_property
    def pooled_runs(self) -> pd.DataFrame:
        """One row for each protocol and test (RUNS): its folds pooled."""
        return _in_order(pool_folds(self.runs, ["protocol", "test"]))

    @cached_property
    def chosen_runs(self) -> pd.DataFrame:
        """The rows of `runs` of each network's best test, by protocol, all folds.

        The best has the lowest error rate on validation images, the mean over folds (then the
        lowest loss). Where a protocol keeps test images, its rows are about them, and the choice
        has not seen them: each fold chooses for itself, since the test images of one fold are
        among the validation images of others.
        """
        kept = self.runs["protocol"].isin(self.tested_protocols)
        errors = [
            self._valid_error(row) if has_test else row["error_rate"]
            for has_test, (_, row) in zip(kept, self.runs.iterrows(), strict=True)
        ]
        return choose_tests(self.runs.assign(choice_error=errors), kept)

    @cached_property
    def best_runs(self) -> pd.DataFrame:
        """For each protocol and network its best test as one row, folds pooled.

        Where each fold chose for itself, `test` is the choice of the first.
        """
        return _in_order(pool_folds(self.chosen_runs, ["protocol", "network"]))

    def first_run(self, protocol: str) -> pd.Series:
        """Return the row of `best_runs` that is the best of a protocol.

        Where the protocol keeps test images it is the one with the lowest mean error rate on
        validation images, so that nothing is chosen by what it is measured on.
        """
        best = self.best_runs[self.best_runs["protocol"] == protocol]
        if protocol in self.tested_protocols:
            chosen = self.chosen_runs[self.chosen_runs["protocol"] == protocol]
            errors = chosen.apply(self._valid_error, axis="columns")
            best = best.assign(choice=best["network"].map(errors.groupby(chosen["network"]).mean()))
        else:
            best = best.assign(choice=best["error_rate"])
        return best.sort_values(["choice", "valid_loss", "test"]).iloc[0].drop("choice")

    def best_predictions(self, row: pd.Series) -> pd.DataFrame:
        """Return what a row of `best_runs` was measured on (PREDICTIONS), folds pooled."""
        return self._measured_rows(self.chosen_runs, row, ["protocol", "network"])

    def test_predictions(self, row: pd.Series) -> pd.DataFrame:
        """Return what a row of `pooled_runs` was measured on (PREDICTIONS), folds pooled."""
        return self._measured_rows(self.runs, row, ["protocol", "test"])

    def valid_predictions(self, row: pd.Series) -> pd.DataFrame:
        """Return the answers for the validation images of a row of `pooled_runs` (PREDICTIONS)."""
        keys = ["protocol", "test"]
        of_row = self.runs[(self.runs[keys] == row[keys]).all(axis="columns")]
        rows = pd.concat([self._predictions(run) for _, run in of_row.iterrows()])
        return rows[rows["subset"] == "valid"].reset_index(drop=True)

    def scored(self, table: str, protocol: str) -> pd.DataFrame:
        """Return a table that the stage `score` wrote about a protocol's models.

        `table` is a name of `evaluation.score.TABLES`, such as `scores` (SCORES).
        """
        if (table, protocol) not in self._scored:
            path = self.folder / f"scores/{protocol}/{table}.csv"
            self._scored[table, protocol] = records.read(path, SCORE_TABLES[table])
        return self._scored[table, protocol]

    def shown_models(self, protocol: str) -> list[str]:
        """Return the models of a protocol that people are shown, as `scored` names them.

        First the one that the protocol's result is told of: the model that is chosen in each fold
        where test images are kept, else the best run (`first_run`). Then the other networks by
        their best tests, or by those that each fold chose; then the models that must not be good.
        No network's test stands here that was picked by the images it is measured on, where the
        protocol keeps others to pick by.
        """
        models = self.scored("scores", protocol).drop_duplicates("model")
        networks = models[models["kind"] == "network"]
        if protocol in self.tested_protocols and len(networks) > 1:
            chosen = models.loc[models["kind"] == "chosen", "model"]
            alone = networks.loc[~networks["network"].duplicated(keep=False), "model"]
            shown = [*chosen, *alone]
        else:
            best = self.best_runs[self.best_runs["protocol"] == protocol]
            best = [self.first_run(protocol), *(row for _, row in best.iterrows())]
            shown = [f"test{row['test']}_{row['network']}" for row in best]
        return list(dict.fromkeys([*shown, *models.loc[models["kind"] == "shortcut", "model"]]))

    @cached_property
    def data_hash(self) -> str:
        """Twelve hex digits that stand for the data set's files and labels."""
        return records.data_hash(self.catalog)

    def run_folder(self, row: pd.Series) -> Path:
        """Return the folder of a row of `runs`."""
        path = f"runs/{row['protocol']}/{row['network']}/test{row['test']}/fold{row['fold']}"
        return self.folder / path

    def card(self, row: pd.Series) -> dict:
        """Return the model's card of a row of `runs`."""
        return _read_json(self.run_folder(row) / "run.json")

    def image_path(self, stage: str, roi_id: str) -> Path:
        """Return a ROI's PNG file as the stage `converted`, `cleaned` or `enhanced` left it."""
        shard = self.catalog.set_index("roi_id").loc[roi_id, "shard"]
        return self.folder / f"images/{stage}/{shard}/{roi_id}.png"

    def _with_patients(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Add the patient of each ROI; empty where it is not known."""
        patients = self.catalog.set_index("roi_id")["patient_id"]
        return rows.assign(patient_id=rows["roi_id"].map(patients).fillna(""))

    def _predictions(self, row: pd.Series) -> pd.DataFrame:
        return records.read(self.run_folder(row) / "predictions.csv", records.PREDICTIONS)

    def _measured_rows(self, runs: pd.DataFrame, row: pd.Series, keys: list[str]) -> pd.DataFrame:
        of_row = runs[(runs[keys] == row[keys]).all(axis="columns")]
        tables = [self._predictions(run) for _, run in of_row.iterrows()]
        return pd.concat([records.evaluated(table) for table in tables], ignore_index=True)

    def _valid_error(self, row: pd.Series) -> float:
        rows = self._predictions(row)
        rows = rows[rows["subset"] == "valid"]
        return float((rows["label"] != rows["predicted"]).mean())

    def _shard_paths(self, name: str) -> list[Path]:
        """Return a file of each shard; those of an earlier number of shards may lie there, too."""
        return [
            self.folder / name.format(shard) for shard in sorted(self.catalog["shard"].unique())
        ]


def _in_order(runs: pd.DataFrame) -> pd.DataFrame:
    """Sort rows of RUNS by protocol, the honest ones first, and test."""
    order = runs["protocol"].map(HONEST_FIRST.index)
    return (
        runs.assign(order=order)
        .sort_values(["order", "test"], ignore_index=True)
        .drop(columns="order")
    )


def _read_json(path: Path) -> dict:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error}); run its stage again.") from error
