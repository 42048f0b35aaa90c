# The names of the run, and the files that rules read and write. In the workflow only the standard
# library, pandas and snakemake are imported, so that a login node without the package can draw the
# graph.
import os
import re
import socket

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


def name_process():
    """Name this process, its machine and, in a container, its numbering of processes.

    Jobs that outlive the Snakemake that started them know by it that they must not write outputs
    any more (mcalc/files.py).
    """
    numbering = os.path.join(os.sep, "proc", "self", "ns", "pid")
    numbering = os.readlink(numbering) if os.path.exists(numbering) else ""
    return f"{socket.gethostname()} {numbering} {os.getpid()}"


# Not where Snakemake starts itself for a job: the job is of the run that began it all.
os.environ.setdefault("MCALC_WORKFLOW", name_process())


wildcard_constraints:
    run=re.escape(RUN),
    shard=r"\d+",
    protocol=r"[a-z_]+",
    network=r"[a-z0-9_]+",
    test=r"\d+",
    fold=r"\d+",


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


def get_truth_table(wildcards):
    """The truth bench's scores where the filter is selected by them."""
    by_truth = config["filters"]["select_by"] == "truth"
    return f"results/{wildcards.run}/filters/truth.csv" if by_truth else []


def get_weights_file(wildcards):
    weights = config["train"]["weights"]
    return [] if weights in ("imagenet", "none") else [weights]


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


def get_leakage_gpu():
    return int(bool(config["leakage"]["like"]) and config["train"]["device"] != "cpu")


def get_leakage_answers():
    protocols = config["leakage"]["protocols"]
    return [f"results/{RUN}/leakage/{protocol}.csv" for protocol in protocols]


def get_finished(name):
    """The table and figure of what is no part of every run, where somebody has asked for them."""
    files = [
        f"results/{RUN}/{path}"
        for path in (f"tables/{name}.csv", f"figures/{name}.png")
    ]
    return files if all(map(os.path.exists, files)) else []


def get_figure_folder(wildcards, output):
    return os.path.dirname(output.figure)
