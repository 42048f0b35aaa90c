"""Where a run stands: what is done, running, failed and waiting, and how long is left.

Read from the plan that the workflow writes when it starts (`logs/{run}/plan.json`), from the jobs'
outputs, logs and benchmark files; nothing is changed and Snakemake is not asked.
"""

import json
import os
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from mcalc.errors import UsageError
from mcalc.reporting.status.jobs import Job, may_run, read_job


@dataclass
class Status:
    """A run's jobs, and how it goes on.

    Attributes
    ----------
    run : str
    targets : list of str
        What Snakemake was asked for; none is all.
    course : {'running', 'done', 'failed', 'stopped'}
        Of Snakemake: stopped is one that no longer runs and did not end.
    where : str
        The host and process of Snakemake.
    jobs : list of Job
    side_by_side : float
        How many jobs have run at a time.
    seconds_left : float
        Of all jobs whose rule has ended before.
    unknown : dict of int
        Rules that never ended, and how many jobs of each are left.
    """

    run: str
    targets: list[str]
    course: str
    where: str
    jobs: list[Job] = field(default_factory=list)
    side_by_side: float = 1.0
    seconds_left: float = 0.0
    unknown: dict[str, int] = field(default_factory=dict)

    def count(self, state: str) -> int:
        """Return how many jobs are in a state."""
        return sum(job.state == state for job in self.jobs)


def read_status(results: str | os.PathLike, now: datetime | None = None) -> Status:
    """Find out where a run stands.

    Parameters
    ----------
    results : path
        The folder `results/{run}`; the plan lies in `logs/{run}` beside `results`.
    now : datetime, optional

    Raises
    ------
    UsageError
        If there is no plan for this folder.
    """
    results, now = Path(os.path.abspath(results)), now or datetime.now(UTC)
    root = results.parents[1] if len(results.parents) > 1 else results
    plan = _read_plan(root / "logs" / results.name / "plan.json", results)
    begun = datetime.fromisoformat(plan["begun"])
    status = Status(
        run=plan["run"],
        targets=plan["targets"],
        course=_find_course(plan),
        where=f"process {plan['process']} on {plan['host']}",
    )
    status.jobs = [read_job(job, root, begun, status.course, now) for job in plan["jobs"]]
    last = max((job.touched for job in status.jobs), default=0.0)
    until = now.timestamp() if status.course == "running" else last
    _estimate(status, until - begun.timestamp())
    return status


def _read_plan(path: Path, results: Path) -> dict:
    if not path.exists():
        raise UsageError(
            f"{results} is not the folder of a run that `snakemake` has begun: there is no {path}; "
            "give results/RUN."
        )
    try:
        return json.loads(path.read_text())
    except ValueError:
        raise UsageError(f"{path} cannot be read; `snakemake` writes it anew.") from None


def _find_course(plan: dict) -> str:
    if plan["ended"]:
        return plan["outcome"]
    return "running" if may_run(plan["host"], plan["process"]) else "stopped"


def _estimate(status: Status, elapsed: float) -> None:
    """Add how long the jobs that are left will take, by what the same rules have taken."""
    known = defaultdict(list)
    for job in status.jobs:
        if job.seconds is not None:
            known[job.rule].append(job.seconds)
            known[job.rule, job.wildcards.get("network")].append(job.seconds)
    worked = sum(job.seconds or 0.0 for job in status.jobs if job.is_fresh)
    worked += sum(job.elapsed for job in status.jobs if job.state == "running")
    status.side_by_side = max(1.0, worked / elapsed) if elapsed > 0 else 1.0
    left, unknown = 0.0, defaultdict(int)
    for job in status.jobs:
        if job.state == "done":
            continue
        alike = known.get((job.rule, job.wildcards.get("network"))) or known.get(job.rule)
        if job.epochs and job.epochs[0]:
            done, of_all = job.epochs
            left += job.elapsed * (of_all - done) / done
        elif alike:
            left += max(0.0, sum(alike) / len(alike) - job.elapsed)
        else:
            unknown[job.rule] += 1
    status.seconds_left, status.unknown = left / status.side_by_side, dict(unknown)
