"""The command line: `microexpr`."""

from __future__ import annotations

import sys

import typer

from microexpr_ros.cli import bench, evaluate, train
from microexpr_ros.cli.bag_options import BagCommand
from microexpr_ros.cli.convert import convert
from microexpr_ros.cli.demo import demo
from microexpr_ros.cli.doctor import doctor
from microexpr_ros.cli.play import play
from microexpr_ros.cli.record import record
from microexpr_ros.cli.synth import synth
from microexpr_ros.errors import MicroexprError

app = typer.Typer(
    name='microexpr',
    help='Facial micro-expressions for robots, read with event cameras.',
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(demo)
app.command()(doctor)
app.command()(synth)
app.add_typer(train.app, name='train')
app.add_typer(evaluate.app, name='evaluate')
app.add_typer(bench.app, name='bench')
app.command()(convert)
app.command(cls=BagCommand)(record)
app.command(cls=BagCommand)(play)


def main() -> None:
    """Run the command line; an error that the user can mend is one line and exit code 2."""
    try:
        app()
    except MicroexprError as error:
        print(f'error: {error}', file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
