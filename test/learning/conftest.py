import importlib.util
from pathlib import Path

import pytest

_SPEC = importlib.util.spec_from_file_location('clips', Path(__file__).with_name('clips.py'))
assert _SPEC is not None
assert _SPEC.loader is not None
_CLIPS = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_CLIPS)


@pytest.fixture(scope='session')
def make_clip():
    return _CLIPS.make_clip


@pytest.fixture(scope='session')
def recordings():
    from microexpr_ros.learning.datasets import record

    return [record(_CLIPS.make_clip(number)) for number in range(12)]


@pytest.fixture(scope='session')
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp('data')
    _CLIPS.write_data_set(root, ('train', 'val', 'test'))
    return root
