"""What happens to a whole run: two at once, a lock left over, a job killed, a clock that jumps.

Each runs the preparation of images only (the target clean_all), which takes seconds.
"""

import os
import signal
import subprocess
import time

import cv2
import psutil
import pytest

pytestmark = pytest.mark.slow

PREPARE = ("snakemake", "--cores", "2", "clean_all", "--configfile", "tiny.yaml")
LOCKED = "Directory cannot be locked"
YEAR = 365 * 24 * 3600


@pytest.fixture(scope="module")
def prepared(make_project, untouched):
    """A project whose images are prepared."""
    project = make_project(untouched.folder)
    project.call(*PREPARE)
    return project


def wait_for_job(snakemake: psutil.Process, stage: str) -> psutil.Process:
    """Wait until a job of `stage` runs, and return it."""
    while snakemake.poll() is None:
        for process in snakemake.children(recursive=True):
            if stage in _words(process):
                return process
        time.sleep(0.01)
    raise AssertionError(f"Snakemake ended without a job of {stage}.")


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def start(project) -> psutil.Process:
    return project.start(*PREPARE, stdout=subprocess.DEVNULL, start_new_session=True)


def test_a_second_run_in_the_same_folder_is_refused_and_harms_nothing(
    make_project, untouched, prepared
):
    project = make_project(untouched.folder)
    first = start(project)
    job = wait_for_job(first, "convert")
    job.suspend()  # so that the first run cannot end before the second
    second = project.start(*PREPARE, stdout=subprocess.PIPE)
    said, _ = second.communicate()
    assert second.returncode != 0
    assert LOCKED in said
    assert "no other Snakemake process" in said
    job.resume()
    assert first.wait() == 0
    assert project.outputs() == prepared.outputs()


def test_a_lock_left_over_is_named_with_its_cure_and_nothing_is_lost(
    make_project, untouched, prepared
):
    project = make_project(untouched.folder)
    run = start(project)
    wait_for_job(run, "clean")
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    before = project.outputs()
    said = project.call(*PREPARE, check=False)
    assert LOCKED in said
    assert "--unlock" in said
    assert project.outputs() == before
    project.call(*PREPARE, "--unlock")
    said = project.call(*PREPARE)
    assert "checkpoint catalog:" not in said  # what was done is not done again
    assert project.outputs() == prepared.outputs()


def test_an_orphan_of_a_killed_run_cannot_overwrite_the_next_runs_images(make_project, untouched):
    """Killed alone, as when memory is short; then other settings; then the orphan wakes up."""
    project = make_project(untouched.folder)
    run = start(project)
    orphan = wait_for_job(run, "convert")
    orphan.suspend()
    run.kill()
    run.wait()
    project.configure(convert={"size": 96})
    project.call(*PREPARE, "--unlock")
    project.call(*PREPARE)
    before = project.outputs()
    orphan.resume()
    while any(_group(process) == run.pid for process in psutil.process_iter()):
        time.sleep(0.05)
    assert project.outputs() == before
    images = list((project.folder / "results/tiny/images").glob("enhanced/*/*.png"))
    assert images
    assert {cv2.imread(str(path)).shape[0] for path in images} == {96}
    assert "Nothing to be done" in project.call(*PREPARE)


def _group(process: psutil.Process) -> int | None:
    """Return the process group, or None for one that has ended."""
    try:
        return None if process.status() == psutil.STATUS_ZOMBIE else os.getpgid(process.pid)
    except (ProcessLookupError, psutil.NoSuchProcess):
        return None


def test_a_job_killed_for_memory_is_reported_and_done_again(make_project, untouched, prepared):
    project = make_project(untouched.folder)
    said = project.call(
        *PREPARE, check=False, meanwhile=lambda run: wait_for_job(run, "choose-filter").kill()
    )
    assert "Error in rule choose_filter" in said
    assert "logs/tiny/choose_filter.log" in said
    assert not (project.folder / "results/tiny/filters/choice.json").exists()
    project.call(*PREPARE)
    assert project.outputs() == prepared.outputs()


def set_clock(project, names: list[str], shift: int) -> None:
    """Date results as if a machine had written them whose clock is off."""
    for name in names:
        place = project.folder / "results/tiny" / name
        for path in (place, *place.rglob("*")):
            os.utime(path, (time.time() + shift,) * 2)


def test_tables_of_a_clock_that_was_wrong_are_compared_by_content(make_project, prepared):
    project = make_project(prepared.folder)
    set_clock(project, ["catalog.csv", "filters/0.csv", "filters/choice.json"], YEAR)
    assert "Nothing to be done" in project.call(*PREPARE)
    set_clock(project, ["filters/0.csv"], -YEAR)  # older than the images it was made from
    assert project.dry_run("clean_all")["compare_filters"] == 1


def test_images_dated_in_the_future_are_named_and_dated_today_they_do(make_project, prepared):
    """Snakemake would do the next stage again and again; it stops instead and says why."""
    project = make_project(prepared.folder)
    set_clock(project, ["images/converted"], YEAR)
    said = project.call(*PREPARE, check=False)
    assert "older modification time" in said
    assert "than input results/tiny/images/converted/" in said
    project.call("find", "results", "-newermt", "now", "-exec", "touch", "{}", "+")
    project.call(*PREPARE)
    assert "Nothing to be done" in project.call(*PREPARE)
    assert project.outputs() == prepared.outputs()


@pytest.mark.parametrize("shift", [-YEAR, YEAR], ids=["past", "future"])
def test_a_new_image_is_seen_whatever_its_time(make_project, prepared, shift):
    """Copied with an old date, as by rsync -t, or with one that is yet to come."""
    project = make_project(prepared.folder)
    source, other = sorted((project.folder / "resources/tiny").glob("CBIS-DDSM/*_1/*/*/1-1.dcm"))[
        :2
    ]
    source.write_bytes(other.read_bytes())
    os.utime(source, (time.time() + shift,) * 2)
    jobs = project.dry_run("clean_all")
    assert jobs["catalog"] == 1
    project.call(*PREPARE)
    assert project.outputs() != prepared.outputs()
    assert "Nothing to be done" in project.call(*PREPARE)


# What Snakemake has done with groups on a cluster: it ends, content, before all is done.
ENDS_EARLY = """
import snakemake.cli
from snakemake.scheduling.job_scheduler import JobScheduler
JobScheduler.schedule = lambda scheduler: True
"""


def test_a_snakemake_that_ends_too_early_is_not_called_done(make_project, untouched, tmp_path):
    project = make_project(untouched.folder)
    script = tmp_path / "ends_early.py"
    script.write_text(f"{ENDS_EARLY}\nsnakemake.cli.main()")
    arguments = PREPARE[1:]
    said = project.call(
        "bash", "-c", 'python "$@"; echo exit code $?', "bash", str(script), *arguments
    )
    assert "Snakemake has ended although 6 jobs are not done (catalog, " in said
    assert "run the same command again" in said
    assert said.strip().endswith("exit code 1")
    assert "ended with failures" in project.call("mcalc", "status", "results/tiny", check=False)
    project.call(*PREPARE)
    assert "ended well" in project.call("mcalc", "status", "results/tiny")
