"""The whole workflow on a tiny data set in which some files are bad, from DICOM to the report."""

import json
import re
import time

import pandas as pd
import psutil
import pytest

from mcalc.log_head import split_head

pytestmark = pytest.mark.slow

STUDY_TABLES = ("table2", "table3", "table4", "table7_alexnet", "table9", "overlap", "cleaning")
STUDY_TABLES += ("truth_psnr", "truth_ssim", "truth_contrast")
FIGURES = ("figure3", "figure4a", "figure4b", "truth", "figure5", "figure6", "top_losses")


def crops(project):
    return sorted((project.folder / "resources/tiny").glob("CBIS-DDSM/*/*/*/1-1.dcm"))


@pytest.fixture(scope="module")
def spoiled(make_project, untouched):
    """A project in which one crop is cut off, one empty, one missing and one a mask."""
    project = make_project(untouched.folder)
    rois = [path for path in crops(project) if path.parts[-4].endswith(("_1", "_2"))]
    cut_off, empty, missing, mask = rois[:4]
    cut_off.write_bytes(cut_off.read_bytes()[: cut_off.stat().st_size // 2])
    empty.write_bytes(b"")
    missing.unlink()
    missing.with_name("1-2.dcm").unlink()
    mask.unlink()
    project.bad = {
        path.parts[-4]: reason
        for path, reason in (
            (cut_off, "unreadable"),
            (empty, "empty_file"),
            (missing, "missing_file"),
            (mask, "mask_not_crop"),
        )
    }
    return project


@pytest.fixture(scope="module")
def finished(spoiled):
    """The same project after `snakemake`."""
    spoiled.printed = spoiled.snakemake()
    return spoiled


def test_a_second_run_finds_nothing_to_do(finished):
    assert "Nothing to be done" in finished.snakemake()


def test_what_it_needs_is_told_before_the_first_job_and_is_about_what_it_took(finished):
    """Within a factor of two of what stays; what is there for a time is told apart."""
    before, _, after = finished.printed.partition("Select jobs to execute")
    said = re.search(r"disk: about (\d+) MB in results/tiny, and (\d+) MB more while", before)
    taken = sum(path.stat().st_size for path in (finished.folder / "results").rglob("*")) / 1e6
    assert taken / 2 < float(said.group(1)) < taken * 2
    assert "memory: at most 8.0 GB a job (train); this machine has" in before
    assert "What this run needs" not in after


def test_each_log_begins_with_its_command_in_the_folder_where_it_ran(finished):
    logs = sorted((finished.folder / "logs").rglob("*.log"))
    assert len(logs) == len(
        json.loads((finished.folder / "logs/tiny/plan.json").read_text())["jobs"]
    )
    for path in logs:
        command, facts, said = split_head(path.read_text())
        assert command[0] == "mcalc"
        assert facts["folder"] == str(finished.folder)
        assert "\n# begun" not in said


def test_the_status_of_a_finished_run_is_all_done(finished):
    printed = finished.call("mcalc", "status", "results/tiny")
    assert printed.startswith("tiny: the run has ended well.\nOf 30 jobs 30 done.\n")


def test_all_tables_figures_and_the_report_are_there(finished):
    results = finished.folder / "results/tiny"
    for name in STUDY_TABLES:
        table = pd.read_csv(results / f"tables/{name}.csv")
        assert len(table) > 0
        assert set(table["run"]) == {"tiny"}
        assert "Run `tiny`" in (results / f"tables/{name}.md").read_text()
    for name in FIGURES:
        assert (results / f"figures/{name}.png").read_bytes().startswith(b"\x89PNG")
        assert "tiny" in (results / f"figures/{name}.svg").read_text()
    assert "tiny" in (results / "report.html").read_text()


def test_each_bad_file_is_one_row_with_its_reason(finished):
    results = finished.folder / "results/tiny"
    tables = [results / "rejected.csv", *results.glob("images/converted/*.rejected.csv")]
    rejected = pd.concat(pd.read_csv(path) for path in tables)
    assert dict(zip(rejected["roi_id"], rejected["reason"], strict=True)) == finished.bad
    report = (results / "report.html").read_text()
    for roi_id, reason in finished.bad.items():
        assert roi_id in report
        assert reason in report


def test_no_roi_is_lost_between_the_table_and_the_split(finished):
    results = finished.folder / "results/tiny"
    described = pd.concat(
        pd.read_csv(path)
        for path in (finished.folder / "resources/tiny").glob("calc_case_description_*.csv")
    )
    split = pd.read_csv(results / "splits/patient.csv")
    assert split["roi_id"].nunique() + len(finished.bad) == len(described)
    assert len(split) == 4 * split["roi_id"].nunique()


def test_the_patient_protocol_keeps_patients_apart(finished):
    split = pd.read_csv(finished.folder / "results/tiny/splits/patient.csv")
    assert (split.groupby("patient_id")["subset"].nunique() == 1).all()


def test_results_follow_from_the_predictions(finished):
    results = finished.folder / "results/tiny"
    for protocol in ("paper", "patient"):
        row = pd.read_csv(results / f"evaluation/{protocol}.csv").iloc[0]
        run = results / f"runs/{protocol}/alexnet/test1/fold0"
        predictions = pd.read_csv(run / "predictions.csv")
        wrong = predictions["label"] != predictions["predicted"]
        assert row["error_rate"] == pytest.approx(wrong.mean())
        card = json.loads((run / "run.json").read_text())
        assert card["images"]["valid"] == len(predictions)
        scores = pd.read_csv(results / f"scores/{protocol}/scores.csv")
        shortcuts = pd.read_csv(results / f"shortcuts/{protocol}/fold0.csv")
        scored = scores.loc[scores["kind"] == "shortcut", "model"]
        assert set(scored) == set(shortcuts["model"]) >= {"majority", "crop_size", "background"}


def test_snakemakes_own_report_is_made(finished):
    finished.snakemake("--report", "snakemake-report.html")
    assert "table9" in (finished.folder / "snakemake-report.html").read_text()


@pytest.fixture(scope="module")
def resplit(make_project, untouched):
    """A run as the study's: unseeded, by fastai v1's recipe, and measured on a second split."""
    project = make_project(untouched.folder)
    project.configure(
        split={"protocols": ["paper", "paper_resplit"], "seed": None},
        train__recipe="fastai1",
        augment={"max_warp": 0.2},
    )
    project.snakemake()
    return project


def test_an_unseeded_run_draws_its_seed_once_and_says_which(resplit):
    results = resplit.folder / "results/tiny"
    written = (results / "splits/seed.json").read_bytes()
    seed = json.loads(written)
    assert seed["drawn"] is True
    assert "Nothing to be done" in resplit.snakemake()
    assert (results / "splits/seed.json").read_bytes() == written
    tables = [f"--rejected={path}" for path in results.glob("**/*rejected.csv")]
    for protocol in ("paper", "paper_resplit"):
        resplit.call(
            *("mcalc", "split", "--catalog", str(results / "catalog.csv"), *tables),
            *("--protocol", protocol, "--split", "again.csv", "--seed", str(seed["seed"])),
        )
        again = (resplit.folder / "again.csv").read_bytes()
        assert again == (results / f"splits/{protocol}.csv").read_bytes()


def test_the_second_splits_images_are_mostly_those_of_the_training(resplit):
    """The networks are those of the protocol paper, measured on images that they have seen."""
    results = resplit.folder / "results/tiny"
    first, second = (
        pd.read_csv(results / f"splits/{name}.csv") for name in ("paper", "paper_resplit")
    )
    run = results / "runs/paper_resplit/alexnet/test1/fold0"
    predictions = pd.read_csv(run / "predictions.csv")
    measured = set(predictions["image_id"])
    assert measured == set(second[second["subset"] == "valid"]["image_id"])
    seen = len(measured & set(first[first["subset"] == "train"]["image_id"]))
    shortcuts = pd.read_csv(results / "shortcuts/paper_resplit/fold0.csv")
    assert set(shortcuts["image_id"]) == measured
    logged = resplit.log("tiny/shortcuts/paper_resplit/fold0.log")
    trained = first.loc[first["subset"] == "train", "roi_id"].nunique()
    assert f"from {trained} ROIs" in logged
    # Four fifths on average (tests/evaluation/test_split.py); these are few images without a seed.
    assert seen / len(measured) > 0.3
    assert not (run / "weights.safetensors").exists()
    card = json.loads((run / "run.json").read_text())
    assert (card["trained_as"], card["settings"]["recipe"]) == ("paper", "fastai1")
    row = pd.read_csv(results / "evaluation/paper_resplit.csv").iloc[0]
    wrong = predictions["label"] != predictions["predicted"]
    assert row["error_rate"] == pytest.approx(wrong.mean())


def test_the_report_calls_the_second_split_a_mistake(resplit):
    results = resplit.folder / "results/tiny"
    assert "This demonstrates a mistake and is no result." in (results / "report.html").read_text()
    assert "is no result" in (results / "tables/table9.md").read_text()
    assert set(pd.read_csv(results / "tables/table9.csv")["protocol"]) == {"paper", "paper_resplit"}
    assert set(pd.read_csv(results / "tables/table7_alexnet.csv")["protocol"]) == {"paper"}


def test_a_folder_without_patients_refuses_the_patient_protocol(make_project, untouched):
    project = make_project(untouched.folder)
    for number, path in enumerate(crops(project)[:12]):
        label = ("benign", "malignant")[number % 2]
        place = project.folder / "resources/own" / label / f"{number}.dcm"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(path.read_bytes())
    project.configure(run="own", dataset={"kind": "folder", "root": "resources/own", "shards": 1})
    project.snakemake("results/own/splits/paper.csv")
    project.snakemake("results/own/splits/patient.csv", check=False)
    log = project.log("own/split/patient.log")
    assert log.count("\n") == 1
    assert "dataset.patients" in log


def test_weights_that_are_not_there_stop_the_run_with_one_sentence(make_project, finished):
    project = make_project(finished.folder)
    project.configure(train__weights="imagenet")
    offline = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    environment = [f"{name}={value}" for name, value in offline.items()]
    project.call(
        *("env", *environment, "TORCH_HOME=nowhere"),
        *("snakemake", "--cores", "2", "results/tiny/runs/paper/alexnet/test1/fold0/run.json"),
        *("--configfile", "tiny.yaml"),
        check=False,
    )
    sentence = project.log("tiny/train/paper/alexnet/test1/fold0.log").strip().splitlines()[-1]
    assert sentence.startswith("mcalc: ImageNet weights of alexnet could not be had")
    assert "alexnet-owt-7be5be79.pth" in sentence


def test_a_failing_stage_leaves_no_output(make_project, untouched):
    project = make_project(untouched.folder)
    root = project.folder / "resources/tiny"
    for path in root.glob("calc_case_description_*.csv"):
        table = pd.read_csv(path).drop(columns="pathology")
        table.to_csv(path, index=False)
    project.snakemake("results/tiny/catalog.csv", check=False)
    log = project.log("tiny/catalog.log")
    assert "column pathology is missing" in log
    assert log.count("\n") == 1
    assert not (project.folder / "results/tiny/catalog.csv").exists()


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("on_rejected", "stop", "dataset.on_rejected is stop"),
        ("max_rejected", 0.01, "dataset.max_rejected allows 1.0%"),
    ],
)
def test_too_much_set_aside_stops_before_the_split_and_stays_listed(
    make_project, finished, key, value, said
):
    project = make_project(finished.folder)
    project.configure(**{f"dataset__{key}": value})
    printed = project.snakemake(check=False)
    assert "Error in rule accept" in printed
    log = project.log("tiny/accept.log")
    assert log.count("\n") == 1
    assert said in log
    assert all(reason in log for reason in finished.bad.values())
    assert (project.folder / "results/tiny/rejected.csv").exists()
    assert not (project.folder / "results/tiny/accepted.json").exists()
    title, sentence = "accept failed. logs/tiny/accept.log ends with:", log.strip()
    assert f"\n{title}\n    {sentence}\n\n" in printed.split("Exiting because a job")[-1]
    status = project.call("bash", "-c", "mcalc status results/tiny; echo exit code $?")
    assert "tiny: the run has ended with failures" in status
    assert f"failed: accept, logs/tiny/accept.log ends with:\n    {sentence}\n" in status
    assert re.search(r"Of 30 jobs \d+ done, 1 failed, \d+ waiting; time left: about \d+ ", status)
    assert status.endswith("exit code 3\n")


def test_a_training_that_is_told_to_end_goes_on_where_it_was(make_project, finished):
    """SIGTERM to every process of the job, as SLURM sends it at the time limit."""
    project = make_project(finished.folder)
    project.configure(
        train__settings=[{"batch_size": 8, "lr_min": 1e-4, "lr_max": 1e-3, "epochs": 9}]
    )
    run = project.folder / "results/tiny/runs/patient/alexnet/test1/fold0"
    log = project.folder / "logs/tiny/train/patient/alexnet/test1/fold0.log"
    log.unlink()
    target = str((run / "run.json").relative_to(project.folder))

    def end_it(snakemake: psutil.Process) -> None:
        while snakemake.is_running() and not (log.exists() and "\n[1," in log.read_text()):
            time.sleep(0.05)
        for process in snakemake.children(recursive=True):
            process.terminate()

    project.snakemake(target, check=False, meanwhile=end_it)
    sentence = log.read_text().strip().splitlines()[-1]
    assert sentence.startswith("mcalc: results/tiny/runs/patient/alexnet/test1/fold0: stopped by")
    assert [path.name for path in run.iterdir()] == ["checkpoint.pt"]
    project.snakemake(target)
    assert "goes on from" in log.read_text()
    assert len(pd.read_csv(run / "history.csv")) == 10
    assert not (run / "checkpoint.pt").exists()
