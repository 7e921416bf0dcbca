"""The command line: `microexpr`.

To keep `microexpr --help` fast, a command is imported when it is asked for (`LazyGroup`), and a
library that is slow to import (torch, matplotlib, cv2, rich's widgets) where it is used.
"""

from __future__ import annotations

import atexit
import signal
import sys
import time
from typing import Annotated, Any, ClassVar

import typer

from microexpr_ros import __version__
from microexpr_ros.cli.commands import LazyGroup, make_app
from microexpr_ros.cli.output import print_error, print_text
from microexpr_ros.errors import MicroexprError

_INTERRUPTED = 128 + signal.SIGINT


class _Commands(LazyGroup):
    package: ClassVar = 'microexpr_ros.cli'
    summaries: ClassVar = {
        'demo': 'Play a recording or watch a webcam with the real nodes and show what they find.',
        'doctor': 'Check the installation, and show how to complete it.',
        'view': 'Serve a live page: events, reconstruction, Action Units, movements, health.',
        'analyze': 'Read Action Units and movements from recordings, as fast as the machine goes.',
        'synth': 'Make synthetic clips or recordings, or complete a data set.',
        'train': 'Train the networks on a data set.',
        'evaluate': 'Score the networks on a data set.',
        'bench': 'Measure how fast everything is.',
        'convert': 'Convert a recording of events, or a video, to a rosbag2 or a file of events.',
        'calibrate': 'Measure how two cameras are tied together.',
        'measure': 'Measure an event sensor from a recording.',
        'inspect': 'Show what a bag or a recording holds, and what is wrong with it.',
        'record': 'Record topics to a rosbag2.',
        'play': 'Play a rosbag2, as `ros2 bag play` does.',
    }


app = make_app(name='microexpr', cls=_Commands, no_args_is_help=True)


def _print_version(wanted: bool) -> None:
    if wanted:
        print_text(f'microexpr {__version__}')
        raise typer.Exit


@app.callback()
def microexpr(
    version: Annotated[
        bool,
        typer.Option(
            '--version', help='Print the version.', is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    """Facial micro-expressions for robots, read with event cameras."""


def main() -> None:
    """Run the command line; an error that the user can correct is one line and exit code 2."""
    signal.signal(signal.SIGINT, _Interrupt())
    # While it exits, the interpreter restores the default of Ctrl-C, which kills the process.
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)
    try:
        app()
    except MicroexprError as error:
        print_error(error)
        sys.exit(2)
    except ModuleNotFoundError as error:
        name = error.name or ''
        # Of this package, only the messages are built apart from the sources.
        if name.startswith('microexpr_ros') and name != 'microexpr_ros.msg':
            raise
        print_error(
            MicroexprError(f'{name} is not installed: `microexpr doctor` shows how to install it')
        )
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)


class _Interrupt:
    """Interrupt a command at the first Ctrl-C, but not while it then ends in order.

    A command that takes longer than `PATIENCE_S` to end can be interrupted again.
    """

    PATIENCE_S = 5.0

    def __init__(self) -> None:
        self._last_s = -self.PATIENCE_S

    def __call__(self, signal_number: int, frame: Any) -> None:
        now_s = time.monotonic()
        if now_s - self._last_s >= self.PATIENCE_S:
            self._last_s = now_s
            raise KeyboardInterrupt
