"""Options that say what a recording of events does not say itself, and where one comes from."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

SourceOption: TypeAlias = Annotated[
    str,
    typer.Option(
        help='real (a face, downloaded once), synthetic (a face, made once), or the path of a '
        'recording.'
    ),
]
SensorOption: TypeAlias = Annotated[
    str | None,
    typer.Option(help='Sensor size WIDTHxHEIGHT of a recording that does not say it.'),
]
TimeUnitOption: TypeAlias = Annotated[
    str | None,
    typer.Option(help='Unit of the times of a recording that does not say it: s, us or ns.'),
]
