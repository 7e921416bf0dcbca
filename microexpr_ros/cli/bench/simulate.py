"""`microexpr bench simulate`: how fast the event sensor's model runs, and clips are made."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from typing import Annotated, Any, Final

import cv2
import numpy as np
import typer
from numpy.typing import NDArray

from microexpr_ros.cli import output
from microexpr_ros.cli.bench.machine import read_machine
from microexpr_ros.cli.commands import make_app
from microexpr_ros.cli.output import JsonOption
from microexpr_ros.events.events import Frame, Triggers
from microexpr_ros.events.grid import GRID, SLICE_NS, number_cells
from microexpr_ros.events.packets import packetize
from microexpr_ros.synthesis.appearance import count_events, measure_basis
from microexpr_ros.synthesis.dataset import generate
from microexpr_ros.synthesis.dataset.recipe import Recipe
from microexpr_ros.synthesis.dataset.take import sample_take
from microexpr_ros.synthesis.sensors import event_sensor, video_sensor
from microexpr_ros.synthesis.sensors.event_sensor import SENSORS, SensorParameters
from microexpr_ros.synthesis.sensors.frame_camera import encode

app = make_app()

_STEPS: Final = 8
_STEP_NS: Final = 4_000_000
_STEP_PX: Final = 0.4
_FINER: Final = 8
"""Steps of the published model from one picture to the next: 0.5 ms each."""
_WHITE_LUX: Final = 200.0
_WEBCAM_HZ: Final = 30
# As many as one person has, so that the time to make the person has its share.
_CLIPS: Final = 6


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement.

    Attributes:
        implementation: microexpr, numpy, or the name of a peer on PyPI.
        resolution: of the sensor.
        noise: whether leak, shot noise and hot pixels are on.
        mpix_per_s: million pixels, each from one picture to the next, per second of processor
            time; median of the rounds.
        events: number of events in one round.
    """

    implementation: str
    resolution: str
    noise: bool
    mpix_per_s: float
    events: int


@app.command()
def simulate(
    rounds: Annotated[
        int, typer.Option(help='Repetitions; the result is their median.', min=1)
    ] = 5,
    as_json: JsonOption = False,
) -> None:
    """Measure the sensor's model, a webcam in its place, and the making of clips.

    The model sees a moving picture. It is measured beside the published model written in plain
    numpy and, if it is installed (pip install eventcv), eventcv, which takes pictures of 8 bits.
    Times are processor time, all threads together.
    """
    # A thread pool in a peer, or in OpenCV, would only add noise to processor time.
    os.environ.setdefault('RAYON_NUM_THREADS', '1')
    cv2.setNumThreads(1)
    rows: list[Row] = []
    for name, parameters in SENSORS.items():
        for noise in (False, True):
            with output.spinner(f'{name}, noise {"on" if noise else "off"}'):
                rows += _measure(name, parameters, noise, rounds)
    with output.spinner('webcam'):
        webcam_percent = measure_webcam(rounds)
    with output.spinner('clips'):
        clip_seconds = _clip_seconds()
        basis_seconds, mixed_seconds = _mixed_seconds()
    if as_json:
        output.print_json(
            {
                'rows': [asdict(row) for row in rows],
                'webcam_cpu_percent': webcam_percent,
                'clip_seconds_per_core': clip_seconds,
                'basis_seconds': basis_seconds,
                'mixed_clip_seconds_per_core': mixed_seconds,
                'machine': read_machine(),
            }
        )
        return
    output.print_table([_cells(row) for row in rows], text=('implementation', 'resolution'))
    output.print_text(
        f'webcam, {video_sensor.WIDTH} x {video_sensor.HEIGHT} at {_WEBCAM_HZ} Hz, all of which '
        f'moves: {webcam_percent:.0f} % of a core for events and packets'
    )
    output.print_text(
        'clips: not measured, their face model (anny) is not installed'
        if clip_seconds is None
        else f'one second of a clip, events and frames: {clip_seconds:.2f} s of one core; mixed '
        f'from a measured scene, events alone: {mixed_seconds:.3f} s, and {basis_seconds:.1f} s '
        'once per scene'
    )


def measure_webcam(rounds: int) -> float:
    """Return the processor time of a webcam's events and packets over real time, in percent."""
    lux = _pictures(video_sensor.WIDTH, video_sensor.HEIGHT)
    pictures = encode(np.asarray(lux / _WHITE_LUX, np.float32))
    period_ns = 1_000_000_000 // _WEBCAM_HZ

    def run() -> float:
        sensor = video_sensor.VideoSensor()
        begin = time.process_time()
        for k, picture in enumerate(pictures):
            events = sensor.see(Frame(k * period_ns, picture))
            for _ in packetize([(events, Triggers.empty())], *picture.shape):
                pass
        return time.process_time() - begin

    # The first one compiles and fills caches.
    seconds = statistics.median([run() for _ in range(1 + rounds)][1:])
    return round(100 * seconds * _WEBCAM_HZ / len(pictures), 1)


def _cells(row: Row) -> dict[str, str]:
    return {
        'implementation': row.implementation,
        'resolution': row.resolution,
        'noise': 'on' if row.noise else 'off',
        'Mpix/s': f'{row.mpix_per_s:.2f}',
        'events': str(row.events),
    }


def _measure(name: str, parameters: SensorParameters, noise: bool, rounds: int) -> list[Row]:
    if not noise:
        parameters = replace(parameters, leak_hz=0.0, shot_hz=0.0, hot_share=0.0)
    pictures = _pictures(parameters.width, parameters.height)
    runs = {'microexpr': _ours(parameters, pictures), 'numpy': _reference(parameters, pictures)}
    if find_spec('eventcv'):
        runs['eventcv'] = _peer(parameters, pictures)
    pixels = _STEPS * pictures[0].size
    rows = []
    for implementation, run in runs.items():
        found = [run() for _ in range(1 + rounds)]
        # The first one compiles and fills caches.
        seconds = statistics.median(seconds for seconds, _ in found[1:])
        rate = round(pixels / seconds / 1e6, 2)
        rows.append(Row(implementation, name, noise, rate, found[-1][1]))
    return rows


def _pictures(width: int, height: int) -> NDArray[np.float32]:
    """Return a smooth pattern that moves to the left, float32 [steps + 1, height, width], lux."""
    margin = 8
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((height, width + margin)).astype(np.float32)
    pattern = cv2.GaussianBlur(noise, (0, 0), height / 40)
    # Contrasts of a face: a factor of about three from light to dark.
    contrast = np.float32(0.3 / pattern.std())
    levels = np.exp(contrast * pattern) * np.float32(0.25 * _WHITE_LUX)
    shifts = _STEP_PX * np.arange(_STEPS + 1)
    moves = [np.array([[1, 0, -shift], [0, 1, 0]], np.float32) for shift in shifts]
    return np.stack([cv2.warpAffine(levels, move, (width, height)) for move in moves])


def _ours(
    parameters: SensorParameters, pictures: NDArray[np.float32]
) -> Callable[[], tuple[float, int]]:
    def run() -> tuple[float, int]:
        state = event_sensor.start(parameters, pictures[0], 0, np.random.default_rng(0))
        count = 0
        begin = time.process_time()
        for k, picture in enumerate(pictures[1:], 1):
            events, state = event_sensor.step(parameters, state, picture, k * _STEP_NS)
            count += len(events)
        return time.process_time() - begin, count

    return run


def _reference(
    parameters: SensorParameters, pictures: NDArray[np.float32]
) -> Callable[[], tuple[float, int]]:
    """Return the published model (v2e, 2021) on whole arrays, in steps as short as its low-pass.

    From picture to picture the logarithm of the light is interpolated linearly, as in ours.
    """
    p, step_ns = parameters, _STEP_NS // _FINER
    seconds = step_ns * 1e-9

    def run() -> tuple[float, int]:
        rng = np.random.default_rng(0)
        shape = pictures[0].shape
        theta = rng.normal(p.threshold_on, p.threshold_sigma, shape).clip(0.05)
        theta = theta.astype(np.float32)
        before = filtered = np.log(pictures[0])
        reference = filtered - rng.uniform(-theta, theta).astype(np.float32)
        chance = np.where(rng.random(shape) < p.hot_share, p.hot_hz, p.shot_hz) * seconds
        held_until = np.zeros(shape, np.int64)
        count = 0
        begin = time.process_time()
        for k, picture in enumerate(pictures[1:]):
            after = np.log(picture)
            corner_hz = p.corner_hz * (picture / p.corner_lux).clip(max=1)
            keep = np.exp(-2 * np.pi * corner_hz * seconds)
            for m in range(1, 1 + _FINER):
                t_ns = k * _STEP_NS + m * step_ns
                goal = before + m / _FINER * (after - before)
                filtered = goal + keep * (filtered - goal)
                reference -= p.leak_hz * theta * seconds
                crossed = np.trunc((filtered - reference) / theta).astype(np.int8)
                if p.shot_hz:
                    drawn = rng.random(shape, np.float32) < chance
                    crossed = np.where(drawn, rng.integers(0, 2, shape) * 2 - 1, crossed)
                rows, columns = np.nonzero(crossed)
                free = held_until[rows, columns] <= t_ns
                rows, columns = rows[free], columns[free]
                number = crossed[rows, columns]
                reference[rows, columns] += number * theta[rows, columns]
                held_until[rows, columns] = t_ns + p.refractory_ns
                count += len(rows)
            before = after
        return time.process_time() - begin, count

    return run


def _peer(
    parameters: SensorParameters, pictures: NDArray[np.float32]
) -> Callable[[], tuple[float, int]]:
    eventcv: Any = import_module('eventcv')
    frames = encode(np.asarray(pictures / _WHITE_LUX, np.float32))

    def run() -> tuple[float, int]:
        begin = time.process_time()
        events = eventcv.simulate(
            frames,
            fps=1e9 / _STEP_NS,
            pos_thres=parameters.threshold_on,
            neg_thres=parameters.threshold_off,
            sigma_thres=parameters.threshold_sigma,
            refractory_us=parameters.refractory_ns // 1000,
            cutoff_hz=parameters.corner_hz,
            leak_rate_hz=parameters.leak_hz,
            shot_noise_rate_hz=parameters.shot_hz,
            upsample='off',
        )
        return time.process_time() - begin, len(events)

    return run


def _clip_seconds() -> float | None:
    """Return the processor time that a second of a clip takes; None without a face model."""
    if find_spec('anny') is None:
        return None
    # The first clip, of another person, compiles kernels and reads the face model.
    generate.make_clip(Recipe(), _CLIPS)
    begin = time.process_time()
    slices = sum(len(generate.make_clip(Recipe(), number).counts) for number in range(_CLIPS))
    return round((time.process_time() - begin) / (slices * SLICE_NS * 1e-9), 3)


def _mixed_seconds() -> tuple[float | None, float | None]:
    """Return the processor time of a scene's basis, and that of a second of clips mixed from it.

    The scenes are those of other clips, with their own motion; None without a face model.
    """
    if find_spec('anny') is None:
        return None, None
    takes = [sample_take(Recipe(), number) for number in range(_CLIPS)]
    bases, bases_s = [], []
    for take in takes:
        begin = time.process_time()
        bases.append(measure_basis(take.scene))
        bases_s.append(time.process_time() - begin)
    clips_s: list[float] = []
    slices = 0
    for _ in range(2):
        # The first round compiles and does not count.
        clips_s, slices = [], 0
        for take, basis in zip(takes, bases, strict=True):
            cells = number_cells(*basis.rest.shape)
            sensor, light = take.sensor.parameters, take.scene.light
            begin = time.process_time()
            counts = count_events(basis, take.motion, light, sensor, cells, GRID, take.rng)
            clips_s.append(time.process_time() - begin)
            slices += len(counts)
    return (
        round(statistics.median(bases_s), 3),
        round(sum(clips_s) / (slices * SLICE_NS * 1e-9), 4),
    )
