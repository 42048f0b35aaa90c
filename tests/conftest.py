"""What tests of several wings share."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real CBIS-DDSM tables and mammograms that lies beside a developer's clone."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        if os.environ.get("CI"):
            pytest.fail(f"{folder} is missing, but CI always has it.")
        pytest.skip("real CBIS-DDSM tables are not part of the repository (../shared/data)")
    return folder
