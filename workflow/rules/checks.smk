# What a wrong configuration is told, before anything is planned.
from snakemake.exceptions import WorkflowError
from snakemake.utils import validate

# Protocols whose networks another one trains, as mcalc.records has them.
TRAINED_AS = {"paper_resplit": "paper"}
# Protocols of one fold, whatever split.folds says, and protocols that keep test images, as
# mcalc.evaluation.protocols has them.
ONE_FOLD = ("official", "official_strict")
KEEP_TEST = (*ONE_FOLD, "nested")


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


validate_config()
check_intensity()
check_protocols()
