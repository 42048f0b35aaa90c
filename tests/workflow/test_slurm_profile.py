"""What profiles/slurm says of the rules, read without a cluster; test_slurm.py submits with it."""

import re
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).parents[2]
WORKFLOW = [path for path in (REPOSITORY / "workflow").rglob("*") if path.is_file()]
PROFILE = yaml.safe_load((REPOSITORY / "profiles/slurm/config.yaml").read_text())
RULE = re.compile(r"^(?:rule|checkpoint) (\w+):(.*?)(?=^\w|\Z)", flags=re.MULTILINE | re.DOTALL)


# How a rule's input has it planned anew when the catalog is known.
WAITS = re.compile(r"after_catalog\(|get_results\(|/catalog\.csv")


@pytest.fixture(scope="module")
def rules() -> dict[str, str]:
    """The text of each rule that is submitted."""
    text = "\n".join(path.read_text() for path in WORKFLOW if path.suffix == ".smk")
    return {name: body for name, body in RULE.findall(text) if "localrule: True" not in body}


@pytest.fixture(scope="module")
def memory(rules) -> dict[str, int]:
    """The megabytes that each rule which is submitted asks for by itself."""
    return {name: int(re.search(r"mem_mb=(\d+)", body)[1]) for name, body in rules.items()}


def test_each_rule_has_its_memory_and_more_after_a_failure(memory):
    resources = PROFILE["set-resources"]
    assert resources.keys() == memory.keys()
    for rule, wanted in memory.items():
        tries = [
            eval(resources[rule]["mem_mb"], {"attempt": attempt})
            for attempt in range(1, PROFILE["retries"] + 2)
        ]
        assert tries[0] >= wanted
        assert tries == sorted(set(tries))


def test_groups_name_rules_and_components_name_groups(memory):
    assert PROFILE["groups"].keys() <= memory.keys()
    assert PROFILE["group-components"].keys() <= set(PROFILE["groups"].values())
    assert {"convert", "clean", "compare_filters", "enhance"} <= PROFILE["groups"].keys()


def test_all_jobs_of_a_group_are_planned_anew_when_the_catalog_is_known(rules):
    """Else Snakemake (9.27) does some twice and ends with work left; docs/cluster.md, Groups."""
    for rule in PROFILE["groups"]:
        inputs = re.search(r"    input:\n(.*?)    output:", rules[rule], flags=re.DOTALL)[1]
        assert WAITS.search(inputs), rule


def test_a_grouped_shard_takes_all_cores_of_its_group():
    """The plugin runs a group's jobs one by one, but asks for all that fit side by side."""
    assert set(PROFILE["set-threads"].values()) == {PROFILE["cores"]}


@pytest.mark.parametrize("word", ["slurm", "partition=", "gres", "retries"])
def test_no_rule_knows_of_a_cluster(word):
    assert [path.name for path in WORKFLOW if word in path.read_text().lower()] == []
