import os
import subprocess
import sys
from importlib import import_module

import pytest

ROOMS = ('', '.person', '.world', '.sensors', '.dataset')


@pytest.mark.parametrize('room', ROOMS)
def test_every_public_name_is_there(room):
    package = import_module(f'microexpr_ros.synthesis{room}')
    for name in package.__all__:
        assert getattr(package, name).__class__.__name__ != 'module'
    with pytest.raises(AttributeError, match='has no attribute'):
        package.nothing  # noqa: B018


def test_data_sets_are_read_without_the_renderer():
    program = (
        'import sys\n'
        'from microexpr_ros.synthesis import SPLITS, Recipe, read_clip, read_index\n'
        'heavy = {"cv2", "matplotlib", "torch", "microexpr_ros.synthesis.world.renderer"}\n'
        'print(*heavy & {*sys.modules})\n'
    )
    environment = {**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)}
    command = [sys.executable, '-c', program]
    found = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert (found.returncode, found.stdout.strip()) == (0, ''), found.stderr
