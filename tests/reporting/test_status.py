"""`mcalc status` on made-up runs: where each job stands, how long is left, what a person reads."""

import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from mcalc import cli
from mcalc.errors import UsageError
from mcalc.reporting.status import read_status

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
BEGUN = NOW - timedelta(minutes=10)


@pytest.fixture(scope="module")
def dead() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


class Run:
    """A folder with results/tiny and logs/tiny, and a plan that grows job by job."""

    def __init__(self, folder):
        self.folder = folder
        self.plan = {
            "run": "tiny",
            "targets": [],
            "begun": BEGUN.isoformat(),
            "ended": None,
            "outcome": None,
            "host": platform.node(),
            "process": os.getpid(),
            "jobs": [],
        }
        self.path("results/tiny").mkdir(parents=True)

    def path(self, name):
        return self.folder / name

    def write(self, name: str, text: str = "", minute: float = 5) -> None:
        """Write a file as it would have been so many minutes after the run began."""
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        time = (BEGUN + timedelta(minutes=minute)).timestamp()
        os.utime(path, (time, time))

    def add(self, rule: str, name: str = "x", *, needed=True, **wildcards) -> None:
        """Plan a job that writes results/tiny/{rule}/{name}."""
        self.plan["jobs"].append(
            {
                "rule": rule,
                "wildcards": {"run": "tiny", **wildcards},
                "log": f"logs/tiny/{rule}/{name}.log",
                "benchmark": f"logs/tiny/{rule}/{name}.tsv",
                "outputs": [f"results/tiny/{rule}/{name}"],
                "needed": needed,
            }
        )

    def add_done(self, rule: str, name: str = "x", seconds: float = 60, **more) -> None:
        self.add(rule, name, **more)
        self.write(f"logs/tiny/{rule}/{name}.log", "written\n")
        self.write(f"results/tiny/{rule}/{name}")
        self.write(f"logs/tiny/{rule}/{name}.tsv", f"s\th:m:s\n{seconds}\t0:01:00\n")

    def begin(self, rule: str, said: str, *, minute=5, options="", process=None, **more) -> None:
        """Add a job that has begun and written no output, with a log of this content."""
        self.add(rule, **more)
        begun = (BEGUN + timedelta(minutes=minute)).isoformat()
        head = f"mcalc {rule} {options}\n# begun: {begun}\n# host: {platform.node()}\n"
        head += f"# process: {process or os.getpid()}\n"
        self.write(f"logs/tiny/{rule}/x.log", head + said)

    def read(self):
        path = self.path("logs/tiny/plan.json")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.plan))
        return read_status(self.path("results/tiny"), NOW)

    def only(self):
        """Return the one job of this run."""
        (job,) = self.read().jobs
        return job


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path)


def test_a_job_whose_outputs_are_there_is_done(run):
    run.add_done("convert")
    assert run.only().state == "done"


def test_one_of_two_outputs_is_not_enough(run):
    run.add_done("convert")
    run.plan["jobs"][0]["outputs"].append("results/tiny/convert/other")
    assert run.only().state != "done"


def test_a_job_that_has_not_begun_waits(run):
    run.add("train")
    assert run.only().state == "waiting"


def test_an_output_of_an_earlier_run_that_must_be_made_anew_waits(run):
    run.add("convert")
    run.write("results/tiny/convert/x", minute=-60)
    run.write("logs/tiny/convert/x.log", "written\n", minute=-60)
    assert run.only().state == "waiting"


def test_an_output_of_an_earlier_run_that_need_not_be_made_is_done(run):
    run.add("convert", needed=False)
    run.write("results/tiny/convert/x", minute=-60)
    assert run.only().state == "done"


def test_what_turned_out_to_need_no_new_run_is_done_when_the_run_has_ended_well(run):
    run.add("convert")
    run.write("results/tiny/convert/x", minute=-60)
    run.plan |= {"ended": NOW.isoformat(), "outcome": "done"}
    assert run.only().state == "done"


def test_a_log_of_an_earlier_run_says_nothing_about_this_one(run):
    run.add("train")
    run.write("logs/tiny/train/x.log", "mcalc: it failed\n", minute=-60)
    assert run.only().state == "waiting"


def test_a_log_without_outputs_is_a_running_job(run):
    run.begin("convert", "", minute=7)
    job = run.only()
    assert (job.state, job.elapsed) == ("running", 180)


@pytest.mark.parametrize(
    "said",
    [
        "mcalc: images/0.png is missing; run convert.\n",
        "Usage: mcalc convert\n\nError: No such option: --sise\n",
        "some\nlines\nmcalc: the last one says it\n\n",
    ],
)
def test_an_error_at_the_end_of_the_log_is_a_failed_job_with_that_line(run, said):
    run.begin("convert", said)
    job = run.only()
    assert job.state == "failed"
    assert job.last_line == said.strip().splitlines()[-1]


def test_a_traceback_of_a_job_that_is_dead_is_a_failed_job(run, dead):
    said = 'Traceback (most recent call last):\n  File "x.py"\nZeroDivisionError: a bug\n'
    run.begin("convert", said, process=dead)
    job = run.only()
    assert (job.state, job.last_line) == ("failed", "ZeroDivisionError: a bug")


def test_a_job_that_was_killed_without_a_word_has_failed(run, dead):
    run.begin("train", "training begins\n", process=dead)
    job = run.only()
    assert job.state == "failed"
    assert job.last_line.startswith("training begins (") and "killed" in job.last_line


def test_a_job_of_another_machine_is_not_looked_for_here(run, dead):
    run.begin("train", "training begins\n", process=dead)
    path = run.path("logs/tiny/train/x.log")
    run.write("logs/tiny/train/x.log", path.read_text().replace(platform.node(), "node7"))
    assert run.only().state == "running"


def test_a_training_that_was_told_to_end_is_stopped_not_failed(run):
    run.begin("train", "mcalc: runs/fold0: stopped by SIGTERM; the same command goes on.\n")
    assert run.only().state == "stopped"


def test_when_snakemake_was_killed_its_jobs_are_stopped(run, dead):
    run.plan["process"] = dead
    run.begin("train", "training begins\n", process=dead)
    status = run.read()
    assert (status.course, status.jobs[0].state) == ("stopped", "stopped")


@pytest.mark.parametrize(
    ("head", "said", "epochs"),
    [
        (1, "", (0, 16)),
        (1, "[0, 0.7, 0.6, 0.5, 0.5, '00:01']\n", (1, 16)),
        (1, "[0, 0.7]\n[0, 0.6]\n[1, 0.6]\n", (3, 16)),
        (2, "[0, 0.7]\n[1, 0.6]\n[0, 0.6]\n", (3, 17)),
        (0, "[0, 0.7]\n[1, 0.6]\n", (2, 15)),
        (1, "r: training goes on from r/c.pt: phase all, 4 epochs and 0 batches\n", (5, 16)),
        (1, "r: training goes on from c: phase all, 4 epochs and 2 batches\n[4, 1]\n", (6, 16)),
        (2, "r: training goes on from r/c.pt: phase head, 1 epochs and 0 batches\n[1, 1]\n[0, 1]\n",
         (3, 17)),
    ],
)  # fmt: skip
def test_a_running_training_tells_its_epochs(run, head, said, epochs):
    run.begin("train", said, options=f"--epochs 15 --head-epochs {head}")
    assert run.only().epochs == epochs


def test_time_left_is_what_the_same_rule_took_over_how_many_ran_side_by_side(run):
    """Twenty minutes of work in ten minutes: two jobs at a time."""
    for number in range(4):
        run.add_done("train", str(number), seconds=300)
    for number in range(4, 8):
        run.add("train", str(number))
    status = run.read()
    assert status.side_by_side == pytest.approx(2)
    assert status.seconds_left == pytest.approx(4 * 300 / 2)
    assert status.unknown == {}


def test_a_network_is_measured_by_its_own_kind(run):
    run.add_done("train", "1", seconds=10, network="alexnet")
    run.add_done("train", "2", seconds=500, network="vgg16")
    run.add("train", "3", network="vgg16")
    assert run.read().seconds_left == pytest.approx(500)


def test_a_running_training_is_measured_by_its_epochs(run):
    """Three of twelve epochs in five minutes: fifteen minutes more."""
    said = "[0, 0.7]\n[0, 0.6]\n[1, 0.6]\n"
    run.begin("train", said, minute=5, options="--epochs 11 --head-epochs 1")
    assert run.read().seconds_left == pytest.approx(15 * 60)


def test_what_never_ended_is_unknown_and_not_nothing(run):
    run.add_done("convert")
    run.add("train")
    status = run.read()
    assert (status.seconds_left, status.unknown) == (0, {"train": 1})


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(UsageError, match="not the folder of a run"):
        read_status(tmp_path / "results/tiny")


def test_a_broken_plan_is_one_sentence(run):
    run.write("logs/tiny/plan.json", "{")
    with pytest.raises(UsageError, match="cannot be read"):
        read_status(run.path("results/tiny"))


@pytest.fixture
def status(run, monkeypatch, capsys):
    """Run `mcalc status results/tiny`; return its exit code and what it printed."""

    def call() -> tuple[int, str]:
        run.read()
        monkeypatch.chdir(run.folder)
        monkeypatch.setattr(sys, "argv", ["mcalc", "status", "results/tiny"])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return end.value.code or 0, capsys.readouterr().out

    return call


def test_a_person_reads_counts_times_and_what_failed(run, status):
    run.add_done("convert", seconds=30)
    run.add("clean")
    run.begin("train", "[0, 1]\nmcalc: [no] number any more; lower lr_max.\n", test="2", fold="0")
    code, printed = status()
    assert code == 3
    assert "Of 3 jobs 1 done, 1 failed, 1 waiting; time left: unknown" in printed
    assert "failed: train (test=2, fold=0), logs/tiny/train/x.log ends with:\n" in printed
    assert "    mcalc: [no] number any more; lower lr_max.\n" in printed


def test_what_goes_on_is_0_and_says_since_when_and_how_far(run, status):
    run.begin("train", "[0, 1]\n", options="--epochs 3 --head-epochs 1", network="vgg16")
    code, printed = status()
    assert code == 0
    assert "tiny: the run goes on (process" in printed
    assert "running: train (network=vgg16), for " in printed
    assert ", 1 of 4 epochs\n" in printed


def test_a_job_that_outlasts_the_mean_time_leaves_no_time_and_says_so(run, status):
    run.add_done("convert", "first", seconds=1)
    run.begin("convert", "")
    assert "time left: none by the mean times, which what runs has outlasted" in status()[1]


def test_a_run_that_ended_well_has_no_time_left(run, status):
    run.add_done("convert")
    run.plan |= {"ended": NOW.isoformat(), "outcome": "done", "targets": ["clean_all"]}
    code, printed = status()
    assert code == 0
    assert printed.startswith(
        "tiny, asked for clean_all: the run has ended well.\nOf 1 jobs 1 done."
    )
