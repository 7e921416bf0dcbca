"""`microexpr analyze`: Action Units and movements of recordings, without ROS."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from microexpr_ros.cli import fleet, output
from microexpr_ros.cli.commands import make_app
from microexpr_ros.cli.engine import (
    CertificatesOption,
    Engine,
    MemoryOption,
    SchedulerOption,
)
from microexpr_ros.cli.output import JsonOption
from microexpr_ros.cli.recording_options import SensorOption, TimeUnitOption
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.files import KNOWN_FORMATS, Recording, open_recording, parse_sensor
from microexpr_ros.events.region import Region
from microexpr_ros.fleet.store import RETRIES, is_address
from microexpr_ros.jobs.cluster import EVEN_SHARE

if TYPE_CHECKING:
    from collections.abc import Callable

    from microexpr_ros.alignment.synchronizer import SynchronizerOptions
    from microexpr_ros.analysis.files import Wanted
    from microexpr_ros.analysis.results import Analysis
    from microexpr_ros.perception.classifier import ActionUnitClassifier

app = make_app()


@app.command('analyze')
def analyze_recordings(
    recordings: Annotated[
        list[str] | None,
        typer.Argument(
            help=f'{KNOWN_FORMATS}. Also URLs (s3://, gs://, http://) and patterns, such as '
            "'s3://fleet/**/*.mcap'."
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            help='Folder for the results; each recording gets a folder in it. Of a fleet a folder '
            'or URL, in which each recording gets a Parquet.'
        ),
    ] = None,
    time_unit: TimeUnitOption = None,
    sensor: SensorOption = None,
    topic: Annotated[
        str | None, typer.Option(help='Topic of events to read, if a bag has several.')
    ] = None,
    rgb_topic: Annotated[
        str | None, typer.Option(help='Topic of images to read; by default the first of a bag.')
    ] = None,
    region: Annotated[
        str | None,
        typer.Option(help='Fixed face region X,Y,WIDTH,HEIGHT in px; by default it is followed.'),
    ] = None,
    face_source: Annotated[
        str | None,
        typer.Option(
            help='What faces are found in: rgb (the frames, by MediaPipe), events, or auto, the '
            'default: rgb where MediaPipe is installed. A fleet finds them in the events.'
        ),
    ] = None,
    geometry: Annotated[
        Path | None,
        typer.Option(
            help='File of `calibrate cameras`; by default both cameras see the same field of view.'
        ),
    ] = None,
    faces: Annotated[
        int,
        typer.Option(help='Faces to read at most; each has rows of its own.', min=1, max=4),
    ] = 1,
    weights: Annotated[
        str | None, typer.Option(help='Weights file; by default the one of the package.')
    ] = None,
    parquet: Annotated[
        bool, typer.Option('--parquet', help='Write the tables also as Parquet (needs pyarrow).')
    ] = False,
    video: Annotated[
        bool,
        typer.Option(
            '--video', help='Write overlay.mp4, with a reconstructed image; much slower.'
        ),
    ] = False,
    redact: Annotated[
        bool,
        typer.Option('--redact', help='Write no pictures: tables and summary alone.'),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option('--overwrite', help='Replace results that are already there.')
    ] = False,
    workers: Annotated[
        int | None, typer.Option(help='Analyze a fleet by so many processes of this machine.')
    ] = None,
    scheduler: SchedulerOption = None,
    certificates: CertificatesOption = None,
    memory: MemoryOption = EVEN_SHARE,
    retries: Annotated[
        int, typer.Option(min=0, help='How often a store of a fleet is asked again.')
    ] = RETRIES,
    status: Annotated[
        str | None,
        typer.Option(help='Only print how far the fleet is whose results are in this folder.'),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Read Action Units and movements from recordings, as fast as the machine goes.

    OUT/NAME/action_units.csv has the columns of OpenFace (AU01_r is 0 to 5), movements.csv the
    expressions, blinks and speech, timeline.png both, and summary.json what was left out. The
    same recording gives the same bytes every time. A recording that cannot be read is named and
    skipped; the exit code is then 2.

    With --workers, --scheduler, a URL or a pattern the recordings are a fleet: what is done is
    skipped, and OUT/summary.html shows all of it.
    """
    if status is not None:
        fleet.print_status(status, as_json)
        return
    if not recordings or out is None:
        raise MicroexprError('nothing to analyze: give recordings and --out')
    if redact and video:
        raise MicroexprError('--redact writes no pictures: leave out --video')
    reading = fleet.Reading(
        weights,
        time_unit,
        None if sensor is None else parse_sensor(sensor),
        topic,
        rgb_topic,
        None if region is None else parse_region(region),
        faces,
        retries,
    )
    if workers is not None or scheduler or any(map(is_address, (*recordings, out))):
        if face_source is not None or geometry is not None:
            raise MicroexprError(
                'a fleet finds faces in the events: leave out --face-source and --geometry'
            )
        if video or overwrite:
            raise MicroexprError(
                'a fleet writes neither videos nor over results: leave out --video and '
                '--overwrite, or choose another --out'
            )
        engine = Engine(1 if workers is None else workers, scheduler, certificates, memory)
        fleet.analyze(recordings, out, reading, engine, as_json)
        return
    # The networks take a while to load.
    from microexpr_ros.alignment.camera_geometry import read_geometry
    from microexpr_ros.alignment.synchronizer import SynchronizerOptions
    from microexpr_ros.analysis import files, tables
    from microexpr_ros.perception.faces.sources import AUTO, uses_frames

    source_of_faces = face_source or AUTO
    # Refused here rather than in every recording.
    uses_frames(source_of_faces)
    if parquet:
        tables.require_parquet()
    cameras = None if geometry is None else read_geometry(geometry)
    options = SynchronizerOptions(region=reading.region, geometry=cameras, faces=faces)
    folders = files.name_folders(Path(out), [Path(name) for name in recordings])
    for folder in folders.values():
        files.refuse_existing(folder, overwrite)
    wanted = files.Wanted(parquet, not redact, video)
    _analyze_all(folders, reading, options, source_of_faces, wanted, as_json)


def _analyze_all(
    folders: dict[Path, Path],
    reading: fleet.Reading,
    options: SynchronizerOptions,
    face_source: str,
    wanted: Wanted,
    as_json: bool,
) -> None:
    """Analyze recordings one by one; the exit code is 2 if one cannot be read.

    Args:
        folders: of the results, by recording.
        reading: how recordings are opened.
        options: how slices are cut, and where faces are.
        face_source: as of `analysis.analyze`.
        wanted: what is written.
        as_json: whether to print JSON alone.
    """
    # The networks take a while to load.
    from microexpr_ros.perception.classifier import ActionUnitClassifier

    classifier = ActionUnitClassifier.load(Path(reading.weights) if reading.weights else None)
    summaries: list[dict[str, Any]] = []
    failed = 0
    for source, folder in folders.items():
        try:
            recording = open_recording(
                source,
                time_unit=reading.time_unit,
                sensor=reading.sensor,
                topic=reading.topic,
            )
            with output.progress_bar(source.name) as bar:
                analysis = _analyze(
                    recording,
                    folder,
                    classifier,
                    options,
                    reading.rgb_topic,
                    face_source,
                    wanted,
                    bar.update,
                )
        except MicroexprError as error:
            failed += 1
            output.print_error(error)
            summaries.append({'recording': source.name, 'error': str(error)})
            continue
        summaries.append({**analysis.summarize(), 'folder': str(folder)})
        if not as_json:
            output.print_text(f'{folder}: {_summarize(analysis)}')
            for place in analysis.damage:
                output.note(place)
    if as_json:
        output.print_json({'recordings': summaries})
    if failed:
        raise typer.Exit(2)


def parse_region(text: str) -> Region:
    """Return the region that an option gives.

    Raises:
        MicroexprError: The text is not a region.

    Example:
        >>> parse_region('10,20,200,200')
        Region(x=10, y=20, width=200, height=200)
    """
    try:
        x, y, width, height = map(int, text.split(','))
        return Region(x, y, width, height)
    except ValueError:
        raise MicroexprError(
            f'--region {text!r} is not a region: give X,Y,WIDTH,HEIGHT, such as 200,100,320,320'
        ) from None


def _analyze(
    recording: Recording,
    folder: Path,
    classifier: ActionUnitClassifier,
    options: SynchronizerOptions,
    rgb_topic: str | None,
    face_source: str,
    wanted: Wanted,
    on_progress: Callable[[float], object],
) -> Analysis:
    """Analyze a recording and write the results."""
    from microexpr_ros.analysis import files
    from microexpr_ros.analysis.results import analyze_recording

    with files.replaced_results(folder) as hidden, ExitStack() as stack:
        video = None
        if wanted.video:
            # Drawing needs OpenCV and the reconstruction.
            from microexpr_ros.analysis.video import AnalysisVideo

            video = AnalysisVideo(hidden / files.VIDEO, classifier.presence.threshold)
            stack.callback(video.close)
        analysis = analyze_recording(
            recording,
            classifier,
            options,
            rgb_topic=rgb_topic,
            face_source=face_source,
            on_progress=on_progress,
            on_slice=video.add if video else None,
        )
        files.write_analysis(hidden, analysis, wanted)
    return analysis


def _summarize(analysis: Analysis) -> str:
    # Loading the networks takes a while.
    from microexpr_ros.perception.faces.sources import FIXED, RGB

    found = analysis.summarize()
    faces = 'no face was found'
    if analysis.face_source == FIXED:
        faces = 'a fixed region'
    elif found['faces']:
        share = float((analysis.face[analysis.nearest] >= 0).mean())
        where = 'frames' if analysis.face_source == RGB else 'events'
        faces = f'a face in {share:.0%} of it, from {where}'
    left_out = [f'{count} {reason}' for reason, count in found['left_out'].items()]
    held = f'; {analysis.held} times out of order raised' if analysis.held else ''
    return (
        f'{found["seconds"]:.2f} s, {found["events"]} events, {found["frames"]} frames, {faces}: '
        f'{found["micro_expressions"]} micro-expressions, '
        f'{found["expressions"] - found["micro_expressions"]} longer expressions, '
        f'{found["blinks"]} blinks, {found["speech"]} of speech; left out: '
        f'{", ".join(left_out) or "nothing"}{held}'
    )
