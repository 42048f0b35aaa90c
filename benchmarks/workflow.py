"""Time the preparation of many ROIs by the workflow, by a bare loop, and by one job an image.

    python benchmarks/workflow.py --folder /tmp/many              # 1,654 ROIs, about ten minutes
    python benchmarks/workflow.py --folder /tmp/many --rois 16540 --shards 40 --rounds 1 \
        --no-loop --per-image 0

The ROIs are the 16-bit DICOM crops of benchmarks/convert.py, 0.9 MB each in the mean, in a data set
of the kind `folder`. As many as the study has (1,654) are cut; more are hard links to these under
names of their own, so that each is read, filtered and written as if it were another. They are made
in the folder once and kept.

workflow: `snakemake clean_all` in a folder of its own, from the catalog to the enhanced images.
bare loop: benchmarks/bare_loop.py, which says what it does, on the same cores; the bytes of its
images are compared with the workflow's.
one job an image: a Snakefile with the same four commands, but a job for each image and stage (a
catalog of one row each), with the same scheduler. It is run once on a few images and once on three
times as many; the difference is scaled in proportion, so that what any run costs once is left out,
and what grows faster than in proportion, such as planning, too.

They take turns, on the same cores. "CPU" is the time of processors that all processes took, which
other users of the machine disturb less than they do the seconds on the clock. Memory is the most
that the kernel has seen (VmHWM), of Snakemake alone and of a job's processes summed up, asked for
twice a second: Linux only. "outside jobs" is the share of the time in which no job ran.
"""

import argparse
import contextlib
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import pandas as pd
import psutil
import yaml
from bare_loop import SIZE, STAGES
from convert import mammogram, write_crops

from mcalc.data.catalog import write_catalog

REPOSITORY = Path(__file__).resolve().parents[1]
STUDY = 1654  # ROIs of the study: so many files are cut, more are links


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
    """Run Snakemake in `folder`; return what `run` does."""
    profile = ("--profile", REPOSITORY / "profiles/default")
    return run(folder, "snakemake", "--directory", folder, *profile, *arguments, "--quiet", "all")


def run(folder: Path, *command: object) -> dict:
    """Run a command; return `seconds`, `cpu` seconds, and memory as `watch_memory` does."""
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    start, cpu = time.perf_counter(), cpu_seconds()
    with open(folder / "printed.txt", "w") as printed:
        process = psutil.Popen(
            list(map(str, command)), stdout=printed, stderr=subprocess.STDOUT, env=environment
        )
        memory = watch_memory(process)
    if process.returncode:
        raise SystemExit((folder / "printed.txt").read_text())
    return {"seconds": time.perf_counter() - start, "cpu": cpu_seconds() - cpu} | memory


def cpu_seconds() -> float:
    """Return the time of processors that all children so far took, and theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def watch_memory(process: psutil.Popen) -> dict:
    """Wait for a command; return the largest memory of it, and of any one job's processes."""
    own = job = 0.0
    while process.poll() is None:
        own = max(own, peak_mib(process.pid))
        job_of, sizes = {}, Counter()
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in process.children(recursive=True):  # parents before their children
                job_of[child.pid] = job_of.get(child.ppid(), child.pid)
                sizes[job_of[child.pid]] += peak_mib(child.pid)
        job = max(job, *sizes.values(), 0.0)
        time.sleep(0.5)
    return {"own_mib": own, "job_mib": job}


def peak_mib(process: int) -> float:
    """Return the most memory that a process has ever had, in MiB."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
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


# --- the others ----------------------------------------------------------------------------------


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


def run_per_image(folder: Path, root: Path, images: int, cores: int) -> float:
    """Prepare some ROIs with a job for each and each stage; return the seconds it took."""
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
    )["seconds"]


def seconds_per_image(folder: Path, root: Path, images: int, cores: int) -> float:
    """Return what a further image costs where each is a job of its own."""
    took = []
    for count in (images, 3 * images):
        (folder / str(count)).mkdir()
        took.append(run_per_image(folder / str(count), root, count, cores))
    return (took[1] - took[0]) / (2 * images)


# --- tables -------------------------------------------------------------------------------------


def measure(arguments: argparse.Namespace) -> list[dict]:
    """Let all take turns in each round; return a row for each."""
    root, rows = make_rois(arguments.folder, arguments.rois), []
    for number in range(arguments.rounds):
        with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
            folders = [Path(name) / part for part in ("workflow", "loop", "image")]
            for folder in folders:
                folder.mkdir()
            found = {"rois": arguments.rois, "shards": arguments.shards}
            found |= run_workflow(folders[0], root, arguments.shards, arguments.cores)
            if not arguments.no_loop:
                loop = (sys.executable, REPOSITORY / "benchmarks/bare_loop.py", folders[1], root)
                took = run(folders[1], *loop, arguments.cores)
                check_same(*folders[:2])
                found |= {"loop_seconds": took["seconds"], "loop_cpu": took["cpu"]}
            if arguments.per_image and not number:
                each = seconds_per_image(folders[2], root, arguments.per_image, arguments.cores)
                found["per_image"] = each * arguments.rois
            rows.append(found)
            show(found)
    return rows


def show(row: dict) -> None:
    """Print a row of the table."""
    cells = [f"{row['rois']:,}", row["shards"], f"{row['seconds']:.1f}", f"{row['cpu']:.1f}"]
    cells += [f"{row['rois'] / row['seconds']:.1f}", f"{row['outside']:.0%}"]
    cells += [f"{row['own_mib']:.0f}", f"{row['job_mib']:.0f}"]
    for key in ("seconds", "cpu"):
        loop = row.get(f"loop_{key}")
        cells.append(f"{loop:.1f} ({row[key] / loop:.2f})" if loop else "")
    alone = row.get("per_image")
    cells.append(f"{alone:.0f} ({alone / row['seconds']:.0f})" if alone else "")
    print("|", " | ".join(map(str, cells)), "|", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", type=Path, required=True, help="for the crops; kept")
    parser.add_argument("--rois", type=int, default=STUDY)
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--per-image", type=int, default=8, help="images with a job each, or 0")
    parser.add_argument("--no-loop", action="store_true", help="leave out the bare loop")
    parser.add_argument("--json", type=Path, help="write the rows into this file, too")
    arguments = parser.parse_args()

    arguments.folder = arguments.folder.resolve()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    print(f"{platform.machine()}, {arguments.cores} of {os.cpu_count()} cores, {SIZE} x {SIZE}\n")
    print("| ROIs | shards | seconds | CPU s | ROIs / s | outside jobs | Snakemake MiB | job MiB "
          "| bare loop s (workflow / loop) | its CPU s (ratio) | one job an image s (/ workflow) "
          "|\n|" + "---|" * 11)  # fmt: skip
    rows = measure(arguments)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
