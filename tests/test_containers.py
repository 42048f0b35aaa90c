"""The container recipes: what a linter and the files they name can tell where no engine is."""

import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
from dockerfile_parse import DockerfileParser

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def dockerfile() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile as (name, value), in order."""
    parser = DockerfileParser(str(REPOSITORY / "Dockerfile"), env_replace=False)
    said = [(line["instruction"], line["value"]) for line in parser.structure]
    return [(name, value) for name, value in said if name != "COMMENT"]


def copied(dockerfile) -> set[str]:
    """Return what the Dockerfile copies out of the repository."""
    values = [value.split() for name, value in dockerfile if name == "COPY"]
    return {path for *paths, _ in values if not paths[0].startswith("--from") for path in paths}


def definition() -> dict[str, list[str]]:
    """Return the lines of the Apptainer definition by section, those of two stages one after other.

    What stands above the first section of a stage is the section "head".
    """
    sections, name = {}, "head"
    for line in (REPOSITORY / "apptainer.def").read_text().splitlines():
        if line.startswith("%"):
            name = line[1:]
        elif line.startswith("Bootstrap:"):
            name = "head"
        if line.strip() and not line.startswith(("%", "#")):
            sections.setdefault(name, []).append(line.strip())
    return sections


def test_the_linter_finds_nothing():
    linter = Path(sys.executable).parent / "hadolint"
    done = subprocess.run(
        [linter, "--no-color", REPOSITORY / "Dockerfile"], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_what_is_copied_exists_and_is_not_ignored(dockerfile):
    lines = (REPOSITORY / ".dockerignore").read_text().splitlines()
    kept = {line[1:] for line in lines if line.startswith("!")}
    assert "*" in lines
    assert copied(dockerfile) == kept
    assert [path for path in sorted(kept) if not (REPOSITORY / path).exists()] == []


def test_all_that_a_run_reads_is_copied(dockerfile):
    """What git keeps is copied, or is here named as of no use to a run."""
    listed = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git repository, so that its files are not known")
    top = {line.partition("/")[0] for line in listed.stdout.splitlines()}
    unused = {"benchmarks", "config", "docs", "tests", "Dockerfile", "apptainer.def"}
    assert {name for name in top - unused if not name.startswith(".")} == copied(dockerfile)


def test_both_recipes_copy_the_same_onto_the_same_base(dockerfile):
    sections = definition()
    files = {line.split()[0] for line in sections["files"]}
    assert files == copied(dockerfile)
    bases = {value.split()[0] for name, value in dockerfile if name == "FROM"}
    assert bases == {line.split()[1] for line in sections["head"] if line.startswith("From:")}
    assert len(bases) == 1


def test_the_base_has_a_python_that_the_package_takes(dockerfile):
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    least = tuple(map(int, project["requires-python"].removeprefix(">=").split(".")))
    base = next(value.split()[0] for name, value in dockerfile if name == "FROM")
    assert fnmatch(base, "python:3.*-slim-*")
    assert tuple(map(int, base.split(":")[1].split("-")[0].split("."))) >= least


def test_the_image_runs_the_workflow_as_no_root(dockerfile):
    last = dict(dockerfile)
    assert last["USER"].isdigit()
    assert last["USER"] != "0"
    assert last["ENTRYPOINT"] == '["snakemake", "--snakefile", "/opt/mcalc/Snakefile"]'
    script = " ".join(definition()["runscript"])
    assert 'exec snakemake --snakefile /opt/mcalc/Snakefile "$@"' in script
    for option in ("--cores", "--configfile", "/opt/mcalc/config.yaml"):
        assert option in last["CMD"]
        assert option in script


def test_only_the_last_stage_lacks_a_compiler(dockerfile):
    starts = [place for place, (name, _) in enumerate(dockerfile) if name == "FROM"]
    building, running = dockerfile[: starts[1]], dockerfile[starts[1] :]
    assert any("g++" in value for _, value in building)
    assert not any("apt-get" in value for _, value in running)
