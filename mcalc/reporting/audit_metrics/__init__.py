"""`mcalc audit-metrics`: which printed figures can be true, and which cannot whatever the data."""

import os
from typing import NamedTuple

from mcalc.reporting.audit_metrics.checks import check_all
from mcalc.reporting.audit_metrics.kinds import Finding
from mcalc.reporting.audit_metrics.reading import Remark, remarks_of, rows_of
from mcalc.reporting.audit_metrics.reconcile import Verdict, reconcile
from mcalc.reporting.published import Paper, read_paper

__all__ = ["Audit", "audit_metrics"]


class Audit(NamedTuple):
    """What was found in a paper's figures.

    `verdicts` has one for each confusion matrix, `findings` what the checks found, `remarks` what
    the file says besides.
    """

    paper: Paper
    verdicts: list[Verdict]
    findings: list[Finding]
    remarks: list[Remark]

    @property
    def impossible(self) -> int:
        """How many confusion matrices and checks hold something that cannot be true."""
        rows = sum(not verdict.consistent for verdict in self.verdicts)
        return rows + sum(finding.verdict == "impossible" for finding in self.findings)


def audit_metrics(file: str | os.PathLike) -> Audit:
    """Audit the figures that a paper prints.

    Parameters
    ----------
    file : str or path
        A YAML file as docs/audit-metrics.md explains it, or the name of a shipped paper.

    Raises
    ------
    UsageError
        If there is no such file or shipped paper.
    DataError
        If the file is not as docs/audit-metrics.md says.
    """
    paper = read_paper(file)
    rows, remarks = rows_of(paper), remarks_of(paper)
    verdicts = {row.where: reconcile(row) for row in rows}
    return Audit(paper, list(verdicts.values()), check_all(paper, verdicts), remarks)
