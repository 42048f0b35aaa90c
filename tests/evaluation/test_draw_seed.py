"""Stage `draw-seed`: a seed that is given, and one that is drawn once and can be given again."""

import json

import pytest

from mcalc.errors import DataError
from mcalc.evaluation.draw_seed import LIMIT, draw_seed, read_seed


@pytest.mark.parametrize("seed", [0, 1, LIMIT - 1])
def test_a_given_seed_is_written_as_it_is(tmp_path, seed):
    assert draw_seed(tmp_path / "seed.json", seed).endswith(f"seed {seed}")
    assert json.loads((tmp_path / "seed.json").read_text()) == {"seed": seed, "drawn": False}
    assert read_seed(tmp_path / "seed.json") == seed


def test_without_a_seed_each_call_draws_another_one_and_says_which(tmp_path):
    seeds = set()
    for number in range(5):
        said = draw_seed(tmp_path / f"{number}.json")
        seed = read_seed(tmp_path / f"{number}.json")
        assert said.endswith(f"seed {seed} (drawn)")
        assert 0 <= seed < LIMIT
        seeds.add(seed)
    assert len(seeds) == 5


@pytest.mark.parametrize(
    "text", ["", "[1]", '{"drawn": true}', '{"seed": "1"}', '{"seed": -1}', '{"seed": 2147483648}']
)
def test_a_file_without_a_seed_is_named(tmp_path, text):
    (tmp_path / "seed.json").write_text(text)
    with pytest.raises(DataError, match=r"seed\.json: "):
        read_seed(tmp_path / "seed.json")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.json: .*draw the seed again"):
        read_seed(tmp_path / "nowhere.json")
