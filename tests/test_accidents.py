"""What a machine does to a stage: each accident ends in one sentence and leaves nothing half."""

import errno
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mcalc import records
from mcalc.data import catalog
from mcalc.errors import explain

FILTER = ["--filter", "mean:3"]


def calls(folder: Path) -> dict[str, list]:
    """Return a call of each stage up to the split, in their order, and what it writes first."""
    at = {
        name: folder / name
        for name in ("c.csv", "r.csv", "converted", "0.csv", "clean", "k.csv", "f.csv", "t.csv")
        + ("speck", "choice.json", "enhanced", "stacked.npy", "seed.json", "s.csv", "accepted.json")
    }
    listed = ["--catalog", at["c.csv"]]
    aside = ["--rejected", at["r.csv"]]
    return {
        "catalog": [folder / "own", "--dataset", "folder", *listed, *aside],
        "convert": [*listed, "--shard", 0, "--images", at["converted"], "--rejected", at["0.csv"]]
        + ["--size", 32],
        "accept": [*listed, *aside, "--accepted", at["accepted.json"]],
        "clean": [at["converted"], "--cleaned", at["clean"], "--kept", at["k.csv"]],
        "compare-filters": [at["clean"], "--scores", at["f.csv"], *FILTER],
        "bench-filters": ["--scores", at["t.csv"], "--picture", at["speck"], *FILTER]
        + ["--noise", "gaussian:20", "--crops", 8, "--size", 16],
        "choose-filter": [at["f.csv"], "--choice", at["choice.json"], *FILTER],
        "enhance": [at["clean"], "--choice", at["choice.json"], "--enhanced", at["enhanced"]],
        "stack": [at["enhanced"], "--stack", at["stacked.npy"]],
        "draw-seed": [at["seed.json"]],
        "split": [*listed, *aside, "--protocol", "paper", "--split", at["s.csv"]],
    }


STAGES = list(calls(Path()))
# Tables, images and the stack; what lies between needs all stages before it once more.
QUICKLY_REACHED = [
    stage
    if stage in ("catalog", "convert", "stack")
    else pytest.param(stage, marks=pytest.mark.slow)
    for stage in STAGES
]


@pytest.fixture
def until(mcalc, own):
    """A function that runs all stages before one and returns that one's call."""

    def run(stage: str) -> list:
        for name, arguments in calls(own).items():
            if name == stage:
                return [name, *arguments]
            assert mcalc(name, *arguments)[0] == 0
        raise AssertionError(f"no stage {stage}")

    return run


def refused(result: tuple[int, str, str]) -> str:
    """Check for exit code 3 and one sentence without a traceback; return it."""
    code, _, said = result
    assert code == 3, said
    assert len(said.splitlines()) == 1
    assert said.startswith("mcalc: ")
    return said


def tree(folder: Path) -> dict[Path, bytes | None]:
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


class Limit:
    """A limit of this process (setrlimit) while the block runs."""

    def __init__(self, kind: int, number: int) -> None:
        self.kind, self.number = kind, number

    def __enter__(self) -> None:
        self.before = resource.getrlimit(self.kind)
        resource.setrlimit(self.kind, (self.number, self.before[1]))

    def __exit__(self, *error) -> None:
        resource.setrlimit(self.kind, self.before)


# --- a disk that takes no more ------------------------------------------------------------------


@pytest.mark.parametrize("stage", QUICKLY_REACHED)
def test_a_file_that_may_not_grow_is_3_and_leaves_nothing(mcalc, own, until, stage):
    """A file may have 32 bytes: that fails as a full disk does, in the middle of a write."""
    call = until(stage)
    before = tree(own)
    with Limit(resource.RLIMIT_FSIZE, 32):
        said = refused(mcalc(*call))
    assert "File too large; make room there" in said
    assert said.startswith(f"mcalc: {own}/")
    assert ".part" not in said
    assert tree(own) == before
    assert mcalc(*call)[0] == 0


@pytest.fixture
def disk(tmp_path):
    """A file system of 64 KiB of its own, and a function that makes it read-only."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(options: str) -> int:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
        return subprocess.run(command, capture_output=True, check=False).returncode

    if not shutil.which("mount") or mount("size=64k"):
        pytest.skip("mounting a file system needs rights that this user lacks")
    yield place, lambda: mount("remount,ro")
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_is_3_and_takes_what_was_written_back(mcalc, own, until, disk):
    place, _ = disk
    call = until("convert")
    call[call.index("--images") + 1] = place / "converted"
    filled = place / "filled"
    filled.write_bytes(bytes(60 << 10))
    said = refused(mcalc(*call))
    assert said.startswith(f"mcalc: {place}/converted")
    assert "No space left on device; make room there" in said
    assert list(place.iterdir()) == [filled]
    filled.unlink()
    assert mcalc(*call)[0] == 0


@pytest.mark.parametrize("stage", ["convert", "split"])
def test_a_read_only_disk_is_3(mcalc, own, until, disk, stage):
    place, make_read_only = disk
    call = until(stage)
    where = call.index("--images" if stage == "convert" else "--split") + 1
    call[where] = place / "x/out"
    make_read_only()
    said = refused(mcalc(*call))
    assert said.startswith(f"mcalc: {place}/x")
    assert "Read-only file system; allow writing there or choose another folder" in said
    assert list(place.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "make room"),
        *[
            pytest.param(number, advice, marks=pytest.mark.slow)
            for number, advice in (
                (errno.EDQUOT, "make room"),
                (errno.EROFS, "allow writing"),
                (errno.EACCES, "allow writing"),
                (errno.EIO, "look after the disk"),
                (errno.ESTALE, "look after the disk"),
                (errno.EMFILE, "ulimit -n"),
            )
        ],
    ],
)
def test_what_a_disk_says_at_the_end_is_3(mcalc, own, until, monkeypatch, number, advice):
    """Also where nothing can be mounted: the last step of each output fails."""
    call = until("split")
    before = tree(own)

    def fail(source, target):
        raise OSError(number, os.strerror(number), str(source), None, str(target))

    monkeypatch.setattr(os, "replace", fail)
    said = refused(mcalc(*call))
    assert said.startswith(f"mcalc: {own}/s.csv: {os.strerror(number)}; ")
    assert advice in said
    assert tree(own) == before


def test_an_output_below_a_file_is_3(mcalc, own, until):
    call = until("split")
    call[call.index("--split") + 1] = own / "c.csv/splits/s.csv"
    said = refused(mcalc(*call))
    assert said == f"mcalc: {own}/c.csv/splits: Not a directory; give another path.\n"


def test_an_error_of_the_system_without_advice_stays_a_bug():
    assert explain(OSError(errno.EINVAL, "Invalid argument")) is None
    assert explain(OSError("no number")) is None


# --- input that goes away -----------------------------------------------------------------------


def test_a_picture_removed_after_the_catalog_is_a_row_with_its_reason(mcalc, own, until):
    call = until("convert")
    (own / "own/benign/4.png").unlink()
    assert mcalc(*call)[0] == 0
    (row,) = records.read(own / "0.csv", records.REJECTED).to_dict("records")
    assert (row["stage"], row["reason"]) == ("convert", "missing_file")
    assert row["source"].endswith("benign/4.png")
    assert len(list((own / "converted").iterdir())) == 11


@pytest.mark.parametrize("stage", ["clean", "compare-filters", "enhance"])
def test_an_image_removed_while_its_stage_runs_is_3_and_named(
    mcalc, own, until, monkeypatch, stage
):
    """After the folder was listed, before the image is read."""
    call = until(stage)
    before = tree(own)
    doomed = sorted(Path(call[1]).iterdir())[5]
    read = cv2.imread

    def remove_and_read(path, *options):
        doomed.unlink(missing_ok=True)
        return read(path, *options)

    monkeypatch.setattr(cv2, "imread", remove_and_read)
    said = refused(mcalc(*call))
    assert said.startswith(f"mcalc: {doomed}: no longer there; remove its folder")
    assert tree(own) == {path: content for path, content in before.items() if path != doomed}


@pytest.mark.parametrize("number", [errno.EIO, errno.EMFILE, errno.ENOMEM])
@pytest.mark.parametrize("name", ["4.png", "4.dcm"])
def test_a_disk_that_fails_while_reading_sets_no_image_aside(
    mcalc, own, until, monkeypatch, number, name
):
    """The image is not to blame, and an analysis without it would be another one."""
    call = until("convert")
    source = own / "own/benign" / name
    if name.endswith(".dcm"):
        source.write_bytes(bytes(256))
    table = (own / "c.csv").read_text().replace("benign/4.png", f"benign/{name}")
    (own / "c.csv").write_text(table)

    def fail(*arguments, **options):
        raise OSError(number, os.strerror(number), str(source))

    if name.endswith(".png"):
        monkeypatch.setattr(np, "fromfile", fail)
    else:
        monkeypatch.setattr("builtins.open", _failing_for(source, fail))
    said = refused(mcalc(*call))
    assert os.strerror(number) in said
    assert not (own / "converted").exists()
    assert not (own / "0.csv").exists()


def _failing_for(source: Path, fail):
    real = open

    def open_or_fail(path, *arguments, **options):
        return fail() if str(path) == str(source) else real(path, *arguments, **options)

    return open_or_fail


# --- memory -------------------------------------------------------------------------------------

SHORT_OF_MEMORY = """
import resource, sys
from mcalc import cli
import mcalc.data.catalog, mcalc.images.convert, mcalc.images.filters
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (48 << 20), resource.RLIM_INFINITY))
sys.argv[0] = "mcalc"
cli.main()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells how much memory is mapped")
@pytest.mark.slow
def test_too_little_memory_is_3_and_sets_no_image_aside(mcalc, own, until):
    large = np.arange(9000).astype(np.uint8)[None].repeat(6000, axis=0)
    cv2.imwrite(str(own / "own/benign/4.png"), large)
    call = until("convert")
    before = tree(own)
    command = [sys.executable, "-c", SHORT_OF_MEMORY, *map(str, call)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = refused((done.returncode, done.stdout, done.stderr))
    assert said.startswith("mcalc: The memory does not suffice; give the job more (mem_mb")
    assert tree(own) == before


def test_too_little_memory_for_pytorch_is_3_too(mcalc, own, until, monkeypatch):
    """It says so in a RuntimeError, as of any bug."""
    call = until("catalog")
    monkeypatch.setattr(catalog, "write_catalog", lambda *_, **__: torch.empty(2**60))
    said = refused(mcalc(*call))
    assert said.startswith("mcalc: The memory does not suffice; give the job more (mem_mb")
