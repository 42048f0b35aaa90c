"""Commands of the wing learning: networks, and models that must not be good."""

from pathlib import Path
from typing import Annotated

import typer

from mcalc.cli.options import (
    Catalog,
    Confidence,
    Device,
    OnFullMemory,
    Precision,
    Protocol,
    Recipe,
    Resamples,
    ResampleSeed,
    Schedule,
    Shard,
    Stack,
    Threads,
)
from mcalc.progress import bar

NETWORKS = (
    "vgg16, vgg16_bn, resnet34, alexnet, resnet50 (the study's), dscnn, mvgg16, "
    "efficientnet_lite0, convnext_tiny or vit_small."
)


def train(
    stack: Stack,
    split: Annotated[Path, typer.Option(help="The table that `mcalc split` wrote.")],
    run: Annotated[Path, typer.Option(help="Folder to write: weights, card and tables.")],
    protocol: Annotated[Protocol, typer.Option(help="The split's protocol.")],
    network: Annotated[str, typer.Option(help=NETWORKS)],
    weights: Annotated[str, typer.Option(help="imagenet, none, or a state dict's path.")],
    test: Annotated[int, typer.Option(min=1, help="Number of the run in the grid.")] = 1,
    fold: Annotated[int, typer.Option(min=0, help="Fold of the split.")] = 0,
    batch_size: Annotated[int, typer.Option(min=2)] = 32,
    lr_min: Annotated[float, typer.Option(help="Learning rate of the first layers.")] = 8e-6,
    lr_max: Annotated[float, typer.Option(help="Learning rate of the last layers.")] = 1e-4,
    epochs: Annotated[int, typer.Option(min=1, help="Epochs with all layers free.")] = 15,
    head_epochs: Annotated[int, typer.Option(min=0, help="Epochs of the head alone.")] = 1,
    head_lr: Annotated[float, typer.Option(help="Learning rate of the head alone.")] = 1e-3,
    lr_find_iterations: Annotated[int, typer.Option(min=6, help="Steps of lr_find.")] = 100,
    flip: Annotated[bool, typer.Option(help="Flip and turn at random.")] = True,
    max_rotate: Annotated[float, typer.Option(min=0, max=180, help="Degrees.")] = 10.0,
    max_zoom: Annotated[float, typer.Option(min=1, help="1 for none.")] = 1.1,
    max_lighting: Annotated[float, typer.Option(min=0, max=1, help="0 for none.")] = 0.2,
    max_warp: Annotated[float, typer.Option(min=0, max=1, help="0 for none.")] = 0.0,
    recipe: Annotated[
        Recipe, typer.Option(help="Train as the installed fastai does, or as v1, the study's.")
    ] = Recipe.fastai2,
    seed: Annotated[int, typer.Option(min=0)] = 1,
    device: Annotated[Device, typer.Option(help="auto takes a GPU where there is one.")] = (
        Device.auto
    ),
    precision: Annotated[
        Precision, typer.Option(help="auto takes bfloat16 on a GPU that computes in it.")
    ] = Precision.auto,
    out_of_memory: Annotated[
        OnFullMemory,
        typer.Option(
            help="Compute batches that do not fit into a GPU's memory in halves, or stop."
        ),
    ] = OnFullMemory.halve,
    schedule: Annotated[
        Schedule, typer.Option(help="Of all layers' rates: one cycle, or lowered on plateaus.")
    ] = Schedule.one_cycle,
    threads: Threads = 1,
):
    """Train one network with one setting; head, lr_find, then all layers, as in the study."""
    from mcalc.learning.batches import Augmentation
    from mcalc.learning.fitting import Settings
    from mcalc.learning.train import train_run

    settings = Settings(
        protocol=str(protocol),
        network=network,
        test=test,
        fold=fold,
        batch_size=batch_size,
        lr_min=lr_min,
        lr_max=lr_max,
        epochs=epochs,
        head_epochs=head_epochs,
        head_lr=head_lr,
        lr_find_iterations=lr_find_iterations,
        weights=weights,
        seed=seed,
        recipe=str(recipe),
        precision=str(precision),
        out_of_memory=str(out_of_memory),
        schedule=str(schedule),
    )
    augmentation = Augmentation(flip, max_rotate, max_zoom, max_lighting, max_warp)
    message = train_run(
        split,
        stack,
        run=run,
        settings=settings,
        augmentation=augmentation,
        device=device,
        threads=threads,
    )
    typer.echo(message)


def predict(
    stack: Stack,
    trained: Annotated[Path, typer.Option(help="The run folder that `mcalc train` wrote.")],
    split: Annotated[Path, typer.Option(help="The split whose images are predicted.")],
    run: Annotated[Path, typer.Option(help="Folder to write: card and tables.")],
    protocol: Annotated[Protocol, typer.Option(help="The split's protocol.")],
    device: Annotated[Device, typer.Option(help="auto takes a GPU where there is one.")] = (
        Device.auto
    ),
    threads: Threads = 1,
):
    """Measure a trained network on the validation images of another split."""
    from mcalc.learning.predict import predict_run

    message = predict_run(
        trained,
        stack,
        split=split,
        run=run,
        protocol=str(protocol),
        device=device,
        threads=threads,
    )
    typer.echo(message)


def shortcuts(
    stack: Stack,
    catalog: Catalog,
    split: Annotated[Path, typer.Option(help="The split whose images are asked for.")],
    shortcuts: Annotated[Path, typer.Option(help="Table to write: one row a model and image.")],
    trained_split: Annotated[
        Path | None, typer.Option(help="The split that is learned from, if it is another.")
    ] = None,
    fold: Annotated[int, typer.Option(min=0, help="Fold of the splits.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same answers.")] = 1,
):
    """Train models that must not be good, such as one that sees a crop's size alone."""
    from mcalc.learning.shortcuts import write_shortcuts

    message = write_shortcuts(
        catalog,
        stack,
        split=split,
        shortcuts=shortcuts,
        trained_split=trained_split,
        fold=fold,
        seed=seed,
    )
    typer.echo(message)


def audit_tables(
    root: Annotated[Path, typer.Argument(help="The folder of CBIS-DDSM's tables.")],
    json: Annotated[Path | None, typer.Option(help="JSON file to write.")] = None,
    confidence: Confidence = 0.95,
    resamples: Resamples = 2000,
    seed: ResampleSeed = 1,
):
    """Say how well CBIS-DDSM's tables alone tell the classes of the test set, without images."""
    from mcalc.learning.audit_tables import audit_tables

    message = audit_tables(root, json=json, confidence=confidence, resamples=resamples, seed=seed)
    typer.echo(message)


def audit_leakage(
    stack: Stack,
    catalog: Catalog,
    protocol: Annotated[Protocol, typer.Option(help="What is kept apart.")],
    answers: Annotated[Path, typer.Option(help="Table to write: one row an answer.")],
    rejected: Annotated[
        list[Path] | None, typer.Option(help="Table of ROIs to leave out; repeat.")
    ] = None,
    among: Annotated[
        list[Protocol] | None,
        typer.Option(help="A protocol that trains with as many images; repeat."),
    ] = None,
    folds: Annotated[int, typer.Option(min=2, help="Each image is asked for in one of k.")] = 5,
    repeats: Annotated[int, typer.Option(min=1, help="Splits and shuffles of labels.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same answers.")] = 1,
    like: Annotated[
        Path | None, typer.Option(help="A run.json: train its network, not a forest.")
    ] = None,
    device: Annotated[Device, typer.Option(help="Where a network is trained.")] = Device.auto,
    threads: Threads = 1,
):
    """Ask a model that learned true labels, and shuffled ones, what it knows by memory alone."""
    from mcalc.learning.audit_leakage import audit_leakage

    message = audit_leakage(
        catalog,
        stack,
        rejected=rejected or [],
        protocol=protocol,
        protocols=list(map(str, among or [])),
        answers=answers,
        folds=folds,
        repeats=repeats,
        seed=seed,
        like=like,
        device=device,
        threads=threads,
    )
    typer.echo(message)


def models():
    """List the methods of the league: what each is, whose, of which year, and its group."""
    from mcalc.learning.models import list_models

    typer.echo(list_models())


def extract_features(
    images: Shard,
    kind: Annotated[str, typer.Option(help="The set of features, such as specks or wavelets.")],
    features: Annotated[Path, typer.Option(help="Parquet file to write: a row an image.")],
    weights: Annotated[
        str, typer.Option(help="Of a network that gives features: imagenet or a state dict's path.")
    ] = "imagenet",
    threads: Threads = 1,
):
    """Compute one set of features of one shard's images, for the methods that read them."""
    from mcalc.learning.extract_features import extract_features

    message = extract_features(
        images,
        kind=kind,
        features=features,
        weights=weights,
        threads=threads,
        progress=bar("extracting features"),
    )
    typer.echo(message)


def fit_model(
    model: Annotated[str, typer.Argument(help="A method that `mcalc models` lists.")],
    split: Annotated[Path, typer.Option(help="The table that `mcalc split` wrote.")],
    run: Annotated[Path, typer.Option(help="Folder to write: card and predictions.")],
    protocol: Annotated[Protocol, typer.Option(help="The split's protocol.")],
    features: Annotated[
        list[Path] | None,
        typer.Option(help="What `mcalc extract-features` wrote, in a folder named as the set."),
    ] = None,
    base: Annotated[
        Path | None, typer.Option(help="The run of the network whose last layer is replaced.")
    ] = None,
    stack: Annotated[Path | None, typer.Option(help="The images that this network sees.")] = None,
    fold: Annotated[int, typer.Option(min=0, help="Fold of the split.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same answers.")] = 1,
    threads: Threads = 1,
):
    """Fit one method of the league that learns from features, on one fold."""
    from mcalc.learning.fit_model import fit_model
    from mcalc.learning.model_runs import Settings

    message = fit_model(
        split,
        run=run,
        settings=Settings(model=model, protocol=str(protocol), fold=fold, seed=seed),
        features=features or [],
        base=base,
        stack=stack,
        threads=threads,
    )
    typer.echo(message)


def fit_ensemble(
    model: Annotated[str, typer.Argument(help="xiao2021_ensemble.")],
    split: Annotated[Path, typer.Option(help="The table that `mcalc split` wrote.")],
    run: Annotated[Path, typer.Option(help="Folder to write: card and predictions.")],
    protocol: Annotated[Protocol, typer.Option(help="The split's protocol.")],
    base: Annotated[Path, typer.Option(help="The run of the 2-D half.")],
    slices: Annotated[
        Path | None, typer.Option(help="What stack-slices wrote; without it the 2-D half answers.")
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Of the 3-D half.")] = 15,
    batch_size: Annotated[int, typer.Option(min=2, help="Of the 3-D half.")] = 32,
    lr_max: Annotated[float, typer.Option(min=0, help="Of the 3-D half.")] = 1e-3,
    device: Annotated[Device, typer.Option(help="auto takes a GPU where there is one.")] = (
        Device.auto
    ),
    fold: Annotated[int, typer.Option(min=0, help="Fold of the split.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same answers.")] = 1,
    threads: Threads = 1,
):
    """Answer with both halves of an ensemble of the league, of a slice and of all of them."""
    from mcalc.learning.fit_ensemble import VolumeSettings, fit_ensemble
    from mcalc.learning.model_runs import Settings

    message = fit_ensemble(
        split,
        run=run,
        settings=Settings(model=model, protocol=str(protocol), fold=fold, seed=seed),
        base=base,
        slices=slices,
        training=VolumeSettings(epochs=epochs, batch_size=batch_size, lr_max=lr_max),
        device=device,
        threads=threads,
    )
    typer.echo(message)
