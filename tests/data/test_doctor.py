"""`mcalc doctor`: everything odd about a download is said, and nothing in it is changed."""

import hashlib
import json
import shutil

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from mcalc.cli import app
from mcalc.data.doctor import examine


def findings(root, **options) -> dict[str, dict[str, str]]:
    """Return what each check found, by name."""
    examination = examine(root, **options)
    return {check.name: dict(check.findings) for check in examination.checks}


def doctor(root, *options) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["doctor", str(root), *map(str, options)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def test_a_whole_download_is_clean_and_left_as_it_was(tree, tmp_path):
    def contents():
        files = sorted(path for path in tree.root.rglob("*") if path.is_file())
        return [(p, p.stat().st_mtime_ns, hashlib.md5(p.read_bytes()).digest()) for p in files]

    before = contents()
    # As a phantom: the made table has fewer rows than TCIA's, which would be said.
    outputs = ("--json", tmp_path / "d.json", "--html", tmp_path / "d.html")
    code, said = doctor(tree.root, "--dataset", "phantom", *outputs)
    assert (code, "Nothing here needs a person" in said) == (0, True)
    assert contents() == before
    assert json.loads((tmp_path / "d.json").read_text())["needs_person"] == 0


def test_what_needs_a_person_is_named_with_exit_code_3(tree, tmp_path):
    tree.crop(1).unlink()
    tree.crop(2).write_bytes(b"")
    tree.crop(3).write_bytes(tree.crop(3).read_bytes()[:-9])
    shutil.rmtree(tree.crop(4).parent)
    tree.write(tree.crop(5), np.full((12, 10), 7, np.uint16), tree.case(5))
    code, said = doctor(tree.root, "--json", tmp_path / "d.json", "--html", tmp_path / "d.html")
    assert code == 3
    assert "findings need a person" in said
    content = json.loads((tmp_path / "d.json").read_text())
    found = {check["name"]: check for check in content["checks"] if check["needs_person"]}
    expected = {
        "mask_not_crop": [1],
        "empty_file": [2],
        "unreadable": [3],
        "missing_file": [4],
        "constant_crop": [5],
    }
    found.pop("fewer_rows")
    cases = {name: [which for which, _ in check["findings"]] for name, check in found.items()}
    assert cases == {name: [tree.case(n) for n in numbers] for name, numbers in expected.items()}
    page = (tmp_path / "d.html").read_text()
    assert all(tree.case(number) in page for number in range(1, 6))
    assert "<script" not in page and "http" not in page
    assert sum(row["missing"] for row in content["counts"]) == 4
    assert sum(row["rois"] for row in content["counts"]) == tree.rows


def test_a_table_that_is_shorter_than_the_published_is_said(tree):
    found = findings(tree.root)["fewer_rows"]
    said = "60 rows, published are 1546"
    assert found == {"calc_case_description_train_set.csv": said}


def test_the_same_pixels_under_another_patient_need_a_person(tree):
    copy = np.random.default_rng(7).integers(0, 65536, (12, 10)).astype(np.uint16)
    tree.write(tree.crop(9), copy, tree.case(9))  # as drawn for number 7
    assert findings(tree.root)["same_pixels_other_patient_or_label"] == {
        tree.case(9): f"as {tree.case(7)}"
    }


def test_numbers_that_would_swap_crop_and_mask_are_told(tree):
    """TCIA's downloader calls 1-1 what the tables call 000001, the second."""
    assert len(findings(tree.root)["numbered_otherwise"]) == tree.rows
    aside = tree.crop(3).with_suffix(".x")
    tree.crop(3).rename(aside)
    tree.mask(3).rename(tree.crop(3))
    aside.rename(tree.mask(3))
    assert tree.case(3) not in findings(tree.root)["numbered_otherwise"]


def test_a_mask_of_another_size_than_its_mammogram_is_found(tree):
    for number, shape in ((0, (20, 16)), (1, (30, 16))):
        case = tree.case(number)[:-2]
        path = tree.root / "CBIS-DDSM" / case / "x/1.000000-full mammogram images-1/1-1.dcm"
        image = np.random.default_rng(1).integers(0, 65536, shape).astype(np.uint16)
        tree.write(path, image, case)
    found = findings(tree.root)
    assert found["size_mismatch"] == {tree.case(1): "mask 20 x 16, mammogram 30 x 16"}
    assert len(found["no_mammogram"]) == tree.rows - 2


def test_saturated_and_small_crops_are_told(tree):
    crop = np.random.default_rng(1).integers(0, 65000, (240, 300)).astype(np.uint16)
    tree.write(tree.crop(0), crop, tree.case(0))
    crop = crop.copy()
    crop[:40] = 65535
    tree.write(tree.crop(1), crop, tree.case(1))
    found = findings(tree.root)
    assert found["saturated"] == {tree.case(1): "16.7%"}
    assert len(found["small_crop"]) == tree.rows - 2
    assert found["small_crop"][tree.case(2)] == "12 x 10"


def test_letters_are_suspected_and_specks_are_not(tree):
    generator = np.random.default_rng(1)
    plain = generator.normal(30000, 3000, (300, 300))
    specks = plain.copy()
    for row, column in generator.integers(10, 290, (25, 2)):
        cv2.circle(specks, (int(column), int(row)), int(generator.integers(1, 4)), 70000, -1)
    label = np.zeros(plain.shape, np.uint8)
    cv2.putText(label, "R CC", (40, 60), cv2.FONT_HERSHEY_SIMPLEX, 1.5, 255, 4)
    text = np.where(label > 127, 70000, plain)
    for number, image in enumerate((plain, specks, text)):
        pixels = image.clip(0, 65535).astype(np.uint16)
        tree.write(tree.crop(number), pixels, tree.case(number))
    assert list(findings(tree.root)["burnt_in_text"]) == [tree.case(2)]


def test_the_real_tables_crossing_patients_and_mixed_labels(shared_data, tmp_path):
    """18 train on calcifications and test on masses, 13 the other way; ten have both labels."""
    for table in (shared_data / "cbis_ddsm_csv").glob("*.csv"):
        shutil.copyfile(table, tmp_path / table.name)
    examination = examine(tmp_path)
    found = {check.name: check.findings for check in examination.checks}
    crossing = [detail for _, detail in found["crossing_patients"]]
    assert sum("calcification train, mass test" in detail for detail in crossing) == 18
    assert sum("calcification test, mass train" in detail for detail in crossing) == 13
    assert len(crossing) == 31
    assert len(found["mixed_labels"]) == 10
    assert len(found["missing_file"]) == 1872
    assert "fewer_rows" not in found


@pytest.mark.parametrize("layout", ["none", "no tables"])
def test_a_folder_that_is_none_is_one_sentence(tmp_path, layout):
    root = tmp_path / "x"
    if layout != "none":
        root.mkdir()
    done = CliRunner().invoke(app, ["doctor", str(root)])
    assert str(done.exception).startswith(f"{root}: no ")


def test_a_folder_of_ones_own_is_examined_too(tmp_path):
    for number in range(6):
        path = tmp_path / "own" / ("malignant" if number % 2 else "benign") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        image = np.random.default_rng(number // 2).integers(0, 250, (32, 32)).astype(np.uint8)
        cv2.imwrite(str(path), image)
    (tmp_path / "own/benign/broken.png").write_bytes(b"x")
    found = findings(tmp_path / "own", dataset="folder")
    assert len(found["same_pixels_other_patient_or_label"]) == 3
    assert list(found["unreadable"]) == ["benign_broken_png"]
