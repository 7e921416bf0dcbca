import json

import pytest
import torch
from safetensors.torch import save_file

from microexpr_ros import facs
from microexpr_ros.errors import MicroexprError
from microexpr_ros.perception import weights


def test_what_is_saved_is_read(tmp_path):
    path = tmp_path / 'new' / 'au.safetensors'
    weights.save(path, 'au', 'tiny', {'gain': 2.5}, {'a.b': torch.arange(3.0)})
    file = weights.load(path, 'au')
    assert file.name == 'tiny'
    assert file.settings == {'gain': 2.5}
    assert torch.equal(file.tensors['a.b'], torch.arange(3.0))
    assert file.model == f'tiny@{file.hash}'
    assert len(file.hash) == 8
    assert list(path.parent.iterdir()) == [path]


def test_hash_follows_content(tmp_path):
    hashes = set()
    for gain in (1.0, 2.0):
        weights.save(tmp_path / 'w', 'au', 'tiny', {'gain': gain}, {'a': torch.zeros(1)})
        hashes.add(weights.load(tmp_path / 'w', 'au').hash)
    assert len(hashes) == 2


def test_missing_file_is_named(tmp_path):
    with pytest.raises(MicroexprError, match=r'nowhere\.safetensors.*microexpr train au'):
        weights.load(tmp_path / 'nowhere.safetensors', 'au')


def test_file_that_is_not_safetensors(tmp_path):
    path = tmp_path / 'au.safetensors'
    path.write_bytes(b'not a header at all')
    with pytest.raises(MicroexprError, match='not a safetensors file'):
        weights.load(path, 'au')


def test_foreign_file(tmp_path):
    path = tmp_path / 'foreign.safetensors'
    save_file({'a': torch.zeros(1)}, path)
    with pytest.raises(MicroexprError, match='not written by this version'):
        weights.load(path, 'au')


def test_weights_of_the_other_network(tmp_path):
    path = tmp_path / 'w.safetensors'
    weights.save(path, 'reconstruction', 'cvae', {}, {'a': torch.zeros(1)})
    with pytest.raises(MicroexprError, match="'reconstruction' weights, expected 'au'"):
        weights.load(path, 'au')


def test_another_list_of_units(tmp_path):
    path = tmp_path / 'w.safetensors'
    metadata = {
        'format': weights.FORMAT,
        'kind': 'au',
        'name': 'old',
        'units': json.dumps(facs.CODES[:-1]),
        'settings': '{}',
    }
    save_file({'a': torch.zeros(1)}, path, metadata)
    with pytest.raises(MicroexprError, match='was trained for Action Units'):
        weights.load(path, 'au')
