"""The extras of `make setup`: what has no wheel for the machine is left out by name."""

import importlib.util
import subprocess
from pathlib import Path

import pytest

FILE = Path(__file__).resolve().parents[1] / 'tools' / 'setup_env.py'


@pytest.fixture
def setup_env():
    spec = importlib.util.spec_from_file_location('setup_env', FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def install(setup_env, monkeypatch):
    """Return a function that installs the extras; pip fails for one of them."""

    def run(broken, stderr):
        asked = []

        def fake_pip(command, **_):
            asked.append(command[-1])
            fails = command[-1].startswith(broken)
            return subprocess.CompletedProcess(command, int(fails), stderr=stderr)

        monkeypatch.setattr(setup_env.subprocess, 'run', fake_pip)
        setup_env.install_extras(['pip', 'install'])
        return asked

    return run


def test_an_extra_without_a_wheel_is_left_out(install, capsys):
    asked = install('dv-processing', 'ERROR: No matching distribution found for dv-processing')
    assert [name.partition('==')[0] for name in asked] == [
        'neuromorphic-drivers',
        'dv-processing',
    ]
    [line] = capsys.readouterr().out.splitlines()
    assert line.startswith('setup: left out dv-processing==')
    assert line.endswith(', which has no wheel for this machine')


def test_every_standard_interface_is_built(setup_env):
    names = [folder.name for folder in setup_env.interface_packages()]
    assert names == ['event_camera_msgs', 'hri_msgs', 'tf2_msgs']


def test_any_other_failure_ends_the_set_up(install, capsys):
    with pytest.raises(SystemExit, match=r'dv-processing==.* could not be installed'):
        install('dv-processing', 'ERROR: the disk is full')
    assert 'the disk is full' in capsys.readouterr().err
