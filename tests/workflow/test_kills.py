"""A workflow that is killed again and again ends with the outputs of one that was left in peace.

This also shows that a second run gives the same bytes, of weights, tables, figures and report.
"""

import os
import random
import shutil
import signal
import time

import psutil
import pytest

pytestmark = pytest.mark.slow

KILLS = 30
# Jobs that leave a benchmark: each stage of the workflow for one protocol.
JOBS = 25


class Run:
    """A Snakemake that can be killed, and what it has printed."""

    def __init__(self, project):
        self.project, self.path = project, project.folder / "run.log"
        with open(self.path, "w") as printed:
            command = ("snakemake", "--cores", "2", "--configfile", "tiny.yaml")
            self.process = project.start(*command, stdout=printed, start_new_session=True)

    def wait(self, done: int) -> None:
        """Wait until a job has begun, and this many have been done in all runs together."""
        while "jobid: " not in self.printed() or count_done(self.project) < done:
            assert self.process.poll() is None, self.printed() + self.project.logs()
            time.sleep(0.02)

    def printed(self) -> str:
        return self.path.read_text()

    def kill(self, *, with_jobs: bool) -> None:
        """Kill Snakemake alone, as when memory is short, or with its jobs, as when power is lost.

        With SIGKILL, which nobody can catch. The lock, which stays, is removed as by --unlock.
        """
        assert self.process.poll() is None, self.printed()
        if with_jobs:
            os.killpg(self.process.pid, signal.SIGKILL)
        else:
            self.process.kill()
        self.process.wait()
        shutil.rmtree(self.project.folder / ".snakemake/locks", ignore_errors=True)

    def orphans(self) -> list[psutil.Process]:
        """Return the jobs of a killed run that still go on."""
        found = psutil.process_iter(["pid", "status"])
        return [process for process in found if _is_alive(process, self.process.pid)]


def _is_alive(process: psutil.Process, group: int) -> bool:
    try:
        return os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, psutil.NoSuchProcess):
        return False


def count_done(project) -> int:
    return len(list(project.folder.glob("logs/**/*.benchmark.tsv")))


@pytest.fixture(scope="module")
def calm(make_project, untouched):
    """A run that nobody disturbed, in folders whose names need quoting."""
    project = rename(make_project(untouched.folder))
    project.snakemake()
    return project


def rename(project):
    """Move the project and its data set to names with spaces, umlauts and Chinese."""
    odd = "Daten ä ö 漢 'x'"
    project.folder = project.folder.rename(project.folder.with_name(odd))
    data = project.folder / "resources"
    (data / "tiny").rename(data / odd)
    project.configure(
        dataset__root=f"resources/{odd}",
        split={"protocols": ["paper"]},
        evaluate={"resamples": 100},
    )
    return project


def test_a_whole_run_in_folders_with_odd_names_ends(calm):
    assert count_done(calm) == JOBS
    assert "Nothing to be done" in calm.snakemake()


def test_thirty_kills_change_no_output(make_project, untouched, calm):
    """At moments all over the workflow: in Snakemake's plans, in each stage, between stages.

    Before each kill the workflow has come a little further than before the last one.
    """
    project, chance, runs = rename(make_project(untouched.folder)), random.Random(7), []
    for number in range(KILLS):
        run = Run(project)
        runs.append(run)
        if number % 6:
            run.wait(done=number * JOBS // (KILLS + 2))
        time.sleep(chance.uniform(0, 1.5))
        run.kill(with_jobs=chance.random() < 0.5)
    project.snakemake()
    for run in runs:
        while run.orphans():
            time.sleep(0.1)
    found, expected = project.outputs(), calm.outputs()
    assert sorted(found) == sorted(expected)
    assert [name for name in expected if found[name] != expected[name]] == []
    assert "Nothing to be done" in project.snakemake()
