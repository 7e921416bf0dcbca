"""`microexpr bench`: how fast everything is, measured here and now."""

from __future__ import annotations

from typing import ClassVar

from microexpr_ros.cli.commands import LazyGroup, make_app


class _Benchmarks(LazyGroup):
    package: ClassVar = 'microexpr_ros.cli.bench'
    summaries: ClassVar = {
        'decode': 'Measure decoding, encoding and counting of events, and reading files of them.',
        'replay': 'Measure a long recording from the file to decoded events.',
        'pipeline': 'Measure latency, rates, processor time and memory of the nodes.',
        'simulate': "Measure the sensor's model, a webcam in its place, and the making of clips.",
        'models': 'Measure a step of every network in every runtime.',
        'view': 'Measure what the live page costs, with nobody watching and with one viewer.',
        'fleet': 'Measure a fleet of recordings on one and on two workers.',
    }


app = make_app(cls=_Benchmarks, no_args_is_help=True)


@app.callback()
def bench() -> None:
    """Measure how fast everything is."""
