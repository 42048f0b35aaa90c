# The league: which of its methods compete, what each needs and leaves, as the package's list of them
# (mcalc/learning/league.yaml) says.
import importlib.util

import yaml

from snakemake.exceptions import WorkflowError

# What a method that learns from features leaves; a network leaves RUN_FILES.
MODEL_FILES = ("run.json", "predictions.csv")
# An ensemble's 3-D half sees stacks of slices, where the data set has them.
HAS_SLICES = config["dataset"]["kind"] == "tomosynthesis"
ENSEMBLE_FILES = MODEL_FILES + (("volumes.safetensors",) if HAS_SLICES else ())


def read_league():
    """The methods of the league by name; read, not imported, as is all of the package here."""
    package = PACKAGE
    if not package.is_dir():
        package = Path(importlib.util.find_spec("mcalc").submodule_search_locations[0])
    return yaml.safe_load((package / "learning" / "league.yaml").read_text())["models"]


LEAGUE = read_league()
LEAGUE_GROUPS = {method["group"] for method in LEAGUE.values()}
LEAGUE_NETWORKS = [name for name, method in LEAGUE.items() if "network" in method]
LEAGUE_HEADS = [name for name, method in LEAGUE.items() if "head" in method]
LEAGUE_ENSEMBLES = [name for name, method in LEAGUE.items() if "volumes" in method]


def get_league_models():
    """The methods that compete, in the order of the package's list."""
    wanted = config["league"]["models"]
    for name in wanted:
        if name not in LEAGUE and name not in LEAGUE_GROUPS and name != "all":
            raise WorkflowError(
                f"Configuration, league.models: there is no {name}; name a group (classical, "
                "scratch, pretrained, all) or a method that `mcalc models` lists."
            )
    return [
        name
        for name, method in LEAGUE.items()
        if {name, method["group"], "all"}.intersection(wanted)
    ]


def get_league_protocols():
    """The protocols under which they compete: those that train."""
    wanted = config["league"]["protocols"]
    if wanted is None:
        return [name for name in PROTOCOLS if name not in TRAINED_AS]
    for name in wanted:
        if name not in PROTOCOLS or name in TRAINED_AS:
            raise WorkflowError(
                f"Configuration, league.protocols: {name} is not in split.protocols, or trains "
                "nothing."
            )
    return wanted


def get_model_folder(protocol, model, fold):
    return f"results/{RUN}/league/{protocol}/{model}/fold{fold}"


def get_model_files(protocol, model, fold):
    if model in LEAGUE_NETWORKS:
        names = RUN_FILES
    else:
        names = ENSEMBLE_FILES if model in LEAGUE_ENSEMBLES else MODEL_FILES
    return [f"{get_model_folder(protocol, model, fold)}/{name}" for name in names]


def get_competing_runs(protocol):
    """Protocol, method and fold of all that compete under a protocol."""
    return [
        (protocol, model, fold)
        for model in get_league_models()
        for fold in get_folds(protocol)
    ]


def get_league_files(wildcards):
    runs = get_competing_runs(wildcards.protocol)
    return [path for run in runs for path in get_model_files(*run)]


def get_league_options(wildcards):
    """The run folders, and where Snakemake writes how long each took."""
    return [
        f"--run {get_model_folder(*run)} --time {get_model_benchmark(*run)}"
        for run in get_competing_runs(wildcards.protocol)
    ]


def get_league_scores():
    return [f"results/{RUN}/league/{name}.csv" for name in get_league_protocols()]


def get_model_benchmark(protocol, model, fold):
    stages = {"train_model": LEAGUE_NETWORKS, "fit_ensemble": LEAGUE_ENSEMBLES}
    stage = next((name for name, own in stages.items() if model in own), "fit_model")
    return f"logs/{RUN}/{stage}/{protocol}/{model}/fold{fold}.benchmark.tsv"


def get_pretrained_file(network):
    """The file of a network's weights where league.weights is a folder, or none."""
    folder = config["league"]["weights"]
    return [] if folder == "imagenet" else [f"{folder}/{network}.safetensors"]


def get_model_weights(wildcards):
    method = LEAGUE[wildcards.model]
    is_pretrained = method.get("weights") == "imagenet"
    return get_pretrained_file(method["network"]) if is_pretrained else []


def get_feature_weights(wildcards):
    """The weights of the network that gives a set of features, which the set's name ends with."""
    before, _, network = wildcards.kind.partition("_")
    return get_pretrained_file(network) if before in ("frozen", "otsu") else []


def get_pretrained_fingerprint(find):
    """Stand for the file of weights, if there is one: an older one in its place is a change."""

    def get_fingerprint(wildcards):
        return [_size_and_time(Path(path)) for path in find(wildcards)]

    return get_fingerprint


def get_feature_weights_option(wildcards, input):
    return get_option("--weights", input.weights[0] if input.weights else "")


def get_feature_code(wildcards):
    """Stand for the stage and for the set's own module, which the stage imports by its name."""
    own = f"learning.features.{wildcards.kind}"
    found = code_hash(own) if _files_of(f"mcalc.{own}") else ""
    return code_hash("learning.extract_features") + found


def get_model_features(wildcards):
    return expand(
        f"results/{wildcards.run}/features/{{kind}}/{{shard}}.parquet",
        kind=LEAGUE[wildcards.model].get("features", []),
        shard=SHARDS,
    )


def get_model_features_options(wildcards, input):
    return [get_option("--features", path) for path in input.features]


def get_model_base(wildcards):
    """The trained network that a method builds on, or nothing."""
    base = LEAGUE[wildcards.model].get("base")
    return get_model_files(wildcards.protocol, base, wildcards.fold) if base else []


def get_model_stack(wildcards):
    """The images, for a method that lets a network look at them."""
    folder = f"results/{wildcards.run}/images"
    is_based = "base" in LEAGUE[wildcards.model]
    return [f"{folder}/stacked.npy", f"{folder}/stacked.csv"] if is_based else []


def get_slices(wildcards):
    """The stacks of slices and their table, where the data set has them."""
    slices = f"results/{wildcards.run}/images/slices"
    return [f"{slices}.npy", f"{slices}.csv"] if HAS_SLICES else []


def get_slices_options(wildcards):
    """How the network of stacks is trained: as the league's other networks are."""
    if not HAS_SLICES:
        return ""
    setting = config["league"]["setting"]
    given = {"slices": get_slices(wildcards)[0], "device": config["train"]["device"]}
    given |= {key: setting[key] for key in ("epochs", "batch_size", "lr_max")}
    return [
        get_option(f"--{key.replace('_', '-')}", value) for key, value in given.items()
    ]


def get_base_folder(wildcards, input):
    return os.path.dirname(input.base[0]) if input.base else ""


def get_model_base_options(wildcards, input):
    if not input.base:
        return ""
    base = get_option("--base", get_base_folder(wildcards, input))
    return f"{base} {get_option('--stack', input.stack[0])}"


def get_model_train_options(wildcards):
    """The settings of a network of the league as options of `mcalc train`.

    By wildcards alone: Snakemake looks for no change in what is derived from input files.
    """
    method = LEAGUE[wildcards.model]
    start = [*get_model_weights(wildcards), method.get("weights", "none")][0]
    own = {"network": method["network"], "weights": start}
    own["schedule"] = method.get("schedule", "one_cycle")
    return get_trainer_options(config["league"]["setting"] | own)


# What is wrong in the configuration is told at once.
get_league_models()
get_league_protocols()
