# Every function of the workflow. Only the standard library, pandas and snakemake are imported
# here, so that a login node without the package can draw the graph.
import ast
import functools
import hashlib
import importlib.metadata
import os
import re
import shlex
from pathlib import Path

import pandas as pd
from snakemake.exceptions import WorkflowError
from snakemake.utils import validate


def validate_config():
    """Check the configuration; a wrong key or value is one sentence that names it."""
    try:
        validate(config, schema="../schemas/config.schema.yaml")
    except WorkflowError as error:
        problem = error.__context__
        if not hasattr(problem, "json_path"):
            raise
        place = problem.json_path.removeprefix("$").lstrip(".") or "the top level"
        raise WorkflowError(
            f"Configuration, {place}: {problem.message}. config/README.md explains every key."
        ) from None


def check_intensity():
    """Check what a schema cannot: that the levels of black and white are in order."""
    settings = config["convert"]
    percentiles, window = settings["percentiles"], settings["window"]
    if not percentiles[0] < percentiles[1]:
        problem = f"percentiles: the lower one comes first, not {percentiles}."
    elif settings["intensity"] != "fixed" and window is not None:
        problem = "window: only the intensity fixed takes one; set it to null."
    elif settings["intensity"] == "fixed" and window is None:
        problem = "window: fixed needs two grey levels, such as [10000, 60000]."
    elif window is not None and not window[0] < window[1]:
        problem = f"window: black must be less than white, not {window}."
    else:
        return
    raise WorkflowError(
        f"Configuration, convert.{problem} config/README.md explains every key."
    )


def check_protocols():
    """Check what a schema cannot: which protocols go with each other, with folds and filters."""
    protocols, filters = config["split"]["protocols"], config["filters"]
    problem = ""
    for protocol, trained in TRAINED_AS.items():
        if protocol in protocols and trained not in protocols:
            problem = (
                f"split.protocols: {protocol} measures the networks that {trained} "
                f"trains; add {trained}."
            )
    if "nested" in protocols and config["split"]["folds"] < 2:
        problem = "split.folds: nested tests each fold once and needs 2 or more."
    tested = [protocol for protocol in protocols if protocol in KEEP_TEST]
    if tested and (filters["apply"], filters["select_by"]) == ("auto", "psnr"):
        problem = (
            "filters.select_by: psnr chooses the filter by all images, test images of "
            f"{tested[0]} among them; take truth, or name a filter in filters.apply."
        )
    if problem:
        raise WorkflowError(
            f"Configuration, {problem} config/README.md explains every key."
        )


# Protocols whose networks another one trains, as mcalc.records has them.
TRAINED_AS = {"paper_resplit": "paper"}
# Protocols of one fold, whatever split.folds says, and protocols that keep test images, as
# mcalc.evaluation.protocols has them.
ONE_FOLD = ("official", "official_strict")
KEEP_TEST = (*ONE_FOLD, "nested")

validate_config()
check_intensity()
check_protocols()


# The package's sources, where the workflow lies in a clone; a module taken from afar has none.
PACKAGE = Path(workflow.current_basedir).parents[1] / "mcalc"

RUN = config["run"]
ROOT = config["dataset"]["root"]
# The phantom's rule must never be able to write into a folder of real data.
IS_PHANTOM = config["dataset"]["kind"] == "phantom"
PHANTOM_ROOT = ROOT if IS_PHANTOM else "resources/phantom"
TRUE_MASKS = f"{ROOT}/truth" if IS_PHANTOM else None
SHARDS = list(range(config["dataset"]["shards"]))
PROTOCOLS = config["split"]["protocols"]
NETWORKS = config["train"]["networks"]
SETTINGS = config["train"]["settings"]
# A network's table of training results has the number that it has in the study.
TRAINING_TABLES = {
    "vgg16": 5,
    "vgg16_bn": 5,
    "resnet34": 6,
    "alexnet": 7,
    "resnet50": 8,
}
# A test is a network with a setting, numbered in the order of the configuration.
TESTS = {
    str(number): (network, setting)
    for number, (network, setting) in enumerate(
        [(network, setting) for network in NETWORKS for setting in SETTINGS], start=1
    )
}
RUN_FILES = (
    "weights.safetensors",
    "run.json",
    "history.csv",
    "lr_find.csv",
    "predictions.csv",
)
PREDICTED_FILES = tuple(name for name in RUN_FILES if name != "weights.safetensors")
SCORE_FILES = (
    "scores.csv",
    "comparisons.csv",
    "reliability.csv",
    "operating_points.csv",
    "decision_curve.csv",
    "conformal.csv",
    "choices.csv",
)
UNTRAINED = "|".join(TRAINED_AS)


# The columns of the catalog that say where a ROI's pixels are and what they are.
PLACES = [
    "roi_id",
    "source",
    "sha256",
    "roi_top",
    "roi_left",
    "roi_rows",
    "roi_columns",
]


wildcard_constraints:
    run=re.escape(RUN),
    shard=r"\d+",
    protocol=r"[a-z_]+",
    network=r"[a-z0-9_]+",
    test=r"\d+",
    fold=r"\d+",


def get_tree_fingerprint(wildcards):
    """Stand for the names, sizes and times of the data set's files: a new one changes it.

    Only wildcards may be asked for: Snakemake looks for no change in a parameter that is derived
    from input files. A phantom's files follow from its rule, whose tables are input.
    """
    if IS_PHANTOM:
        return "phantom"
    digest = hashlib.sha256()
    waiting, seen = [ROOT] if os.path.isdir(ROOT) else [], set()
    while waiting:
        folder = waiting.pop()
        here = os.stat(folder)
        if (
            here.st_dev,
            here.st_ino,
        ) in seen:  # a link to a folder that was read already
            continue
        seen.add((here.st_dev, here.st_ino))
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                if entry.is_dir():
                    waiting.append(entry.path)
                else:
                    digest.update(f"{entry.path} {_size_and_time(entry)}\n".encode())
    return digest.hexdigest()[:12]


def _size_and_time(entry):
    try:
        found = entry.stat()
    except OSError:  # a link that leads nowhere
        return "missing"
    return f"{found.st_size} {found.st_mtime_ns}"


@functools.cache
def code_hash(module):
    """Stand for a module of the package and all it imports from it, comments and layout apart.

    `module` is a dotted name such as "images.convert". A rule with this among its params runs
    again when the code behind it changes; Snakemake itself sees no change in a module.
    """
    if not PACKAGE.is_dir():
        return importlib.metadata.version("mcalc")
    sources = _sources_of(module)
    if not sources:
        raise WorkflowError(f"code_hash: there is no module mcalc.{module}.")
    digest = hashlib.sha256()
    for source in sorted(sources):
        if source.suffix == ".py":
            digest.update(ast.dump(ast.parse(source.read_text())).encode())
        else:
            digest.update(source.read_bytes())
    return digest.hexdigest()[:12]


def _sources_of(module):
    found, waiting = set(), [f"mcalc.{module}"]
    while waiting:
        name = waiting.pop()
        for source in _files_of(name):
            if source not in found:
                found.add(source)
                if source.suffix == ".py":
                    waiting += _imports_of(source)
    return found


def _files_of(name):
    """Return the files behind a dotted name; those of the extension lie in csrc/."""
    if name == "mcalc._native":
        return sorted((PACKAGE.parent / "csrc").glob("*.[ch]pp"))
    path = PACKAGE.joinpath(*name.split(".")[1:])
    if path.is_dir():
        return [] if _is_wing(name) else sorted(path.glob("*.py"))
    source = path.with_suffix(".py")
    templates = path.parent.glob(f"{path.name}.*.j2")
    return [source, *templates] if source.exists() else []


def _is_wing(name):
    """Tell whether a package only groups modules, which are then imported one by one."""
    return name.count(".") < 2 or name == "mcalc.data.datasets"


def _imports_of(source):
    names = []
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mcalc"):
            names.append(node.module)
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def get_dataset_files(wildcards):
    """The files that must exist before the data set can be listed."""
    tables = [
        f"{ROOT}/calc_case_description_{part}_set.csv" for part in ("train", "test")
    ]
    patients = config["dataset"]["patients"]
    return (tables if IS_PHANTOM else []) + ([patients] if patients else [])


def get_catalog(wildcards):
    """The catalog's path; waits until the checkpoint has written it."""
    return checkpoints.catalog.get(run=RUN).output.catalog


def after_catalog(pattern=None):
    """An input that is planned only when the catalog is known, or none but the wait for it.

    What is planned before a checkpoint is run even where it turns out to be up to date, so that
    a new file would clean and filter every shard, not one.
    """

    def get_input(wildcards):
        get_catalog(wildcards)
        return pattern.format(**wildcards) if pattern else []

    return get_input


def read_shard(wildcards):
    """The rows of the catalog that belong to a shard: what places ROIs in files."""
    catalog = get_catalog(wildcards)
    shards = read_shards(catalog, os.stat(catalog).st_mtime_ns)
    return shards.get(wildcards.shard, pd.DataFrame(columns=PLACES))


@functools.lru_cache(maxsize=1)
def read_shards(catalog, written):
    """Read the catalog once for all shards, and again when it was `written` anew."""
    columns = [*PLACES, "shard"]
    rows = pd.read_csv(catalog, dtype=str, keep_default_na=False, usecols=columns)
    return dict(list(rows[columns].groupby("shard")))


def get_shard_hash(wildcards):
    """Stand for the ROIs of a shard, their places and what their files hold."""
    rows = read_shard(wildcards)[PLACES]
    return hashlib.sha256(rows.to_csv(index=False).encode()).hexdigest()[:12]


def get_filter_options():
    windows = {
        "adaptive_median": config["filters"]["adaptive_median"]["max_window"],
        "median": config["filters"]["median"]["window"],
        "mean": config["filters"]["mean"]["window"],
    }
    return [f"--filter {name}:{windows[name]}" for name in config["filters"]["compare"]]


def get_noise_options():
    noises = config["filters"]["truth"]["noise"]
    return [
        f"--noise {kind}:{level}" for kind, levels in noises.items() for level in levels
    ]


def get_truth_table(wildcards):
    """The truth bench's scores where the filter is selected by them."""
    by_truth = config["filters"]["select_by"] == "truth"
    return f"results/{wildcards.run}/filters/truth.csv" if by_truth else []


def get_truth_option(wildcards, input):
    return get_option("--truth", input.truth)


def get_intensity_options():
    """The policy with what belongs to it, so that no other setting runs conversion again."""
    settings = config["convert"]
    options = [f"--intensity {settings['intensity']}"]
    for policy, key in (("percentile", "percentiles"), ("fixed", "window")):
        if settings["intensity"] == policy:
            low, high = settings[key]
            options.append(f"--{key} {low} {high}")
    return options


def get_option(flag, value):
    """An option of the command line where a value is set, nothing where it is not."""
    return f"{flag} {shlex.quote(str(value))}" if value else ""


def get_rejected_options(wildcards, input):
    return [get_option("--rejected", path) for path in input.rejected]


def get_image_options(wildcards, input):
    return [get_option("--images", path) for path in input.images]


def get_seed_option():
    """The seed of the splits as an option, or none: then the stage draws one."""
    seed = config["split"]["seed"]
    return "" if seed is None else get_option("--seed", str(seed))


def get_weights_file(wildcards):
    weights = config["train"]["weights"]
    return [] if weights in ("imagenet", "none") else [weights]


def get_train_options(wildcards):
    """The settings of a test as options, each named as its key in the configuration."""
    common = (
        "head_epochs",
        "head_lr",
        "lr_find_iterations",
        "weights",
        "recipe",
        "seed",
        "device",
    )
    options = {
        **TESTS[wildcards.test][1],
        **{key: config["train"][key] for key in common},
        **config["augment"],
    }
    flip = "--flip" if options.pop("flip") else "--no-flip"
    return [flip] + [
        get_option(f"--{key.replace('_', '-')}", str(value))
        for key, value in options.items()
    ]


def get_folds(protocol):
    return range(1 if protocol in ONE_FOLD else config["split"]["folds"])


def get_run_folder(protocol, test, fold):
    return f"results/{RUN}/runs/{protocol}/{TESTS[test][0]}/test{test}/fold{fold}"


def get_protocol_folders(wildcards):
    folds = get_folds(wildcards.protocol)
    return [
        get_run_folder(wildcards.protocol, test, fold)
        for test in TESTS
        for fold in folds
    ]


def get_run_files(protocol, test, fold):
    names = PREDICTED_FILES if protocol in TRAINED_AS else RUN_FILES
    return [f"{get_run_folder(protocol, test, fold)}/{name}" for name in names]


def get_runs_of(protocol):
    return [
        path
        for test in TESTS
        for fold in get_folds(protocol)
        for path in get_run_files(protocol, test, fold)
    ]


def get_protocol_runs(wildcards):
    return get_runs_of(wildcards.protocol)


def get_shortcut_tables(wildcards):
    """The tables of models that must not be good, scored beside the networks."""
    folder = f"results/{RUN}/shortcuts/{wildcards.protocol}"
    return [f"{folder}/fold{fold}.csv" for fold in get_folds(wildcards.protocol)]


def get_trained_split(wildcards):
    """The split whose training images a protocol's models have seen, its own or another's."""
    protocol = TRAINED_AS.get(wildcards.protocol, wildcards.protocol)
    return f"results/{wildcards.run}/splits/{protocol}.csv"


def get_shortcut_options(wildcards, input):
    return [get_option("--shortcuts", path) for path in input.shortcuts]


def get_interval_options():
    """How intervals are made, the same ones wherever numbers are told."""
    keys = ("confidence", "resamples", "seed")
    return [f"--{key} {config['evaluate'][key]}" for key in keys]


def get_aggregation_options():
    return [f"--aggregation {way}" for way in config["evaluate"]["aggregations"]]


def get_all_runs():
    return [path for protocol in PROTOCOLS for path in get_runs_of(protocol)]


def get_trained_folder(wildcards):
    """The folder of the trained network that a protocol without training measures."""
    trained = TRAINED_AS[wildcards.protocol]
    return get_run_folder(trained, wildcards.test, wildcards.fold)


def get_trained_run(wildcards):
    trained = TRAINED_AS[wildcards.protocol]
    return get_run_files(trained, wildcards.test, wildcards.fold)


def get_results_folder(wildcards, input):
    """The folder in which a run's catalog lies, as all its results do."""
    return os.path.dirname(input[0])


def get_output_folder(wildcards, output):
    return os.path.dirname(output[0])


def get_results():
    """The rows and cards from which tables, figures and the report are made."""
    folder = f"results/{RUN}"
    shards = ("images/converted/{shard}.rejected.csv", "images/cleaned/{shard}.csv")
    return [
        *(
            f"{folder}/{name}"
            for name in ("catalog.csv", "rejected.csv", "mammograms.csv")
        ),
        *expand(f"{folder}/{{name}}", name=expand(shards, shard=SHARDS)),
        *expand(f"{folder}/filters/{{shard}}.csv", shard=SHARDS),
        f"{folder}/filters/truth.csv",
        f"{folder}/filters/choice.json",
        f"{folder}/overlap.csv",
        *expand(f"{folder}/splits/{{protocol}}.csv", protocol=PROTOCOLS),
        *expand(f"{folder}/evaluation/{{protocol}}.csv", protocol=PROTOCOLS),
        *expand(
            f"{folder}/scores/{{protocol}}/{{name}}",
            protocol=PROTOCOLS,
            name=SCORE_FILES,
        ),
        *(path for path in get_all_runs() if not path.endswith(".safetensors")),
    ]


def get_tables(format):
    training = [f"table{TRAINING_TABLES[network]}_{network}" for network in NETWORKS]
    truth = ["truth_psnr", "truth_ssim", "truth_contrast"]
    study = ["table2", "table3", "table4", *training, "table9"]
    scored = ["scores", "comparisons", "levels", "calibration"]
    scored += ["operating_points", "conformal"]
    names = [*study, "overlap", *scored, "cleaning", *truth]
    return [f"results/{RUN}/tables/{name}.{format}" for name in names]


def get_figures(format):
    names = [
        "figure3",
        "figure4a",
        "figure4b",
        "truth",
        "figure5",
        "figure6",
        "auc",
        "calibration",
        "top_losses",
    ]
    return [f"results/{RUN}/figures/{name}.{format}" for name in names]


def get_leakage_card(wildcards):
    """The card of the run whose network is audited, or nothing: then a forest is."""
    return config["leakage"]["like"] or []


def get_leakage_like(wildcards, input):
    return get_option("--like", input.like)


def get_leakage_gpu():
    return int(bool(config["leakage"]["like"]) and config["train"]["device"] != "cpu")


def get_leakage_options():
    """The audit's settings as options; every protocol must know of all others."""
    settings = config["leakage"]
    among = [f"--among {protocol}" for protocol in settings["protocols"]]
    numbers = [f"--{key} {settings[key]}" for key in ("folds", "repeats", "seed")]
    return [*among, *numbers, f"--device {config['train']['device']}"]


def get_leakage_answers():
    protocols = config["leakage"]["protocols"]
    return [f"results/{RUN}/leakage/{protocol}.csv" for protocol in protocols]


def get_finished_audit():
    """The leakage audit's table and figure where somebody has asked for them, else nothing."""
    files = [
        f"results/{RUN}/{name}"
        for name in ("tables/leakage.csv", "figures/leakage.png")
    ]
    return files if all(map(os.path.exists, files)) else []


def get_shown_audit(wildcards, input):
    return get_option("--leakage", input.leakage[0] if input.leakage else "")


def get_leakage_figure_folder(wildcards, output):
    return os.path.dirname(output.figure)
