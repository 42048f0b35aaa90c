"""The command line as a user meets it: help, exit codes, one sentence, and a quick start."""

import ast
import csv
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.main import get_command

from mcalc import cli, records
from mcalc.errors import DataError, McalcError, UsageError

PACKAGE = Path(cli.__file__).parents[1]
WINGS = ("data", "images", "evaluation", "learning", "reporting")
# What every wing may use.
FOUNDATION = (
    *("mcalc", "mcalc.errors", "mcalc.files", "mcalc.log_head", "mcalc.progress"),
    "mcalc.records",
)
COMMANDS = sorted(get_command(cli.app).commands)

LIGHT_STAGES = (
    "mcalc.data.catalog",
    "mcalc.images.convert",
    "mcalc.images.clean",
    "mcalc.images.clean_mammograms",
    "mcalc.images.compare_filters",
    "mcalc.images.bench_filters",
    "mcalc.images.choose_filter",
    "mcalc.images.enhance",
    "mcalc.images.stack",
    "mcalc.images.stack_slices",
    "mcalc.evaluation.draw_seed",
    "mcalc.evaluation.split",
    "mcalc.evaluation.overlap",
    "mcalc.evaluation.evaluate",
    "mcalc.evaluation.score",
    "mcalc.learning.shortcuts",
    "mcalc.learning.audit_tables",
    "mcalc.learning.audit_leakage",
    "mcalc.learning.models",
    "mcalc.learning.extract_features",
    "mcalc.learning.fit_model",
    "mcalc.learning.fit_ensemble",
    "mcalc.evaluation.score_league",
    "mcalc.reporting.show_league",
    "mcalc.reporting.audit_metrics",
)


def python(script: str, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def refused(result: tuple[int, str, str], code: int) -> str:
    """Check for the exit code and for one sentence without a traceback; return it."""
    found, _, said = result
    assert found == code, said
    assert "Traceback" not in said
    return said


def catalog(own: Path, *more) -> list:
    tables = ["--catalog", own / "catalog.csv", "--rejected", own / "rejected.csv"]
    return ["catalog", own / "own", "--dataset", "folder", *tables, *more]


def convert(own: Path, *more) -> list:
    outputs = ["--images", own / "converted", "--rejected", own / "0.rejected.csv"]
    return ["convert", "--catalog", own / "catalog.csv", "--shard", 0, *outputs, *more]


# --- help ---------------------------------------------------------------------------------------


def test_every_stage_is_a_command():
    assert set(COMMANDS) >= {
        *(
            "phantom",
            "phantom-stacks",
            "catalog",
            "convert",
            "clean",
            "clean-mammograms",
            "compare-filters",
        ),
        *(
            "accept",
            "bench-filters",
            "choose-filter",
            "enhance",
            "stack",
            "stack-slices",
            "draw-seed",
            "split",
            "train",
            "predict",
            "shortcuts",
            "audit-tables",
            "audit-leakage",
            "show-leakage",
            "evaluate",
            "score",
            "tables",
            "figures",
            "report",
        ),
    }


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(mcalc, command):
    """Each option stands there with its name; the command with a sentence."""
    code, said, _ = mcalc(command, "--help")
    assert code == 0
    assert f"mcalc {command} [OPTIONS]" in said
    parsed = get_command(cli.app).commands[command]
    assert parsed.help and parsed.help.splitlines()[0] in " ".join(said.split())
    for parameter in parsed.params:
        if parameter.param_type_name == "option":
            assert parameter.opts[0] in said


def test_help_lists_the_commands_and_says_what_it_is_not_for(mcalc):
    code, said, _ = mcalc("--help")
    assert code == 0
    assert "not for diagnosis" in said
    assert all(command in said for command in COMMANDS)


def test_no_arguments_show_the_help(mcalc):
    _, said, error = mcalc()
    assert "mcalc [OPTIONS] COMMAND" in said + error


def test_it_runs_as_a_program():
    """The installed entry point, in a process of its own."""
    program = Path(sys.executable).with_name("mcalc")
    if not program.exists():
        pytest.skip("mcalc is not installed beside this Python")
    done = subprocess.run([program, "--help"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Usage: mcalc" in done.stdout


# --- exit code 2: a wrong call ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["bogus"], "bogus"),
        (["catalog"], "root"),
        (["catalog", "x"], "--dataset"),
        (["catalog", "x", "--dataset", "rsna"], "rsna"),
        (["split", "--protocol", "random"], "random"),
        (["convert", "--size", "8"], "--size"),
        (["convert", "--threads", "0"], "--threads"),
        (["convert", "--intensity", "log"], "log"),
        (["convert", "--bits", "12"], "12"),
        (["convert", "--window", "5"], "--window"),
        (["train", "x", "--batch-size", "1"], "--batch-size"),
        (["train", "x", "--lr-max", "fast"], "--lr-max"),
        (["train", "x", "--device", "tpu"], "tpu"),
        (["split", "--valid-fraction", "0.9"], "--valid-fraction"),
        (["draw-seed", "s.json", "--seed", "-1"], "--seed"),
        (["train", "x", "--recipe", "fastai3"], "fastai3"),
        (["evaluate", "x", "--positive-class", "cancer"], "cancer"),
        (["shortcuts", "x", "--fold", "-1"], "--fold"),
        (["audit-tables", "x", "--resamples", "9"], "--resamples"),
        (["score", "x", "--confidence", "95"], "--confidence"),
        (["score", "x", "--aggregation", "median"], "median"),
        (["enhance", "--bogus"], "--bogus"),
        (["bench-filters", "--crops", "7"], "--crops"),
    ],
)
def test_a_wrong_call_is_2_and_names_what_is_wrong(mcalc, arguments, said):
    assert said in refused(mcalc(*arguments), 2)


@pytest.mark.parametrize("text", ["gauss:3", "median", "median:4", "median:33", "mean:²"])
def test_a_wrong_filter_is_2(mcalc, tmp_path, text):
    result = mcalc("compare-filters", tmp_path, "--scores", tmp_path / "s.csv", "--filter", text)
    said = refused(result, 2)
    assert said.startswith(f"mcalc: Filter '{text.partition(':')[0]}")


@pytest.mark.parametrize("text", ["gauss:3", "gaussian", "poisson:0"])
def test_a_wrong_noise_is_2(mcalc, tmp_path, text):
    outputs = ["--scores", tmp_path / "truth.csv", "--picture", tmp_path / "speck"]
    said = refused(mcalc("bench-filters", *outputs, "--filter", "mean:3", "--noise", text), 2)
    assert said.startswith(f"mcalc: Noise '{text.partition(':')[0]}'")
    assert list(tmp_path.iterdir()) == []


def test_a_wanted_filter_that_was_not_compared_is_2(mcalc, tmp_path):
    row = {"roi_id": "r", "filter": "mean", "mse": 1, "psnr": 1, "ssim": 1, "contrast_retention": 1}
    records.write([row], tmp_path / "0.csv", records.FILTERS)
    choice = ["--choice", tmp_path / "choice.json", "--filter", "mean:3", "--wanted", "median"]
    said = refused(mcalc("choose-filter", tmp_path / "0.csv", *choice), 2)
    assert "median is to be applied but not compared" in said


# --- exit code 3: unusable data -----------------------------------------------------------------


def test_a_missing_data_set_is_3(mcalc, tmp_path):
    tables = ["--catalog", tmp_path / "c.csv", "--rejected", tmp_path / "r.csv"]
    said = refused(mcalc("catalog", tmp_path / "nowhere", "--dataset", "cbis_ddsm", *tables), 3)
    assert said.startswith(f"mcalc: {tmp_path}/nowhere: no such folder; set dataset.root")
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        "convert --catalog {0}/no.csv --shard 0 --images {0}/i --rejected {0}/r.csv",
        "enhance {0}/no --choice {0}/no.json --enhanced {0}/e",
        "stack {0}/no --stack {0}/s.npy",
        "clean {0}/no --cleaned {0}/c --kept {0}/k.csv",
        "clean-mammograms --catalog {0}/no.csv --images {0}/i --kept {0}/k.csv --origin dataset",
        "compare-filters {0}/no --scores {0}/s.csv --filter mean:3",
        "choose-filter {0}/no.csv --choice {0}/c.json --filter mean:3",
        "choose-filter {0}/no.csv --choice {0}/c.json --filter mean:3 --truth {0}/t.csv",
        "split --catalog {0}/no.csv --protocol paper --split {0}/s.csv",
        "split --catalog {0}/c.csv --protocol paper --split {0}/s.csv --seed-file {0}/no.json",
        "evaluate {0}/no --results {0}/r.csv",
        "shortcuts {0}/no --catalog {0}/c.csv --split {0}/no.csv --shortcuts {0}/s.csv",
        "audit-tables {0}/no",
        "audit-leakage {0}/no --catalog {0}/no.csv --protocol paper --answers {0}/a.csv",
        "show-leakage {0}/no.csv --catalog {0}/c.csv --run-name x --leakage {0}/l.csv"
        " --figures {0}/f",
        "score {0}/no --protocol paper --scores {0}/s",
        "tables {0}/no --run-name x --tables {0}/t",
        "figures {0}/no --run-name x --figures {0}/f",
        "report {0}/no --run-name x --report {0}/r.html",
    ],
    ids=lambda text: text.split()[0],
)
def test_missing_input_is_3_and_named_and_nothing_is_written(mcalc, tmp_path, arguments):
    said = refused(mcalc(*arguments.format(tmp_path).split()), 3)
    assert f"{tmp_path}/no" in said
    assert len(said.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_training_without_a_split_is_3_and_without_the_network_2(mcalc, tmp_path):
    call = ["train", tmp_path, "--split", tmp_path / "no.csv", "--run", tmp_path / "run"]
    call += ["--protocol", "paper", "--weights", "none", "--device", "cpu"]
    assert "no.csv" in refused(mcalc(*call, "--network", "alexnet"), 3)
    assert "'resnet18' is unknown" in refused(mcalc(*call, "--network", "resnet18"), 2)
    assert list(tmp_path.iterdir()) == []


def test_a_class_without_pictures_is_3(mcalc, own):
    for path in (own / "own/malignant").iterdir():
        path.unlink()
    assert "no malignant ROI can be read among 6" in refused(mcalc(*catalog(own)), 3)


def test_the_exit_codes_are_those_of_the_design():
    """2 for a wrong call or config, 3 for unusable data, 1 for a bug."""
    assert (UsageError.exit_code, DataError.exit_code, McalcError.exit_code) == (2, 3, 1)


def test_a_bug_is_1_with_its_traceback(own):
    """What is no McalcError is not dressed up; in a process of its own, as it ends the program."""
    script = (
        "import sys; from mcalc import cli; from mcalc.data import catalog\n"
        "def broken(*a, **k): raise ZeroDivisionError('a bug')\n"
        "catalog.write_catalog = broken; sys.argv[0] = 'mcalc'; cli.main()"
    )
    done = python(script, *map(str, catalog(own)))
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "ZeroDivisionError: a bug" in done.stderr


# --- stages -------------------------------------------------------------------------------------


def test_the_light_stages_run_one_after_another(mcalc, own):
    """From pictures to a split, each reading what the one before wrote, each saying one line."""
    filters = ["--filter", "adaptive_median:7", "--filter", "median:3"]
    for call in (
        catalog(own),
        convert(own, "--size", 32, "--threads", 2),
        ["clean", own / "converted", "--cleaned", own / "clean", "--kept", own / "kept.csv"],
        ["compare-filters", own / "clean", "--scores", own / "0.csv", *filters],
        ["bench-filters", "--scores", own / "truth.csv", "--picture", own / "speck", *filters]
        + ["--noise", "gaussian:20", "--crops", 8, "--size", 16, "--bits", 8, "--threads", 2],
        ["choose-filter", own / "0.csv", "--choice", own / "choice.json", *filters]
        + ["--truth", own / "truth.csv"],
        ["enhance", own / "clean", "--choice", own / "choice.json", "--enhanced", own / "enhanced"],
        ["split", "--catalog", own / "catalog.csv", "--rejected", own / "rejected.csv"]
        + ["--rejected", own / "0.rejected.csv", "--protocol", "paper", "--split", own / "s.csv"],
    ):
        code, said, error = mcalc(*call)
        assert (code, error) == (0, ""), error
        assert len(said.splitlines()) == 1
    assert len(list((own / "enhanced").glob("*.png"))) == 12
    choice = json.loads((own / "choice.json").read_text())
    assert (choice["filter"], choice["select_by"]) == ("median", "truth")
    assert len(records.read(own / "s.csv", records.SPLIT)) == 48


def test_options_reach_the_stage(mcalc, own):
    """Shards, patients, the seed and the positive class are not lost on the way."""
    with open(own / "patients.csv", "w", newline="", encoding="utf-8") as file:
        names = [path.relative_to(own / "own") for path in (own / "own").glob("*/*.png")]
        csv.writer(file).writerows([("file", "patient_id"), *((n, f"P{n.stem}") for n in names)])
    assert mcalc(*catalog(own, "--shards", 4, "--patients", own / "patients.csv"))[0] == 0
    table = records.read(own / "catalog.csv", records.CATALOG)
    assert table["shard"].max() in (1, 2, 3)
    assert table["patient_id"].nunique() == 12
    splits = []
    for seed in (1, 2):
        options = ["--protocol", "patient", "--split", own / "s.csv", "--valid-fraction", 0.5]
        code, _, error = mcalc("split", "--catalog", own / "catalog.csv", *options, "--seed", seed)
        assert code == 0, error
        splits.append((own / "s.csv").read_bytes())
    assert splits[0] != splits[1]
    assert mcalc("draw-seed", own / "seed.json", "--seed", 1)[0] == 0
    call = ["split", "--catalog", own / "catalog.csv", *options, "--seed-file", own / "seed.json"]
    assert mcalc(*call)[0] == 0
    assert (own / "s.csv").read_bytes() == splits[0]


def test_intensity_and_size_reach_convert(mcalc, own):
    faint = np.arange(100, 132, dtype=np.uint8)[None].repeat(32, axis=0)
    cv2.imwrite(str(own / "own/benign/0.png"), faint)
    mcalc(*catalog(own))
    for intensity, span, black in (
        ("minmax", 255, 1 / 32),
        ("full_range", 31, 0),
        ("percentile --percentiles 50 100", 255, 1 / 2),
        ("fixed --window 0 255", 31, 0),
        ("fixed --window 107 362", 24, 1 / 4),
    ):
        options = ["--size", 32, "--bits", 8, "--intensity", *intensity.split()]
        assert mcalc(*convert(own, *options))[0] == 0
        (path,) = (own / "converted").glob("benign_0*.png")
        image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert image.shape == (32, 32)
        assert np.ptp(image) == span
        assert (image == 0).mean() == black


def test_bits_reach_convert_and_16_are_the_default(mcalc, own):
    mcalc(*catalog(own))
    for options, dtype in (([], np.uint16), (["--bits", 16], np.uint16), (["--bits", 8], np.uint8)):
        assert mcalc(*convert(own, "--size", 32, *options))[0] == 0
        for path in (own / "converted").iterdir():
            assert cv2.imread(str(path), cv2.IMREAD_UNCHANGED).dtype == dtype


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--intensity fixed", "The intensity fixed needs a window"),
        ("--intensity fixed --window 9 2", "Window 9 to 2"),
        ("--window 2 9", "The intensity minmax takes no window"),
        ("--intensity percentile --percentiles 99 1", "Percentiles 99 and 1"),
    ],
)
def test_a_wrong_window_is_2_and_one_sentence(mcalc, own, options, said):
    mcalc(*catalog(own))
    sentence = refused(mcalc(*convert(own, *options.split())), 2)
    assert sentence.startswith(f"mcalc: {said}")
    assert len(sentence.splitlines()) == 1
    assert not (own / "converted").exists()


def test_nothing_but_the_line_is_printed_where_there_is_no_terminal(own):
    """No bar in a log file."""
    script = "import sys; from mcalc.cli import main; sys.argv[0] = 'mcalc'; main()"
    done = python(script, *map(str, catalog(own)))
    assert done.returncode == 0
    assert done.stderr == ""
    assert done.stdout == "12 ROIs of 0 patients: 6 benign, 6 malignant\n"


# --- what is imported ---------------------------------------------------------------------------


HEAVY = ("torch", "torchvision", "fastai", "pandas", "pandera", "cv2", "sklearn", "matplotlib")


@pytest.mark.parametrize(
    "script",
    [
        "import mcalc",
        "from mcalc import cli\nsys.argv = ['mcalc', '--help']\ntry: cli.main()\n"
        "except SystemExit: pass",
        "from mcalc import cli\nsys.argv = ['mcalc', 'train', '--help']\ntry: cli.main()\n"
        "except SystemExit: pass",
    ],
    ids=["import", "help", "train help"],
)
def test_help_imports_no_heavy_library(script):
    done = python(f"import sys\n{script}\nprint('loaded:', *sorted(sys.modules))")
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.rpartition("loaded:")[2].split())
    assert "mcalc" in loaded
    assert not loaded.intersection(HEAVY)


def test_no_light_stage_imports_torch():
    """All in one process, one after another, so that the first to break this is named."""
    script = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module(name)\n"
        "    heavy = {'torch', 'torchvision', 'fastai'}.intersection(sys.modules)\n"
        "    assert not heavy, f'{name} imports {heavy}'"
    )
    done = python(script, *LIGHT_STAGES)
    assert done.returncode == 0, done.stderr


def imports_of(path: Path) -> set[str]:
    """Return the full names of all modules that a file imports, anywhere in it."""
    package = ("mcalc", *path.relative_to(PACKAGE).parts[:-1])
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*start, *([node.module] if node.module else [])])
            # `from mcalc import records` imports a module, `from mcalc.errors import X` a name.
            submodules = {f"{module}.{alias.name}" for alias in node.names}
            found |= {name for name in submodules if is_module(name)} or {module}
    return found


def is_module(name: str) -> bool:
    path = PACKAGE.parent.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or path.is_dir()


def modules_of(wing: str) -> list[Path]:
    return sorted((PACKAGE / wing).rglob("*.py"))


@pytest.mark.parametrize("wing", WINGS)
def test_a_wing_imports_only_earlier_wings(wing):
    allowed = WINGS[: WINGS.index(wing) + 1]
    assert modules_of(wing)
    for path in modules_of(wing):
        for name in imports_of(path):
            if name.split(".")[0] == "mcalc" and name not in FOUNDATION:
                later = name.split(".")[1] not in (*allowed, "_native")
                assert not later, f"{path.relative_to(PACKAGE)} imports {name}"


def test_only_learning_imports_torch_and_only_filters_the_extension():
    for wing in WINGS:
        for path in modules_of(wing):
            top = {name.split(".")[0] for name in imports_of(path)}
            if wing != "learning":
                assert not top & {"torch", "torchvision", "fastai"}, path
            native = any("_native" in name for name in imports_of(path) | {""}) or (
                "import _native" in path.read_text(encoding="utf-8")
            )
            assert native == (path.relative_to(PACKAGE).as_posix() == "images/filters.py"), path


def test_the_foundation_imports_no_wing():
    for name in ("errors", "files", "progress", "records", "__init__"):
        wings = {f"mcalc.{wing}" for wing in WINGS}
        found = {".".join(i.split(".")[:2]) for i in imports_of(PACKAGE / f"{name}.py")}
        # The package hands out the filters, and imports them when it is asked for one.
        assert found & wings == ({"mcalc.images"} if name == "__init__" else set()), name


def stages() -> set[str]:
    """Return the modules that the command line calls: the stages."""
    found = set().union(*map(imports_of, (PACKAGE / "cli").glob("*.py")))
    return {name for name in found if name.count(".") == 2 and "mcalc.cli." not in name} - {
        "mcalc.data.image_size",
        "mcalc.reporting.audit_metrics",  # by hand only; compare_paper asks it, too
        "mcalc.images.filters",
        "mcalc.images.noise",
        "mcalc.evaluation.score_rows",
        "mcalc.learning.batches",
        "mcalc.learning.fitting",
        "mcalc.learning.model_runs",
    }


def test_no_stage_imports_another_of_its_wing():
    assert {"mcalc.data.catalog", "mcalc.images.convert", "mcalc.learning.train"} <= stages()
    for stage in stages():
        path = PACKAGE.joinpath(*stage.split(".")[1:])
        files = path.glob("*.py") if path.is_dir() else [path.with_suffix(".py")]
        wing = stage.rpartition(".")[0]
        others = {name for name in stages() - {stage} if name.startswith(wing)}
        assert not set().union(*map(imports_of, files)) & others, stage
