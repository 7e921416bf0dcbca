"""Takes as recordings: a rosbag2 of both cameras, and a file with the ground truth.

A recording shows the same person, light and motion as the clip of the same recipe and
number, but the whole picture of the event sensor instead of the face region. Each is a folder
`OUT/SPLIT/bags/clip-NNNNNN` with `bag`, a rosbag2 whose time is EPOCH_NS + the event sensor's,
and `labels.npz`; docs/data.md describes both. Stories, `OUT/SPLIT/stories/story-NNNNNN`, are
recordings of ten seconds, of one person each, in which much happens.
"""

from __future__ import annotations

import json
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from microexpr_ros import facs
from microexpr_ros.atomic import atomic_target, write_json
from microexpr_ros.bags import EVENT_PACKET, IMAGE, BagWriter, Message
from microexpr_ros.bags.serialization import serialize_image, serialize_packet
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.events import Events, Triggers
from microexpr_ros.events.packets import PACKET_NS, packetize
from microexpr_ros.jobs import Share, run
from microexpr_ros.synthesis.dataset import card
from microexpr_ros.synthesis.dataset.checksums import (
    CHECKSUMS,
    damaged_files,
    listed_files,
    write_checksums,
)
from microexpr_ros.synthesis.dataset.clip import TakeMetadata
from microexpr_ros.synthesis.dataset.generate import refuse_mixture, refuse_shared_images
from microexpr_ros.synthesis.dataset.recipe import Recipe, check_order
from microexpr_ros.synthesis.dataset.splits import SPLITS, story_motion
from microexpr_ros.synthesis.dataset.take import Take, sample_take
from microexpr_ros.synthesis.dataset.truth_messages import (
    camera_info,
    camera_matrix,
    expression_messages,
    unit_messages,
)
from microexpr_ros.synthesis.sensors.automatic_exposure import start_exposure
from microexpr_ros.synthesis.sensors.filming import film
from microexpr_ros.synthesis.sensors.frame_camera import WEBCAM, sample_clock
from microexpr_ros.synthesis.sensors.frame_taking import TakenFrames, take_frames
from microexpr_ros.synthesis.world.labels import LANDMARKS, face_landmarks, label
from microexpr_ros.synthesis.world.renderer import PinholeCamera
from microexpr_ros.synthesis.world.scene import (
    Scene,
    build_scene,
    full_camera,
    sample_full_camera,
)
from microexpr_ros.topics import (
    EVENT_CAMERA,
    EVENT_CAMERA_INFO_TOPIC,
    EVENTS_TOPIC,
    FRAMES_TOPIC,
    RGB_CAMERA,
    RGB_CAMERA_INFO_TOPIC,
)

EPOCH_NS: Final = 1_700_000_000_000_000_000
"""ROS time at sensor time 0."""


BAGS: Final = 'bags'
STORIES: Final = 'stories'
"""Kinds of recordings: their folders in that of the split."""

_NAMES: Final = {BAGS: 'clip', STORIES: 'story'}

_INFO_NS: Final = 100_000_000
_BLUR_PX: Final = 0.4


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingMetadata(TakeMetadata):
    """What a recording shows.

    Attributes:
        split: name of its split.
        duration_ns: its length.
        events: events of the sensor's whole picture.
    """

    split: str
    duration_ns: int
    events: int

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> RecordingMetadata:
        """Read what `to_json` made.

        Raises:
            KeyError: A value is missing.
        """
        values = {name: content[name] for name in _METADATA}
        return cls(**{**values, 'distractors': tuple(values['distractors'])})

    def to_json(self) -> dict[str, Any]:
        """Return the metadata as JSON."""
        values = {name: getattr(self, name) for name in _METADATA}
        return {**values, 'distractors': list(self.distractors)}


_METADATA: Final = (
    *('split', 'seed', 'index', 'identity', 'skin', 'light', 'sensor'),
    *('dominant', 'onset_ns', 'apex_ns', 'offset_ns', 'amplitude', 'distractors'),
    *('duration_ns', 'events'),
)
"""Keys of a recording's metadata, in the order of the file."""


def generate_recordings(
    root: Path,
    recipe: Recipe,
    clips: int,
    workers: int | Executor = 1,
    progress: Callable[[int, int], None] | None = None,
    share: Share | None = None,
    readout_ns: int = 0,
    kind: str = BAGS,
) -> Path:
    """Make the recordings of a split that are not there yet.

    Args:
        root: Folder of the data set.
        recipe: What decides the clips.
        clips: How many recordings the split should have.
        workers: Processes of this machine, or an executor whose workers share its disk.
        progress: Called with the recordings that are there and all, both of the share.
        share: Make this part of them only; None for all.
        readout_ns: Of the frame camera's rolling shutter; 0 for a global one.
        kind: BAGS or STORIES.

    Returns:
        The folder that holds them.

    Raises:
        MicroexprError: An option is invalid, or the folder holds another recipe's recordings.
    """
    check_order(recipe, clips, workers)
    readout_of(readout_ns * 1e-6)
    folder = root / recipe.split / kind
    folder.mkdir(parents=True, exist_ok=True)
    described = {**recipe.to_json(), 'readout_ns': readout_ns}
    refuse_shared_images(root, described)
    recipe_file = folder / 'recipe.json'
    if recipe_file.is_file():
        refuse_mixture(folder, json.loads(recipe_file.read_text()), described)
    write_json(recipe_file, described)
    for name in {path.split('/')[0] for path in damaged_files(folder)}:
        shutil.rmtree(folder / name, ignore_errors=True)
    share = share or Share()
    own = [number for number in range(clips) if share.has(number)]
    todo = {
        number: partial(make_recording, path, recipe, number, readout_ns, kind)
        for number in own
        if not (path := recording_path(folder, number)).is_dir()
    }
    made = len(own) - len(todo)

    def report(_: int, __: None) -> None:
        nonlocal made
        made += 1
        if progress is not None:
            progress(made, len(own))

    if progress is not None:
        progress(made, len(own))
    if todo:
        (folder / CHECKSUMS).unlink(missing_ok=True)
    run(todo, workers, report)
    _publish(folder, described, clips)
    return folder


def recording_path(folder: Path, number: int) -> Path:
    """Return the folder of a recording in that of all recordings of its split and kind."""
    return folder / f'{_NAMES[folder.name]}-{number:06d}'


def readout_of(rolling_shutter_ms: float) -> int:
    """Return the read-out of a rolling shutter, ns.

    Raises:
        MicroexprError: It is not within a frame.
    """
    period_ms = 1e3 / WEBCAM.rate_hz
    # Not a number is not within anything.
    if not 0 <= rolling_shutter_ms < period_ms:
        raise MicroexprError(
            f'--rolling-shutter-ms {rolling_shutter_ms:g} is not within a frame: give 0 for a '
            f'global shutter, or less than {period_ms:.0f}'
        )
    return round(rolling_shutter_ms * 1e6)


def check_recordings(root: Path, split: str, kind: str = BAGS) -> tuple[Path, int]:
    """Return where a split's recordings are and how many, after checking that none is damaged.

    Args:
        root: Folder of the data set.
        split: Name of the split.
        kind: BAGS or STORIES.

    Raises:
        MicroexprError: There are none, some are missing or damaged.
    """
    folder = root / split / kind
    option = '--bags' if kind == BAGS else '--story'
    again = f'make it again with the `microexpr synth {option}` command that made it'
    if not (folder / CHECKSUMS).is_file():
        raise MicroexprError(f'{folder} has no {CHECKSUMS}, so it is not complete: {again}')
    if names := damaged_files(folder):
        raise MicroexprError(f'{", ".join(names)} in {folder} are damaged: {again}')
    return folder, len({path.split('/')[0] for path in listed_files(folder)})


def _publish(folder: Path, recipe: dict[str, Any], clips: int) -> None:
    """Write card and checksums as soon as all recordings are there, whoever made them."""
    paths = [recording_path(folder, number) for number in range(clips)]
    files = sorted(file for path in paths for file in path.rglob('*') if file.is_file())
    names = [str(file.relative_to(folder)) for file in files]
    if listed_files(folder) == names or not all(path.is_dir() for path in paths):
        return
    metadata = [read_metadata(path / 'labels.npz') for path in paths]
    sizes = ((recording.duration_ns * 1e-9, recording.events) for recording in metadata)
    card.write(folder, recipe, metadata, sizes)
    write_checksums(folder, names)


def read_metadata(path: Path) -> RecordingMetadata:
    """Read what a recording shows, from its labels.npz.

    Raises:
        MicroexprError: The file is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as labels:
            return RecordingMetadata.from_json(json.loads(labels['metadata'].tobytes()))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise MicroexprError(
            f'cannot read {path} ({error}): delete {path.parent} and run the same command again'
        ) from error


def make_recording(
    path: Path, recipe: Recipe, index: int, readout_ns: int = 0, kind: str = BAGS
) -> None:
    """Make one recording; it appears as a whole or not at all.

    Args:
        path: A folder that is not there.
        recipe: What decides the clips.
        index: Number of the clip in its split.
        readout_ns: Of the frame camera's rolling shutter; 0 for a global one.
        kind: BAGS or STORIES.
    """
    # As many processes as cores each make one.
    cv2.setNumThreads(1)
    is_story = kind == STORIES
    take = sample_take(recipe, index, story_motion, 1) if is_story else sample_take(recipe, index)
    first_person = SPLITS[recipe.split].first_person
    rng = np.random.default_rng([recipe.seed, first_person, index, 3])
    parameters, region = take.sensor.parameters, take.scene
    size = parameters.width, parameters.height
    camera = sample_full_camera(rng, *size) if is_story else full_camera(*size)
    scene = build_scene(rng, region.person, region.light, camera, region.turn, _BLUR_PX)
    # The samples of a large sensor do not fit into memory: only their events are kept.
    samples = film(scene, take.motion, parameters, rng, recipe.step_px)
    first = next(samples)
    events = Events.concatenate([sample.events for sample in samples])
    exposure = start_exposure(first.picture, rng, readout_ns=readout_ns)
    clock = sample_clock(rng)
    frames = take_frames(scene, take.motion, exposure.camera, clock, rng, exposure)
    metadata = RecordingMetadata(
        **asdict(take.metadata),
        split=recipe.split,
        duration_ns=take.motion.duration_ns,
        events=len(events),
    )
    messages = [
        *_event_messages(events, camera, take.motion.duration_ns),
        *_frame_messages(frames, camera),
        *unit_messages(take.motion, EPOCH_NS, EVENT_CAMERA),
        *expression_messages(take.motion, EPOCH_NS, EVENT_CAMERA),
    ]
    with atomic_target(path) as hidden:
        hidden.mkdir()
        arrays = _label_arrays(metadata, take, scene, frames)
        np.savez_compressed(hidden / 'labels.npz', allow_pickle=False, **arrays)
        with BagWriter(hidden / 'bag') as writer:
            for message in sorted(messages, key=lambda message: message.time_ns):
                writer.write_serialized(message.topic, message.type, message.cdr, message.time_ns)


def _event_messages(events: Events, camera: PinholeCamera, duration_ns: int) -> Iterator[Message]:
    packets = packetize(
        [(events, Triggers.empty())],
        camera.height,
        camera.width,
        frame_id=EVENT_CAMERA,
        epoch_ns=EPOCH_NS,
    )
    for packet in packets:
        received_ns = packet.stamp_ns + PACKET_NS
        yield Message(EVENTS_TOPIC, EVENT_PACKET, received_ns, serialize_packet(packet))
    for t_ns in range(0, duration_ns, _INFO_NS):
        stamp_ns = EPOCH_NS + t_ns
        yield camera_info(camera, EVENT_CAMERA_INFO_TOPIC, stamp_ns, EVENT_CAMERA, stamp_ns)


def _frame_messages(frames: TakenFrames, camera: PinholeCamera) -> Iterator[Message]:
    for stamp, close, pixels in zip(frames.stamp_ns, frames.close_ns, frames.pixels, strict=True):
        stamp_ns, received_ns = EPOCH_NS + int(stamp), EPOCH_NS + int(close)
        cdr = serialize_image(pixels, stamp_ns, RGB_CAMERA)
        yield Message(FRAMES_TOPIC, IMAGE, received_ns, cdr)
        yield camera_info(camera, RGB_CAMERA_INFO_TOPIC, stamp_ns, RGB_CAMERA, received_ns)


def _label_arrays(
    metadata: RecordingMetadata, take: Take, scene: Scene, frames: TakenFrames
) -> dict[str, Any]:
    """Return the arrays of labels.npz, see docs/data.md."""
    labels, activations = label(scene, take.motion), take.motion.activations
    times = ('onset_ns', 'apex_ns', 'release_ns', 'offset_ns')
    return {
        't_ns': labels.t_ns,
        'intensity': labels.intensity,
        'pose': labels.pose,
        'box': labels.box,
        'landmarks': labels.landmarks,
        'face_landmarks': face_landmarks(scene, take.motion, labels.t_ns),
        'landmark_vertices': np.array(LANDMARKS),
        'codes': np.array(facs.CODES),
        'unit_code': np.array([one.code for one in activations], np.int64),
        **{
            f'unit_{n}': np.array([getattr(one, n) for one in activations], np.int64)
            for n in times
        },
        'unit_amplitude': np.array([one.amplitude for one in activations]),
        'unit_left': np.array([one.left for one in activations]),
        'unit_right': np.array([one.right for one in activations]),
        'frame_open_ns': frames.open_ns,
        'frame_close_ns': frames.close_ns,
        'frame_stamp_ns': frames.stamp_ns,
        'readout_ns': np.array(frames.camera.readout_ns),
        **{f'clock_{name}': np.array(value) for name, value in asdict(frames.clock).items()},
        'camera_matrix': camera_matrix(scene.camera),
        'epoch_ns': np.array(EPOCH_NS),
        'metadata': np.frombuffer(json.dumps(metadata.to_json()).encode(), np.uint8),
    }
