# What a run will need, told before its first job: disk, memory, a GPU.
import csv
import os
import shutil
from pathlib import Path

from snakemake.logging import logger

# Bytes of a network's weights (tests/workflow/test_needs.py builds the networks and compares).
WEIGHTS = {
    "alexnet": 11e6,
    "vgg16": 61e6,
    "vgg16_bn": 61e6,
    "resnet34": 87e6,
    "resnet50": 103e6,
    "dscnn": 3.2e6,
    "mvgg16": 60e6,
    "efficientnet_lite0": 19e6,
    "convnext_tiny": 114e6,
    "vit_small": 87e6,
}
# While it runs a training keeps its network and two numbers of the optimiser for each weight.
CHECKPOINT = 3
# A file takes whole blocks of the disk.
BLOCK = 4096
# Bytes of a row in the tables of images, each ROI being four images.
ROW = 150
IMAGES_PER_ROI = 4
# Figures, tables and the report; measured on the embedded default.
SHOWN = 10e6


def show_needs():
    """Print what the jobs that are about to run need, and warn where the disk is too small."""
    jobs = [job for job in workflow.dag.needrun_jobs() if job.log]
    logger.info(
        "\n".join(
            [
                f"\nWhat this run needs ({RUN}, {len(jobs)} jobs):",
                *(f"  {line}" for line in tell_needs(jobs)),
            ]
        )
        + "\n"
    )
    rois, _ = count_rois()
    needed, free = sum(get_disk_need(jobs, rois or 0)), get_free_disk()
    if needed > free:
        logger.warning(
            f"The disk of results/{RUN} has {tell_bytes(free)} free, and this run needs about "
            f"{tell_bytes(needed)}: free some, or make results/ a link to a larger disk. The run "
            "begins all the same."
        )


def tell_needs(jobs):
    """One line each about images, disk, memory and GPU."""
    rois, source = count_rois()
    size, bits = config["convert"]["size"], config["convert"]["bits"]
    known = source if rois is None else f"about {rois:,} ROIs, {source}"
    stays, passes = get_disk_need(jobs, rois or 0)
    stays = tell_bytes(stays) + (" and what the images take" if rois is None else "")
    more = f", and {tell_bytes(passes)} more while networks train" if passes else ""
    return [
        f"images: {known}; {size} x {size} pixels of {bits} bits",
        f"disk: about {stays} in results/{RUN}{more}; {tell_bytes(get_free_disk())} are free",
        tell_memory(jobs),
        tell_gpu(jobs),
    ]


def tell_memory(jobs):
    """The job that asks for the most memory, and what is here where it will run here."""
    asked = {job.rule.name: job.resources.get("mem_mb", 0) for job in jobs}
    name, most = max(asked.items(), key=lambda item: item[1], default=("no job", 0))
    text = f"memory: at most {tell_bytes(most * 1e6)} a job ({name})"
    if not workflow.local_exec:
        return f"{text}, asked from the cluster"
    here = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return f"{text}; this machine has {tell_bytes(here)}"


def tell_gpu(jobs):
    wanting = sum(job.resources.get("gpu", 0) > 0 for job in jobs)
    if not wanting:
        return "GPU: none is asked for"
    seen = shutil.which("nvidia-smi")
    if not workflow.local_exec:
        return f"GPU: asked from the cluster by {wanting} jobs"
    here = "this machine has one" if seen else "none is seen here, and CPUs are slow"
    return f"GPU: wanted by {wanting} jobs; {here}"


def count_rois():
    """How many ROIs there are, as far as that is known so early, and by what."""
    catalog = f"results/{RUN}/catalog.csv"
    kind, root = config["dataset"]["kind"], Path(ROOT)
    if os.path.exists(catalog):
        return _count_rows([catalog]), "by the catalog"
    if kind in ("phantom", "cbis_ddsm"):
        tables = [
            path
            for name in config["dataset"]["abnormalities"]
            for path in root.glob(f"{name[:4]}_case_description_*_set.csv")
        ]
        if tables:
            return _count_rows(tables), "by the data set's tables"
    if kind == "phantom":
        # Two views of a lesion or two.
        return 3 * config["phantom"]["patients"], "by the number of patients"
    if kind in ("folder", "tomosynthesis") and root.is_dir():
        return sum(1 for _ in root.glob("*/*")), "by the number of files"
    return None, "how many ROIs is unknown until the catalog is written"


def get_disk_need(jobs, rois):
    """Bytes that the jobs write, and those of checkpoints, which are there while networks train."""
    per_job = _get_bytes_per_job(rois)
    written = sum(per_job.get(job.rule.name, BLOCK) for job in jobs)
    training = [job for job in jobs if job.rule.name in ("train", "train_model")]
    weights = [WEIGHTS[get_network(job)] for job in training]
    largest = sorted(weights, reverse=True)[: count_at_a_time(training)]
    return written + sum(weights), CHECKPOINT * sum(largest)


def get_network(job):
    if job.rule.name == "train":
        return job.wildcards.network
    return LEAGUE[job.wildcards.model]["network"]


def count_at_a_time(training):
    """How many trainings may run side by side."""
    threads = config["train"]["threads"]
    at_a_time = (
        max(1, workflow.cores // threads) if workflow.local_exec else len(training)
    )
    if any(job.resources.get("gpu", 0) for job in training):
        given = getattr(workflow.global_resources.get("gpu"), "value", None)
        at_a_time = at_a_time if given is None else min(at_a_time, given)
    return at_a_time


def get_free_disk():
    place = Path(f"results/{RUN}").absolute()
    return shutil.disk_usage(
        next(p for p in (place, *place.parents) if p.exists())
    ).free


def tell_bytes(number):
    for unit in ("MB", "GB"):
        number /= 1e3 if unit == "GB" else 1e6
        if number < 1000:
            return f"{number:.0f} {unit}" if number >= 10 else f"{number:.1f} {unit}"
    return f"{number / 1e3:.1f} TB"


def _count_rows(tables):
    total = 0
    for path in tables:
        with open(path, newline="", encoding="utf-8-sig") as file:
            total += max(0, sum(1 for _ in csv.reader(file)) - 1)
    return total


def _get_bytes_per_job(rois):
    """What a job of each rule writes, less weights; images as if PNG compressed nothing."""
    shard = rois / len(SHARDS)
    pixels = config["convert"]["size"] ** 2
    image = {bits: -(-pixels * bits // 8 // BLOCK) * BLOCK for bits in (8, 16)}
    before = shard * image[config["convert"]["bits"]]
    rows = IMAGES_PER_ROI * rois * ROW
    share = config["split"]["valid_fraction"]
    return {
        "convert": before,
        "clean": before,
        "enhance": shard * image[8],
        "stack": rois * pixels,
        # Sixteen slices of 112 x 112 pixels.
        "stack_slices": rois * 16 * 112**2,
        "split": rows * config["split"]["folds"],
        "train": share * rows,
        "train_model": share * rows,
        "fit_model": share * rows,
        # A network of stacks has 0.2 million weights.
        "fit_ensemble": share * rows + 1e6,
        # The larger ones have two thousand columns of eight bytes.
        "extract_features": 4 * shard * 16e3,
        "predict": share * rows,
        "shortcuts": 10 * share * rows,
        "clean_mammograms": 2 * config["mammograms"]["limit"] * 1e6,
        "figures": SHOWN / 2,
        "report": SHOWN / 2,
    }
