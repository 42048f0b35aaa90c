"""Stage `enhance`: the chosen filter on every picture of a shard, whole or not at all."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from mcalc.errors import DataError
from mcalc.images import enhance as enhance_module
from mcalc.images.enhance import enhance_shard


def read(path: Path) -> np.ndarray:
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


@pytest.fixture
def shard(tmp_path) -> Path:
    """Six pictures of noise, one of another size, and the choice of a median of 3."""
    (tmp_path / "in").mkdir()
    for number in range(6):
        shape = (30, 20) if number == 5 else (24, 24)
        image = np.random.default_rng(number).integers(0, 256, shape).astype(np.uint8)
        cv2.imwrite(str(tmp_path / f"in/roi{number}.png"), image)
    write_choice(tmp_path, "median", 3)
    return tmp_path


def write_choice(folder: Path, name: str, window: int) -> None:
    (folder / "choice.json").write_text(json.dumps({"filter": name, "window": window}))


def enhance(folder: Path, **options) -> str:
    choice, out = folder / "choice.json", folder / "out"
    return enhance_shard(folder / "in", choice=choice, enhanced=out, **options)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_a_missing_shard_is_named(shard):
    with pytest.raises(DataError, match="nowhere: no such folder"):
        enhance_shard(shard / "nowhere", choice=shard / "choice.json", enhanced=shard / "out")
    assert not (shard / "out").exists()


def test_a_missing_choice_is_named(shard):
    (shard / "choice.json").unlink()
    with pytest.raises(DataError, match=r"choice\.json.*choose-filter"):
        enhance(shard)
    assert not (shard / "out").exists()


def test_an_unknown_filter_is_refused_instead_of_another_applied(shard):
    write_choice(shard, "bilateral", 3)
    with pytest.raises(DataError, match=r"choice\.json"):
        enhance(shard)


def test_a_broken_picture_is_named_and_the_older_folder_stays(shard):
    enhance(shard)
    before = contents(shard / "out")
    (shard / "in/roi3.png").write_bytes(b"broken")
    with pytest.raises(DataError, match=r"roi3\.png: not a readable grey PNG"):
        enhance(shard)
    assert contents(shard / "out") == before
    assert sorted(path.name for path in shard.iterdir()) == ["choice.json", "in", "out"]


def test_a_failure_midway_leaves_the_older_folder(shard, monkeypatch):
    enhance(shard)
    before = contents(shard / "out")
    write_choice(shard, "mean", 5)
    writer, written = enhance_module.write_png, []

    def fails_at_the_fourth(path, image):
        if len(written) == 3:
            raise OSError("No space left on device")
        written.append(path)
        writer(path, image)

    monkeypatch.setattr(enhance_module, "write_png", fails_at_the_fourth)
    with pytest.raises(OSError, match="No space left"):
        enhance(shard)
    assert contents(shard / "out") == before


def test_names_and_sizes_stay_and_the_median_is_applied(shard):
    assert "6 images, filter median" in enhance(shard)
    assert sorted(contents(shard / "out")) == sorted(contents(shard / "in"))
    for path in sorted((shard / "in").iterdir()):
        image = read(path)
        padded = np.pad(image, 1, mode="edge")
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3))
        expected = np.median(windows, axis=(2, 3)).astype(np.uint8)
        np.testing.assert_array_equal(read(shard / "out" / path.name), expected)


@pytest.mark.parametrize("name", ["median", "none"])
def test_16_bits_are_filtered_as_such_and_rounded_once_at_the_end(shard, name):
    write_choice(shard, name, 3)
    for path in (shard / "in").iterdir():
        path.unlink()
    image = np.random.default_rng(1).integers(0, 65536, (24, 24)).astype(np.uint16)
    cv2.imwrite(str(shard / "in/roi0.png"), image)
    enhance(shard)
    if name == "median":
        windows = np.lib.stride_tricks.sliding_window_view(np.pad(image, 1, mode="edge"), (3, 3))
        image = np.median(windows, axis=(2, 3))
    enhanced = read(shard / "out/roi0.png")
    assert enhanced.dtype == np.uint8
    np.testing.assert_array_equal(enhanced, np.rint(image / 257))


def test_none_copies_the_pixels(shard):
    write_choice(shard, "none", 1)
    assert "filter none" in enhance(shard)
    for path in sorted((shard / "in").iterdir()):
        np.testing.assert_array_equal(read(shard / "out" / path.name), read(path))


def test_one_thread_and_four_write_the_same_bytes(shard):
    write_choice(shard, "adaptive_median", 7)
    enhance(shard, threads=1)
    one = contents(shard / "out")
    enhance(shard, threads=4)
    assert contents(shard / "out") == one


def test_a_second_run_leaves_nothing_of_the_first(shard):
    enhance(shard)
    (shard / "in/roi0.png").unlink()
    enhance(shard)
    assert "roi0.png" not in contents(shard / "out")
    assert len(contents(shard / "out")) == 5


def test_an_empty_shard_gives_an_empty_folder(shard):
    for path in (shard / "in").iterdir():
        path.unlink()
    assert "0 images" in enhance(shard)
    assert contents(shard / "out") == {}
