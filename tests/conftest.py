"""What tests of several wings share."""

import os
import sys
from pathlib import Path

# A test process each core: two threads of one would wait for the core of the other. Libraries read
# it when they are imported, and processes that tests start inherit it.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import numpy as np
import pytest

from mcalc import cli

REPOSITORY = Path(__file__).parents[1]


def pytest_collection_modifyitems(items):
    """Begin with whole workflows: at the end all other processes would wait for them.

    With --no-loadscope-reorder, as CI runs slow tests; else files of many tests come first.
    """
    items.sort(key=lambda item: "workflow" not in item.path.parts)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real CBIS-DDSM tables and mammograms that lies beside a developer's clone."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        if os.environ.get("CI"):
            pytest.fail(f"{folder} is missing, but CI always has it.")
        pytest.skip("real CBIS-DDSM tables are not part of the repository (../shared/data)")
    return folder


@pytest.fixture
def mcalc(monkeypatch, capsys):
    """Run the command line in this process; return exit code, standard output and error."""

    def run(*arguments) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["mcalc", *map(str, arguments)])
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = end.code or 0
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


@pytest.fixture
def own(tmp_path) -> Path:
    """A folder data set of twelve pictures of 32 x 32."""
    for number in range(12):
        path = tmp_path / "own" / ("malignant" if number % 2 else "benign") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        image = np.random.default_rng(number).integers(0, 256, (32, 32)).astype(np.uint8)
        cv2.imwrite(str(path), image)
    return tmp_path
