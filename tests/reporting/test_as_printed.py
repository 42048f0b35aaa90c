"""The paper's own formulas, against what it printed; and that nobody uses them by accident."""

import ast
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import mcalc
from mcalc.images.quality import mean_squared_error
from mcalc.reporting.as_printed import (
    f1_of_recall,
    otsu_from_level_one,
    wrapped_mean_squared_error,
)
from mcalc.reporting.published import read_paper

PACKAGE = Path(mcalc.__file__).parent
# Those that show the paper's numbers.
ALLOWED = {"reporting/audit_metrics/kinds.py"}


def test_table_9s_f1_is_that_of_recall():
    rows = read_paper("leong2022").tables["9"].rows
    errors = {"ResNet34": (9, 0), "ResNet50": (0, 1), "VGG16": (9, 4), "AlexNet": (87, 63)}
    found = {
        name: f1_of_recall(Fraction(rows[name]["recall"]), *each) for name, each in errors.items()
    }
    assert {name: f"{float(f1):.4f}" for name, f1 in found.items()} == {
        name: row["f1"] for name, row in rows.items()
    }


def test_f1_of_nothing_is_0():
    assert f1_of_recall(Fraction(0), 0, 0) == 0


def test_the_squared_error_wraps_twice():
    """A difference of -1 is 255, whose square is 65,025 = 1 modulo 256; 16 squared is 0."""
    reference = np.array([[0, 16, 20, 200]], np.uint8)
    image = np.array([[1, 0, 10, 0]], np.uint8)
    expected = (
        sum((int(a) - int(b)) ** 2 % 256 for a, b in zip(reference[0], image[0], strict=True)) / 4
    )
    assert wrapped_mean_squared_error(reference, image) == expected == (1 + 0 + 100 + 64) / 4
    assert mean_squared_error(reference, image) > 100 * expected


def test_small_differences_do_not_wrap():
    """Within 15 grey levels the two agree, which is how it went unseen."""
    generator = np.random.default_rng(1)
    reference = generator.integers(50, 200, (16, 16)).astype(np.uint8)
    image = (reference + generator.integers(-15, 16, reference.shape)).astype(np.uint8)
    right = mean_squared_error(reference, image)
    assert wrapped_mean_squared_error(reference, image) == pytest.approx(right)


def test_other_types_do_not_wrap_so_and_are_refused():
    with pytest.raises(TypeError, match="images are uint16 and uint16; give uint8"):
        wrapped_mean_squared_error(*np.zeros((2, 3, 3), np.uint16))


def test_otsu_leaves_black_out():
    image = np.zeros((10, 10), np.uint8)
    image[:2], image[2:4] = 100, 200
    assert otsu_from_level_one(image) == 100
    assert otsu_from_level_one(np.zeros((4, 4), np.uint8)) == 0


def test_no_module_uses_them_but_those_that_show_the_papers_numbers():
    users = set()
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)) if "as_printed" in text else ():
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [getattr(node, "module", "") or "", *(alias.name for alias in node.names)]
                if any("as_printed" in name for name in names):
                    users.add(path.relative_to(PACKAGE).as_posix())
    assert users == ALLOWED
