"""What is read of a results folder in which an earlier configuration left files, too."""

from mcalc import records
from mcalc.reporting.results import Results
from mcalc.reporting.tables import write_tables


def test_what_an_earlier_configuration_left_there_is_not_told(make_scored_run, tmp_path):
    """With a protocol more, and with more shards, in which a ROI was set aside."""
    folder = make_scored_run()
    write_tables(folder, run_name="usual", tables=tmp_path / "before")
    runs = records.read(folder / "evaluation/paper.csv", records.RUNS)
    runs = runs.assign(protocol="patient")
    records.write(runs, folder / "evaluation/patient.csv", records.RUNS)
    aside = {key: Results(folder, "usual").catalog.iloc[0][key] for key in ("roi_id", "source")}
    aside |= {"stage": "convert", "reason": "unreadable", "detail": "of another time"}
    records.write([aside], folder / "images/converted/7.rejected.csv", records.REJECTED)
    kept = records.read(folder / "images/cleaned/0.csv", records.CLEANING)
    records.write(kept.assign(method="otsu"), folder / "images/cleaned/7.csv", records.CLEANING)

    write_tables(folder, run_name="usual", tables=tmp_path / "after")
    before, after = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        for name in ("before", "after")
    )
    assert len(before) > 20
    assert before == after
