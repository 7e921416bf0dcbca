"""Options of commands that read a recording of events."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

SourceOption: TypeAlias = Annotated[
    str,
    typer.Option(
        help='real (a face, downloaded once), synthetic (a face, made once), or the path of a '
        'recording or video.'
    ),
]
SensorOption: TypeAlias = Annotated[
    str | None,
    typer.Option(help='Size of the sensor, WIDTHxHEIGHT, if the recording does not contain it.'),
]
TimeUnitOption: TypeAlias = Annotated[
    str | None,
    typer.Option(help='Unit of the times, s, us or ns, if the recording does not contain it.'),
]
