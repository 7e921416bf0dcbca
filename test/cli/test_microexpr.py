"""The command line as a whole."""

import atexit
import importlib
import signal
import subprocess
import sys

import pytest
from command_line import ROOT, assert_one_clear_line, invoke

from microexpr_ros import __version__, cli
from microexpr_ros.cli import app
from microexpr_ros.cli import bench as bench_package
from microexpr_ros.topics import EVENTS_TOPIC

COMMANDS = (
    'demo', 'doctor', 'synth', 'train', 'evaluate', 'bench', 'convert', 'calibrate', 'inspect',
    'record', 'play',
    'calibrate time', 'train au', 'train reconstruction', 'train face',
    'evaluate au', 'evaluate reconstruction', 'evaluate face', 'evaluate clock', 'measure',
    'measure sensor',
    'bench decode', 'bench replay', 'bench pipeline', 'bench simulate', 'bench models',
)  # fmt: skip
NEED_ROS = ('record', 'play', 'bench replay', 'bench pipeline')


def require(command):
    if command in NEED_ROS:
        pytest.importorskip('rclpy')
        pytest.importorskip('microexpr_ros.msg')


@pytest.mark.parametrize('option', ['-h', '--help'])
def test_every_command_is_listed(option):
    result = invoke(app, option)
    assert result.exit_code == 0
    for command in COMMANDS[:9]:
        assert f'\n  {command} ' in result.stdout


@pytest.mark.parametrize('command', COMMANDS)
def test_every_command_explains_itself(command):
    require(command)
    short, long = (invoke(app, *command.split(), option) for option in ('-h', '--help'))
    assert short.exit_code == long.exit_code == 0
    assert short.stdout == long.stdout
    assert '-h, --help' in short.stdout


@pytest.mark.parametrize('group', [app, bench_package.app])
def test_a_summary_is_the_first_line_of_the_help(group):
    summaries = group.info.cls.summaries
    for name, summary in summaries.items():
        require(name if group is app else f'bench {name}')
        assert ' '.join(invoke(group, name, '-h').stdout.split()).find(f' {summary} ') > 0


def test_the_version_is_printed():
    result = invoke(app, '--version')
    assert result.exit_code == 0
    assert result.stdout == f'microexpr {__version__}\n'


def test_defaults_are_those_of_the_core():
    pytest.importorskip('rclpy')
    from microexpr_ros.ros.playback import PlayerParameters

    text = ' '.join(invoke(app, 'play', '-h').stdout.split())
    assert f'[default: {PlayerParameters().wait_for_subscribers_s}]' in text
    text = ' '.join(invoke(app, 'convert', '-h').stdout.split())
    assert f'without it, {EVENTS_TOPIC} is written' in text


def test_help_imports_nothing_heavy():
    script = (
        'import sys\n'
        'from microexpr_ros.cli import app\n'
        "app(['--help'], standalone_mode=False)\n"
        "print(sorted({'numpy', 'numba', 'torch', 'rclpy', 'cv2', 'rosbags'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, '-c', script], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert result.stdout.splitlines()[-1] == '[]', result.stderr


def test_a_command_that_is_mistyped_is_one_clear_line(microexpr):
    result = microexpr('demoo')
    assert_one_clear_line(result)
    assert "Did you mean 'demo'?" in result.stderr


def test_an_option_that_is_mistyped_is_one_clear_line(microexpr):
    assert_one_clear_line(microexpr('demo', '--sauce', 'real'))


@pytest.fixture
def run_main(monkeypatch):
    """Run `main` around a function instead of the commands."""
    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(atexit, 'register', lambda *_: None)

    def run(function):
        monkeypatch.setattr(cli, 'app', function)
        cli.main()

    yield run
    signal.signal(signal.SIGINT, before)


def test_a_library_that_is_missing_is_one_clear_line(run_main, capsys):
    with pytest.raises(SystemExit) as ended:
        run_main(lambda: importlib.import_module('no_such_library'))
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert (
        told
        == 'error: no_such_library is not installed: `microexpr doctor` shows how to install it\n'
    )


def test_a_module_of_this_package_that_is_missing_is_a_defect(run_main):
    with pytest.raises(ModuleNotFoundError):
        run_main(lambda: importlib.import_module('microexpr_ros.no_such_module'))


def test_the_second_interrupt_lets_a_command_end_in_order(run_main):
    done = []

    def interrupted_twice():
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            signal.raise_signal(signal.SIGINT)
            done.append('ended in order')

    with pytest.raises(SystemExit) as ended:
        run_main(interrupted_twice)
    assert (done, ended.value.code) == (['ended in order'], 130)


def test_a_command_that_does_not_end_is_interrupted_again(run_main, monkeypatch):
    times_s = iter((10.0, 14.9, 15.0))
    monkeypatch.setattr(cli.time, 'monotonic', lambda: next(times_s))
    done = []

    def never_ends():
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            signal.raise_signal(signal.SIGINT)
            done.append('second')
            signal.raise_signal(signal.SIGINT)
            done.append('third')

    with pytest.raises(SystemExit):
        run_main(never_ends)
    assert done == ['second']
