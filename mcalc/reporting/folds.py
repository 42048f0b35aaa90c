"""Runs of several folds as one: their images are other images, so that counts add up."""

import pandas as pd

from mcalc.evaluation.metrics import Confusion, measures

MEANS = ["train_loss", "valid_loss", "auc"]


def pool_folds(runs: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Return one row (RUNS) for each combination of `keys`, in their order.

    The confusion matrices of the folds are added and all shares follow from their sum; losses and
    the AUC, which rank images of one network only, are means over folds. What remains, such as
    `fold`, is the first fold's.
    """
    rows = []
    for _, group in runs.sort_values("fold").groupby(keys):
        counts = Confusion(*(int(group[name].sum()) for name in Confusion._fields))
        shares = measures(counts)
        rows.append(
            group.iloc[0].to_dict()
            | counts._asdict()
            | shares
            | {"error_rate": 1 - shares["accuracy"]}
            | group[MEANS].mean().to_dict()
        )
    return pd.DataFrame(rows, columns=list(runs))


def choose_tests(runs: pd.DataFrame, in_each_fold: pd.Series) -> pd.DataFrame:
    """Return the rows of each network's best test, by protocol.

    The best test has the lowest mean of the column `choice_error` over folds, then the lowest mean
    loss.

    Parameters
    ----------
    runs : DataFrame
        Rows of RUNS with the column `choice_error`.
    in_each_fold : Series of bool
        Which rows are chosen within their fold alone.
    """
    keys = ["protocol", "network", "chooser"]
    runs = runs.assign(chooser=runs["fold"].where(in_each_fold, -1))
    means = runs.groupby([*keys, "test"], as_index=False)[["choice_error", "valid_loss"]].mean()
    means = means.sort_values(["choice_error", "valid_loss", "test"])
    chosen = means.drop_duplicates(keys)[[*keys, "test"]]
    return runs.merge(chosen).drop(columns=["choice_error", "chooser"])
