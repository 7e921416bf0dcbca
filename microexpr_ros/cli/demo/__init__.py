"""`microexpr demo`: the whole pipeline on a recording, with something to look at."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from microexpr_ros.child import python
from microexpr_ros.errors import MicroexprError

if TYPE_CHECKING:
    from rich.console import Console

    from microexpr_ros.cli.demo.observer import Observation
    from microexpr_ros.cli.demo.sources import Source

SCRATCH = '.running-'
FILES = ('demo.mp4', 'timeline.png', 'au_predictions.csv', 'report.json')


def demo(
    source: Annotated[
        str, typer.Option(help='real (downloaded once), synthetic, or the path of a recording.')
    ] = 'real',
    seconds: Annotated[
        float, typer.Option(help='Play this much of it; 0 for all.', min=0.0)
    ] = 0.0,
    out: Annotated[Path, typer.Option(help='Folder for the results.')] = Path('out/demo'),
    rate: Annotated[
        float, typer.Option(help='Speed of the recording.', min=0.01, max=100.0)
    ] = 1.0,
    headless: Annotated[bool, typer.Option('--headless', help='No live table.')] = False,
    as_json: Annotated[
        bool, typer.Option('--json', help='Print the report as one JSON object, nothing else.')
    ] = False,
) -> None:
    """Play a recording through the real nodes and show what they find.

    Player, synchronizer, au_classifier and reconstructor run in one process of their own; this
    process only subscribes, as any other node could: `ros2 topic echo /au_predictions`.
    """
    from rich.console import Console

    from microexpr_ros.ros import environment

    environment.keep_on_loopback()
    environment.prepare()
    console = Console(stderr=True)
    out.mkdir(parents=True, exist_ok=True)
    for stale in out.glob(f'{SCRATCH}*'):  # of a run that was killed
        shutil.rmtree(stale, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=SCRATCH) as scratch:
        found = _find(source, seconds, Path(scratch), console)
        wanted = min(seconds or found.seconds, found.seconds)
        seen = _play(found, wanted, rate, Path(scratch), console, headless)
        if not seen.estimates:
            raise MicroexprError(
                f'nothing came out of the pipeline for {found.path}; its log is above'
            )
        from microexpr_ros.cli.demo import outputs

        result = {'source': found.title, **outputs.report(seen, wanted)}
        outputs.write_csv(Path(scratch) / 'au_predictions.csv', seen)
        outputs.write_timeline(Path(scratch) / 'timeline.png', seen, found.title)
        (Path(scratch) / 'report.json').write_text(json.dumps(result, indent=2) + '\n')
        for name in FILES:
            (Path(scratch) / name).replace(out / name)
    if as_json:
        print(json.dumps(result))
        return
    for key, value in result.items():
        console.print(f'{key:>22}  {value}', highlight=False)
    console.print(f'look at {out / "demo.mp4"} and {out / "timeline.png"}', highlight=False)


def _find(source: str, seconds: float, scratch: Path, console: Console) -> Source:
    from rich.progress import Progress

    from microexpr_ros.cli.demo import sources

    with Progress(console=console, transient=True) as bar:
        task = bar.add_task('looking for the recording', total=1.0)
        return sources.find(
            source,
            seconds or float('inf'),
            scratch,
            lambda title, done: bar.update(task, description=title, completed=done),
        )


def _play(
    source: Source, seconds: float, rate: float, scratch: Path, console: Console, headless: bool
) -> Observation:
    """Run the pipeline on a bag and watch it from outside."""
    from rich.live import Live
    from rich.text import Text

    from microexpr_ros.cli.demo.observer import Observer
    from microexpr_ros.cli.demo.outputs import Video, live_table
    from microexpr_ros.ros.process import interrupt_once

    interrupt_once()
    video = Video(scratch / 'demo.mp4')
    observer = Observer(video.show)
    with (scratch / 'pipeline.log').open('w+') as log:
        process = subprocess.Popen(
            [
                *python('from microexpr_ros.ros.nodes.pipeline import main; main()'),
                '--ros-args',
                *playback_arguments(source, seconds, rate),
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            if headless:
                process.wait()
            else:
                with Live(Text('starting'), console=console, refresh_per_second=10) as live:
                    while process.poll() is None:
                        live.update(live_table(observer.seen, source.title))
                        time.sleep(0.1)
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
