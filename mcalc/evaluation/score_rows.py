"""One model's rows of the score tables: scores, reliability, operating points, curve, sets."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from mcalc.evaluation import calibration, conformal, operating_points
from mcalc.evaluation.delong import auc_covariance, auc_interval, perfect_auc_interval
from mcalc.evaluation.intervals import bootstrap_interval, clustered_wilson, resampled
from mcalc.evaluation.levels import AGGREGATIONS, units
from mcalc.evaluation.runs import Model
from mcalc.evaluation.scores import SCORES, THRESHOLD, score, score_resamples

# Scores of an answer that says yes or no, which therefore have Wilson's interval.
PROPORTIONS = ("accuracy", "sensitivity", "specificity", "ppv", "npv")


@dataclass(frozen=True)
class Settings:
    """How results are counted; the keys of `evaluate` in the configuration."""

    confidence: float = 0.95
    resamples: int = 2000
    seed: int = 1
    # 5.1 cancers found and 0.8 missed in 1,000 digital screening mammograms (Lehman et al.,
    # Radiology 283:49, 2017).
    screening_prevalence: float = 0.0059
    aggregations: tuple[str, ...] = AGGREGATIONS


def counts_of(sample: pd.DataFrame) -> dict:
    """Return how much a sample of `levels.units` holds; every row of a table carries it."""
    named = sample["cluster"][~sample["cluster"].str.startswith("roi ")]
    return {
        "n": len(sample),
        "n_malignant": int(sample["malignant"].sum()),
        "n_images": int(sample["images"].sum()),
        "n_rois": int(sample["rois"].sum()),
        "n_patients": named.nunique(),
        # Where a patient is not known its ROIs count as if each were another patient's.
        "cluster": "patient" if len(named) == len(sample) else "roi",
    }


def calibrated(model: Model, method: str, seed: int) -> pd.DataFrame | None:
    """Return the model's ROIs with calibrated probabilities, never fitted on their own labels.

    None where one of the fits has no answer or only one class to go by.
    """
    if method == "none":
        return units(model.measured, "roi")
    parts = []
    for known, new in model.fitting_pairs(seed):
        mapping = calibration.fit(method, known["malignant"], known["probability"])
        if mapping is None:
            return None
        parts.append(new.assign(probability=mapping(new["probability"].to_numpy())))
    return pd.concat(parts).sort_values("unit", ignore_index=True)


def score_rows(sample: pd.DataFrame, settings: Settings) -> list[dict]:
    """Return a row for each score and interval of one sample of `levels.units`."""
    malignant, probability = sample["malignant"].to_numpy(), sample["probability"].to_numpy()
    patients, cluster = np.unique(sample["cluster"], return_inverse=True)
    prevalence = {"screening_prevalence": settings.screening_prevalence}
    values = score(malignant, probability, **prevalence)
    drawn = resampled(len(patients), settings.resamples, settings.seed)
    resamples = score_resamples(malignant, probability, cluster, drawn, **prevalence)
    rows = []
    for name in SCORES:
        reflected = name == "ece"
        low, high, defined = bootstrap_interval(
            resamples[name], values[name], settings.confidence, reflected=reflected
        )
        method = "bootstrap_basic" if reflected else "bootstrap"
        others = _other_intervals(name, malignant, probability, cluster, settings.confidence)
        rows.append(_row(name, method, values[name], low, high, not others, defined))
        rows += [_row(name, method, values[name], low, high) for method, low, high in others]
    return rows


def undefined_rows() -> list[dict]:
    """Return the rows of `score_rows` for a sample that has no probabilities."""
    unknown = (np.nan, np.nan, np.nan)
    others = {"auc": "delong", **dict.fromkeys(PROPORTIONS, "wilson")}
    first = [_row(name, "bootstrap", *unknown, name not in others, 0) for name in SCORES]
    return first + [_row(name, method, *unknown) for name, method in others.items()]


def _row(score, method, value, low, high, preferred=True, resamples=0) -> dict:
    return {
        "score": score,
        "value": value,
        "low": low,
        "high": high,
        "method": method,
        "preferred": preferred,
        "resamples": resamples,
    }


def _other_intervals(name, malignant, probability, cluster, confidence) -> list[tuple]:
    """Return the intervals that are preferred to the bootstrap's: method, low and high."""
    called = probability > THRESHOLD
    if name == "auc":
        (auc,), covariance = auc_covariance(malignant, [probability], cluster)
        if auc in (0, 1) and not np.isnan(covariance[0, 0]):
            sick, well = (len(np.unique(cluster[side])) for side in (malignant, ~malignant))
            return [("newcombe", *perfect_auc_interval(auc, sick, well, confidence)[1:])]
        return [("delong", *auc_interval(auc, covariance[0, 0], confidence)[1:])]
    hits, counted = {
        "accuracy": (malignant == called, np.ones_like(called)),
        "sensitivity": (called, malignant),
        "specificity": (~called, ~malignant),
        "ppv": (malignant, called),
        "npv": (~malignant, ~called),
    }.get(name, (None, None))
    if hits is None:
        return []
    return [("wilson", *clustered_wilson(hits, counted, cluster, confidence)[1:])]


def operating_rows(model: Model, settings: Settings) -> list[dict]:
    """Return what the model reaches at fixed sensitivities and specificities, ROI by ROI.

    Thresholds are chosen on a fold's validation ROIs where there are test ROIs, else on the ROIs
    themselves, which flatters the measure that is fixed.
    """
    rois = units(model.measured, "roi")
    pairs = model.fitting_pairs(settings.seed) if model.keeps_test else [(rois, rois)]
    rows = []
    for fixed in ("sensitivity", "specificity"):
        for target in operating_points.TARGETS:
            limits, parts = [], []
            for known, new in pairs:
                limit = np.nan
                if len(known):
                    answers = known["malignant"], known["probability"]
                    limit = operating_points.threshold_for(*answers, fixed, target)
                limits.append(limit)
                parts.append(new.assign(called=new["probability"] >= limit))
            sample = pd.concat(parts)
            reached = _reached(sample, settings.confidence, known=not np.isnan(limits).any())
            rows.append(
                {
                    "fixed": fixed,
                    "target": target,
                    "threshold": float(np.median(limits)),
                    "chosen_on": "valid" if model.keeps_test else "same_images",
                    **reached,
                    **counts_of(sample),
                }
            )
    return rows


def _reached(sample: pd.DataFrame, confidence: float, *, known: bool) -> dict:
    """Return sensitivity and specificity with their intervals, NaN where no threshold is known."""
    found = {}
    for name, side in (("sensitivity", sample["malignant"]), ("specificity", ~sample["malignant"])):
        right = sample["called"] == sample["malignant"]
        ends = clustered_wilson(right, side, sample["cluster"], confidence)
        ends = ends if known else (np.nan,) * 3
        found |= {name: ends[0], f"{name}_low": ends[1], f"{name}_high": ends[2]}
    return found


def curve_rows(sample: pd.DataFrame, settings: Settings) -> list[dict]:
    """Return the decision curve of one sample: a row a threshold, with that of calling all."""
    malignant = sample["malignant"].to_numpy()
    patients, cluster = np.unique(sample["cluster"], return_inverse=True)
    drawn = resampled(len(patients), settings.resamples, settings.seed)
    curves = {}
    for name, probability in (
        ("", sample["probability"].to_numpy()),
        ("all_", np.ones(len(sample))),
    ):
        answers = malignant, probability, cluster
        once = np.ones((1, len(patients)))
        (value,) = operating_points.net_benefit(*answers, once, operating_points.CURVE)
        draws = operating_points.net_benefit(*answers, drawn, operating_points.CURVE)
        ends = [
            bootstrap_interval(draws[:, place], value[place], settings.confidence)[:2]
            for place in range(len(value))
        ]
        low, high = np.transpose(ends)
        curves |= {f"{name}net_benefit": value, f"{name}low": low, f"{name}high": high}
    table = pd.DataFrame({"threshold": operating_points.CURVE, **curves})
    return table.to_dict("records")


def conformal_rows(model: Model, settings: Settings) -> list[dict]:
    """Return how often prediction sets hold the truth, and how often they answer at all."""
    pairs, rows = model.fitting_pairs(settings.seed), []
    for by_class in (False, True):
        for wanted in conformal.COVERAGES:
            parts = []
            for known, new in pairs:
                answers = known["malignant"].to_numpy(), known["probability"].to_numpy()
                limits = conformal.set_limits(*answers, wanted, by_class=by_class)
                held = conformal.prediction_sets(new["probability"], limits)
                parts.append(new.assign(benign_held=held[:, 0], malignant_held=held[:, 1]))
            sample = pd.concat(parts)
            option = "by_class" if by_class else "marginal"
            shares = _conformal_shares(sample, settings.confidence)
            rows.append({"option": option, "wanted": wanted, **shares, **counts_of(sample)})
    return rows


def _conformal_shares(sample: pd.DataFrame, confidence: float) -> dict:
    malignant = sample["malignant"]
    size = sample["benign_held"].astype(int) + sample["malignant_held"]
    covered = sample["malignant_held"].where(malignant, sample["benign_held"])
    everything = np.ones(len(sample), dtype=bool)
    shares = {
        "coverage": (covered, everything),
        "coverage_malignant": (covered, malignant),
        "coverage_benign": (covered, ~malignant),
        "answered": (size == 1, everything),
        "both": (size == 2, everything),
        "neither": (size == 0, everything),
        "accuracy_answered": (covered, size == 1),
    }
    found = {}
    for name, (hits, counted) in shares.items():
        value, low, high = clustered_wilson(hits, counted, sample["cluster"], confidence)
        found |= {name: value, f"{name}_low": low, f"{name}_high": high}
    return found
