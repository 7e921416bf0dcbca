import json

import pytest
import torch
from safetensors.torch import save_file

from microexpr_ros import facs
from microexpr_ros.errors import MicroexprError
from microexpr_ros.perception import weights
from microexpr_ros.perception.settings import to_settings
from microexpr_ros.perception.spiking.configuration import SpikingConfiguration


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


def test_a_renamed_field_keeps_its_key_in_files(tmp_path):
    configuration = SpikingConfiguration(semi_saturation=0.25)
    settings = {'configuration': to_settings(configuration)}
    assert settings['configuration']['half'] == 0.25
    assert 'semi_saturation' not in settings['configuration']
    weights.save(tmp_path / 'w', 'au', 'tiny', settings, {'a': torch.zeros(1)})
    assert weights.load(tmp_path / 'w', 'au').configuration(SpikingConfiguration) == configuration


def test_files_that_lack_a_field_stand_for_what_was_done_before_it(tmp_path):
    settings = to_settings(SpikingConfiguration())
    added = ('neurons', 'drive', 'reset', 'burst', 'residual', 'signed_traces', 'initial_gain')
    older = {k: v for k, v in settings.items() if k not in (*added, 'decision', 'decision_tau_ms')}
    weights.save(tmp_path / 'w', 'au', 'old', {'configuration': older}, {'a': torch.zeros(1)})
    read = weights.load(tmp_path / 'w', 'au').configuration(SpikingConfiguration)
    assert (read.neurons, read.drive, read.reset, read.burst) == ('lif', 'current', 'zero', 1)
    assert [read.residual, read.signed_traces, read.decision] == [False] * 3
    del older['channels']
    weights.save(tmp_path / 'w', 'au', 'old', {'configuration': older}, {'a': torch.zeros(1)})
    with pytest.raises(MicroexprError, match='another version, which differ in channels'):
        weights.load(tmp_path / 'w', 'au').configuration(SpikingConfiguration)


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
    header = {'format': weights.FORMAT, 'kind': 'au', 'name': 'old', 'settings': {}}
    header['units'] = facs.CODES[:-1]
    save_file({'a': torch.zeros(1)}, path, {'microexpr_ros': json.dumps(header)})
    with pytest.raises(MicroexprError, match='was trained for Action Units'):
        weights.load(path, 'au')


def test_the_same_weights_have_the_same_hash(tmp_path):
    tensors = {name: torch.full((3,), value) for value, name in enumerate('abcdef')}
    settings = {name: value for value, name in enumerate('uvwxyz')}
    for number in range(4):
        weights.save(tmp_path / f'{number}', 'au', 'one', settings, tensors)
    assert len({weights.load(tmp_path / f'{n}', 'au').hash for n in range(4)}) == 1


def test_shipped_exports_hold_no_paths_of_a_machine():
    exports = sorted(weights.shipped('au').parent.glob('*.onnx'))
    assert len(exports) >= 4
    for path in exports:
        assert b'site-packages' not in path.read_bytes(), path.name
