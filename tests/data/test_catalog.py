"""Stage `catalog`: shards that do not move, hashes of what the files hold, and whole tables."""

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from mcalc import records
from mcalc.cli.options import Dataset
from mcalc.data.catalog import shard_of, write_catalog
from mcalc.data.datasets.registry import DATASETS
from mcalc.errors import DataError


@pytest.fixture
def root(tmp_path) -> Path:
    """Forty pictures, half of them malignant."""
    root = tmp_path / "own"
    for number in range(40):
        path = root / ("malignant" if number % 2 else "benign") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        image = np.random.default_rng(number).integers(0, 256, (12, 12)).astype(np.uint8)
        cv2.imwrite(str(path), image)
    return root


def catalog(root: Path, **options):
    path = root.parent / "catalog.csv"
    rejected = root.parent / "rejected.csv"
    write_catalog(root, dataset="folder", catalog=path, rejected=rejected, **options)
    return records.read(path, records.CATALOG).set_index("roi_id")


def test_shards_never_move():
    """Fixed by hand from SHA-256: an id keeps its shard in every version of mcalc."""
    for roi_id in ("Calc-Test_P_00038_LEFT_CC_1", "benign_a_png", "ä"):
        first = hashlib.sha256(roi_id.encode()).hexdigest()[:16]
        for shards in (1, 2, 7, 26):
            assert shard_of({"roi_id": roi_id}, shards) == int(first, 16) % shards
    assert shard_of({"roi_id": "benign_a_png"}, 1) == 0


def test_another_roi_moves_no_other(root):
    before = catalog(root, shards=5)["shard"]
    cv2.imwrite(str(root / "benign/new.png"), np.eye(9, dtype=np.uint8) * 9)
    (root / "benign/0.png").unlink()
    after = catalog(root, shards=5)["shard"]
    both = before.index.intersection(after.index)
    assert len(both) == 39
    assert (before[both] == after[both]).all()
    assert before.between(0, 4).all()


def test_sha256_is_that_of_the_files_bytes(root):
    table = catalog(root)
    for row in table.to_dict("records"):
        digest = hashlib.sha256(Path(row["source"]).read_bytes()).hexdigest()
        assert digest.startswith(row["sha256"])
        assert len(row["sha256"]) == 16
    assert table["sha256"].nunique() == 40


def test_a_changed_file_changes_its_row_and_the_data_hash_only(root):
    before = catalog(root)
    path = root / "benign/4.png"
    path.write_bytes(path.read_bytes() + b"\0")
    after = catalog(root)
    changed = before.index[before["sha256"] != after["sha256"]]
    assert list(changed) == [next(i for i in before.index if i.startswith("benign_4"))]
    assert before.drop(columns="sha256").equals(after.drop(columns="sha256"))
    hashes = [records.data_hash(table.reset_index()) for table in (before, after)]
    assert hashes[0] != hashes[1]


def test_the_data_hash_does_not_depend_on_where_the_files_lie_or_their_order(root):
    before = catalog(root, shards=3).reset_index()
    moved = root.rename(root.parent / "moved")
    after = catalog(moved, shards=7).reset_index()
    assert set(before["source"]).isdisjoint(after["source"])
    assert records.data_hash(before) == records.data_hash(after)
    assert records.data_hash(after[::-1]) == records.data_hash(after)


def test_a_duplicate_is_set_aside_with_the_first(root):
    (root / "benign/x y.png").write_bytes((root / "benign/0.png").read_bytes())
    (root / "benign/x_y.png").write_bytes((root / "benign/2.png").read_bytes())
    table = catalog(root)
    assert len(table) == 41
    (row,) = records.read(root.parent / "rejected.csv", records.REJECTED).to_dict("records")
    assert (row["reason"], row["stage"]) == ("duplicate_id", "catalog")
    assert row["source"].endswith("x_y.png")


def test_a_refusal_writes_no_table_and_leaves_the_older(root):
    catalog(root)
    before = (root.parent / "catalog.csv").read_bytes()
    for path in (root / "malignant").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="no malignant ROI can be read among 20"):
        catalog(root)
    assert (root.parent / "catalog.csv").read_bytes() == before


def test_the_line_counts_what_was_found_and_set_aside(root):
    (root / "benign/notes.txt").write_text("x")
    paths = {"catalog": root.parent / "c.csv", "rejected": root.parent / "r.csv"}
    said = write_catalog(root, dataset="folder", **paths)
    assert said.startswith("40 ROIs of 0 patients: 20 benign, 20 malignant; 1 set aside")
    assert "1 unreadable" in said


def test_the_command_and_the_configuration_know_every_data_set(pytestconfig):
    root = pytestconfig.rootpath
    schema = yaml.safe_load((root / "workflow/schemas/config.schema.yaml").read_text())
    kinds = schema["properties"]["dataset"]["properties"]["kind"]["enum"]
    assert list(DATASETS) == kinds == [str(kind) for kind in Dataset]
    for text in ("config/README.md", "mcalc/reporting/report.html.j2", "docs/data-model.md"):
        assert all(kind in (root / text).read_text() for kind in kinds), text
