"""`microexpr demo`: the whole pipeline on a recording, with something to look at."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from microexpr_ros.bags.pacing import RATES, Pacer
from microexpr_ros.child import python
from microexpr_ros.cli import output
from microexpr_ros.cli.commands import default_of, make_app
from microexpr_ros.cli.demo.sources import Source, prepare_source
from microexpr_ros.cli.output import JsonOption
from microexpr_ros.cli.recording_options import SensorOption, SourceOption, TimeUnitOption
from microexpr_ros.errors import MicroexprError

if TYPE_CHECKING:
    from microexpr_ros.cli.demo.observer import Observation

app = make_app()

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
    source: SourceOption = 'real',
    sensor: SensorOption = None,
    time_unit: TimeUnitOption = None,
    seconds: Annotated[
        float, typer.Option(help='Play this much of it, in s; 0: all.', min=0.0)
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
    """Play a recording through the real nodes and show what they find.

    Player, synchronizer, au_classifier and reconstructor run in one process of their own; this
    process only subscribes, as any other node could: `ros2 topic echo /au_predictions`.
    """
    # rclpy: `bench models` needs only the sources of this package.
    from microexpr_ros.cli.demo import results
    from microexpr_ros.ros import environment

    environment.keep_on_loopback()
    environment.prepare()
    with _results_folder(out) as folder:
        with output.progress_bar('looking for the recording') as bar:
            found = prepare_source(
                source,
                seconds or float('inf'),
                folder,
                lambda title, done: bar.update(done, title=title),
                sensor=sensor,
                time_unit=time_unit,
            )
        wanted = min(seconds or found.seconds, found.seconds)
        seen = _play(found, wanted, rate, folder, headless)
        if not seen.estimates:
            raise MicroexprError(
                f'the pipeline estimated nothing for {found.path}: try a recording with a face'
            )
        report = {'source': found.title, **results.report(seen, wanted)}
        results.write_csv(folder / 'au_predictions.csv', seen)
        results.write_movements(folder / 'movements.csv', seen)
        results.write_timeline(folder / 'timeline.png', seen, found.title)
        (folder / 'report.json').write_text(json.dumps(report, indent=2) + '\n')
        for name in _RESULTS:
            (folder / name).replace(out / name)
    if as_json:
        output.print_json(report)
        return
    for key, value in report.items():
        output.print_text(f'{key:>22}  {value}')
    output.print_text(f'look at {out / "demo.mp4"} and {out / "timeline.png"}')


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


def _play(
    source: Source, seconds: float, rate: float, folder: Path, headless: bool
) -> Observation:
    """Run the pipeline on a bag and watch it from outside."""
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
                *playback_arguments(source, seconds, rate),
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        if not headless:
            table = partial(live_table, observer.seen, source.title)
            stack.enter_context(output.live_view(table, per_second=10, keep=True))
        try:
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


def playback_arguments(source: Source, seconds: float, rate: float) -> list[str]:
    """Return the ROS arguments that make the pipeline play a bag."""
    parameters: dict[str, Any] = {
        'pipeline:nodes': '[player, synchronizer, au_classifier, reconstructor]',
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
