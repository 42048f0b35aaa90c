"""What the workflow plans, seen in dry runs: entries, presets, and what a change runs again."""

import json
import re
import shutil
import tomllib
from pathlib import Path

import pytest
import yaml

from mcalc import records
from mcalc.evaluation.protocols import PROTOCOLS

REPOSITORY = Path(__file__).parents[2]
pytestmark = pytest.mark.slow

PREPARATION = {"convert": 2, "clean": 2, "compare_filters": 2, "choose_filter": 1, "enhance": 2}


@pytest.fixture(scope="module")
def prepared(make_project, untouched):
    """A project whose images are prepared (the target clean_all) and whose splits are made."""
    project = make_project(untouched.folder)
    project.snakemake("clean_all", "results/tiny/splits/patient.csv")
    return project


@pytest.fixture
def copy(make_project, prepared):
    """A copy of the prepared project that a test may change."""
    return make_project(prepared.folder)


def test_prepared_images_need_nothing(prepared):
    assert "Nothing to be done" in prepared.snakemake("clean_all")


def test_the_leakage_audit_is_a_target_of_its_own(copy):
    copy.configure(leakage__protocols=["paper", "patient"], leakage__repeats=3)
    assert not {"audit_leakage", "show_leakage"} & set(copy.dry_run())
    plan = copy.plan("leakage_audit")
    jobs = plan.counts
    assert (jobs["audit_leakage"], jobs["show_leakage"], jobs["train"]) == (2, 1, 0)
    assert "--among paper --among patient --folds 5 --repeats 3 --seed 1" in plan.printed
    assert "--like" not in plan.printed


def test_the_leakage_audit_of_a_run_trains_that_run_first(copy):
    card = "results/tiny/runs/paper/alexnet/test1/fold0/run.json"
    copy.configure(leakage__like=card)
    plan = copy.plan("leakage_audit")
    assert plan.counts["train"] == 1
    assert f"--like {card}" in plan.printed


def test_a_finished_audit_is_part_of_the_report_and_one_that_nobody_asked_for_is_not(copy):
    assert "--leakage results" not in copy.snakemake("--dry-run", "--printshellcmds")
    for name in ("tables/leakage.csv", "figures/leakage.png"):
        path = copy.folder / "results/tiny" / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    printed = copy.snakemake("--dry-run", "--printshellcmds")
    assert "--leakage results/tiny/tables/leakage.csv" in printed


def test_the_league_is_a_target_of_its_own(copy):
    """Six methods that learn from features, six networks; only the features that they read."""
    copy.configure(split__protocols=["paper", "paper_resplit", "patient"])
    assert not {"fit_model", "train_model", "show_league"} & set(copy.dry_run())
    plan = copy.plan("league")
    jobs = plan.counts
    assert (jobs["fit_model"], jobs["train_model"], jobs["train"]) == (12, 12, 0)
    assert (jobs["score_league"], jobs["show_league"]) == (2, 1)
    kinds = {wildcards.split(", ")[1] for rule, wildcards in plan.jobs if "extract" in rule}
    sets = ("specks", "speck_graph", "wavelets", "haar", "texture")
    assert kinds == {f"kind={name}" for name in sets}


def test_a_method_that_stands_on_a_network_trains_it_once_for_all(copy):
    models = ["ragab2019_alexnet_svm", "cai2019_alexnet_svm_union", "heenaye2021_resnet50"]
    copy.configure(league={"models": models, "protocols": ["patient"], "weights": "weights"})
    (copy.folder / "weights").mkdir()
    for name in ("alexnet", "resnet50"):
        (copy.folder / f"weights/{name}.safetensors").touch()
    plan = copy.plan("league")
    assert (plan.counts["fit_model"], plan.counts["train_model"]) == (2, 2)
    assert "--network alexnet --weights weights/alexnet.safetensors" in plan.printed
    assert "--network resnet50 --weights weights/resnet50.safetensors --schedule plateau" in (
        plan.printed
    )


@pytest.mark.parametrize(
    ("league", "said"),
    [
        ({"models": ["wang2017_svm"]}, "league.models: there is no wang2017_svm; name a group"),
        ({"protocols": ["official"]}, "league.protocols: official is not in split.protocols"),
    ],
)
def test_a_league_that_cannot_be_is_told_before_anything_runs(copy, league, said):
    copy.configure(league=league)
    printed = copy.snakemake("--dry-run", "league", check=False)
    assert f"Configuration, {said}" in printed
    assert "Job stats" not in printed


def test_one_setting_of_intervals_reaches_every_stage_that_tells_numbers(copy):
    copy.configure(evaluate={"confidence": 0.9, "resamples": 300, "seed": 7})
    printed = copy.snakemake("--dry-run", "--printshellcmds")
    commands = re.findall(r"mcalc (\S+) .* --confidence 0\.9 ", printed)
    assert set(commands) == {"score", "tables", "figures", "compare-paper", "report"}
    assert printed.count("--resamples 300 --seed 7") == 5, "score of two protocols, three others"


def test_a_filter_window_runs_filtering_and_what_follows_but_not_conversion(copy):
    copy.configure(filters__adaptive_median__max_window=5)
    assert copy.dry_run("clean_all") == {
        "compare_filters": 2,
        "choose_filter": 1,
        "enhance": 2,
        "clean_all": 1,
    }


def test_only_selecting_by_truth_waits_for_the_truth_bench(copy):
    copy.configure(filters__truth={"crops": 9})
    assert "Nothing to be done" in copy.snakemake("clean_all", "--dry-run")
    copy.configure(filters__select_by="truth")
    planned = {"bench_filters": 1, "choose_filter": 1, "enhance": 2, "clean_all": 1}
    plan = copy.plan("clean_all")
    assert plan.counts == planned
    assert "--truth results/tiny/filters/truth.csv" in plan.printed
    assert "--noise poisson:3000 " in plan.printed
    assert "--crops 9 " in plan.printed
    copy.snakemake("clean_all")
    choice = json.loads((copy.folder / "results/tiny/filters/choice.json").read_text())
    assert choice["select_by"] == "truth"


def test_percentiles_run_conversion_only_where_they_are_used(copy):
    copy.configure(convert__percentiles=[1, 99])
    assert "Nothing to be done" in copy.snakemake("clean_all", "--dry-run")
    copy.configure(convert__intensity="percentile")
    plan = copy.plan("clean_all")
    assert plan.counts["convert"] == 2
    assert "--bits 16" in plan.printed
    assert "--intensity percentile --percentiles 1 99" in plan.printed


def test_a_line_of_the_converting_module_runs_conversion_and_what_follows(copy):
    source = copy.folder / "mcalc/images/convert.py"
    changed = source.read_text().replace("a mask, not a crop", "a mask and no crop")
    assert changed != source.read_text()
    source.write_text(changed)
    assert copy.dry_run("clean_all") == {**PREPARATION, "clean_all": 1}


def test_a_comment_in_the_converting_module_runs_nothing(copy):
    source = copy.folder / "mcalc/images/convert.py"
    source.write_text(source.read_text() + "\n# A remark.\n")
    assert "Nothing to be done" in copy.snakemake("clean_all", "--dry-run")


def test_a_module_that_conversion_imports_runs_conversion(copy):
    source = copy.folder / "mcalc/data/dicom.py"
    changed = source.read_text().replace("_TOP = np.iinfo(np.uint16).max", "_TOP = 60000")
    assert changed != source.read_text()
    source.write_text(changed)
    assert copy.dry_run("clean_all")["catalog"] == 1
    copy.snakemake("results/tiny/catalog.csv")
    assert copy.dry_run("clean_all")["convert"] == 2


def test_the_extensions_source_runs_filters_but_not_conversion(copy):
    source = copy.folder / "csrc/adaptive_median.hpp"
    source.write_text(source.read_text() + "// A remark the compiler sees.\n")
    planned = copy.dry_run("clean_all")
    assert planned["compare_filters"] == 2
    assert "convert" not in planned


def test_an_outdated_extension_is_refused_in_one_sentence(copy):
    source = copy.folder / "csrc/adaptive_median.hpp"
    source.write_text(source.read_text() + "// A remark the compiler sees.\n")
    printed = copy.call(
        *("mcalc", "compare-filters", "results/tiny/images/cleaned/0"),
        *("--scores", "scores.csv", "--filter", "median:3"),
        check=False,
    )
    assert printed.count("\n") == 1
    assert "pip install -e ." in printed


def test_a_new_dicom_file_runs_one_shard(make_project, untouched):
    project = make_project(untouched.folder)
    crop = min((project.folder / "resources/tiny").glob("CBIS-DDSM/*_1/*/*/1-1.dcm"))
    content = crop.read_bytes()
    crop.unlink()
    project.snakemake("clean_all")
    crop.write_bytes(content)
    assert project.dry_run("clean_all")["catalog"] == 1
    project.snakemake("results/tiny/catalog.csv")
    jobs = project.planned_jobs("clean_all")
    assert sum(rule == "convert" for rule, _ in jobs) == 1
    assert sum(rule == "clean" for rule, _ in jobs) == 1
    printed = project.snakemake("clean_all")
    assert printed.count("rule convert:") == 1


def test_a_run_taken_up_again_on_a_cluster_plans_no_job_twice(make_project, untouched):
    """Snakemake (9.27) makes groups more than once then; docs/cluster.md, Groups."""
    project = make_project(untouched.folder)
    protocols = ["paper", "image", "lesion", "patient", "official"]
    project.configure(dataset__shards=20, split={"protocols": protocols}, filters__apply="mean")
    project.snakemake("results/tiny/catalog.csv")
    profile = project.folder / "profiles/slurm/config.yaml"
    for parts in (1000, 1):
        profile.write_text(
            re.sub(r"(prepare|shortcuts): \d+", rf"\1: {parts}", profile.read_text())
        )
        printed = project.plan("--profile", "profiles/slurm").printed
        assert printed.count("Group job prepare") == (20 if parts == 1 else 1)
        logs = re.findall(r"^ +log: (.*)", printed, flags=re.MULTILINE)
        assert len(logs) > 4 * 20
        assert sorted(logs) == sorted(set(logs))


def test_a_changed_dicom_file_runs_one_shard(copy):
    crop = min((copy.folder / "resources/tiny").glob("CBIS-DDSM/*_1/*/*/1-1.dcm"))
    crop.write_bytes(crop.read_bytes()[:-2] + b"\x01\x02")
    copy.snakemake("results/tiny/catalog.csv")
    assert copy.dry_run("clean_all")["convert"] == 1


def test_three_entries_plan_the_same_jobs(untouched, tmp_path):
    """By the root's Snakefile, by the inner one, and as a module from another folder."""
    for name in ("config.yaml", "tiny.yaml"):
        shutil.copy(untouched.folder / name, tmp_path)
    inner = "workflow/Snakefile"
    (tmp_path / "Snakefile").write_text(
        'configfile: "config.yaml"\n'
        f'module mcalc:\n    snakefile: "{untouched.folder / inner}"\n    config: config\n'
        "use rule * from mcalc\n"
    )
    entries = (
        untouched.dry_run(),
        untouched.dry_run("-s", inner),
        type(untouched)(tmp_path).dry_run(),
    )
    assert entries[0]["train"] == 2
    for planned in entries:
        planned.pop("default", None)
        planned.pop("all", None)
    assert entries[0] == entries[1] == entries[2]


def test_the_papers_preset_plans_24_tests_a_protocol(untouched):
    plan = untouched.plan(configs=["workflow/presets/paper.yaml"])
    trained = [wildcards for rule, wildcards in plan.jobs if rule == "train"]
    assert len(trained) == 2 * 24
    assert plan.counts["predict"] == 24
    for option in ("--bits 8 ", "--recipe fastai1 ", "--max-warp 0.2 ", "--head-lr 0.003 "):
        assert option in plan.printed
    assert "--positive-class benign" in plan.printed
    numbers = {}
    for wildcards in trained:
        network = re.search(r"network=(\w+)", wildcards).group(1)
        numbers.setdefault(network, set()).add(int(re.search(r"test=(\d+)", wildcards).group(1)))
    assert numbers == {
        "vgg16": set(range(1, 7)),
        "resnet34": set(range(7, 13)),
        "alexnet": set(range(13, 19)),
        "resnet50": set(range(19, 25)),
    }


def test_every_protocol_is_trained_in_each_of_its_folds(make_project, untouched):
    """Three folds; what is published has one; paper_resplit measures each fold of paper."""
    project = make_project(untouched.folder)
    protocols = ["paper", "paper_resplit", "lesion", "official_strict", "nested"]
    project.configure(split={"protocols": protocols, "folds": 3}, filters__apply="mean")
    plan = project.plan()
    jobs, printed = plan.jobs, plan.printed
    places = {rule: [] for rule in ("train", "predict")}
    for rule, wildcards in jobs:
        if rule in places:
            places[rule].append(tuple(re.findall(r"(?:protocol|fold)=(\w+)", wildcards)))
    trained = [(name, str(fold)) for name in ("lesion", "nested", "paper") for fold in range(3)]
    assert sorted(places["train"]) == sorted([*trained, ("official_strict", "0")])
    assert sorted(places["predict"]) == [("paper_resplit", str(fold)) for fold in range(3)]
    assert plan.counts["overlap"] == 1
    assert "--folds 3 " in printed
    for line in re.findall(r"mcalc predict .*?--run \S+", printed, flags=re.DOTALL):
        folds = re.findall(r"fold(\d)", line)
        assert len(folds) == 2
        assert len(set(folds)) == 1


def test_the_preset_for_a_download_plans_without_the_data(untouched):
    presets = ("workflow/presets/cbis_ddsm.yaml", "workflow/presets/paper.yaml")
    planned = untouched.dry_run(configs=presets)
    assert planned["catalog"] == 1
    assert planned["convert"] == 8
    assert "phantom" not in planned


def test_a_wrong_key_is_named_before_anything_runs(untouched, tmp_path):
    """Every other wrong value: test_checks.py."""
    shutil.copy(untouched.folder / "tiny.yaml", tmp_path)
    type(untouched)(tmp_path).configure(filters__adaptive_median__max_windw=5)
    wrong = str(tmp_path / "tiny.yaml")
    printed = untouched.snakemake("--dry-run", configs=[wrong], check=False)
    sentence = next(line for line in printed.splitlines() if line.startswith("Configuration, "))
    assert "max_windw" in sentence
    assert "config/README.md" in sentence
    assert "Job stats" not in printed


def test_every_key_of_the_default_is_explained():
    explained = (REPOSITORY / "config/README.md").read_text()

    def keys(config, above=""):
        for key, value in config.items():
            if isinstance(value, dict):
                yield from keys(value, f"{above}{key}.")
            else:
                yield f"{above}{key}"

    config = yaml.safe_load((REPOSITORY / "config.yaml").read_text())
    assert [key for key in keys(config) if f"`{key}`" not in explained] == []


def test_the_workflow_knows_the_folds_and_tests_of_the_protocols():
    """checks.smk may not import the package, so it says these names itself."""
    lines = (REPOSITORY / "workflow/rules/checks.smk").read_text().splitlines()
    said = [line for line in lines if re.match(r"(TRAINED_AS|ONE_FOLD|KEEP_TEST) = ", line)]
    names = {}
    exec("\n".join(said), names)
    assert names["TRAINED_AS"] == records.TRAINED_AS
    tests = {name: protocol.test for name, protocol in PROTOCOLS.items()}
    assert set(names["ONE_FOLD"]) == {name for name in tests if tests[name] == "official"}
    assert set(names["KEEP_TEST"]) == {name for name in tests if tests[name]}
    schema = yaml.safe_load((REPOSITORY / "workflow/schemas/config.schema.yaml").read_text())
    split = schema["properties"]["split"]["properties"]
    assert split["protocols"]["items"]["enum"] == list(PROTOCOLS)


def test_the_conda_environment_asks_for_what_the_package_asks_for():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    environment = yaml.safe_load((REPOSITORY / "envs/mcalc.yaml").read_text())
    pip = next(entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    assert sorted(pip) == sorted(project["dependencies"])
    assert f"python {project['requires-python']}" in environment["dependencies"]
