"""A run's status as a person reads it."""

import os
from collections import defaultdict
from datetime import timedelta

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from mcalc.reporting.status import Status
from mcalc.reporting.status.jobs import STATES, Job


def show(status: Status) -> None:
    """Print a run's status for a person: a table of rules, then what runs and what failed."""
    console = Console(markup=False, highlight=False, soft_wrap=True)
    console.print(tell(status))
    console.print(_draw_table(status))
    for job in status.jobs:
        if job.state == "running":
            epochs = f", {job.epochs[0]} of {job.epochs[1]} epochs" if job.epochs else ""
            console.print(f"running: {_name(job)}, for {_duration(job.elapsed)}{epochs}")
    for job in status.jobs:
        if job.state in ("failed", "stopped"):
            console.print(f"{job.state}: {_name(job)}, {os.path.relpath(job.log)} ends with:")
            console.print(f"    {job.last_line}")


def tell(status: Status) -> str:
    """Return the sentences that sum a status up."""
    course = {
        "running": f"goes on ({status.where})",
        "done": "has ended well",
        "failed": "has ended with failures; mend the cause and call `snakemake` again",
        "stopped": f"was stopped ({status.where} no longer runs); `snakemake` goes on from here",
    }[status.course]
    asked = f", asked for {' '.join(status.targets)}" if status.targets else ""
    counts = [f"{status.count(state)} {state}" for state in STATES if status.count(state)]
    time = f"; time left: {_tell_time(status)}" if status.count("done") < len(status.jobs) else ""
    return (
        f"{status.run}{asked}: the run {course}.\n"
        f"Of {len(status.jobs)} jobs {', '.join(counts)}{time}."
    )


def _tell_time(status: Status) -> str:
    jobs = sum(status.unknown.values())
    if not status.seconds_left:
        return (
            "unknown until a job of each rule has ended"
            if jobs
            else "none by the mean times, which what runs has outlasted"
        )
    known = (
        f"about {_duration(status.seconds_left)} with {status.side_by_side:.1f} jobs side by side"
    )
    return f"{known}, and {jobs} jobs of rules that have no mean time yet" if jobs else known


def _draw_table(status: Status) -> Table:
    states = [state for state in STATES if status.count(state)]
    table = Table(box=SIMPLE)
    table.add_column("rule")
    for name in (*states, "mean time"):
        table.add_column(name, justify="right")
    by_rule = defaultdict(list)
    for job in status.jobs:
        by_rule[job.rule].append(job)
    for rule, jobs in by_rule.items():
        counts = [sum(job.state == state for job in jobs) for state in states]
        seconds = [job.seconds for job in jobs if job.seconds is not None]
        mean = _duration(sum(seconds) / len(seconds)) if seconds else ""
        table.add_row(rule, *(str(count or "") for count in counts), mean)
    return table


def _name(job: Job) -> str:
    places = ", ".join(f"{key}={value}" for key, value in job.wildcards.items() if key != "run")
    return f"{job.rule} ({places})" if places else job.rule


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    whole = timedelta(minutes=round(seconds / 60))
    hours, minutes = divmod(whole.days * 1440 + whole.seconds // 60, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
