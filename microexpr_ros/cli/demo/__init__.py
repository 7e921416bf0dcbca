"""`microexpr demo`: the whole pipeline on a recording, with something to look at."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from microexpr_ros.bags.pacing import RATES, Pacer
from microexpr_ros.child import python
from microexpr_ros.cli import output
from microexpr_ros.cli.commands import default_of, make_app
from microexpr_ros.cli.demo.sources import Source, find_source, find_webcam
from microexpr_ros.cli.output import JsonOption
from microexpr_ros.cli.recording_options import SensorOption, TimeUnitOption
from microexpr_ros.errors import MicroexprError
from microexpr_ros.topics import EVENT_FRAMES_TOPIC, FRAMES_TOPIC, relative

if TYPE_CHECKING:
    from microexpr_ros.cli.demo.observer import Observation

app = make_app()

PLAYBACK_NODES: Final = ('player', 'synchronizer', 'au_classifier', 'reconstructor')
LIVE_NODES: Final = ('event_camera', 'synchronizer', 'au_classifier', 'reconstructor')

_LIVE_S: Final = 30.0
"""How long a webcam is watched, if nothing else is given."""

_ABSENT_S: Final = 10.0
"""A webcam that is absent for longer ends the demo."""

_SCRATCH: Final = '.running-'
_RESULTS: Final = (
    'demo.mp4',
    'timeline.png',
    'au_predictions.csv',
    'movements.csv',
    'report.json',
)


@app.command()
def demo(
    source: Annotated[
        str,
        typer.Option(
            help='real (a face, downloaded once), synthetic (a face, made once), the path of a '
            'recording or video, or webcam or webcam:DEVICE.'
        ),
    ] = 'real',
    sensor: SensorOption = None,
    time_unit: TimeUnitOption = None,
    seconds: Annotated[
        float,
        typer.Option(
            help=f'Play this much of it, in s; 0: all, {_LIVE_S:g} of a webcam.', min=0.0
        ),
    ] = 0.0,
    out: Annotated[Path, typer.Option(help='Folder for the results.')] = Path('out/demo'),
    rate: Annotated[
        float,
        typer.Option(help='Speed; 1 is that of the recording.', min=RATES[0], max=RATES[1]),
    ] = default_of(Pacer, 'rate'),
    headless: Annotated[
        bool, typer.Option('--headless', help='No live table in the terminal.')
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Play a recording or watch a webcam with the real nodes and show what they find.

    Player, synchronizer, au_classifier and reconstructor run in one process of their own; this
    process only subscribes, as any other node could: `ros2 topic echo /au_predictions`.
    """
    # rclpy: `bench models` needs only the sources of this package.
    from microexpr_ros.cli.demo import results
    from microexpr_ros.ros import environment

    environment.keep_on_loopback()
    environment.prepare()
    with _results_folder(out) as folder:
        device = find_webcam(source)
        if device is not None:
            require_recording_options_unused(sensor, time_unit, rate)
            run = _Run(f'webcam {device}', seconds or _LIVE_S, webcam_arguments(device), True)
        else:
            found = find_source(source, seconds or float('inf'), folder, sensor, time_unit)
            wanted = min(seconds or found.seconds, found.seconds)
            run = _Run(found.title, wanted, playback_arguments(found, wanted, rate))
        seen = _play(run, folder, headless)
        if not seen.estimates:
            raise MicroexprError(
                f'the pipeline estimated nothing for {run.title}: try a recording with a face'
            )
        report = {'source': run.title, **results.report(seen, run.seconds)}
        results.write_csv(folder / 'au_predictions.csv', seen)
        results.write_movements(folder / 'movements.csv', seen)
        results.write_timeline(folder / 'timeline.png', seen, run.title)
        (folder / 'report.json').write_text(json.dumps(report, indent=2) + '\n')
        for name in _RESULTS:
            (folder / name).replace(out / name)
    if as_json:
        output.print_json(report)
        return
    for key, value in report.items():
        output.print_text(f'{key:>22}  {value}')
    output.print_text(f'look at {out / "demo.mp4"} and {out / "timeline.png"}')


@dataclass(frozen=True, slots=True)
class _Run:
    """What the pipeline is started for.

    Attributes:
        title: what it shows, for people.
        seconds: length of it.
        arguments: of the pipeline, for ROS.
        is_live: whether it must be ended; a recording ends by itself.
    """

    title: str
    seconds: float
    arguments: list[str]
    is_live: bool = False


def require_recording_options_unused(
    sensor: str | None, time_unit: str | None, rate: float
) -> None:
    """Refuse options that a webcam does not have.

    Raises:
        MicroexprError: one of them is given.
    """
    if sensor is not None or time_unit is not None or rate != 1:
        raise MicroexprError(
            'a webcam has a size, times and a speed of its own: leave out --sensor, --time-unit '
            'and --rate'
        )


@contextmanager
def _results_folder(out: Path) -> Iterator[Path]:
    """Make the folder for the results; yield one inside it for what is not complete yet.

    If the block fails, the folders that were made for it are removed.
    """
    made = [folder for folder in (out, *out.parents) if not folder.exists()]
    out.mkdir(parents=True, exist_ok=True)
    for stale in out.glob(f'{_SCRATCH}*'):  # A run that was killed left it.
        shutil.rmtree(stale, ignore_errors=True)
    try:
        with tempfile.TemporaryDirectory(dir=out, prefix=_SCRATCH) as scratch:
            yield Path(scratch)
    except BaseException:
        with suppress(OSError):
            for folder in made:
                folder.rmdir()
        raise


def _play(run: _Run, folder: Path, headless: bool) -> Observation:
    """Run the pipeline and watch it from outside."""
    from microexpr_ros.cli.demo.observer import Observer
    from microexpr_ros.cli.demo.results import Video, live_table

    video = Video(folder / 'demo.mp4')
    observer = Observer(video.show)
    with ExitStack() as stack:
        log = stack.enter_context((folder / 'pipeline.log').open('w+'))
        process = subprocess.Popen(
            [
                *python('from microexpr_ros.ros.nodes.pipeline import main; main()'),
                '--ros-args',
                *run.arguments,
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        if not headless:
            table = partial(live_table, observer.seen, run.title)
            stack.enter_context(output.live_view(table, per_second=10, keep=True))
        try:
            if run.is_live:
                _film(process, observer.seen, run)
            else:
                process.wait()
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
            seen = observer.close()
            video.close()
        log.seek(0)
        lines = log.read().splitlines()
    if process.returncode:
        errors = [line.partition(']: ')[2] for line in lines if line.startswith('[ERROR]')]
        raise MicroexprError(
            errors[-1] if errors else 'the pipeline failed:\n' + '\n'.join(lines[-20:])
        )
    return seen


def _film(process: subprocess.Popen[bytes], seen: Observation, run: _Run) -> None:
    """Wait until a live pipeline has estimated for long enough, and end it.

    Raises:
        MicroexprError: there is no camera.
    """
    absent_s = began_s = None
    while process.poll() is None:
        now_s = time.monotonic()
        if seen.estimates:
            began_s = now_s if began_s is None else began_s
            if now_s - began_s >= run.seconds:
                process.send_signal(signal.SIGINT)
                process.wait()
        elif seen.diagnostics.get('/event_camera', {}).get('camera') == 'none':
            absent_s = now_s if absent_s is None else absent_s
            if now_s - absent_s >= _ABSENT_S:
                raise MicroexprError(f'no frames from {run.title}: connect it, or give --source')
        time.sleep(0.05)


def webcam_arguments(device: str) -> list[str]:
    """Return the ROS arguments that make the pipeline watch a webcam."""
    parameters = {
        'pipeline:nodes': f'[{", ".join(LIVE_NODES)}]',
        'event_camera:driver': 'webcam',
        # JSON is YAML with all texts quoted: camera 0 stays a text.
        'event_camera:device': json.dumps(device),
    }
    arguments = [word for name, value in parameters.items() for word in ('-p', f'{name}:={value}')]
    remapping = f'synchronizer:{relative(FRAMES_TOPIC)}:={relative(EVENT_FRAMES_TOPIC)}'
    return [*arguments, '-r', remapping]


def playback_arguments(source: Source, seconds: float, rate: float) -> list[str]:
    """Return the ROS arguments that make the pipeline play a bag."""
    parameters: dict[str, Any] = {
        'pipeline:nodes': f'[{", ".join(PLAYBACK_NODES)}]',
        'player:bag': source.path.resolve(),
        'player:rate': rate,
        'player:playback_duration_s': seconds,
        # On a busy machine the networks take long to load.
        'player:wait_for_subscribers_s': 60.0,
    }
    # The other nodes carry the slices' stamps on and need no clock.
    parameters['synchronizer:use_sim_time'] = 'true'
    topics = [source.events_topic, *([source.frames_topic] if source.frames_topic else [])]
    parameters['player:topics'] = f'[{", ".join(topics)}]'
    remaps = {'synchronizer:event_camera/events': source.events_topic}
    if source.frames_topic is not None:
        remaps['synchronizer:rgb_camera/image_raw'] = source.frames_topic
    arguments = []
    for name, value in parameters.items():
        arguments += ['-p', f'{name}:={value}']
    for name, topic in remaps.items():
        arguments += ['-r', f'{name}:={topic}']
    return arguments
