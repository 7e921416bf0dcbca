"""Fleets of `microexpr analyze`."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import typer

from microexpr_ros.cli import output
from microexpr_ros.cli.engine import Engine
from microexpr_ros.events.region import Region
from microexpr_ros.fleet.store import RETRIES, find_recordings, require_store

if TYPE_CHECKING:
    from microexpr_ros.fleet.fleet import FleetStatus
    from microexpr_ros.fleet.tasks import Settings


@dataclass(frozen=True, slots=True)
class Reading:
    """How the user wants recordings to be read; as of `fleet.tasks.Settings`."""

    weights: str | None = None
    time_unit: str | None = None
    sensor: tuple[int, int] | None = None
    topic: str | None = None
    rgb_topic: str | None = None
    region: Region | None = None
    faces: int = 1
    retries: int = RETRIES

    def settings(self) -> Settings:
        """Return the settings of a fleet, with the network that the workers must have."""
        # The networks take a while to load.
        from microexpr_ros.fleet.store import fetched
        from microexpr_ros.fleet.tasks import Settings
        from microexpr_ros.perception import weights

        if self.weights is None:
            model = weights.load(weights.shipped('au'), 'au', with_tensors=False).model
        else:
            with fetched(self.weights) as path:
                model = weights.load(path, 'au', with_tensors=False).model
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return Settings(model, **given)


def analyze(
    recordings: list[str], out: str, reading: Reading, engine: Engine, as_json: bool
) -> None:
    """Analyze a fleet and sum it up; the exit code is 2 if a recording failed."""
    require_store('pyarrow')
    from microexpr_ros.fleet.fleet import analyze_fleet
    from microexpr_ros.fleet.summary import write_summary

    settings = reading.settings()
    sources = find_recordings(recordings)
    with engine.supervised() as pool, output.progress_bar('recordings') as bar:
        status = analyze_fleet(sources, out, settings, pool, bar.update)
    write_summary(out)
    _print(status, out, as_json)
    if status.failed:
        raise typer.Exit(2)


def print_status(out: str, as_json: bool) -> None:
    """Print how far a fleet is."""
    require_store()
    from microexpr_ros.fleet.fleet import read_status

    _print(read_status(out), out, as_json)


def _print(status: FleetStatus, out: str, as_json: bool) -> None:
    if as_json:
        output.print_json(
            {
                'out': out,
                'recordings': status.recordings,
                'done': status.done,
                'to_come': status.to_come,
                'failed': status.failed,
            }
        )
        return
    output.print_text(
        f'{out}: {status.done} of {status.recordings} recordings done, {len(status.failed)} '
        f'failed, {status.to_come} to come'
    )
    if status.failed:
        output.print_table(
            [{'failed': name, 'reason': reason} for name, reason in status.failed.items()],
            text=('failed', 'reason'),
        )
