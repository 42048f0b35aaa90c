"""A copy of the project with a tiny data set of its own, and ways to run Snakemake in it."""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import yaml

from mcalc.log_head import split_head

REPOSITORY = Path(__file__).parents[2]
LEFT_OUT = shutil.ignore_patterns(
    *(".git", ".snakemake", "results", "resources", "logs", "build", "*.egg-info", "__pycache__"),
    *(".venv", ".*_cache"),
)


@dataclass
class Plan:
    """What a dry run printed, the commands of its jobs among it."""

    printed: str

    @property
    def jobs(self) -> set[tuple[str, str]]:
        """The jobs as (rule, wildcards)."""
        jobs = set()
        starts = r"^(?:local)?(?:rule|checkpoint) "
        for block in re.split(starts, self.printed, flags=re.MULTILINE)[1:]:
            wildcards = re.search(r"^    wildcards: (.*)$", block, flags=re.MULTILINE)
            jobs.add((block.partition(":")[0], wildcards.group(1) if wildcards else ""))
        return jobs

    @property
    def counts(self) -> Counter:
        """How many jobs of each rule there are."""
        return Counter(rule for rule, _ in self.jobs)


@dataclass
class Project:
    """A folder that holds the workflow, the package and a configuration `tiny.yaml`."""

    folder: Path

    def snakemake(self, *arguments: str, configs=("tiny.yaml",), **options) -> str:
        """Run Snakemake with the configuration files laid over the default; return its output."""
        command = ("snakemake", "--cores", "2", *arguments, "--configfile", *configs)
        return self.call(*command, **options)

    def call(self, *command: str, check: bool = True, meanwhile=lambda process: None) -> str:
        """Run a command here, with this folder's package, and return what it printed.

        `meanwhile` is called with its process (psutil) as soon as it runs.
        """
        process = self.start(*command, stdout=subprocess.PIPE)
        meanwhile(process)
        printed, _ = process.communicate()
        assert not check or process.returncode == 0, printed + self.logs()
        return printed

    def start(self, *command: str, **options) -> psutil.Popen:
        """Start a command here, with this folder's package."""
        environment = os.environ | {"PYTHONPATH": str(self.folder)}
        environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
        options = {"stderr": subprocess.STDOUT, "text": True} | options
        return psutil.Popen(command, cwd=self.folder, env=environment, **options)

    def plan(self, *arguments: str, configs=("tiny.yaml",)) -> "Plan":
        """Return what a run would do, by the dry run."""
        return Plan(self.snakemake("--dry-run", "--printshellcmds", *arguments, configs=configs))

    def dry_run(self, *arguments: str, configs=("tiny.yaml",)) -> Counter:
        """Return how many jobs of each rule a run would have."""
        return self.plan(*arguments, configs=configs).counts

    def planned_jobs(self, *arguments: str, configs=("tiny.yaml",)) -> set[tuple[str, str]]:
        """Return the jobs of a run as (rule, wildcards)."""
        return self.plan(*arguments, configs=configs).jobs

    def configure(self, **changes) -> None:
        """Change keys of tiny.yaml, a dotted key written with two underscores."""
        path = self.folder / "tiny.yaml"
        config = yaml.safe_load(path.read_text())
        for key, value in changes.items():
            *groups, last = key.split("__")
            place = config
            for group in groups:
                place = place.setdefault(group, {})
            place[last] = value
        path.write_text(yaml.safe_dump(config))

    def log(self, path: str) -> str:
        """Return what a job's log says below the command and the versions with which it begins."""
        command, facts, said = split_head((self.folder / "logs" / path).read_text())
        assert command[0] == "mcalc"
        assert set(facts) >= {"begun", "host", "folder", "versions"}
        return said

    def outputs(self) -> dict[str, bytes]:
        """Return the content of every file below results/.

        Not Snakemake's own stamps in folders: a run that is killed between a job's end and its
        stamp is content with the folder as it is.
        """
        results = self.folder / "results"
        return {
            str(path.relative_to(results)): path.read_bytes()
            for path in results.rglob("*")
            if path.is_file() and path.name != ".snakemake_timestamp"
        }

    def logs(self) -> str:
        """Return the logs of all jobs, for a failing test's message."""
        return "".join(path.read_text() for path in sorted(self.folder.glob("logs/**/*.log")))


@pytest.fixture(scope="session")
def make_project(tmp_path_factory):
    """A function that copies the project, or a folder in which it has already run."""

    def make(source: Path = REPOSITORY) -> Project:
        folder = tmp_path_factory.mktemp("project") / "mcalc"
        ignore = LEFT_OUT if source == REPOSITORY else None
        shutil.copytree(source, folder, symlinks=True, ignore=ignore)
        return Project(folder)

    return make


@pytest.fixture(scope="session")
def tiny_config() -> dict:
    """Six patients, one network, one epoch: the smallest run that touches every rule."""
    return {
        "run": "tiny",
        "dataset": {
            "kind": "cbis_ddsm",
            "root": "resources/tiny",
            "shards": 2,
            "max_rejected": 0.5,
        },
        "mammograms": {"origin": "dataset", "limit": 2},
        "train": {
            "networks": ["alexnet"],
            "settings": [{"batch_size": 8, "lr_min": 1e-4, "lr_max": 1e-3, "epochs": 1}],
            "lr_find_iterations": 6,
        },
    }


@pytest.fixture(scope="session")
def untouched(make_project, tiny_config) -> Project:
    """A project with its data set, in which nothing has run yet."""
    project = make_project()
    (project.folder / "tiny.yaml").write_text(yaml.safe_dump(tiny_config))
    project.call("mcalc", "phantom", "resources/tiny", "--patients", "8", "--seed", "3")
    return project
