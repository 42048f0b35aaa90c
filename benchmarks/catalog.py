"""Time the catalog of a large made download of CBIS-DDSM, and a dry run over it.

    python benchmarks/catalog.py --rows 100000 --folder /tmp/large

A download in TCIA's layout is made in the folder, unless it is there: for each row a crop and a
mask of a few pixels, so that what is timed is finding and telling apart. Printed are seconds and
the largest memory of any process.
"""

import argparse
import csv
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import yaml

from mcalc.data.dicom import write_dicom

REPOSITORY = Path(__file__).resolve().parents[1]
HEADER = (
    *("patient_id", "breast density", "left or right breast", "image view", "abnormality id"),
    *("abnormality type", "calc type", "calc distribution", "assessment", "pathology", "subtlety"),
    *("image file path", "cropped image file path", "ROI mask file path"),
)


def make_download(root: Path, rows: int) -> None:
    """Write the tables, `rows` rows in all, and their files."""
    uids = {"study_uid": "1.2.3", "series_uid": "1.2.4"}
    options = {"patient_id": "x", "series_description": "ROI mask images"} | uids
    crop = np.random.default_rng(1).integers(0, 65536, (12, 10)).astype(np.uint16)
    write_dicom(root / "crop", crop, **options)
    write_dicom(root / "mask", (crop > 30000).astype(np.uint8) * 255, **options)
    for part in ("train", "test"):
        with open(root / f"calc_case_description_{part}_set.csv", "w", newline="") as file:
            table = csv.writer(file)
            table.writerow(HEADER)
            for number in range(rows):
                if (part == "test") == (number % 5 == 0):
                    table.writerow(make_row(root, part, number))


def make_row(root: Path, part: str, number: int) -> tuple:
    """Write the files of a row and return it."""
    patient = f"P_{number // 3:06}"
    view = f"Calc-{'Test' if part == 'test' else 'Training'}_{patient}_LEFT_CC"
    case = f"{view}_{number % 3 + 1}"
    folder = root / "CBIS-DDSM" / case / "08-29-2017-DDSM-NA-12345/1.000000-ROI mask images-12345"
    folder.mkdir(parents=True)
    for kind, name in (("crop", "1-1.dcm"), ("mask", "1-2.dcm")):
        (folder / name).write_bytes((root / kind).read_bytes())
    pathology = "MALIGNANT" if number // 3 % 3 == 0 else "BENIGN"
    return (
        *(patient, 2, "LEFT", "CC", number % 3 + 1, "calcification", "PUNCTATE", "CLUSTERED"),
        *(4, pathology, 3, f"{view}/1.1/1.1.{number}/000000.dcm"),
        *(f"{case}/1.2/1.2.{number}/000001.dcm\n", f"{case}/1.2/1.2.{number}/000000.dcm"),
    )


def timed(command: list[str]) -> None:
    """Run a command in the repository; print how long it took and the memory of its processes."""
    start = time.perf_counter()
    done = subprocess.run(
        command, cwd=REPOSITORY, text=True, capture_output=True, check=False,
        env=os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
    )  # fmt: skip
    seconds = time.perf_counter() - start
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    said = (done.stdout + done.stderr).strip().splitlines()
    print(f"{command[0]} {command[1]}: {seconds:.1f} s, exit code {done.returncode}, at most "
          f"{largest:.0f} MiB so far: {said[-1] if said else ''}", flush=True)  # fmt: skip


def main() -> None:
    """Make the download, then time the catalog and dry runs."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--shards", type=int, default=100)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()

    root = arguments.folder.resolve() / "download"
    if not root.exists():
        root.mkdir(parents=True)
        make_download(root, arguments.rows)
    outputs = {name: arguments.folder / f"{name}.csv" for name in ("catalog", "rejected")}
    timed(
        ["mcalc", "catalog", str(root), "--dataset", "cbis_ddsm", "--threads"]
        + [str(arguments.threads), "--shards", str(arguments.shards)]
        + [f"--{name}={path.resolve()}" for name, path in outputs.items()]
    )
    config = arguments.folder / "large.yaml"
    dataset = {"kind": "cbis_ddsm", "root": str(root), "shards": arguments.shards}
    config.write_text(yaml.safe_dump({"run": "large", "dataset": dataset}))
    snakemake = ["snakemake", "--snakefile", str(REPOSITORY / "Snakefile"), "--configfile"]
    snakemake += [str(REPOSITORY / "config.yaml"), str(config.resolve()), "--directory"]
    snakemake += [str(arguments.folder.resolve()), "--cores", str(arguments.threads)]
    timed([*snakemake[:1], "-n", *snakemake[1:], "--quiet"])
    timed([*snakemake[:1], "--until=catalog", *snakemake[1:], "--quiet"])
    timed([*snakemake[:1], "-n", *snakemake[1:], "--quiet"])


if __name__ == "__main__":
    main()
