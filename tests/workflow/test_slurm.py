"""The tiny workflow on a real SLURM of one node (tests/slurm), submitted with profiles/slurm."""

import itertools
import os
import re
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import pandas as pd
import psutil
import pytest
import yaml

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]
ONE_NODE = REPOSITORY / "tests/slurm/one_node.sh"
PROFILE = yaml.safe_load((REPOSITORY / "profiles/slurm/config.yaml").read_text())
# There is no accounting database, and nobody wants to wait.
HERE = ("--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "1")
HERE += ("--seconds-between-status-checks", "1")
# What is submitted besides trainings: jobs and groups of jobs.
PARTS = ("catalog", "bench_filters", "clean_mammograms", "prepare", "enhance", "shortcuts")
PARTS += ("results",)
FIRST_TEST = "_patient_alexnet_1_"
TRAINED = "logs/tiny/train/patient/alexnet/test1/fold0.log"


@pytest.fixture(scope="module")
def slurm():
    """The SLURM of one node with one GPU, for as long as these tests run."""
    if os.geteuid() != 0 or not (shutil.which("slurmctld") or shutil.which("apt-get")):
        pytest.skip("starting a SLURM takes root, and slurmctld or apt-get to install it")
    for step in ("install", "start"):
        ran = subprocess.run([ONE_NODE, step], capture_output=True, text=True)
        if ran.returncode != 0:
            reason = f"{ONE_NODE.name} {step}: {ran.stdout}{ran.stderr}"
            pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    yield
    subprocess.run([ONE_NODE, "stop"], check=True)


def jobs_of(project, comment: str = "") -> list[dict]:
    """All jobs that SLURM had of a project, in the order of their start, as scontrol tells them."""
    command = ["scontrol", "--oneliner", "--all", "show", "job"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    jobs = [dict(re.findall(r"(\w+)=(\S*)", line)) for line in printed.splitlines()]
    found = [
        job
        for job in jobs
        if job.get("WorkDir") == str(project.folder) and comment in job.get("Comment", "")
    ]
    return sorted(found, key=lambda job: (job["StartTime"], int(job["JobId"])))


def trainings_of(project, test: str = "") -> list[dict]:
    return [job for job in jobs_of(project, "rule_train_") if test in job["Comment"]]


def moment(job: dict, name: str) -> datetime:
    return datetime.fromisoformat(job[name])


def end_training(project, snakemake: psutil.Process) -> None:
    """Send SIGTERM to the first test's training, when its first epoch of all layers is done."""
    log = project.folder / TRAINED

    def wait_for(condition) -> bool:
        while not condition():
            if not snakemake.is_running():
                return False  # the tests will say why
            time.sleep(0.05)
        return True

    if wait_for(log.exists):
        [training] = trainings_of(project, FIRST_TEST)
        if wait_for(lambda: "\n[1," in log.read_text()):
            subprocess.run(["scancel", "--signal=TERM", training["JobId"]], check=True)


@pytest.fixture(scope="module")
def runs(slurm, make_project, untouched):
    """The same work here and on SLURM, and beside it a catalog that must fail and a filter bench.

    All three at once, since much of a cluster's time is waiting.
    """
    local = make_project(untouched.folder)
    local.configure(
        train__device="auto",
        train__settings=[
            {"batch_size": 8, "lr_min": 1e-4, "lr_max": 1e-3, "epochs": epochs} for epochs in (4, 2)
        ],
        split={"protocols": ["patient"]},
        evaluate={"resamples": 100},
    )
    submitted, failing = make_project(local.folder), make_project(local.folder)
    for path in (failing.folder / "resources/tiny").glob("calc_case_description_*.csv"):
        pd.read_csv(path).drop(columns="pathology").to_csv(path, index=False)
    submit = ("snakemake", "--profile", "profiles/slurm", *HERE, "--configfile", "tiny.yaml")
    # Snakemake alone takes more memory than the first try of the filter bench asks for.
    profile = failing.folder / "profiles/slurm/config.yaml"
    too_little = "bench_filters: {mem_mb: 64 * 8 ** (attempt - 1)}"
    profile.write_text(profile.read_text().replace("bench_filters: *small", too_little))
    with ThreadPoolExecutor() as pool:
        printed = {
            "local": pool.submit(local.snakemake, "--resources", "gpu=2"),
            "submitted": pool.submit(
                submitted.call,
                *submit,
                meanwhile=lambda process: pool.submit(end_training, submitted, process),
            ),
            "failing": pool.submit(
                failing.call,
                *submit,
                "--",
                *("results/tiny/catalog.csv", "results/tiny/filters/truth.csv"),
                check=False,
            ),
        }
        projects = {"local": local, "submitted": submitted, "failing": failing}
        for name, project in projects.items():
            project.printed = printed[name].result()
    return projects


def test_every_output_is_a_local_runs(runs):
    local, submitted = runs["local"].outputs(), runs["submitted"].outputs()
    assert sorted(submitted) == sorted(local)
    assert any(name.endswith("weights.safetensors") for name in local)
    assert [name for name, content in local.items() if submitted[name] != content] == []


def test_every_rule_ran_once_as_a_job_of_slurm_and_short_ones_in_groups(runs):
    submitted = runs["submitted"]
    finished = re.findall(r"Finished jobid: (\d+)", submitted.printed)
    assert len(finished) == len(set(finished))
    jobs = jobs_of(submitted)
    assert {job["Partition"] for job in jobs} == {"debug"}
    whole = [job["Comment"] for job in jobs if "rule_train_" not in job["Comment"]]
    assert len(whole) == len(PARTS)
    for part in PARTS:
        assert sum(comment.startswith(f"rule_{part}_") for comment in whole) == 1


def test_gpu_jobs_on_one_gpu_run_one_after_the_other(runs):
    trainings = trainings_of(runs["submitted"])
    assert len(trainings) >= 2
    # A colon in old versions of SLURM, a slash in new ones.
    assert all(re.fullmatch("gres[:/]gpu:1", job["TresPerJob"]) for job in trainings)
    for before, after in itertools.pairwise(trainings):
        assert moment(after, "StartTime") >= moment(before, "EndTime")
    # The second was in the queue all the while: it is SLURM that made it wait.
    assert moment(trainings[1], "SubmitTime") < moment(trainings[0], "EndTime")


def test_a_training_ended_by_sigterm_is_submitted_again_and_goes_on(runs):
    submitted = runs["submitted"]
    trainings = trainings_of(submitted, FIRST_TEST)
    assert [job["JobState"] for job in trainings] == ["FAILED", "COMPLETED"]
    assert "stopped by SIGTERM" in submitted.printed
    assert "goes on from" in (submitted.folder / TRAINED).read_text()
    run = submitted.folder / "results/tiny/runs/patient/alexnet/test1/fold0"
    assert len(pd.read_csv(run / "history.csv")) == 5
    assert not (run / "checkpoint.pt").exists()


def test_a_failing_job_is_reported_with_its_log_and_tried_again_with_more_memory(runs):
    failing, tries = runs["failing"], PROFILE["retries"] + 1
    jobs = jobs_of(failing, "rule_catalog_")
    assert [job["JobState"] for job in jobs] == ["FAILED"] * tries
    assert [job["MinMemoryNode"] for job in jobs] == ["2000M", "4000M", "8000M"]
    assert failing.printed.count("SLURM status is: 'FAILED'") >= tries
    assert failing.printed.count("column pathology is missing") >= tries


def test_a_job_killed_for_its_memory_ends_with_more(runs):
    failing = runs["failing"]
    jobs = jobs_of(failing, "_bench_filters")
    assert [job["JobState"] for job in jobs] == ["FAILED", "COMPLETED"]
    assert [job["MinMemoryNode"] for job in jobs] == ["64M", "512M"]
    assert (failing.folder / "results/tiny/filters/truth.csv").exists()
