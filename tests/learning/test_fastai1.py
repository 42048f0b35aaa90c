"""The recipe `fastai1` against naive references, written from the formulas of fastai 1.0.61."""

import math

import numpy as np
import pytest
import torch
from fastai.callback.core import Callback
from fastai.data.core import DataLoaders
from fastai.data.load import DataLoader
from fastai.learner import Learner
from fastai.vision.learner import create_body
from torch import nn
from torch.utils.data import TensorDataset
from torchvision import models

from mcalc.errors import UsageError
from mcalc.learning import fastai1
from mcalc.learning.checkpoints import Checkpoint
from mcalc.learning.fitting import fit
from mcalc.learning.train import Settings

IMAGES, BATCH = 22, 4  # five steps an epoch; the last two images are left out
STEPS = IMAGES // BATCH


@pytest.fixture(autouse=True)
def one_thread():
    """Threads only wait for each other where tensors are tiny."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def plain_cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (math.cos(math.pi * share) + 1)


def plain_cycle(steps: int, start: float, middle: float, end: float) -> list[float]:
    """Return the value of every step as v1 finds it: the next one is set after each batch."""
    values, phase, done = [start], 0, 0
    lengths = (int(steps * 0.3), steps - int(steps * 0.3))
    ends = ((start, middle), (middle, end))
    while len(values) < steps:
        length = max(1, lengths[phase])
        done += 1
        values.append(plain_cosine(*ends[phase], done / length))
        if done >= length:
            phase, done = phase + 1, 0
    return values


def tiny_model() -> nn.Sequential:
    """Return a body with AlexNet's boundary (the sixth layer of its first child) and v1's head."""
    torch.manual_seed(2)
    layers = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), *[nn.ReLU()] * 4, nn.Conv2d(4, 4, 3)]
    body = nn.Sequential(nn.Sequential(*layers), nn.AdaptiveAvgPool2d(6))
    return nn.Sequential(body, fastai1.make_head(4, 2)).double()


def loss_of(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return cross entropy, computed in 64 bits and given in the 32 that fastai's recorder takes.

    In 32 bits noise decides the direction of a weight that has no gradient, such as a bias before
    batch norm, since Adam divides the gradient by its size.
    """
    return nn.functional.cross_entropy(outputs, labels).float()


def tiny_learner() -> Learner:
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(IMAGES, 3, 12, 12, generator=generator, dtype=torch.float64)
    data = TensorDataset(images, torch.arange(IMAGES) % 2)
    loaders = [DataLoader(data, bs=BATCH, drop_last=last, num_workers=0) for last in (True, False)]
    options = fastai1.learner_options("alexnet")
    for name in ("cut", "custom_head", "init"):
        options.pop(name)
    dataloaders = DataLoaders(*loaders, device=torch.device("cpu"))
    learner = Learner(dataloaders, tiny_model(), loss_func=loss_of, **options)
    learner.freeze()
    return learner


class Record(Callback):
    """Keep what the optimiser uses at every step, group by group."""

    order = 70

    def __init__(self) -> None:
        self.kept: list[list[tuple]] = []

    def before_step(self) -> None:
        names = ("lr", "mom", "wd", "sqr_mom", "eps")
        self.kept.append([tuple(float(h[n]) for n in names) for h in self.opt.hypers])


# --- the schedule -------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [*range(1, 12), 20, 33, 100, 2479])
def test_the_schedule_of_any_length_is_v1s(steps):
    schedule = fastai1.one_cycle(steps, 4e-5, 1e-3, 4e-9)
    ours = [schedule(step / steps) for step in range(steps)]
    np.testing.assert_allclose(ours, plain_cycle(steps, 4e-5, 1e-3, 4e-9), rtol=1e-9)


def test_every_steps_rates_and_momenta_are_v1s_in_both_phases_and_every_group():
    """Frozen and free, with the finder between, which must leave no trace in the schedules."""
    learner, record = tiny_learner(), Record()
    learner.add_cb(record)
    fit_options = {"recipe": "fastai1", "head_epochs": 3, "head_lr": 2e-3, "epochs": 4}
    learner.metrics = [lambda *_: torch.tensor(0.0)] * 2
    fit(learner, Checkpoint(), **fit_options, lr_find_iterations=6, rates=slice(2e-6, 1e-3))
    head, found, free = np.split(np.array(record.kept), [3 * STEPS, 3 * STEPS + 6])
    assert free.shape == (4 * STEPS, 3, 5)
    # slice(2e-3): a tenth for all groups but the last; slice(2e-6, 1e-3): by equal factors.
    wanted = {3: (2e-4, 2e-4, 2e-3), 4: (2e-6, 2e-6 * math.sqrt(500), 1e-3)}
    for epochs, steps in ((3, head), (4, free)):
        for group, highest in enumerate(wanted[epochs]):
            rates = plain_cycle(epochs * STEPS, highest / 25, highest, highest / 25e4)
            momenta = plain_cycle(epochs * STEPS, 0.95, 0.85, 0.95)
            np.testing.assert_allclose(steps[:, group, 0], rates, rtol=1e-6, atol=0)
            np.testing.assert_allclose(steps[:, group, 1], momenta, rtol=1e-6, atol=0)
        assert np.unique(steps[:, :, 2:].reshape(-1, 3), axis=0).tolist() == [[0.01, 0.99, 1e-8]]
    rates = 1e-7 * 1e8 ** (np.arange(6) / 6)
    np.testing.assert_allclose(found[:, :, 0], np.repeat(rates[:, None], 3, axis=1), rtol=1e-6)
    assert np.unique(found[:, :, 1]) == 0.95  # v1's cycle ends where it began


# --- the optimiser ------------------------------------------------------------------------------


def plain_training(model: nn.Sequential, learner: Learner, epochs: int, rates: list[float]) -> None:
    """Train as v1 does: PyTorch's Adam, before whose step all that it holds decays."""
    first = list(model[0][0][:6].parameters())
    groups = [first, list(model[0][0][6:].parameters()), list(model[1].parameters())]
    optimiser = torch.optim.Adam([{"params": group} for group in groups], betas=(0.9, 0.99))
    steps = epochs * STEPS
    cycles = [plain_cycle(steps, rate / 25, rate, rate / 25e4) for rate in rates]
    momenta = plain_cycle(steps, 0.95, 0.85, 0.95)
    model.train()
    for step in range(steps):
        images, labels = list(learner.dls.train)[step % STEPS]
        optimiser.zero_grad()
        loss_of(model(images), labels).backward()
        for group, cycle in zip(optimiser.param_groups, cycles, strict=True):
            group["lr"], group["betas"] = cycle[step], (momenta[step], 0.99)
            for parameter in group["params"]:
                # v1 holds the weights that learn, and all biases.
                if parameter.requires_grad or parameter.ndim == 1:
                    parameter.data.mul_(1 - 0.01 * cycle[step])
        optimiser.step()


@pytest.mark.parametrize("is_frozen", [True, False], ids=["head", "all"])
def test_the_weights_after_a_cycle_are_those_of_v1s_optimiser(is_frozen):
    """Head alone: the batch norm of the frozen body learns, biases of frozen layers decay."""
    learner, model = tiny_learner(), tiny_model()
    for network in (learner.model, model):
        for module in network.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
    if not is_frozen:
        learner.unfreeze()
    frozen = [name for name, p in learner.model.named_parameters() if not p.requires_grad]
    wanted = ["0.0.0.weight", "0.0.0.bias", "0.0.6.weight", "0.0.6.bias"]
    assert frozen == (wanted if is_frozen else [])
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name not in frozen)
    with learner.no_bar(), learner.no_logging():
        fastai1.fit_one_cycle(learner, 2, slice(1e-3, 5e-3))
    plain_training(model, learner, 2, [1e-3, math.sqrt(5e-6), 5e-3])
    start = tiny_model().state_dict()
    for name, tensor in learner.model.state_dict().items():
        torch.testing.assert_close(tensor, model.state_dict()[name], rtol=0, atol=1e-6)
        assert name in frozen[::2] or not torch.equal(tensor, start[name]), f"{name} did not move"


# --- groups of layers and the head --------------------------------------------------------------


def leaves(module: nn.Module) -> list[nn.Module]:
    children = list(module.children())
    return [leaf for child in children for leaf in leaves(child)] if children else [module]


# vision/learner.py: where v1 splits each network; "_default_split" for what it does not know.
SPLITS = {
    "vgg16": lambda model: (model[1],),
    "vgg16_bn": lambda model: (model[0][0][22], model[1]),
    "resnet34": lambda model: (model[0][6], model[1]),
    "alexnet": lambda model: (model[0][0][6], model[1]),
    "resnet50": lambda model: (model[0][6], model[1]),
}


@pytest.mark.parametrize("network", SPLITS)
def test_the_groups_of_layers_are_v1s(network):
    """Each group begins with the first leaf of a layer; networks without storage are enough."""
    with torch.device("meta"):
        options = fastai1.learner_options(network)
        body = create_body(getattr(models, network)(weights=None), cut=options["cut"])
        model = nn.Sequential(body, options["custom_head"])
    flat = leaves(model)
    starts = [flat.index(leaves(layer)[0]) for layer in SPLITS[network](model)]
    bounds = zip([0, *starts], [*starts, len(flat)], strict=True)
    wanted = [{id(p) for leaf in flat[a:b] for p in leaf.parameters()} for a, b in bounds]
    ours = [{id(p) for p in group} for group in options["splitter"](model)]
    assert ours == wanted
    assert all(ours)
    assert sum(map(len, ours)) == len(list(model.parameters()))


def test_the_head_is_v1s_and_begins_as_v1s():
    head = fastai1.make_head(256, 2)
    kinds = ["AdaptiveConcatPool2d", "Flatten", "BatchNorm1d", "Dropout", "Linear", "ReLU"]
    assert [type(layer).__name__ for layer in head] == [*kinds, "BatchNorm1d", "Dropout", "Linear"]
    assert [layer.p for layer in head if isinstance(layer, nn.Dropout)] == [0.25, 0.5]
    assert [tuple(head[n].weight.shape) for n in (4, 8)] == [(512, 512), (2, 512)]
    assert head[4].bias is not None
    assert head[8].bias is not None
    for norm in (head[2], head[6]):
        assert norm.weight.eq(1).all()
        assert norm.bias.eq(0).all()
    image = torch.randn(2, 256, 3, 3)
    pooled = torch.cat([image.amax(dim=(2, 3)), image.mean(dim=(2, 3))], dim=1)
    torch.testing.assert_close(head[1](head[0](image)), pooled)


# --- the finder ---------------------------------------------------------------------------------


def test_the_steepest_rate_is_where_the_middle_of_the_curve_falls_fastest():
    rates = [10.0**n for n in range(-20, 20)]
    losses = [0.0, -9.0] * 5 + [5.0] * 10 + [4.0, 2.5, 2.0] + [2.0] * 12 + [-9.0] * 5
    assert fastai1.steepest_rate(rates, losses) == rates[20]


@pytest.mark.parametrize("points", [0, 1, 15, 16])
def test_a_short_curve_has_no_steepest_rate(points):
    assert fastai1.steepest_rate([1.0] * points, [1.0] * points) is None


def test_the_finder_stops_where_the_loss_is_no_number():
    learner = tiny_learner()
    learner.loss_func = lambda *_: torch.tensor(math.nan, requires_grad=True)
    with learner.no_bar(), learner.no_logging():
        learner.fit(2, cbs=fastai1.StopWithoutLoss())
    assert len(learner.recorder.losses) == 1


def test_an_unknown_recipe_is_named():
    with pytest.raises(UsageError, match=r"'fastai3' is unknown; use fastai2 or fastai1"):
        Settings("paper", "alexnet", 1, 0, 4, 1e-5, 1e-4, 1, recipe="fastai3")
