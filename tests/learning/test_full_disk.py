"""safetensors and PyTorch hide why they could not write; a user is told all the same."""

import errno
import resource

import pytest
import torch
from safetensors.torch import save_file

from mcalc.errors import explain
from mcalc.files import whole_file


@pytest.fixture
def small_files():
    """No file may grow beyond 20,000 bytes: a write fails in the middle, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(("save", "name"), [(save_file, "w.safetensors"), (torch.save, "c.pt")])
def test_weights_that_do_not_fit_are_one_sentence(tmp_path, small_files, save, name):
    place = tmp_path / name
    place.write_bytes(b"older")
    with pytest.raises(OSError) as raised, whole_file(place) as temporary:
        save({"weight": torch.zeros(100_000)}, temporary)
    assert raised.value.errno == errno.EFBIG
    assert explain(raised.value).startswith(f"{place}: File too large; make room there")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert place.read_bytes() == b"older"


def test_another_error_while_saving_stays_what_it_is(tmp_path):
    place = tmp_path / "w.safetensors"
    with pytest.raises(ValueError, match="expected torch"), whole_file(place) as temporary:
        save_file({"weight": "no tensor"}, temporary)
    assert list(tmp_path.iterdir()) == []
