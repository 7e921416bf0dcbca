"""`microexpr measure`: measure an event sensor from a recording."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import numpy as np
import typer

from microexpr_ros.atomic import explain_write_errors
from microexpr_ros.cli import output
from microexpr_ros.cli.commands import make_app
from microexpr_ros.cli.output import JsonOption
from microexpr_ros.cli.recording_options import SensorOption, TimeUnitOption
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.events import Events
from microexpr_ros.events.files import KNOWN_FORMATS, Recording, open_recording, parse_sensor
from microexpr_ros.synthesis.sensors.event_sensor import SENSORS
from microexpr_ros.synthesis.sensors.noise_measurement import (
    NOT_MEASURED,
    TILE_PX,
    Measured,
    NoiseMeasurement,
    measure_noise,
)
from microexpr_ros.synthesis.sensors.sensor_file import (
    choose_model,
    fit_parameters,
    write_sensor,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

app = make_app(help='Measure an event sensor from a recording.', no_args_is_help=True)

_MOST: Final = 20_000_000
"""Most events that are measured; they take about 2 GB of memory."""

_ROWS: Final = ('on_hz', 'off_hz', 'shot_hz', 'leak_hz', 'rate_spread', 'hot_share', 'hot_hz')


@app.callback()
def measure() -> None:
    """Measure an event sensor from a recording."""


@app.command('sensor')
def measure_sensor(
    recording: Annotated[Path, typer.Argument(help=f'{KNOWN_FORMATS}.')],
    out: Annotated[
        Path | None, typer.Option(help='YAML file of the parameters, for `synth --sensor`.')
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(help='PNG file with the rates over the sensor.')
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help='davis346, vga or hd, for what is not measured; by default the one of the '
            'nearest size.'
        ),
    ] = None,
    lux: Annotated[
        float | None,
        typer.Option(
            help='Radiance of the scene in lux; without it, 30, where shot_hz is defined.',
            min=1e-3,
        ),
    ] = None,
    seconds: Annotated[
        float, typer.Option(help='Use this much of the recording, in s.', min=0.5)
    ] = 60.0,
    time_unit: TimeUnitOption = None,
    sensor: SensorOption = None,
    topic: Annotated[
        str | None, typer.Option(help='Topic of events to read, if a bag has several.')
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure the noise of an event sensor in the still parts of a recording.

    Motion is found and left out; the stiller the scene and the longer the recording, the better.
    Thresholds, bandwidth and jitter are not measured: they need a scene that is known.
    """
    if model is not None and model not in SENSORS:
        raise MicroexprError(f'--model {model!r} is unknown: choose {", ".join(SENSORS)}')
    opened = open_recording(
        recording,
        time_unit=time_unit,
        sensor=None if sensor is None else parse_sensor(sensor),
        topic=topic,
    )
    found = measure_noise(_read(opened, seconds), opened.width, opened.height)
    base = model or choose_model(found.width, found.height)
    fitted = fit_parameters(found, base, lux)
    if out is not None:
        name = recording.name if recording.is_dir() else recording.stem
        write_sensor(out, f'{base}-{name}', base, fitted)
    if picture is not None:
        _draw(picture, found, recording.name)
    if as_json:
        output.print_json(_to_json(found, base, fitted))
    else:
        output.print_text(_summarize(found))
        if out is not None:
            output.print_text(f'{out}: the model {base} with {", ".join(fitted)}')


def _read(recording: Recording, seconds: float) -> Events:
    """Read the beginning of a recording."""
    parts: list[Events] = []
    count, end_ns = 0, None
    with output.progress_bar(recording.path.name) as bar:
        for events, _ in recording.chunks():
            if not len(events):
                continue
            if end_ns is None:
                end_ns = int(events.t[0]) + round(seconds * 1e9)
            parts.append(events[: min(int(np.searchsorted(events.t, end_ns)), _MOST - count)])
            count += len(parts[-1])
            if count == _MOST or events.t[-1] >= end_ns:
                break
            bar.update(recording.fraction)
    return Events.concatenate(parts)


def _to_json(found: NoiseMeasurement, model: str, fitted: dict[str, Measured]) -> dict[str, Any]:
    measured = {name: getattr(found, name) for name in (*_ROWS, 'refractory_ns')}
    return {
        'sensor': [found.width, found.height],
        'seconds': found.seconds,
        'events': found.events,
        'still_share': found.still_share,
        'still_events': found.still_events,
        'on_off_ratio': found.on_off_ratio,
        'tile_percentiles_hz': found.tile_percentiles_hz,
        'paired_share': found.paired_share,
        'repeated_share': found.repeated_share,
        'tick_ns': found.tick_ns,
        'hot_pixels': found.hot.tolist(),
        'measured': {name: None if one is None else asdict(one) for name, one in measured.items()},
        'model': model,
        'parameters': {name: asdict(one) for name, one in fitted.items()},
        'not_measured': [*NOT_MEASURED],
    }


def _summarize(found: NoiseMeasurement) -> str:
    units = {
        'on_hz': 'ON events of a pixel, Hz',
        'off_hz': 'OFF events of a pixel, Hz',
        'shot_hz': 'noise alike in both, Hz',
        'leak_hz': 'leak towards ON, Hz',
        'rate_spread': 'spread over the pixels, decades',
        'hot_share': 'share of hot pixels',
        'hot_hz': 'rate of hot pixels, Hz',
    }
    lines = [
        f'{found.events} events in {found.seconds:.2f} s; {found.still_share:.0%} of the '
        f'{TILE_PX}-pixel tiles and windows were still, with {found.still_events} events'
    ]
    lines += [f'{units[name]:34}{_format(getattr(found, name))}' for name in _ROWS]
    if found.tile_percentiles_hz is not None:
        low, middle, high = found.tile_percentiles_hz
        lines.append(
            f'{"tiles, Hz: median (5 % to 95 %)":34}{middle:.4g} ({low:.4g} to {high:.4g})'
        )
    wait = found.refractory_ns
    text = _format(None if wait is None else Measured(*(v / 1e3 for v in asdict(wait).values())))
    lines.append(f'{"refractory period, us":34}{text}')
    if found.on_off_ratio is not None:
        lines.append(f'{"ON : OFF":34}{found.on_off_ratio:.2f}')
    if found.paired_share is not None:
        lines.append(f'{"noise in pairs of ON and OFF":34}{found.paired_share:.1%}')
    if found.repeated_share:
        lines.append(f'{"events repeated within two ticks":34}{found.repeated_share:.2%}')
    lines.append(f'not measured: {", ".join(NOT_MEASURED)}')
    return '\n'.join(lines)


def _format(measured: Measured | None) -> str:
    if measured is None:
        return 'not measured'
    return f'{measured.value:.4g} ({measured.low:.4g} to {measured.high:.4g})'


def _draw(path: Path, found: NoiseMeasurement, title: str) -> None:
    # Only here: loading matplotlib takes a second.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 4), layout='constrained')
    FigureCanvasAgg(figure)
    where, rates, waits = figure.subplots(1, 3, width_ratios=(1.5, 1, 1))
    # Hot pixels are drawn in pixels, tiles to their full size over the sensor's edge.
    rows, columns = found.tile_hz.shape
    image = where.imshow(
        np.log10(np.maximum(found.tile_hz, 1e-4)),
        extent=(0, columns * TILE_PX, rows * TILE_PX, 0),
        cmap='viridis',
    )
    where.plot(*found.hot.T, 'o', mfc='none', mec='#c2352b', ms=4, lw=0)
    where.set(xlim=(0, found.width), ylim=(found.height, 0))
    where.set_title(f'{title}: noise in still parts; circles: hot pixels', fontsize=9)
    figure.colorbar(image, ax=where, label='events of a pixel, log10 Hz')
    _draw_histogram(rates, found.tile_hz[found.tile_hz > 0], 'rate of a tile, Hz', 'tiles')
    _draw_histogram(
        waits,
        found.intervals_ns[found.intervals_ns > 0] / 1e3,
        'time between events of a pixel, us',
        'intervals',
    )
    if found.refractory_ns is not None:
        waits.axvline(found.refractory_ns.value / 1e3, color='#f2a33a', lw=1)
    with explain_write_errors(path):
        figure.savefig(path)


def _draw_histogram(axes: Axes, values: Any, label: str, what: str) -> None:
    axes.set(xlabel=label, ylabel=what, xscale='log')
    if len(values):
        first, last = np.log10(values.min()), np.log10(values.max())
        axes.hist(values, bins=np.logspace(first, last + 0.01, 60).tolist(), color='#35618f')
