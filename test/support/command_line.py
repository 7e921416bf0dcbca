"""The command line, in this process and in processes of its own."""

import sys
import threading
import time
from pathlib import Path

from typer.testing import CliRunner

ROOT = Path(__file__).resolve().parents[2]
COMMAND = (sys.executable, '-c', 'from microexpr_ros.cli import main; main()')


def invoke(app, *arguments, env=None):
    """Run a command in this process; raise what it raises."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], env=env)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def assert_one_clear_line(result):
    """Check that a process was ended by an error of one line, with nothing on standard output."""
    assert result.returncode == 2, result.stderr
    assert 'Traceback' not in result.stderr
    lines = [line for line in result.stderr.splitlines() if line.lower().startswith('error:')]
    assert len(lines) == 1, result.stderr
    assert result.stdout == ''


def read_line(process, stream, seconds=120):
    """Return the next line of a process; one that prints none in time is ended, and '' returned.

    Args:
        process: the process.
        stream: its standard output or its standard error.
        seconds: how long it may take.
    """
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    try:
        return stream.readline()
    finally:
        timer.cancel()


def wait_for(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, 'did not happen in time'
        time.sleep(0.05)
