"""`microexpr bench`: how fast it is, measured here and now."""

from __future__ import annotations

import typer

from microexpr_ros.cli.bench.decode import decode
from microexpr_ros.cli.bench.models import models
from microexpr_ros.cli.bench.pipeline import pipeline
from microexpr_ros.cli.bench.replay import replay
from microexpr_ros.cli.bench.simulate import simulate

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help='Measure how fast it is.')
app.command()(decode)
app.command()(replay)
app.command()(pipeline)
app.command()(simulate)
app.command()(models)
