"""What a run says it needs: workflow/rules/needs.smk on made-up jobs (whole runs: test_run.py)."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from fastai.vision.learner import create_vision_model
from snakemake.resources import Resources

from mcalc.learning.networks import NETWORKS, OTHER_NETWORKS

REPOSITORY = Path(__file__).parents[2]
GB = 10**9


def job(name, mem_mb=2000, gpu=0, **wildcards):
    return SimpleNamespace(
        rule=SimpleNamespace(name=name),
        log=["x.log"],
        resources={"mem_mb": mem_mb, "gpu": gpu},
        wildcards=SimpleNamespace(**wildcards),
    )


@pytest.fixture
def needs(tmp_path, monkeypatch):
    """The functions of needs.smk for the embedded default, with eight cores and 50 GB of disk."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=50 * GB))
    config = yaml.safe_load((REPOSITORY / "config.yaml").read_text())
    config["dataset"]["root"] = "data"
    workflow = SimpleNamespace(
        cores=8,
        local_exec=True,
        global_resources=Resources.from_mapping({"gpu": 1}),
        dag=SimpleNamespace(needrun_jobs=lambda: []),
    )
    names = {"config": config, "workflow": workflow, "RUN": "tiny", "ROOT": "data"}
    names["SHARDS"] = range(2)
    exec((REPOSITORY / "workflow/rules/needs.smk").read_text(), names)
    names["logger"] = SimpleNamespace(info=print, warning=print)
    return SimpleNamespace(names=names, **{k: v for k, v in names.items() if callable(v)})


def write_table(path: str, rows: int) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text("roi_id,text\n" + '1,"two\nlines"\n' * rows)


@pytest.mark.parametrize("network", NETWORKS)
def test_the_weights_are_as_large_as_it_says(needs, network):
    with torch.device("meta"):
        model = create_vision_model(NETWORKS[network], 2, pretrained=False)
    real = sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())
    assert needs.names["WEIGHTS"][network] == pytest.approx(real, rel=0.02)


@pytest.mark.parametrize("network", OTHER_NETWORKS)
def test_the_weights_of_a_network_of_the_league_are_as_large_as_it_says(needs, network):
    other = OTHER_NETWORKS[network]
    parts = (other.make_body(64), other.make_head(2, "fastai2"))
    tensors = [tensor for part in parts for tensor in part.state_dict().values()]
    real = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    assert needs.names["WEIGHTS"][network] == pytest.approx(real, rel=0.02)


def test_a_training_needs_its_weights_and_while_it_runs_three_times_as_much(needs):
    jobs = [job("train", network="resnet34", gpu=0), job("train", network="alexnet")]
    stays, passes = needs.get_disk_need(jobs, 0)
    assert stays == pytest.approx(87.3e6 + 10.9e6, rel=0.02)
    assert passes == pytest.approx(3 * stays, rel=0.02)


def test_trainings_that_take_turns_on_a_gpu_keep_one_checkpoint_at_a_time(needs):
    jobs = [job("train", network=network, gpu=1) for network in ("resnet34", "alexnet", "vgg16")]
    _, passes = needs.get_disk_need(jobs, 0)
    assert passes == pytest.approx(3 * 87.3e6, rel=0.02)


def test_where_gpus_are_not_counted_here_as_on_a_cluster_all_train_at_once(needs):
    needs.names["workflow"].global_resources = Resources.from_mapping({})
    needs.names["workflow"].local_exec = False
    jobs = [job("train", network=network, gpu=1) for network in ("resnet34", "alexnet", "vgg16")]
    stays, passes = needs.get_disk_need(jobs, 0)
    assert passes == pytest.approx(3 * stays, rel=0.02)


def test_images_are_counted_in_the_bits_of_each_stage(needs):
    """A thousand images of 64 x 64: 8 kB with 16 bits, converted and cleaned; 4 kB enhanced."""
    jobs = [job(name) for name in ("convert", "clean", "enhance") for shard in range(2)]
    stays, passes = needs.get_disk_need(jobs, 1000)
    assert (stays, passes) == (1000 * (2 * 8192 + 4096), 0)


@pytest.mark.parametrize(
    ("kind", "written", "said"),
    [
        ("cbis_ddsm", "results/tiny/catalog.csv", (7, "by the catalog")),
        ("cbis_ddsm", "data/calc_case_description_train_set.csv", (7, "by the data set's tables")),
        ("cbis_ddsm", "data/mass_case_description_train_set.csv", (None, "how many ROIs is unkn")),
        ("folder", "data/benign/1.png", (1, "by the number of files")),
        ("phantom", "data/other", (36, "by the number of patients")),
        ("vindr_mammo", "data/finding_annotations.csv", (None, "how many ROIs is unknown until")),
    ],
)
def test_rois_are_counted_by_what_is_there(needs, kind, written, said):
    needs.names["config"]["dataset"]["kind"] = kind
    write_table(written, 7)
    number, source = needs.count_rois()
    assert number == said[0]
    assert source.startswith(said[1])


def test_masses_are_counted_where_they_are_asked_for(needs):
    needs.names["config"]["dataset"].update(kind="cbis_ddsm", abnormalities=["mass"])
    write_table("data/calc_case_description_train_set.csv", 7)
    write_table("data/mass_case_description_test_set.csv", 4)
    assert needs.count_rois()[0] == 4


def test_a_disk_that_cannot_hold_it_is_a_warning_with_both_numbers(needs, capsys):
    jobs = [job("train", network="resnet50", mem_mb=8000) for _ in range(600)]
    needs.names["workflow"].dag.needrun_jobs = lambda: jobs
    needs.show_needs()
    told, warning = capsys.readouterr().out.split("The disk of ")
    assert "memory: at most 8.0 GB a job (train); this machine has" in told
    assert "disk: about 62 GB in results/tiny, and 2.5 GB more while networks train" in told
    assert warning.startswith("results/tiny has 50 GB free, and this run needs about 64 GB: ")


def test_a_disk_that_holds_it_is_no_warning(needs, capsys):
    needs.names["workflow"].dag.needrun_jobs = lambda: [job("train", network="alexnet")]
    needs.show_needs()
    assert "The disk of" not in capsys.readouterr().out


def test_a_cluster_is_not_compared_with_this_machine(needs):
    needs.names["workflow"].local_exec = False
    jobs = [job("train", network="alexnet", mem_mb=8000, gpu=1), job("split")]
    lines = "\n".join(needs.tell_needs(jobs))
    assert "at most 8.0 GB a job (train), asked from the cluster" in lines
    assert "GPU: asked from the cluster by 1 jobs" in lines
    assert "this machine" not in lines


def test_a_gpu_that_is_wanted_and_not_there_is_said(needs, monkeypatch):
    jobs = [job("train", network="alexnet", gpu=1)]
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert needs.tell_gpu(jobs).endswith("none is seen here, and CPUs are slow")
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/nvidia-smi")
    assert needs.tell_gpu(jobs).endswith("this machine has one")


@pytest.mark.parametrize(
    ("number", "said"),
    [(0, "0.0 MB"), (2.5e6, "2.5 MB"), (36e6, "36 MB"), (1.25e9, "1.2 GB"), (5e13, "50.0 TB")],
)
def test_bytes_are_told_in_units_people_read(needs, number, said):
    assert needs.tell_bytes(number) == said
