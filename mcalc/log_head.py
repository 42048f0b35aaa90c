"""What a job's log begins with: the exact command, when and where it ran, and with which versions.

The workflow asks for it by an environment variable; who calls `mcalc` by hand does not see it.
The first line is the command as it can be pasted into a shell, the others are its comments:

    mcalc split --catalog results/phantom/catalog.csv ...
    # begun: 2026-11-30T20:12:45+00:00
    # host: node7
"""

import importlib.metadata
import os
import platform
import re
import shlex
import sys
from datetime import UTC, datetime

import mcalc

VARIABLE = "MCALC_LOG_HEAD"
# What stages rest on, under the names by which they are installed.
LIBRARIES = (
    *("numpy", "pandas", "scipy", "opencv-python-headless", "pydicom", "scikit-image"),
    *("scikit-learn", "torch", "torchvision", "fastai"),
)
# What a cluster says of the job, and what limits the cores and GPUs that it sees.
SURROUNDINGS = ("SLURM_JOB_ID", "SLURM_RESTART_COUNT", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")


def print_head(arguments: list[str]) -> None:
    """Print the head of a log to standard error where the environment variable asks for it."""
    if os.environ.get(VARIABLE):
        print("\n".join(describe(arguments)), file=sys.stderr, flush=True)


def describe(arguments: list[str]) -> list[str]:
    """Return the lines of the head of a log, for a call of `mcalc` with these arguments."""
    versions = [f"mcalc {mcalc.__version__}", f"Python {platform.python_version()}"]
    facts = {
        "begun": datetime.now(UTC).isoformat(timespec="seconds"),
        "host": platform.node(),
        "process": os.getpid(),
        "folder": os.getcwd(),
        "cores": f"{_count_cores()} of {os.cpu_count()}",
        **{name: os.environ[name] for name in SURROUNDINGS if name in os.environ},
        "versions": ", ".join(versions + [f"{name} {_version_of(name)}" for name in LIBRARIES]),
    }
    return [shlex.join(["mcalc", *arguments]), *(f"# {key}: {facts[key]}" for key in facts)]


def split_head(text: str) -> tuple[list[str], dict[str, str], str]:
    """Part a log into the words of its command, the facts of its head, and what is below.

    A log without a head has no command and no facts.
    """
    lines = text.splitlines(keepends=True)
    if len(lines) < 2 or not lines[0].startswith("mcalc ") or not lines[1].startswith("# "):
        return [], {}, text
    end = next((i for i, line in enumerate(lines) if i and not line.startswith("# ")), len(lines))
    facts = dict(line[2:].rstrip("\n").split(": ", 1) for line in lines[1:end] if ": " in line)
    return shlex.split(lines[0]), facts, "".join(lines[end:])


def _count_cores() -> int | None:
    """Count the cores that this process may use, which on a cluster are fewer than there are."""
    is_told = hasattr(os, "sched_getaffinity")
    return len(os.sched_getaffinity(0)) if is_told else os.cpu_count()


def _version_of(name: str) -> str:
    """Return a library's version without importing it.

    importlib.metadata.version reads the whole description, which for all of them takes four times
    as long.
    """
    try:
        metadata = importlib.metadata.distribution(name).read_text("METADATA") or ""
    except importlib.metadata.PackageNotFoundError:
        return "(not installed)"
    found = re.search(r"^Version: (.+)$", metadata, flags=re.MULTILINE)
    return found[1] if found else "(unknown)"
