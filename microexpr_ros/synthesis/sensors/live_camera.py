"""A simulated camera: the synthetic face in real time, for ever.

The face is rendered in a process of its own, a little ahead of its time, so that neither the
renderer's bursts nor Python's lock disturb the reader. It ends with its reader.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from multiprocessing.connection import Connection, Pipe
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.child import python
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.cameras.camera import Batch, Camera, CameraLostError
from microexpr_ros.events.events import Events, Frame
from microexpr_ros.events.packets import PACKET_NS
from microexpr_ros.synthesis.person.person import make_person
from microexpr_ros.synthesis.person.ranges import FIRST_PERSON, PERSONS
from microexpr_ros.synthesis.sensors import frame_camera
from microexpr_ros.synthesis.sensors.event_sensor import SENSORS
from microexpr_ros.synthesis.sensors.filming import RenderedFrames, sense
from microexpr_ros.synthesis.world.light import ROOM_LIGHTS
from microexpr_ros.synthesis.world.motion import Motion, delayed
from microexpr_ros.synthesis.world.motion_sampling import sample_story
from microexpr_ros.synthesis.world.scene import Scene, sample_full_scene
from microexpr_ros.synthesis.world.timing import render_times

STEP_PX: Final = 0.8
"""Farthest that anything moves between two rendered samples, px: twice that of the data sets,
for the same events within 1 %."""

_STORY_NS: Final = 20_000_000_000
_PLAN_NS: Final = 1_000_000_000
_LEAD_NS: Final = 200_000_000
_POLL_S: Final = 0.002
_PROGRAM: Final = 'from microexpr_ros.synthesis.sensors.live_camera import main; main()'


@dataclass(frozen=True, slots=True)
class SimulationSettings:
    """What the simulated camera sees.

    Attributes:
        seed: decides on everything: person, light, and what the face does.
        light: a kind of light.ROOM_LIGHTS; flicker takes several times as long.
        width: columns of the sensor, px.
        height: rows of the sensor, px.
    """

    seed: int = 0
    light: str = 'bright'
    width: int = 240
    height: int = 180


@dataclass(frozen=True, slots=True)
class Piece:
    """What the camera sees from the piece before to the end of this one.

    Attributes:
        end_ns: end of it.
        events: in order of time.
        frames: time at which a frame is complete, ns, and the frame.
        skipped: samples that were not rendered, because their time had passed.
    """

    end_ns: int
    events: Events
    frames: tuple[tuple[int, Frame], ...] = ()
    skipped: int = 0


def film_live(settings: SimulationSettings, now_ns: Callable[[], int]) -> Iterator[Piece]:
    """Yield what the camera sees, from time 0 on, for ever.

    Args:
        settings: What it sees.
        now_ns: Returns the camera's time. Samples of the scene that are older are left out: the
            clock never waits for the renderer, motion gets coarser instead.

    Raises:
        MicroexprError: The light is unknown, or the face model is not installed.
    """
    rng = np.random.default_rng([settings.seed, 0x11FE])
    light = ROOM_LIGHTS.sample(rng, settings.light)
    number = FIRST_PERSON['live'] + int(rng.integers(PERSONS))
    person = make_person(number, number)
    parameters = replace(SENSORS['davis346'], width=settings.width, height=settings.height)
    scene = sample_full_scene(rng, person, light, parameters.width, parameters.height)
    pictures = _LivePictures(scene, rng, now_ns)
    samples = sense(pictures, parameters, light, rng)
    before = next(samples)
    camera = frame_camera.auto_expose(before.picture)
    middle_ns = camera.exposure_ns // 2
    yield Piece(0, Events.empty())
    for after in samples:
        rendered = RenderedFrames(
            np.array([before.t_ns, after.t_ns]), np.stack([before.picture, after.picture])
        )
        frames = []
        while middle_ns <= after.t_ns:
            # In real time only what is rendered for the events can be shown: the picture in the
            # middle of the exposure stands for all of it.
            frame = Frame(middle_ns, frame_camera.expose(camera, rendered.at(middle_ns), rng))
            frames.append((middle_ns + camera.exposure_ns // 2, frame))
            middle_ns += int(1e9 / camera.rate_hz)
        yield Piece(after.t_ns, after.events, tuple(frames), pictures.skipped)
        before = after


class _LivePictures:
    """Renders a scene for ever, but leaves out samples whose time has passed.

    Attributes:
        skipped: how many were left out just before the newest.
    """

    def __init__(self, scene: Scene, rng: np.random.Generator, now_ns: Callable[[], int]) -> None:
        self._scene = scene
        self._rng = rng
        self._now_ns = now_ns
        self.skipped = 0

    def __iter__(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Yield time and radiance without flicker, float32 [height, width], lux."""
        motion = sample_story(self._rng, _STORY_NS)
        skipped = 0
        start_ns = 0
        while True:
            end_ns = start_ns + _PLAN_NS
            if start_ns and start_ns % _STORY_NS == 0:
                motion = extend_motion(motion, start_ns, self._rng)
            times = render_times(self._scene, motion, start_ns, end_ns, STEP_PX)
            # The end of one plan is the begin of the next.
            times = times[1 if start_ns else 0 :]
            for instant in motion.instants(times):
                if 0 < instant.t_ns < min(self._now_ns(), end_ns):
                    skipped += 1
                    continue
                self.skipped, skipped = skipped, 0
                yield instant.t_ns, self._scene.radiance(instant)
            start_ns = end_ns


def extend_motion(motion: Motion, start_ns: int, rng: np.random.Generator) -> Motion:
    """Return a motion that follows another without a jump.

    What has begun goes on, the head sways as it did, and a new story begins.
    """
    story = sample_story(rng, _STORY_NS)
    activations = [one for one in motion.activations if one.offset_ns > start_ns]
    activations += [delayed(one, start_ns) for one in story.activations]
    # A story's first gaze is the one before its begin; here the eyes come from the other motion.
    gaze = [replace(one, t_ns=one.t_ns + start_ns) for one in story.gaze[1:]]
    return replace(motion, activations=tuple(activations), gaze=(*motion.gaze[-2:], *gaze))


class SimulatedCamera(Camera):
    """The reader's end of the process that renders.

    Args:
        settings: what the camera sees.
        interval_ns: what is read ends at a multiple of it, as packets do.
    """

    def __init__(
        self, settings: SimulationSettings | None = None, interval_ns: int = PACKET_NS
    ) -> None:
        settings = settings or SimulationSettings()
        self._interval_ns = interval_ns
        self.model = 'simulated face'
        self.serial = str(settings.seed)
        self.height, self.width = settings.height, settings.width
        self._events = Events.empty()
        self._frames: list[tuple[int, Frame]] = []
        self._end_ns = 0
        self._skipped = 0
        self._began_ns: int | None = None
        self._receiver, sender = Pipe(duplex=False)
        with sender:
            self._process = subprocess.Popen(
                [*python(_PROGRAM), str(sender.fileno()), json.dumps(asdict(settings))],
                pass_fds=[sender.fileno()],
                # One thread is enough for products of such small matrices.
                env={**os.environ, 'OMP_NUM_THREADS': '1', 'OPENBLAS_NUM_THREADS': '1'},
                stdin=subprocess.DEVNULL,
                # An interrupt from the keyboard is the reader's to handle.
                start_new_session=True,
            )

    def read(self, timeout_s: float) -> Batch:
        """Return what has happened, as `Camera.read` does; nothing while the face is made."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            batch = self._release()
            if len(batch.events) or batch.frames or time.monotonic() > deadline_s:
                return batch
            time.sleep(_POLL_S)

    def _now_ns(self) -> int:
        return time.monotonic_ns() - (self._began_ns or 0)

    def _receive(self) -> None:
        try:
            while self._receiver.poll():
                message = self._receiver.recv()
                if isinstance(message, MicroexprError):
                    raise message
                if isinstance(message, int):
                    self._began_ns = message
                    continue
                self._events = Events.concatenate([self._events, message.events])
                self._frames += message.frames
                self._end_ns = message.end_ns
                self._skipped += message.skipped
        except (EOFError, OSError):
            raise CameraLostError(f'{self.model} {self.serial} is gone') from None

    def _release(self) -> Batch:
        """Return the events and frames whose time has come."""
        # Polling the pipe is slow: do it only when little is left to be read.
        if self._now_ns() + _LEAD_NS // 2 > self._end_ns:
            self._receive()
        if self._began_ns is None:
            return Batch(arrival_ns=time.time_ns())
        now_ns = self._now_ns() // self._interval_ns * self._interval_ns
        cut = int(np.searchsorted(self._events.t, now_ns))
        events, self._events = self._events[:cut], self._events[cut:]
        frames = tuple(frame for ready_ns, frame in self._frames if ready_ns < now_ns)
        self._frames = self._frames[len(frames) :]
        skipped, self._skipped = self._skipped, 0
        return Batch(
            events,
            frames=frames,
            arrival_ns=time.time_ns(),
            lost=skipped,
            lag_ns=max(now_ns - self._end_ns, 0),
        )

    def unplug(self) -> None:
        """Kill the process, as if the camera were unplugged: the next read finds it lost."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """End the process."""
        self._receiver.close()
        self.unplug()


def main() -> None:
    """Render for the process that started this one, until it no longer reads."""
    sender: Connection[Any, Any] = Connection(int(sys.argv[1]), readable=False)
    settings = SimulationSettings(**json.loads(sys.argv[2]))
    began_ns: int | None = None

    def now_ns() -> int:
        return 0 if began_ns is None else time.monotonic_ns() - began_ns

    try:
        for piece in film_live(settings, now_ns):
            # The clock starts when the first lead is rendered. Both processes read the
            # machine's monotonic clock.
            if began_ns is None and piece.end_ns > _LEAD_NS:
                began_ns = time.monotonic_ns()
                sender.send(began_ns)
            sender.send(piece)
            if began_ns is not None:
                time.sleep(max(piece.end_ns - _LEAD_NS - now_ns(), 0) / 1e9)
    except MicroexprError as error:
        sender.send(error)
    except (BrokenPipeError, KeyboardInterrupt):
        pass
