# What counts as a change that Snakemake does not see by itself: of the data set's files, of the
# package's code, of a shard's rows. Each becomes a parameter of the rules that depend on it.
import ast
import functools
import hashlib
import importlib.metadata
import json
import os
import sys
from pathlib import Path

import pandas as pd
from snakemake.exceptions import WorkflowError

# The package's sources, where the workflow lies in a clone; a module taken from afar has none.
PACKAGE = Path(workflow.current_basedir).parents[1] / "mcalc"

# By the hash of a file's content, in the folder of the run.
KNOWN_SOURCES = Path(".snakemake/mcalc_sources.json")

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


def get_tree_fingerprint(wildcards):
    """Stand for the names, sizes and times of the data set's files: a new one changes it.

    Only wildcards may be asked for: Snakemake looks for no change in a parameter that is derived
    from input files. A phantom's files follow from its rule, whose tables are input.
    """
    if IS_PHANTOM:
        return "phantom"
    digest = hashlib.sha256()
    if config["dataset"]["patients"]:  # an older file in its place has no newer time
        digest.update(_size_and_time(Path(config["dataset"]["patients"])).encode())
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


def get_weights_fingerprint(wildcards):
    """Stand for the file of weights, if there is one: an older one in its place is a change."""
    return [_size_and_time(Path(path)) for path in get_weights_file(wildcards)]


def _size_and_time(entry):
    """What tells a changed file from the one before, of a path or an entry of a folder."""
    try:
        found = entry.stat()
    except OSError:  # a link that leads nowhere
        return "missing"
    return f"{found.st_size} {found.st_mtime_ns}"


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
        digest.update(_read_source(source)[0])
    return digest.hexdigest()[:12]


def _sources_of(module):
    found, waiting = set(), [f"mcalc.{module}"]
    while waiting:
        name = waiting.pop()
        for source in _files_of(name):
            if source not in found:
                found.add(source)
                waiting += _read_source(source)[1]
    return found


@functools.cache
def _read_source(source):
    """Return what stands for a file's content, and the names that it imports from the package."""
    content = source.read_bytes()
    if source.suffix != ".py":
        return content, []
    key = f"{sys.version_info[:2]} {hashlib.sha256(content).hexdigest()}"
    known = _read_known_sources()
    if key not in known:
        known[key] = _parse_source(content)
        _write_known_sources(known)
    digest, names = known[key]
    return digest.encode(), names


def _parse_source(content):
    tree = ast.parse(content)
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mcalc"):
            names.append(node.module)
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest(), names


@functools.cache
def _read_known_sources():
    """What earlier starts found: parsing takes a second, and a cluster's job starts Snakemake anew."""
    try:
        return json.loads(KNOWN_SOURCES.read_text())
    except (OSError, ValueError):
        return {}


def _write_known_sources(known):
    try:
        KNOWN_SOURCES.parent.mkdir(exist_ok=True)
        temporary = KNOWN_SOURCES.with_name(f"{KNOWN_SOURCES.name}.{os.getpid()}")
        temporary.write_text(json.dumps(known))
        os.replace(temporary, KNOWN_SOURCES)
    except OSError:  # it only saves time
        pass


@functools.cache
def _files_of(name):
    """Return the files behind a dotted name; those of the extension lie in csrc/."""
    if name == "mcalc._native":
        return sorted((PACKAGE.parent / "csrc").glob("*.[ch]pp"))
    path = PACKAGE.joinpath(*name.split(".")[1:])
    if path.is_dir():
        return [] if _is_wing(name) else sorted(path.glob("*.py"))
    source = path.with_suffix(".py")
    beside = [
        *path.parent.glob(f"{path.name}.*.j2"),
        *path.parent.glob(f"{path.name}.yaml"),
    ]
    return [source, *beside] if source.exists() else []


def _is_wing(name):
    """Tell whether a package only groups modules, which are then imported one by one."""
    return name.count(".") < 2 or name == "mcalc.data.datasets"
