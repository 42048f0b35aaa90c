"""Stage `extract-features`: a row an image, a column a feature, and no number that is none."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pandas as pd
import pytest

from mcalc.errors import DataError, UsageError
from mcalc.images.shards import write_png
from mcalc.learning.extract_features import DESIGNED, FROZEN, SETS, extract_features
from mcalc.learning.feature_tables import KEYS, features_of, is_turned, read_features

SIZE = 48
NAMES = ("a", "b", "c")


def tissue(seed: int) -> np.ndarray:
    """Return soft noise with some bright specks."""
    draw = np.random.default_rng(seed)
    image = cv2.GaussianBlur(draw.uniform(0, 255, (SIZE, SIZE)), (0, 0), 2)
    image = 60 + 40 * (image - image.mean()) / image.std()
    for row, column in draw.integers(4, SIZE - 4, (6, 2)):
        image[row : row + 2, column : column + 2] = 250
    return np.clip(image, 0, 255).astype(np.uint8)


@pytest.fixture
def shard(tmp_path) -> Path:
    folder = tmp_path / "0"
    folder.mkdir()
    for seed, name in enumerate(NAMES):
        write_png(folder / f"{name}.png", tissue(seed))
    return folder


@pytest.fixture
def brightness(monkeypatch) -> list[tuple[int, str, str]]:
    """Put the brightness of a corner and the mean into the place of a pretrained network.

    What the network is asked for is noted: how many images, whose features, and which weights.
    """
    asked = []

    def extract_batch(images: np.ndarray, network: str, weights: str) -> np.ndarray:
        assert images.dtype == np.uint8
        asked.append((len(images), network, weights))
        return np.stack([images[:, 0, 0], images.mean(axis=(1, 2))], axis=1).astype(np.float32)

    module = ModuleType("mcalc.learning.features.frozen")
    module.extract_batch = extract_batch
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return asked


def extracted(shard: Path, kind: str, **options) -> pd.DataFrame:
    path = shard.parent / "features" / kind / f"{shard.name}.parquet"
    extract_features(shard, kind=kind, features=path, **options)
    return read_features([path])


@pytest.mark.parametrize("kind", DESIGNED)
def test_each_image_has_a_row_and_each_feature_a_column_of_numbers(shard, kind):
    module = importlib.import_module(f"mcalc.learning.features.{kind}")
    table = extracted(shard, kind)
    turns = range(4) if module.TURNED else range(1)
    assert list(table.index) == [(name, turn) for name in NAMES for turn in turns]
    assert is_turned(table) == module.TURNED
    assert set(table.dtypes) == {np.dtype(float)}
    assert np.isfinite(table.to_numpy()).all()
    assert len(set(table.columns)) == len(table.columns) > 1
    assert table.groupby("roi_id").first().nunique().max() > 1  # images differ
    for (name, turn), row in table.iterrows():
        image = np.rot90(tissue(NAMES.index(name)), turn)
        assert row.to_dict() == module.extract(np.ascontiguousarray(image))


@pytest.mark.parametrize("kind", DESIGNED)
def test_turned_images_are_left_out_only_where_turns_change_nothing(kind):
    module = importlib.import_module(f"mcalc.learning.features.{kind}")
    straight, turned = (
        pd.Series(module.extract(np.ascontiguousarray(np.rot90(tissue(1), turn))))
        for turn in (0, 1)
    )
    same = np.allclose(straight, turned, rtol=1e-6, atol=1e-9)
    assert same != module.TURNED


@pytest.mark.parametrize("kind", DESIGNED)
def test_the_file_is_the_same_again_and_with_more_threads(shard, kind):
    paths = [shard.parent / f"{number}.parquet" for number in range(3)]
    for path, threads in zip(paths, (1, 1, 2), strict=True):
        said = extract_features(shard, kind=kind, features=path, threads=threads)
        assert said.startswith(f"{path}: ")
        assert said.endswith(" images")
    assert len({path.read_bytes() for path in paths}) == 1


@pytest.mark.parametrize("kind", DESIGNED)
@pytest.mark.parametrize("level", (0, 128, 255))
def test_an_image_of_one_level_has_numbers_too(shard, kind, level):
    write_png(shard / "b.png", np.full((SIZE, SIZE), level, np.uint8))
    assert np.isfinite(extracted(shard, kind).to_numpy()).all()


@pytest.mark.parametrize("kind", FROZEN)
def test_a_networks_features_are_those_of_the_image_and_turn_that_they_stand_beside(
    shard, brightness, kind
):
    table = extracted(shard, kind, weights="some.pth")
    network, prepare = FROZEN[kind]
    assert brightness == [(12, network, "some.pth")]
    assert list(table.columns) == [f"{network}_0", f"{network}_1"]
    assert list(table.index) == [(name, turn) for name in NAMES for turn in range(4)]
    for (name, turn), row in table.iterrows():
        image = tissue(NAMES.index(name))
        image = np.rot90(prepare(image) if prepare else image, turn)
        np.testing.assert_allclose(row, [image[0, 0], image.mean()], rtol=1e-6)
    assert set(table.dtypes) == {np.dtype(float)}


def test_otsu_leaves_black_what_is_not_bright(shard, brightness):
    whole, bright = (
        extracted(shard, kind) for kind in ("frozen_efficientnet_lite0", "otsu_alexnet")
    )
    assert (bright["alexnet_1"].to_numpy() < whole["efficientnet_lite0_1"].to_numpy()).all()


def test_shards_make_one_table(shard, tmp_path):
    table = extracted(shard, "specks")
    other, empty = tmp_path / "1", tmp_path / "2"
    other.mkdir()
    empty.mkdir()
    (shard / "b.png").rename(other / "b.png")
    paths = [tmp_path / "features" / f"{name}.parquet" for name in "012"]
    for folder, path in zip((shard, other, empty), paths, strict=True):
        said = extract_features(folder, kind="specks", features=path)
    assert said == f"{paths[2]}: 0 features of 0 images"
    whole = read_features(paths[::-1])
    pd.testing.assert_frame_equal(whole.sort_index(), table)
    rows = pd.DataFrame({"roi_id": ["c", "b", "c"], "quarter_turns": [3, 0, 0]})
    found = features_of(rows.assign(image_id="x"), whole, name="specks")
    np.testing.assert_array_equal(found, table.loc[[("c", 0), ("b", 0), ("c", 0)]].to_numpy())


@pytest.mark.parametrize("kind", SETS)
def test_a_shard_without_images_is_no_error(tmp_path, mcalc, kind):
    """All its ROIs were set aside."""
    (tmp_path / "0").mkdir()
    path = tmp_path / "0.parquet"
    code, printed, _ = mcalc("extract-features", tmp_path / "0", "--kind", kind, "--features", path)
    assert (code, printed) == (0, f"{path}: 0 features of 0 images\n")
    table = pd.read_parquet(path)
    assert list(table.columns) == KEYS
    assert table.empty


# --- what is wrong ------------------------------------------------------------------------------


def check_told(result: tuple[int, str, str], code: int, *words: str) -> None:
    """Check for one sentence without a traceback, which ends a command with its code."""
    found, printed, told = result
    assert (found, printed) == (code, ""), told
    sentence = told.splitlines()[-1]  # a bar of progress may stand before it
    assert "Traceback" not in told
    assert "mcalc: " in sentence
    assert sentence.endswith(".")
    for word in words:
        assert word in sentence


def call(mcalc, shard: Path, kind: str = "specks") -> tuple[int, str, str]:
    path = shard.parent / "0.parquet"
    result = mcalc("extract-features", shard, "--kind", kind, "--features", path)
    assert path.exists() == (result[0] == 0)
    return result


def test_the_command_writes_the_file(shard, mcalc):
    code, printed, _ = call(mcalc, shard)
    assert code == 0
    assert printed.endswith(" features of 3 images\n")


def test_a_set_that_is_not_there_is_told_with_those_that_are(shard, mcalc):
    check_told(call(mcalc, shard, "spots"), 2, "'spots'", *SETS)
    with pytest.raises(UsageError):
        extract_features(shard, kind="otsu", features=shard.parent / "0.parquet")


def test_a_folder_that_is_not_there_is_told(tmp_path, mcalc):
    check_told(call(mcalc, tmp_path / "none"), 3, "none: no such folder", "run the stage")


@pytest.mark.parametrize("kind", ("specks", "otsu_alexnet"))
@pytest.mark.parametrize("harm", ("empty", "cut", "text", "colour"))
def test_an_image_that_cannot_be_read_is_named(shard, mcalc, brightness, kind, harm):
    path = shard / "b.png"
    content = path.read_bytes()
    if harm == "colour":
        cv2.imwrite(str(path), np.zeros((SIZE, SIZE, 3), np.uint8))
    else:
        path.write_bytes({"empty": b"", "cut": content[:40], "text": b"no image"}[harm])
    check_told(call(mcalc, shard, kind), 3, "b.png: not a readable grey PNG", "run its stage again")


@pytest.mark.parametrize("kind", ("specks", "wavelets", "otsu_alexnet"))
def test_images_of_16_bits_are_told(shard, mcalc, brightness, kind):
    """As `mcalc convert` writes them, before they are enhanced; `mcalc stack` tells them, too."""
    write_png(shard / "b.png", tissue(1).astype(np.uint16) * 256)
    check_told(call(mcalc, shard, kind), 3, "b.png", "16 bits")


@pytest.mark.parametrize("kind", ("otsu_alexnet",))
def test_an_image_of_another_size_is_told(shard, mcalc, brightness, kind):
    write_png(shard / "b.png", tissue(1)[:32, :32])
    check_told(call(mcalc, shard, kind), 3, "b.png", "32 x 32")


@pytest.mark.parametrize("value", (np.nan, np.inf, -np.inf))
def test_a_feature_that_is_no_number_is_told_with_its_image(shard, mcalc, monkeypatch, value):
    from mcalc.learning.features import specks

    def extract(image: np.ndarray) -> dict[str, float]:
        return {"count": 1.0, "area": value if image[0, 0] == tissue(1)[0, 0] else 2.0}

    monkeypatch.setattr(specks, "extract", extract)
    check_told(call(mcalc, shard), 3, "0.parquet: area of b is no finite number", "look at")


def test_what_goes_wrong_leaves_an_older_file_as_it_was(shard, monkeypatch):
    path = shard.parent / "0.parquet"
    extract_features(shard, kind="specks", features=path)
    before = path.read_bytes()
    (shard / "c.png").write_bytes(b"")
    with pytest.raises(DataError):
        extract_features(shard, kind="specks", features=path)
    assert path.read_bytes() == before
    assert [found.name for found in shard.parent.iterdir() if found.is_file()] == ["0.parquet"]
