"""The checks that a paper's file can ask for: which fields each kind has, and what it finds.

A check is declared, not programmed: its kind fixes the arithmetic, its fields name cells. The kinds
are explained in docs/audit-metrics.md.
"""

from collections.abc import Callable
from typing import NamedTuple

from mcalc.errors import DataError
from mcalc.reporting.audit_metrics import fields, kinds
from mcalc.reporting.audit_metrics.kinds import Finding
from mcalc.reporting.audit_metrics.reconcile import Verdict
from mcalc.reporting.published import Paper


def check_all(paper: Paper, verdicts: dict[str, Verdict]) -> list[Finding]:
    """Run the file's `checks`, in its order.

    Parameters
    ----------
    paper : Paper
    verdicts : dict
        What was found of each confusion matrix, by table/row.

    Raises
    ------
    DataError
        If a check is not as docs/audit-metrics.md says.
    """
    asked = paper.rest.get("checks") or []
    if not isinstance(asked, list):
        raise DataError(f"{paper.path}: checks must be a list; start each with - kind: ...")
    found = []
    for number, check in enumerate(asked, 1):
        where = f"{paper.path}: checks, number {number}"
        if not isinstance(check, dict) or str(check.get("kind")) not in KINDS:
            raise DataError(f"{where} must name its kind, one of {', '.join(KINDS)}.")
        kind = KINDS[check["kind"]]
        read = fields.read(paper, where, check, kind.fields, verdicts)
        try:
            findings = kind.run(read)
        except ValueError as error:
            raise DataError(f"{where}: {error}; name cells that hold numbers.") from None
        if "meaning" in check:
            findings[-1] = findings[-1]._replace(says=f"{findings[-1].says} {check['meaning']}")
        found += findings
    return found


class Kind(NamedTuple):
    """A kind of check: the names and types of its fields, and the function that runs it."""

    fields: dict[str, Callable]
    run: Callable[[dict], list[Finding]]


KINDS = {
    "product": Kind(
        {"factor": fields.number, "of": fields.columns, "equals": fields.one}, kinds.product
    ),
    "sum": Kind({"of": fields.columns, "equals": fields.column_or_number}, kinds.addition),
    "psnr": Kind({"psnr": fields.column, "mse": fields.column, "peak": fields.number}, kinds.psnr),
    "share": Kind(
        {"of": fields.column, "unit": fields.unit, "n": fields.whole, "range": fields.span},
        kinds.share,
    ),
    "same": Kind({"first": fields.column, "second": fields.column}, kinds.same),
    "errors": Kind(
        {"matrix": fields.matrix, "error_rate": fields.one, "unit": fields.unit}, kinds.errors
    ),
    "common": Kind({"count": fields.count, "matrices": fields.matrices}, kinds.common),
    "formula": Kind(
        {"matrix": fields.matrix, "figure": fields.f1, "formula": fields.formula}, kinds.formula
    ),
    "odds": Kind(
        {
            "of": fields.one,
            "unit": fields.unit,
            "matrix": fields.matrix,
            "counts": fields.two_counts,
        },
        kinds.odds,
    ),
    "subset": Kind({"total": fields.one, "what": fields.text, "parts": fields.parts}, kinds.subset),
}
