# Settings as options of the command line.
import shlex


def get_option(flag, value):
    """An option of the command line where a value is set, nothing where it is not."""
    return f"{flag} {shlex.quote(str(value))}" if value else ""


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


def get_rejected_options(wildcards, input):
    return [get_option("--rejected", path) for path in input.rejected]


def get_image_options(wildcards, input):
    return [get_option("--images", path) for path in input.images]


def get_seed_option():
    """The seed of the splits as an option, or none: then the stage draws one."""
    seed = config["split"]["seed"]
    return "" if seed is None else get_option("--seed", str(seed))


def get_train_options(wildcards):
    """The settings of a test as options, each named as its key in the configuration."""
    weights = {"weights": config["train"]["weights"]}
    return get_trainer_options(TESTS[wildcards.test][1] | weights)


def get_trainer_options(own):
    """A network's own settings as options, with those that all trainings share."""
    common = (
        "head_epochs",
        "head_lr",
        "lr_find_iterations",
        "recipe",
        "seed",
        "device",
        "precision",
        "out_of_memory",
    )
    shared = {key: config["train"][key] for key in common}
    options = {**own, **shared, **config["augment"]}
    flip = "--flip" if options.pop("flip") else "--no-flip"
    return [flip] + [
        get_option(f"--{key.replace('_', '-')}", str(value))
        for key, value in options.items()
    ]


def get_shortcut_options(wildcards, input):
    return [get_option("--shortcuts", path) for path in input.shortcuts]


def get_interval_options():
    """How intervals are made, the same ones wherever numbers are told."""
    keys = ("confidence", "resamples", "seed")
    return [f"--{key} {config['evaluate'][key]}" for key in keys]


def get_aggregation_options():
    return [f"--aggregation {way}" for way in config["evaluate"]["aggregations"]]


def get_leakage_like(wildcards, input):
    return get_option("--like", input.like)


def get_leakage_options():
    """The audit's settings as options; every protocol must know of all others."""
    settings = config["leakage"]
    among = [f"--among {protocol}" for protocol in settings["protocols"]]
    numbers = [f"--{key} {settings[key]}" for key in ("folds", "repeats", "seed")]
    return [*among, *numbers, f"--device {config['train']['device']}"]


def get_extra_options(wildcards, input):
    """What the report shows besides: the leakage audit and the league, where they were run."""
    tables = {"--leakage": input.leakage, "--league": input.league}
    return [get_option(flag, table[0]) for flag, table in tables.items() if table]
