"""Call the extension many times with random images and arguments; see docs/filters.md.

Each call's result is compared with that of the plainest path, every fiftieth with sorted windows.
Run alone it is a check of the results; run by tests/sanitize.sh it is one of memory, too.
"""

import argparse
import os
import time

import numpy as np
from test_filter_engine import CONTENTS, draw, reference_adaptive_median

from mcalc import _native


def random_view(generator: np.random.Generator) -> np.ndarray:
    """Draw an image or a stack that lies in memory in some way, up to 3 x 140 x 140 pixels."""
    images, rows, columns = (
        int(n) for n in (generator.integers(1, 4), *140 ** generator.random(2))
    )
    if generator.random() < 0.9:
        rows, columns = rows % 24 + 1, columns % 140 + 1
    dtype = generator.choice([np.uint8, np.uint16])
    content = generator.choice(CONTENTS)
    steps = generator.choice([1, 1, 1, 2, -1, -3], 2)
    shape = (rows * abs(steps[0]), columns * abs(steps[1]))
    image = draw(content, shape, dtype, generator)[:: steps[0], :: steps[1]]
    if generator.random() < 0.1:
        image = image.T
    if generator.random() < 0.1:  # not aligned to its pixels
        shifted = np.zeros(image.nbytes + 1, np.uint8)
        shifted[1:] = np.frombuffer(image.tobytes(), np.uint8)
        image = np.frombuffer(shifted[1:].data, image.dtype).reshape(image.shape)
    return np.stack([image] * images) if generator.random() < 0.1 else image


def call(name: str, image: np.ndarray, window: int, threads: int) -> np.ndarray:
    """Filter on the path `name`."""
    os.environ["MCALC_INSTRUCTIONS"] = name
    return _native.adaptive_median(image, window, threads)


def fuzz(calls: int, seed: int) -> int:
    """Make about `calls` calls; return how many. Raises AssertionError at a difference."""
    generator = np.random.default_rng(seed)
    paths, made, number = _native.instruction_paths(), 0, 0
    while made < calls:
        number += 1
        image = random_view(generator)
        window = int(generator.choice([1, 3, 5, 7, 9, 11, 15, 17, 31], p=[0.04] + [0.12] * 8))
        threads = int(generator.integers(1, 4))
        told = f"seed {seed} image {number}: {image.shape} {image.dtype} {image.strides} {window}"
        expected = call("scalar", image, window, 1)
        for name in paths:
            assert np.array_equal(call(name, image, window, threads), expected), f"{told} {name}"
        if number % 50 == 0 and image.ndim == 2:
            assert np.array_equal(expected, reference_adaptive_median(image, window)), told
        middle = _native.median(image, window, threads)
        os.environ["MCALC_INSTRUCTIONS"] = "scalar"
        assert np.array_equal(middle, _native.median(image, window)), f"{told} median"
        single = image if image.ndim == 2 else image[0]
        threshold = _native.otsu_threshold(single)
        assert int(single.min()) <= threshold <= int(single.max()), f"{told} otsu"
        made += 4 + len(paths)
        for wrong in (
            image[..., :0],
            image.astype(np.float32),
            image[None, None],
            image.ravel()[0],
        ):
            try:
                _native.adaptive_median(wrong, window)
            except (ValueError, TypeError):
                made += 1
            else:
                raise AssertionError(f"{told}: {wrong.shape} {wrong.dtype} was accepted")
    return made


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    start = time.perf_counter()
    made = fuzz(arguments.calls, arguments.seed)
    print(f"{made:,} calls without a difference in {time.perf_counter() - start:.0f} s")
