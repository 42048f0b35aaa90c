"""Every quirk of the phantom is seen by the catalog, told with its reason, or mended."""

import shutil

import pandas as pd
import pytest
import yaml

from mcalc import records
from mcalc.cli.options import Quirk
from mcalc.data.catalog import write_catalog
from mcalc.data.datasets.phantom import write_phantom
from mcalc.data.datasets.phantom.quirks import BREAKING, LAYOUTS, QUIRKS, add_quirks
from mcalc.data.doctor import examine

REASONS = {
    "missing_crop": "mask_not_crop",
    "missing_case": "missing_file",
    "empty_file": "empty_file",
    "cut_file": "unreadable",
    "web_page": "unreadable",
    "wrong_case": "wrong_case",
    "second_image": "ambiguous_crop",
}


def catalog(root) -> tuple[pd.DataFrame, pd.DataFrame]:
    paths = {"catalog": root.parent / "catalog.csv", "rejected": root.parent / "rejected.csv"}
    write_catalog(root, dataset="phantom", **paths)
    found = records.read(paths["catalog"], records.CATALOG)
    return found, records.read(paths["rejected"], records.REJECTED)


def test_the_command_and_the_configuration_know_every_quirk(pytestconfig):
    schema = yaml.safe_load(
        (pytestconfig.rootpath / "workflow/schemas/config.schema.yaml").read_text()
    )
    known = schema["properties"]["phantom"]["properties"]["quirks"]["items"]["enum"]
    assert list(QUIRKS) == known == [str(quirk) for quirk in Quirk]


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    root = tmp_path_factory.mktemp("plain") / "root"
    write_phantom(root, patients=8, seed=1)
    return root


@pytest.fixture
def root(plain, tmp_path):
    """A copy to be damaged."""
    return shutil.copytree(plain, tmp_path / "root")


def test_each_broken_case_is_set_aside_with_its_reason(root, plain):
    broken = add_quirks(root, list(BREAKING))
    found, rejected = catalog(root)
    reasons = dict(zip(rejected["roi_id"], rejected["reason"], strict=True))
    assert reasons == {broken[quirk]: reason for quirk, reason in REASONS.items()}
    assert len(found) == len(catalog(plain)[0]) - len(REASONS)
    examination = examine(root, dataset="phantom")
    checks = {check.name: check.findings for check in examination.checks if check.needs_person}
    assert set(checks) == set(REASONS.values()) | {"constant_crop"}
    assert checks["constant_crop"] == [(broken["constant_crop"], "")]


@pytest.mark.parametrize("quirk", [*LAYOUTS, "windows_tables"])
def test_each_layout_gives_the_same_rows(root, plain, quirk):
    add_quirks(root, [quirk])
    found, rejected = catalog(root)
    assert rejected.empty
    places = ["source", "mask", "mammogram"]
    whole, _ = catalog(plain)
    pd.testing.assert_frame_equal(found.drop(columns=places), whole.drop(columns=places))
    changed = (
        found["source"].str.split("/root/").str[1] != whole["source"].str.split("/root/").str[1]
    )
    assert changed.all() == (quirk != "windows_tables")


@pytest.mark.slow
def test_a_phantom_replaces_the_older_and_nothing_else(tmp_path, plain):
    write_phantom(tmp_path / "root", quirks=["second_image", "flat_tree"], patients=6, seed=2)
    (tmp_path / "root/mine.txt").write_text("kept")
    write_phantom(tmp_path / "root", patients=8, seed=1)
    (tmp_path / "root/mine.txt").unlink()
    names = [sorted(path.relative_to(root).as_posix() for path in root.rglob("*"))
             for root in (plain, tmp_path / "root")]  # fmt: skip
    assert names[0] == names[1]
