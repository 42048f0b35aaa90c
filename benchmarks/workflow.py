"""Time the preparation of many ROIs by the workflow, by a bare loop, and by one job an image.

    python benchmarks/workflow.py --folder /tmp/many              # 1,654 ROIs, about ten minutes
    python benchmarks/workflow.py --folder /tmp/many --rois 16540 --rounds 1 --no-peers

The ROIs are the 16-bit DICOM crops of benchmarks/convert.py, 0.9 MB each in the mean, in a data set
of the kind `folder`. As many as the study has (1,654) are cut; more are hard links to these under
names of their own, so that each is read, filtered and written as if it were another. They are made
in the folder once and kept.

workflow: `snakemake clean_all` in a folder of its own, from the catalog to the enhanced images.
bare loop: the functions behind the stages, called in order by a pool of processes (on this work
faster than a pool of threads), one a core: list and hash the files (`write_catalog`), then for each
ROI read, convert, both breast masks, clean and score three filters, with the converted and cleaned
PNG written; then choose, and for each ROI read the cleaned PNG back, filter it and write the
enhanced one. It writes the same images and tables as the workflow, whose bytes are compared. It
imports once, reads no converted PNG back and knows nothing of shards, logs or code that changed.
one job an image: a Snakefile with the same four commands, but a job for each image and stage (a
catalog of one row each), with the same scheduler. It is run on a few images and scaled in
proportion; Snakemake's cost grows faster than that.

They take turns, on the same cores. Memory is the largest that the kernel has seen (VmHWM), of
Snakemake alone and of a job's processes summed up, asked for five times a second: Linux only.
"outside jobs" is the share of the time in which no job ran.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import psutil
import yaml
from convert import mammogram, write_crops

from mcalc import records
from mcalc.data.catalog import write_catalog
from mcalc.data.rois import read_roi
from mcalc.images.breast_mask import breast_mask, remove_background
from mcalc.images.choose_filter import choose_filter
from mcalc.images.convert import convert_image
from mcalc.images.filters import Filter, read_choice
from mcalc.images.grey_levels import to_8_bits
from mcalc.images.quality import (
    contrast_retention,
    mean_squared_error,
    peak_signal_to_noise_ratio,
    structural_similarity_index,
)
from mcalc.images.shards import read_png, write_png

REPOSITORY = Path(__file__).resolve().parents[1]
STUDY = 1654  # ROIs of the study: so many files are cut, more are links
SIZE = 224
STAGES = ("converted", "cleaned", "enhanced")
FILTERS = [Filter("adaptive_median", 7), Filter("median", 3), Filter("mean", 3)]


# --- data ---------------------------------------------------------------------------------------


def make_rois(folder: Path, count: int) -> Path:
    """Write `count` crops as a folder data set, unless they are there, and return its root."""
    root = folder / f"rois{count}"
    if not root.exists():
        made = folder / "making"
        shutil.rmtree(made, ignore_errors=True)
        sources = write_crops(made, mammogram()[1], min(count, STUDY), compress=False)
        for number in range(len(sources), count):
            source = sources[number % len(sources)]
            os.link(source, source.with_stem(str(number)))
        made.rename(root)
    return root


# --- the workflow -------------------------------------------------------------------------------


def run_workflow(folder: Path, root: Path, shards: int, cores: int) -> dict:
    """Prepare the ROIs by Snakemake in `folder`; return what it took."""
    dataset = {"kind": "folder", "root": str(root), "shards": shards}
    config = folder / "many.yaml"
    config.write_text(
        yaml.safe_dump({"run": "many", "dataset": dataset, "convert": {"size": SIZE, "bits": 16}})
    )
    took = snakemake(
        folder,
        *("--snakefile", REPOSITORY / "Snakefile", "--cores", cores, "clean_all"),
        *("--configfile", REPOSITORY / "config.yaml", config),
    )
    return took | {"outside": outside_jobs(folder, took["seconds"])}


def snakemake(folder: Path, *arguments: object) -> dict:
    """Run Snakemake in `folder`; return `seconds`, `snakemake_mib` and the largest `job_mib`."""
    command = ["snakemake", "--directory", folder, "--profile", REPOSITORY / "profiles/default"]
    command += [*arguments, "--quiet", "all"]
    bin_folder, path = Path(sys.executable).parent, os.environ["PATH"]
    start = time.perf_counter()
    with open(folder / "printed.txt", "w") as printed:
        process = psutil.Popen(
            list(map(str, command)), stdout=printed, stderr=subprocess.STDOUT,
            env=os.environ | {"PATH": f"{bin_folder}{os.pathsep}{path}"},
        )  # fmt: skip
        memory = watch_memory(process)
    seconds = time.perf_counter() - start
    if process.returncode:
        raise SystemExit((folder / "printed.txt").read_text())
    return {"seconds": seconds} | memory


def watch_memory(process: psutil.Popen) -> dict:
    """Wait for Snakemake; return the largest memory of it and of the processes of any one job."""
    own = job = 0.0
    while process.poll() is None:
        own = max(own, peak_mib(process))
        for child in children(process):
            family = [child, *children(child, recursive=True)]
            job = max(job, sum(map(peak_mib, family)))
        time.sleep(0.2)
    return {"snakemake_mib": own, "job_mib": job}


def children(process: psutil.Process, recursive: bool = False) -> list[psutil.Process]:
    """Return the child processes, none where the process has ended."""
    try:
        return process.children(recursive=recursive)
    except psutil.NoSuchProcess:
        return []


def peak_mib(process: psutil.Process) -> float:
    """Return the most memory that a process has ever had, in MiB."""
    try:
        status = Path(f"/proc/{process.pid}/status").read_text()
    except OSError:  # it has ended
        return 0.0
    peak = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
    return int(peak[0]) / 1024 if peak else 0.0


def outside_jobs(folder: Path, seconds: float) -> float:
    """Return the share of `seconds` in which no job ran, by what Snakemake notes of its jobs."""
    notes = [json.loads(path.read_text()) for path in folder.glob(".snakemake/metadata/**/*")]
    inside = end = 0.0
    for start, stop in sorted((note["starttime"], note["endtime"]) for note in notes):
        inside += max(0.0, stop - max(start, end))
        end = max(end, stop)
    return 1 - inside / seconds


# --- the bare loop ------------------------------------------------------------------------------


def run_loop(folder: Path, root: Path, cores: int) -> dict:
    """Prepare the ROIs by a pool of processes; return the `seconds` it took."""
    start = time.perf_counter()
    tables = {name: folder / f"{name}.csv" for name in ("catalog", "rejected")}
    write_catalog(root, dataset="folder", **tables)
    rows = records.read(folder / "catalog.csv", records.CATALOG).to_dict("records")
    for stage in STAGES:
        (folder / stage).mkdir()
    with ProcessPoolExecutor(cores, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        results = list(pool.map(partial(prepare_roi, folder), rows, chunksize=16))
        records.write([kept for kept, _ in results], folder / "kept.csv", records.CLEANING)
        scores = [row for _, scored in results for row in scored]
        records.write(scores, folder / "scores.csv", records.FILTERS)
        choose_filter([folder / "scores.csv"], choice=folder / "choice.json", filters=FILTERS)
        chosen = read_choice(folder / "choice.json")
        names = [f"{row['roi_id']}.png" for row in rows]
        list(pool.map(partial(enhance_roi, folder, chosen), names, chunksize=16))
    return {"seconds": time.perf_counter() - start}


def prepare_roi(folder: Path, row: dict) -> tuple[dict, list[dict]]:
    """Convert and clean a ROI; return its rows of the tables of cleaning and of filters."""
    name = row["roi_id"]
    image = convert_image(read_roi(row), size=SIZE)
    write_png(folder / "converted" / f"{name}.png", image)
    masks = {
        method: breast_mask(image, method=method, stretched=True)
        for method in ("otsu", "otsu_grown")
    }
    cleaned = remove_background(image, masks["otsu_grown"])
    write_png(folder / "cleaned" / f"{name}.png", cleaned)
    shares = {f"{method}_kept": float(mask.mean()) for method, mask in masks.items()}
    seen = {"has_background": not masks["otsu_grown"].all()}
    kept = {"roi_id": name, "method": "otsu_grown", **seen, **shares}
    return kept, [score(name, cleaned, noise_filter) for noise_filter in FILTERS]


def score(name: str, reference: np.ndarray, noise_filter: Filter) -> dict:
    """Return a filter's row of the table of filters."""
    filtered = noise_filter(reference)
    mse = mean_squared_error(reference, filtered)
    return {
        "roi_id": name,
        "filter": noise_filter.name,
        "mse": mse,
        "psnr": peak_signal_to_noise_ratio(mse),
        "ssim": structural_similarity_index(reference, filtered),
        "contrast_retention": contrast_retention(reference, filtered),
    }


def enhance_roi(folder: Path, chosen: Filter, name: str) -> None:
    """Filter a cleaned image and write it with 8 bits."""
    image = read_png(folder / "cleaned" / name)
    write_png(folder / "enhanced" / name, to_8_bits(chosen(image)))


def check_same(workflow: Path, loop: Path) -> None:
    """Stop where the workflow's images are not those of the bare loop, byte for byte."""
    for stage in STAGES:
        images = workflow / "results/many/images" / stage
        ours = {path.name: path for path in images.glob("*/*.png")}
        theirs = {path.name: path for path in (loop / stage).glob("*.png")}
        if ours.keys() != theirs.keys():
            raise SystemExit(f"{stage}: {len(ours)} images, and {len(theirs)} of the bare loop.")
        for name, path in ours.items():
            if path.read_bytes() != theirs[name].read_bytes():
                raise SystemExit(f"{path}: not what the bare loop wrote.")


# --- one job an image ---------------------------------------------------------------------------

PER_IMAGE = """
rule all:
    input: expand("enhanced/{number}", number=range(config["images"]))

rule convert:
    input: "catalogs/{number}.csv"
    output: images=directory("converted/{number}"), rejected="converted/{number}.csv"
    shell:
        "mcalc convert --catalog {input} --shard 0 --images {output.images} "
        "--rejected {output.rejected} --size 224 --bits 16"

rule clean:
    input: "converted/{number}"
    output: images=directory("cleaned/{number}"), kept="cleaned/{number}.csv"
    shell: "mcalc clean {input} --cleaned {output.images} --kept {output.kept}"

rule compare_filters:
    input: "cleaned/{number}"
    output: "filters/{number}.csv"
    shell:
        "mcalc compare-filters {input} --scores {output} "
        "--filter adaptive_median:7 --filter median:3 --filter mean:3"

rule choose_filter:
    input: expand("filters/{number}.csv", number=range(config["images"]))
    output: "choice.json"
    shell:
        "mcalc choose-filter {input} --choice {output} "
        "--filter adaptive_median:7 --filter median:3 --filter mean:3"

rule enhance:
    input: images="cleaned/{number}", choice="choice.json"
    output: directory("enhanced/{number}")
    shell: "mcalc enhance {input.images} --choice {input.choice} --enhanced {output}"
"""


def run_per_image(folder: Path, root: Path, images: int, cores: int) -> dict:
    """Prepare the first ROIs with a job for each and each stage; return what it took."""
    tables = {name: folder / f"{name}.csv" for name in ("catalog", "rejected")}
    write_catalog(root, dataset="folder", **tables)
    catalog = pd.read_csv(tables["catalog"], dtype=str, keep_default_na=False)
    (folder / "catalogs").mkdir()
    for number in range(images):
        catalog[number :: len(catalog)].to_csv(folder / "catalogs" / f"{number}.csv", index=False)
    (folder / "per_image.smk").write_text(PER_IMAGE)
    return snakemake(
        folder,
        *("--snakefile", folder / "per_image.smk", "--cores", cores),
        *("--config", f"images={images}"),
    )


# --- tables -------------------------------------------------------------------------------------


def measure(arguments: argparse.Namespace) -> list[dict]:
    """Let all take turns in each round; return a row for each."""
    root, rows = make_rois(arguments.folder, arguments.rois), []
    for number in range(arguments.rounds):
        with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
            folders = [Path(name) / part for part in ("workflow", "loop", "image")]
            for folder in folders:
                folder.mkdir()
            found = {"rois": arguments.rois, "shards": arguments.shards, "round": number}
            found |= run_workflow(folders[0], root, arguments.shards, arguments.cores)
            if not arguments.no_peers:
                found["loop"] = run_loop(folders[1], root, arguments.cores)["seconds"]
                check_same(*folders[:2])
                images = arguments.per_image
                took = run_per_image(folders[2], root, images, arguments.cores)
                found["per_image"] = took["seconds"] * arguments.rois / images
            rows.append(found)
            show(found)
    return rows


def show(row: dict) -> None:
    """Print a row of the table."""
    cells = [f"{row['rois']:,}", row["shards"], f"{row['seconds']:.1f}"]
    cells += [f"{row['rois'] / row['seconds']:.1f}", f"{row['outside']:.0%}"]
    cells += [f"{row['snakemake_mib']:.0f}", f"{row['job_mib']:.0f}"]
    for key in ("loop", "per_image"):
        known = key in row
        cells += [
            f"{row[key]:.1f}" if known else "",
            f"{row['seconds'] / row[key]:.3f}" if known else "",
        ]
    print("|", " | ".join(map(str, cells)), "|", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", type=Path, required=True, help="for the crops; kept")
    parser.add_argument("--rois", type=int, default=STUDY)
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--per-image", type=int, default=20, help="images with a job each")
    parser.add_argument("--no-peers", action="store_true", help="time the workflow only")
    parser.add_argument("--json", type=Path, help="write the rows into this file, too")
    arguments = parser.parse_args()

    arguments.folder = arguments.folder.resolve()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    print(f"{platform.machine()}, {arguments.cores} of {os.cpu_count()} cores, {SIZE} x {SIZE}\n")
    print("| ROIs | shards | seconds | ROIs / s | outside jobs | Snakemake MiB | job MiB "
          "| bare loop s | ratio | one job an image s | ratio |\n|" + "---|" * 11)  # fmt: skip
    rows = measure(arguments)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
