from __future__ import annotations

import importlib
import subprocess
from importlib.resources import files

import pytest

from microexpr_ros.child import python

HEAVY = ('cv2', 'dv_processing', 'h5py', 'matplotlib', 'neuromorphic_drivers', 'torch')


@pytest.mark.parametrize(
    ('room', 'heavy'),
    [
        ('bags', (*HEAVY, 'numba')),
        ('events', (*HEAVY, 'numba', 'rosbags')),
        ('events.cameras', HEAVY),
        ('events.codecs', (*HEAVY, 'rosbags')),
        ('events.files', HEAVY),
    ],
)
def test_rooms_export_their_names_and_load_no_library_that_they_may_not_need(room, heavy):
    module = importlib.import_module(f'microexpr_ros.{room}')
    assert module.__all__
    assert [name for name in module.__all__ if not hasattr(module, name)] == []
    program = f'import microexpr_ros.{room}; print([m for m in {heavy} if m in sys.modules])'
    loaded = subprocess.run(python(program), capture_output=True, text=True, check=True).stdout
    assert loaded == '[]\n'


def test_type_checkers_are_told_to_read_the_annotations():
    assert files('microexpr_ros').joinpath('py.typed').is_file()
