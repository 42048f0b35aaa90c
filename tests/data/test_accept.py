"""Stage `accept`: what was set aside is weighed against all ROIs, and nothing is lost."""

import json

import pytest

from mcalc import records
from mcalc.data.accept import accept
from mcalc.data.datasets.registry import UNKNOWN
from mcalc.errors import DataError


@pytest.fixture
def tables(tmp_path):
    """Ninety-eight ROIs in the catalog; two were set aside before, three after."""
    known = {"label": "benign", "pathology": "BENIGN", "dataset": "folder", "source": "a.png"}
    known |= {"sha256": "0", "shard": 0}
    rois = [UNKNOWN | known | {"roi_id": f"roi{number}"} for number in range(98)]
    paths = [tmp_path / name for name in ("catalog.csv", "rejected.csv", "0.csv", "1.csv")]
    records.write(rois, paths[0], records.CATALOG)
    aside = {"source": "", "detail": "no image lies there"}
    for path, stage, reasons in (
        (paths[1], "catalog", ["missing_file", "missing_file"]),
        (paths[2], "convert", ["unreadable", "constant_image", "unreadable"]),
        (paths[3], "convert", []),
    ):
        rows = [
            aside | {"roi_id": f"{stage}{number}", "stage": stage, "reason": reason}
            for number, reason in enumerate(reasons)
        ]
        records.write(rows, path, records.REJECTED)
    return paths


def run(tables, **options):
    return accept(tables[0], tables[1:], accepted=tables[0].with_name("a.json"), **options)


def test_the_counts_are_of_all_rois(tables):
    said = run(tables, max_rejected=0.05)
    assert said.startswith("5 of 100 ROIs set aside (2 missing_file, 2 unreadable, 1 constant")
    found = json.loads(tables[0].with_name("a.json").read_text())
    reasons = {"missing_file": 2, "unreadable": 2, "constant_image": 1}
    assert found == {"rois": 100, "rejected": 5, "reasons": reasons}


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"max_rejected": 0.049}, "dataset.max_rejected allows 4.9%"),
        ({"on_rejected": "stop", "max_rejected": 1}, "dataset.on_rejected is stop"),
    ],
)
def test_too_many_stop_and_the_sentence_says_which_and_where(tables, options, rule):
    with pytest.raises(DataError) as caught:
        run(tables, **options)
    said = str(caught.value)
    assert rule in said
    assert "5 of 100 ROIs were set aside (2 missing_file, 2 unreadable" in said
    assert str(tables[1]) in said and str(tables[2]) in said and str(tables[3]) not in said
    assert "catalog0: no image lies there" in said
    assert not tables[0].with_name("a.json").exists()


def test_nothing_set_aside_never_stops(tables):
    for path in tables[1:]:
        records.write([], path, records.REJECTED)
    assert run(tables, on_rejected="stop", max_rejected=0).startswith("0 of 98 ROIs set aside;")
