"""`microexpr calibrate`: measure what a set-up of two cameras needs to know."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

import numpy as np
import typer
from numpy.typing import NDArray

from microexpr_ros import bags
from microexpr_ros.alignment.camera_geometry import CameraGeometry, StereoGeometry, write_geometry
from microexpr_ros.alignment.clock import SensorClock
from microexpr_ros.alignment.face_stereo import (
    REACH_M,
    MeasuredFaceStereo,
    measure_face_stereo,
)
from microexpr_ros.alignment.geometry_measurement import (
    ChangeCollector,
    MeasuredGeometry,
    measure_geometry,
)
from microexpr_ros.alignment.head_pose import INTERPUPILLARY_M
from microexpr_ros.alignment.stereo_measurement import (
    BoardChange,
    Checkerboard,
    MeasuredStereo,
    find_corners,
    measure_stereo,
)
from microexpr_ros.alignment.time_offset import (
    RANGE_NS,
    EventRate,
    ExpectedEvents,
    TimeOffset,
    measure_offset,
)
from microexpr_ros.atomic import explain_write_errors
from microexpr_ros.cli import output
from microexpr_ros.cli.commands import make_app
from microexpr_ros.cli.output import JsonOption
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.events import Frame
from microexpr_ros.events.files import open_recording
from microexpr_ros.events.files.packet_decoder import find_first
from microexpr_ros.events.region import AlignedRegion

if TYPE_CHECKING:
    from microexpr_ros.alignment.head_pose import Calibration
    from microexpr_ros.events.events import Events
    from microexpr_ros.events.files import Recording

_Frames: TypeAlias = Callable[[], Iterator[tuple[int, NDArray[np.uint8]]]]
"""Begins with the first frame: times on the clock of the events, ns, and grey pixels."""
_Chunks: TypeAlias = 'Iterator[tuple[NDArray[np.int64], Events]]'
"""Events with their times in ROS time, ns."""

app = make_app(help='Measure how two cameras are tied together.', no_args_is_help=True)

_NS: Final = 1_000_000_000
_COMPRESSED_IMAGE: Final = 'sensor_msgs/msg/CompressedImage'
_CAMERA_INFO: Final = 'sensor_msgs/msg/CameraInfo'
_BOARD: Final = re.compile(r'([0-9]{1,2})x([0-9]{1,2})')
_FEWEST_CORNERS: Final = 3
_CORNERS: Final = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
_ARROWS: Final = 300
_ENLARGED: Final = 20
_TO_SCALE: Final[dict[str, Any]] = {'angles': 'xy', 'scale_units': 'xy', 'scale': 1.0}
_FIRST: Final = 300
"""Messages of each camera from which the offset is guessed."""


@app.callback()
def calibrate() -> None:
    """Measure how two cameras are tied together."""


@app.command()
def time(
    bag: Annotated[Path, typer.Argument(help='rosbag2 with events and frames of one scene.')],
    events_topic: Annotated[
        str | None, typer.Option(help='Topic of event packets, if there are several.')
    ] = None,
    frames_topic: Annotated[
        str | None, typer.Option(help='Topic of images, if there are several.')
    ] = None,
    seconds: Annotated[
        float, typer.Option(help='Use this much of the bag, in s: clocks drift apart.', min=1.0)
    ] = 120.0,
    search: Annotated[
        float, typer.Option('--range', help='Search this far to both sides, in s.', min=0.1)
    ] = RANGE_NS / _NS,
    picture: Annotated[
        Path | None, typer.Option(help='PNG file for the agreement over the offset.')
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure how far the stamps of frames are ahead of the events, from anything that moves.

    Give the result to the synchronizer as frame_offset. The measurement is refused if nothing
    moves, or if several offsets fit alike.
    """
    contents = bags.read_contents(bag)
    images = _find_images(contents, frames_topic)
    recording = open_recording(bag, topic=events_topic)
    with output.progress_bar(bag.name) as bar:
        rate = _read_events(recording, seconds, bar.update)
        expected, guess_ns = _read_frames(bag, images, recording.topic, seconds)
    found = measure_offset(rate, expected, guess_ns, round(search * _NS))
    if picture is not None:
        _draw(picture, found)
    if as_json:
        output.print_json(_to_json(found))
    else:
        output.print_text(_summarize(found))


@app.command()
def cameras(
    bag: Annotated[Path, typer.Argument(help='rosbag2 with events and frames of one scene.')],
    out: Annotated[Path, typer.Option(help='YAML file for the synchronizer.')] = Path(
        'cameras.yaml'
    ),
    events_topic: Annotated[
        str | None, typer.Option(help='Topic of event packets, if there are several.')
    ] = None,
    frames_topic: Annotated[
        str | None, typer.Option(help='Topic of images, if there are several.')
    ] = None,
    seconds: Annotated[
        float, typer.Option(help='Use this much of the bag, in s.', min=1.0, max=300.0)
    ] = 60.0,
    frame_offset: Annotated[
        float | None,
        typer.Option(help='How far stamps of frames are ahead, in s; left out: measured.'),
    ] = None,
    board: Annotated[
        str | None,
        typer.Option(
            help='Inner corners of a checkerboard, COLUMNSxROWS: measure the relative pose of '
            'both calibrated cameras, which holds for faces at any distance.'
        ),
    ] = None,
    square: Annotated[
        float | None, typer.Option(help='Side of its squares, in mm.', min=1.0, max=500.0)
    ] = None,
    face: Annotated[
        bool,
        typer.Option(
            '--face',
            help='Measure the relative pose of both calibrated cameras from the face of one '
            'person, who comes near and goes away; frames need MediaPipe.',
        ),
    ] = False,
    eyes: Annotated[
        float | None,
        typer.Option(
            help='With --face: distance between the eyes, in mm; without it, '
            f'{1000 * INTERPUPILLARY_M:.0f}, the mean of adults.',
            min=45.0,
            max=80.0,
        ),
    ] = None,
    baseline: Annotated[
        float | None,
        typer.Option(
            help='With --face: distance between the lenses, in mm, instead of --eyes.',
            min=1.0,
            max=1000.0,
        ),
    ] = None,
    event_camera_info: Annotated[
        Path | None,
        typer.Option(help='YAML calibration of the event camera; left out: camera_info in BAG.'),
    ] = None,
    rgb_camera_info: Annotated[
        Path | None,
        typer.Option(help='YAML calibration of the RGB camera; left out: camera_info in BAG.'),
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(help='PNG file for what remains between both cameras.')
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure which pixels of both cameras show the same, from anything that moves.

    Move a checkerboard, or your face, at the distance of the face, all over the picture. Give the
    file to the synchronizer as geometry. A camera that has events and frames needs none.
    """
    # Only here: the help of this command needs no networks.
    from microexpr_ros.perception.faces import landmarker

    if out.exists():
        raise MicroexprError(f'{out} is already there: remove it or choose another name')
    checkerboard = _parse_board(board, square)
    _check_face_options(face, board, eyes, baseline)
    is_stereo = face or checkerboard is not None
    if not is_stereo and (event_camera_info or rgb_camera_info):
        raise MicroexprError(
            'calibrations are used with a checkerboard or a face alone: give --board or --face'
        )
    if face:
        landmarker.require_installed()
    contents = bags.read_contents(bag)
    images = _find_images(contents, frames_topic)
    recording = open_recording(bag, topic=events_topic)
    sensor = recording.height, recording.width
    lenses: tuple[_Lens, ...] = ()
    if is_stereo:
        lenses = (
            _read_lens(contents, recording.topic, event_camera_info),
            _read_lens(contents, images.name, rgb_camera_info),
        )
        lenses[0].check(sensor)
    if frame_offset is None:
        rate = _read_events(recording, seconds, lambda _: None)
        expected, guess_ns = _read_frames(bag, images, recording.topic, seconds)
        offset_ns = measure_offset(rate, expected, guess_ns).offset_ns
    else:
        offset_ns = round(frame_offset * _NS)

    def frames() -> Iterator[tuple[int, NDArray[np.uint8]]]:
        for _, stamp_ns, grey in _frames_until(bag, images, seconds):
            yield stamp_ns - offset_ns, grey

    def events(on_progress: Any) -> _Chunks:
        return _events_in_ros_time(open_recording(bag, topic=events_topic), seconds, on_progress)

    if face:
        with output.progress_bar(bag.name) as bar:
            found = _measure_by_face(frames, events(bar.update), sensor, lenses, eyes, baseline)
    else:
        found = _measure_by_changes(bag.name, frames, events, sensor, lenses, checkerboard)
    values = {**found.values, 'frame_offset_s': round(offset_ns / 1e9, 6)}
    write_geometry(out, found.geometry, values)
    if picture is not None:
        found.draw(picture)
    if as_json:
        output.print_json({'file': str(out), **values})
    else:
        given = f'give it to the synchronizer: --ros-args -p geometry:={out.resolve()}'
        output.print_text(f'{found.summary}\n{given}')


def _measure_by_changes(
    name: str,
    frames: _Frames,
    events: Callable[[Any], _Chunks],
    sensor: tuple[int, int],
    lenses: tuple[_Lens, ...],
    checkerboard: Checkerboard | None,
) -> _Report:
    """Measure from how frames and events change."""
    collector = ChangeCollector()
    for time_ns, grey in frames():
        collector.add_frame(time_ns, grey)
    frame = collector.frame or sensor
    for lens in lenses[1:]:
        lens.check(frame)
    collector.choose(sensor)
    with output.progress_bar(name) as bar:
        for times_ns, chunk in events(bar.update):
            collector.add_events(times_ns, chunk)
    if checkerboard is None:
        return _report_plane(measure_geometry(collector.changes(), sensor, frame))
    seen = _find_board(frames(), collector, checkerboard)
    calibrations = lenses[0].calibration, lenses[1].calibration
    return _report_board(measure_stereo(seen, checkerboard, calibrations, sensor, frame))


def _measure_by_face(
    frames: _Frames,
    events: _Chunks,
    sensor: tuple[int, int],
    lenses: tuple[_Lens, ...],
    eyes_mm: float | None,
    baseline_mm: float | None,
) -> _Report:
    """Measure from the landmarks of a face."""
    # Only here: the help of this command needs no networks.
    from microexpr_ros.perception.faces.face_sights import find_face_sights

    def checked() -> Iterator[Frame]:
        for time_ns, grey in frames():
            lenses[1].check((grey.shape[0], grey.shape[1]))
            yield Frame(time_ns, grey)

    found = measure_face_stereo(
        find_face_sights(checked(), events, *sensor),
        (lenses[0].calibration, lenses[1].calibration),
        sensor,
        lenses[1].size,
        eyes_m=INTERPUPILLARY_M if eyes_mm is None else eyes_mm / 1000,
        baseline_m=None if baseline_mm is None else baseline_mm / 1000,
    )
    return _report_face(found)


@dataclass(frozen=True, slots=True)
class _Report:
    """A geometry that was measured: what is written and printed of it, and drawn."""

    geometry: CameraGeometry
    values: dict[str, Any]
    summary: str
    draw: Callable[[Path], None]


def _check_face_options(
    face: bool, board: str | None, eyes: float | None, baseline: float | None
) -> None:
    if face and board is not None:
        raise MicroexprError('--face and --board measure the same: leave one out')
    if not face and (eyes is not None or baseline is not None):
        raise MicroexprError('--eyes and --baseline are of a face: add --face, or leave them out')
    if eyes is not None and baseline is not None:
        raise MicroexprError('--eyes and --baseline both give the scale: leave one out')


def _parse_board(board: str | None, square_mm: float | None) -> Checkerboard | None:
    if board is None and square_mm is None:
        return None
    match = _BOARD.fullmatch(board or '')
    if match is None or square_mm is None:
        raise MicroexprError(
            f'--board is {board!r} and --square {square_mm}: give the inner corners of a '
            'checkerboard and the side of its squares in mm, as --board 8x6 --square 25'
        )
    columns, rows = map(int, match.groups())
    if min(columns, rows) < _FEWEST_CORNERS:
        raise MicroexprError(
            f'--board {board} has too few corners: {_FEWEST_CORNERS} in a row at least'
        )
    return Checkerboard(columns, rows, square_mm / 1000)


@dataclass(frozen=True, slots=True)
class _Lens:
    """A calibration, and the size of the pictures that it is for."""

    source: str
    calibration: Calibration
    size: tuple[int, int]

    def check(self, size: tuple[int, int]) -> None:
        """Raise MicroexprError if it is for pictures of another size."""
        if size != self.size:
            raise MicroexprError(
                f'the calibration {self.source} is of {self.size[1]} x {self.size[0]}, the camera '
                f'has {size[1]} x {size[0]}: calibrate at that size'
            )


def _read_lens(contents: bags.BagContents, topic: str, file: Path | None) -> _Lens:
    """Return the calibration in a file, or else that in the bag beside a camera's topic."""
    # Only here: the help of this command needs no ROS.
    from rclpy.serialization import deserialize_message
    from sensor_msgs.msg import CameraInfo

    from microexpr_ros.ros.camera_info import read_camera_info
    from microexpr_ros.ros.hri import message_to_calibration

    if file is not None:
        source, message = str(file), read_camera_info(file.resolve().as_uri())
    else:
        source = f'{topic.removesuffix("/compressed").rsplit("/", 1)[0]}/camera_info'
        recorded = next(
            iter(bags.read_messages(contents.path, [source]))
            if any(one.name == source and one.type == _CAMERA_INFO for one in contents.topics)
            else iter(()),
            None,
        )
        if recorded is None:
            raise MicroexprError(
                f'{contents.path} has no calibration on {source}: record camera_info of both '
                'cameras, or give --event-camera-info and --rgb-camera-info'
            )
        message = deserialize_message(recorded.cdr, CameraInfo)
    calibration = message_to_calibration(message)
    if calibration is None:
        raise MicroexprError(
            f'the calibration {source} is of a camera that is not calibrated (no focal length, or '
            f'distortion model {message.distortion_model!r}): use camera_calibration'
        )
    return _Lens(source, calibration, (message.height, message.width))


def _find_board(
    frames: Iterator[tuple[int, NDArray[np.uint8]]],
    collector: ChangeCollector,
    board: Checkerboard,
) -> list[BoardChange]:
    """Return the changes of which both frames show the board."""
    wanted = collector.times_ns()
    corners = {time_ns: find_corners(grey, board) for time_ns, grey in frames if time_ns in wanted}
    seen = []
    for change in collector.changes():
        first, last = (corners[time_ns] for time_ns in change.times_ns)
        if first is not None and last is not None:
            seen.append(BoardChange.between(change, first, last))
    return seen


def _find_images(contents: bags.BagContents, given: str | None) -> bags.Topic:
    kinds = (bags.IMAGE, _COMPRESSED_IMAGE)
    found = [
        topic
        for topic in contents.topics
        if topic.type in kinds and (given is None or topic.name == given)
    ]
    if len(found) == 1:
        return found[0]
    names = ', '.join(topic.name for topic in contents.topics if topic.type in kinds) or 'none'
    wanted = 'one topic of images' if given is None else f'images on {given}'
    raise MicroexprError(
        f'{contents.path} has not {wanted}: it has {names}; name it with --frames-topic, or '
        'record both cameras'
    )


def _read_events(recording: Recording, seconds: float, on_progress: Any) -> EventRate:
    rate = EventRate()
    for times_ns, _ in _events_in_ros_time(recording, seconds, on_progress):
        rate.add(times_ns)
    return rate


def _events_in_ros_time(
    recording: Recording, seconds: float, on_progress: Any
) -> Iterator[tuple[NDArray[np.int64], Events]]:
    """Yield events and their ROS time, which the synchronizer maps them to, too."""
    clock = SensorClock()
    began_ns: int | None = None
    for events, triggers in recording.chunks():
        first_ns = find_first(events, triggers)
        if first_ns is None:
            continue
        began_ns = first_ns if began_ns is None else began_ns
        if first_ns - began_ns > seconds * _NS:
            break
        clock.update(first_ns, first_ns + recording.epoch_ns)
        if len(events):
            # The sensor's time differs from ROS time by an offset within so few events.
            yield events.t + (clock.to_ros(first_ns) - first_ns), events
        on_progress(recording.fraction)
    if not clock.usable:
        reason = 'missing' if clock.fault is None else clock.fault.value
        raise MicroexprError(
            f'the stamps of {recording.topic} say nothing about time ({reason}): record it with a '
            'driver that stamps its packets'
        )


def _read_frames(
    bag: Path, images: bags.Topic, events_topic: str, seconds: float
) -> tuple[ExpectedEvents, int]:
    """Return the events that the frames let expect, and a guess of the offset.

    The guess rests on when the recorder received both: clocks may be hours apart.
    """
    expected = ExpectedEvents()
    ahead: list[int] = []
    for received_ns, stamp_ns, grey in _frames_until(bag, images, seconds):
        if len(ahead) < _FIRST:
            ahead.append(stamp_ns - received_ns)
        expected.add(stamp_ns, grey)
    packets = islice(bags.read_packets(bag, events_topic), _FIRST)
    behind = [packet.stamp_ns - received_ns for received_ns, packet in packets]
    guess_ns = int(np.median(ahead)) - int(np.median(behind)) if ahead and behind else 0
    return expected, guess_ns


def _frames_until(
    bag: Path, images: bags.Topic, seconds: float
) -> Iterator[tuple[int, int, NDArray[np.uint8]]]:
    """Yield the frames of the first seconds, as `_frames`."""
    began_ns: int | None = None
    for received_ns, stamp_ns, grey in _frames(bag, images):
        began_ns = received_ns if began_ns is None else began_ns
        if received_ns - began_ns > seconds * _NS:
            break
        yield received_ns, stamp_ns, grey


def _frames(bag: Path, images: bags.Topic) -> Iterator[tuple[int, int, NDArray[np.uint8]]]:
    """Yield when each frame was received, its stamp and its grey pixels."""
    # Only here: the help of this command needs neither ROS nor OpenCV.
    import cv2
    from rclpy.serialization import deserialize_message

    from microexpr_ros.ros.conversions import image_to_pixels, message_type, to_ns

    kind = message_type(images.type)
    for recorded in bags.read_messages(bag, [images.name]):
        message = deserialize_message(recorded.cdr, kind)
        pixels = image_to_pixels(message)
        grey = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
        yield recorded.time_ns, to_ns(message.header.stamp), np.asarray(grey, np.uint8)


def _to_json(found: TimeOffset) -> dict[str, Any]:
    return {
        'frame_offset_s': round(found.offset_ns / 1e9, 6),
        'sigma_ms': round(found.sigma_ns / 1e6, 3),
        'correlation': round(found.correlation, 3),
        'rival_correlation': round(found.rival, 3),
        'peak_width_ms': found.width_ns / 1e6,
        'frames': found.frames,
        'seconds': round(found.duration_ns / 1e9, 3),
    }


def _summarize(found: TimeOffset) -> str:
    offset_s = found.offset_ns / 1e9
    where = 'ahead of' if offset_s >= 0 else 'behind'
    return (
        f'frames are {abs(offset_s) * 1e3:.1f} ms {where} the events, '
        f'+- {found.sigma_ns / 1e6:.1f} ms (1 sigma)\n'
        f'correlation {found.correlation:.2f}, elsewhere at most {found.rival:.2f}; the peak is '
        f'{found.width_ns / 1e6:.0f} ms wide; {found.frames} frames, '
        f'{found.duration_ns / 1e9:.1f} s\n'
        f'give it to the synchronizer: --ros-args -p frame_offset:={offset_s:.4f}'
    )


def _report_plane(found: MeasuredGeometry) -> _Report:
    values = {
        'kind': found.kind,
        'residual_px': round(found.residual_px, 3),
        'correlation': round(found.correlation, 3),
        'places': len(found.points),
        'moments': found.changes,
    }
    summary = (
        f'{found.kind} from event pixels to frame pixels; {found.residual_px:.2f} px of the frame '
        f'remain at {len(found.points)} places (root mean square)\n'
        f'correlation {found.correlation:.2f} over {found.changes} moments'
    )
    assert found.geometry.sensor is not None
    assert found.geometry.frame is not None
    draw = partial(
        _draw_residuals,
        title=f'{found.kind}, {found.residual_px:.2f} px remain',
        unit='of the frame, px',
        outlines={
            'frame': _CORNERS * found.geometry.frame[::-1],
            'event sensor': found.geometry.to_frame(_CORNERS * found.geometry.sensor[::-1]),
        },
        places=found.geometry.to_frame(found.points),
        residuals=found.residuals,
    )
    return _Report(found.geometry, values, summary, draw)


def _report_board(found: MeasuredStereo) -> _Report:
    pose, values = _describe_pose(found.geometry)
    values |= {
        'residual_px': round(found.residual_px, 3),
        'correlation': round(found.correlation, 3),
        'places': len(found.points),
        'moments': found.moments,
    }
    summary = (
        f'stereo: {pose}; {found.residual_px:.2f} px of the event sensor remain at '
        f'{len(found.points)} corners (root mean square)\n'
        f'correlation {found.correlation:.2f} on the board over {found.moments} moments'
    )
    return _report_stereo(found, values, summary)


def _report_face(found: MeasuredFaceStereo) -> _Report:
    pose, values = _describe_pose(found.geometry)
    near_m, far_m = found.distances_m
    values |= {
        'residual_px': round(found.residual_px, 3),
        'residual_eye_distances': round(found.residual, 4),
        'doubt_eye_distances': round(found.doubt, 4),
        'eyes_mm': round(1000 * found.eyes_m, 2),
        'nearest_m': round(near_m, 3),
        'farthest_m': round(far_m, 3),
        'places': len(found.points),
        'moments': found.moments,
        'moments_left_out': found.left_out,
    }
    summary = (
        f'stereo: {pose}, for eyes {1000 * found.eyes_m:.1f} mm apart\n'
        f'{found.residual_px:.2f} px of the event sensor ({found.residual:.1%} of the distance '
        f'between the eyes) remain at {len(found.points)} landmarks (root mean square); '
        f'{found.moments} moments, {found.left_out} left out; face at {near_m:.2f} to '
        f'{far_m:.2f} m\n'
        f'faces at {REACH_M[0]:g} to {REACH_M[1]:g} m are mapped to within {found.doubt:.1%} of '
        'the distance between the eyes (1 sigma, as parts of the recording differ)'
    )
    return _report_stereo(found, values, summary)


def _describe_pose(geometry: StereoGeometry) -> tuple[str, dict[str, Any]]:
    baseline_mm, turn = 1000 * geometry.baseline_m, geometry.turn_degrees
    text = f'cameras {baseline_mm:.1f} mm apart, turned by {turn:.2f} degrees'
    values = {
        'kind': 'stereo',
        'baseline_mm': round(baseline_mm, 2),
        'turn_degrees': round(turn, 3),
    }
    return text, values


def _report_stereo(
    found: MeasuredStereo | MeasuredFaceStereo, values: dict[str, Any], summary: str
) -> _Report:
    geometry = found.geometry
    assert geometry.sensor is not None
    assert geometry.frame is not None
    rows, columns = geometry.sensor
    face = AlignedRegion(columns / 2, rows / 2, rows / 2)
    from_frame = np.linalg.inv(np.asarray(geometry.homography_at(face)))
    frame = np.column_stack([_CORNERS * geometry.frame[::-1], np.ones(4)]) @ from_frame.T
    step = max(len(found.points) // _ARROWS, 1)
    draw = partial(
        _draw_residuals,
        title=f'stereo, {found.residual_px:.2f} px remain',
        unit='of the event sensor, px',
        outlines={
            'frame, of a face half as high as the sensor': frame[:, :2] / frame[:, 2:],
            'event sensor': _CORNERS * geometry.sensor[::-1],
        },
        places=found.points[::step],
        residuals=found.residuals[::step],
    )
    return _Report(geometry, values, summary, draw)


def _draw_residuals(
    path: Path,
    *,
    title: str,
    unit: str,
    outlines: dict[str, NDArray[np.float64]],
    places: NDArray[np.float64],
    residuals: NDArray[np.float64],
) -> None:
    # Only here: loading matplotlib takes a second.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Polygon

    figure = Figure(figsize=(7, 5.5), layout='constrained')
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    styles: tuple[dict[str, Any], ...] = ({}, {'edgecolor': '#35618f', 'lw': 2})
    for (label, outline), style in zip(outlines.items(), styles, strict=True):
        axes.add_patch(Polygon(outline, fill=False, label=label, **style))
    axes.quiver(*places.T, *(_ENLARGED * residuals).T, color='#f2a33a', **_TO_SCALE)
    axes.autoscale_view()
    axes.set_aspect('equal')
    axes.invert_yaxis()
    axes.legend(loc='upper right')
    axes.set_xlabel(f'column {unit}')
    axes.set_ylabel(f'row {unit}')
    axes.set_title(f'{title} (arrows: {_ENLARGED} times as long)')
    with explain_write_errors(path):
        figure.savefig(path)


def _draw(path: Path, found: TimeOffset) -> None:
    # Only here: loading matplotlib takes a second.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.5), layout='constrained')
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot(found.offsets_ns / 1e9, found.correlations, color='#35618f', lw=0.9)
    axes.axvline(found.offset_ns / 1e9, color='#f2a33a', lw=1)
    axes.set_xlabel('stamps of frames ahead of the events, s')
    axes.set_ylabel('correlation')
    axes.set_title(f'{found.offset_ns / 1e6:.1f} ms +- {found.sigma_ns / 1e6:.1f} ms')
    with explain_write_errors(path):
        figure.savefig(path)
