"""Where one job of a run stands, by its outputs, its log and its benchmark file."""

import csv
import itertools
import os
import platform
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mcalc.log_head import split_head

STATES = ("done", "running", "failed", "stopped", "waiting")
# How a log ends after an error: mcalc's own sentence, typer's of a wrong call.
ERROR_STARTS = ("mcalc: ", "Error: ")
# How it ends when the job was told to end.
STOPPED_BY = re.compile(r"stopped by |^Aborted|^KeyboardInterrupt|^Terminated")
# A line of fastai's table, an epoch that is done.
EPOCH = re.compile(r"^\[(\d+), ", flags=re.MULTILINE)
# Some file systems keep whole seconds only.
TOLERANCE = 1.0


@dataclass
class Job:
    """One job of the plan and where it stands.

    Attributes
    ----------
    rule, wildcards, log : str, dict, Path
    state : str
        One of STATES.
    seconds : float or None
        What its benchmark file says of the last time it ended.
    is_fresh : bool
        Whether this run made its outputs.
    touched : float
        When this run last wrote to its log, in seconds since 1970; 0 if it did not.
    elapsed : float
        Seconds since a running job began.
    last_line : str
        The last line of its log, where it failed or was stopped.
    epochs : tuple of int or None
        Done and all, of a running training.
    """

    rule: str
    wildcards: dict[str, str]
    log: Path
    state: str
    seconds: float | None = None
    is_fresh: bool = False
    touched: float = 0.0
    elapsed: float = 0.0
    last_line: str = ""
    epochs: tuple[int, int] | None = None


def read_job(planned: dict, root: Path, begun: datetime, course: str, now: datetime) -> Job:
    log, benchmark = root / planned["log"], root / planned["benchmark"]
    since = begun.timestamp() - TOLERANCE
    outputs = [root / path for path in planned["outputs"]]
    is_whole = all(path.exists() for path in outputs)
    is_fresh = is_whole and all(path.stat().st_mtime >= since for path in outputs)
    job = Job(planned["rule"], planned["wildcards"], log, "waiting")
    job.seconds, job.is_fresh = _read_seconds(benchmark), planned["needed"] and is_fresh
    if log.is_file() and log.stat().st_mtime >= since:
        job.touched = log.stat().st_mtime
    if is_whole and (is_fresh or not planned["needed"] or course == "done"):
        job.state = "done"
    elif job.touched:
        _read_log(job, log.read_text(errors="replace"), course, now)
    return job


def _read_seconds(benchmark: Path) -> float | None:
    """Return the mean of the column s of a benchmark file, or None without one."""
    if not benchmark.is_file():
        return None
    with open(benchmark, newline="") as file:
        seconds = [float(row["s"]) for row in csv.DictReader(file, delimiter="\t")]
    return sum(seconds) / len(seconds) if seconds else None


def _read_log(job: Job, text: str, course: str, now: datetime) -> None:
    """Tell from its log where a job stands that has begun and has not written its outputs."""
    command, facts, said = split_head(text)
    lines = [line for line in said.splitlines() if line.strip()]
    last = lines[-1].strip() if lines else ""
    runs = course == "running" and (
        "process" not in facts or may_run(facts["host"], int(facts["process"]))
    )
    if STOPPED_BY.search(last):
        job.state, job.last_line = "stopped", last
    elif last.startswith(ERROR_STARTS) or (not runs and "Traceback (most recent" in said):
        job.state, job.last_line = "failed", last
    elif runs:
        job.state, job.epochs = "running", _count_epochs(command, said)
        begun = datetime.fromisoformat(facts["begun"]) if "begun" in facts else now
        job.elapsed = max(0.0, (now - begun).total_seconds())
    elif course == "stopped":
        job.state, job.last_line = "stopped", last
    else:
        job.state = "failed"
        job.last_line = f"{last or 'nothing'} (it ended without an error: killed, for memory?)"


def _count_epochs(command: list[str], said: str) -> tuple[int, int] | None:
    """Return how many epochs of a training are done, of the head and of all layers, and of all."""
    options = dict(itertools.pairwise(command))
    if "--epochs" not in options or "--head-epochs" not in options:
        return None
    head, epochs = int(options["--head-epochs"]), int(options["--epochs"])
    kept = re.search(r"goes on from .*: phase (\w+), (\d+) epochs", said)
    phase, done = (kept[1], int(kept[2])) if kept else ("head", 0)
    for number in map(int, EPOCH.findall(said)):
        if number < done and phase == "head":
            phase = "all"
        done = number + 1
    in_head = phase == "head" and head > 0
    return (done if in_head else head + done), head + epochs


def may_run(host: str, process: int) -> bool:
    """Tell whether a process runs; of another machine that cannot be told, and it may."""
    if host != platform.node():
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True
