"""Time `mcalc train`'s batches against a bare PyTorch loop on tensors in memory, in one run.

    python benchmarks/training.py                       # every network, about twenty minutes
    python benchmarks/training.py --networks alexnet --rounds 9 --json training.json

Ours is the training as the workflow runs it, all layers free: images taken from the stack of
pixels, quarter turns, augmentation, normalisation, fastai's loop, recorder and one-cycle
scheduling. The bare loop has the same network, the same batch size and Adam, on one batch of
floating point numbers that is in memory already; it augments, records and schedules nothing.
Validation and checkpoints are outside of both. They take turns; a ratio is the median over the
rounds.
"""

import argparse
import copy
import json
import os
import platform
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from fastai.callback.core import Callback
from fastai.learner import Learner

from mcalc.images.stack import Stack
from mcalc.learning.batches import Augmentation, make_batches
from mcalc.learning.devices import find_device
from mcalc.learning.networks import NETWORKS, build_learner
from mcalc.records import LABELS

STUDY = ("alexnet", "vgg16", "resnet34", "resnet50")


def make_learner(network: str, size: int, batch_size: int, batches: int, device: torch.device):
    """Return a learner of made-up images whose epoch has so many batches."""
    generator = np.random.default_rng(1)
    rois = -(-batch_size * batches // 4) + 1  # four quarter turns each; the last one validates
    pixels = generator.integers(0, 256, (rois, size, size)).astype(np.uint8)
    images = Stack(pixels, [f"roi{number}" for number in range(rois)])
    rows = pd.DataFrame(
        {
            "image_id": f"{roi_id}_r{turns}",
            "roi_id": roi_id,
            "patient_id": roi_id,
            "quarter_turns": turns,
            "label": LABELS[number % 2],
            "fold": 0,
            "subset": "valid" if number == rois - 1 else "train",
        }
        for number, roi_id in enumerate(images)
        for turns in range(4)
    )
    loaders = make_batches(
        rows, images, batch_size=batch_size, augmentation=Augmentation(), device=device
    )
    learner = build_learner(loaders, network, None)
    learner.unfreeze()
    return learner


class TimeTraining(Callback):
    """Add up the seconds between an epoch's first training batch and its last."""

    seconds = 0.0

    def before_train(self):
        """Start the clock."""
        wait_for(self.dls.device)
        self.start = time.perf_counter()

    def after_train(self):
        """Stop it."""
        wait_for(self.dls.device)
        self.seconds += time.perf_counter() - self.start


def wait_for(device: torch.device) -> None:
    """Let a GPU finish what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def time_ours(learner: Learner) -> Callable[[], float]:
    """Return a function that trains an epoch and returns its seconds."""

    def run() -> float:
        clock = TimeTraining()
        with learner.no_bar(), learner.no_logging():
            learner.fit_one_cycle(1, slice(1e-5, 1e-4), cbs=[clock])
        return clock.seconds

    return run


def time_bare(
    network: torch.nn.Module, size: int, batch_size: int, batches: int, device: torch.device
) -> Callable[[], float]:
    """Return a function that does as many steps by hand and returns its seconds."""
    images = torch.randn(batch_size, 3, size, size, device=device)
    labels = torch.randint(0, 2, (batch_size,), device=device)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-4)
    ask = torch.nn.CrossEntropyLoss()

    def run() -> float:
        network.train()
        wait_for(device)
        start = time.perf_counter()
        for _ in range(batches):
            loss = ask(network(images), labels)
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()
        wait_for(device)
        return time.perf_counter() - start

    return run


def measure(network: str, arguments: argparse.Namespace, device: torch.device) -> dict:
    """Time both for one network, print its row of the table, and return it."""
    shape = (arguments.size, arguments.batch_size, arguments.batches)
    learner = make_learner(network, *shape, device)
    ours = time_ours(learner)
    bare = time_bare(copy.deepcopy(learner.model).to(device), *shape, device)
    ours(), bare()  # what happens only once is not timed
    times = np.array([(ours(), bare()) for _ in range(arguments.rounds)])
    images = arguments.batch_size * arguments.batches
    ours_rate, bare_rate = images / np.median(times, axis=0)
    ratios = times[:, 1] / times[:, 0]
    row = {"network": network, "ours": ours_rate, "bare": bare_rate, "ratio": np.median(ratios)}
    row |= {"least_ratio": ratios.min(), "greatest_ratio": ratios.max()}
    spread = f"{row['ratio']:.2f} ({ratios.min():.2f} to {ratios.max():.2f})"
    print(f"| {network} | {ours_rate:.2f} | {bare_rate:.2f} | {spread} |", flush=True)
    return {name: value if name == "network" else float(value) for name, value in row.items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--networks", nargs="+", default=STUDY, choices=NETWORKS)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--batches", type=int, default=2, help="of an epoch")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--json", help="write the rows into this file, too")
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    device = find_device(arguments.device)
    print(f"{platform.machine()}, {device.type}, {arguments.threads} threads, torch "
          f"{torch.__version__}, {arguments.size} x {arguments.size}, batches of "
          f"{arguments.batch_size}\n")  # fmt: skip
    print("| network | images / s | bare loop | ratio |\n|---|---|---|---|")
    rows = [measure(network, arguments, device) for network in arguments.networks]
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(rows, file, indent=1)


if __name__ == "__main__":
    main()
