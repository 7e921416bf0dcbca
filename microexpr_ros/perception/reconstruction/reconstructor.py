"""Images of one face, slice by slice, with or without a frame camera."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from microexpr_ros import srgb
from microexpr_ros.alignment.slices import Slice, blank_slice, follows
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.kernel import FAINTEST
from microexpr_ros.events.region import AlignedRegion, Region
from microexpr_ros.perception import weights
from microexpr_ros.perception.reconstruction.configuration import ReconstructionConfiguration
from microexpr_ros.perception.reconstruction.frame_memory import FrameAverage, FrameMemory
from microexpr_ros.perception.reconstruction.integration import (
    EXPOSED_SLICES,
    ContrastThresholds,
    integrate,
)
from microexpr_ros.perception.reconstruction.intervals import IntervalFactors
from microexpr_ros.perception.reconstruction.lasting_events import LastingEvents
from microexpr_ros.perception.reconstruction.reference import frame_quality
from microexpr_ros.perception.reconstruction.region_change import RegionChange
from microexpr_ros.perception.runtime import Runtime, load_export
from microexpr_ros.perception.settings import to_settings

if TYPE_CHECKING:
    from microexpr_ros.perception.reconstruction.network import ConditionalVae
    from microexpr_ros.perception.torch_runtime import TorchRuntime


_FORGETTING_SLICES: Final = 100
"""After so many slices, what has leaked away is set to 0."""

_KEPT_WITHIN: Final = 0.05
"""What is remembered is moved to the region of the slices when that is farther away, as a share of
its side, or has come to rest: each time it is moved it becomes less sharp."""

_RESTED_SLICES: Final = 20
"""So many slices after it moved, a region has come to rest."""

_DEVIATION_GAIN: Final = 20.0
"""Brings deviations of frames, some hundredths, to the size of pictures."""


@dataclass(frozen=True, slots=True)
class ReconstructionState:
    """What is remembered of one face; events are counted per sensor pixel.

    Attributes:
        recent: float32 [grid, grid] of the last slices, ON less OFF, oldest first.
        leaky: float32 [len(tau_ms) + 1, grid, grid], leaky integrals of ON less OFF; the last is
            of all events, whatever their sign.
        lasting: events that stay until others take their place; None if the network has none.
        region: in which all of this is seen, but for the frame and the reference; None before the
            first slice.
        shown: region of the last slice, which may have gone a little further.
        rested: slices since that moved.
        since_frame: float32 [2, grid, grid], sum of the slices after the frame's, OFF then ON.
        frame: uint8 [grid, grid], the last frame, None if none is known.
        frame_region: region that it shows.
        frame_age: slices since the frame became current.
        thresholds: the event sensor's, and the delay of the frames, measured from those so far.
        exposed: float32 [2, grid, grid], events of each of the last `EXPOSED_SLICES` slices, OFF
            then ON, oldest first.
        memory: of the frames, as long as they follow each other; None if none is known.
        reference: uint8 [grid, grid], a good picture of the same face from any time before,
            None if none is known.
        reference_quality: of `frame_quality`; infinite for one that was asked for.
        end_ns: end of the last slice on the clock that slices are counted by, None before the
            first.
    """

    recent: tuple[NDArray[np.float32], ...]
    leaky: NDArray[np.float32]
    since_frame: NDArray[np.float32]
    lasting: LastingEvents | None = None
    region: Region | AlignedRegion | None = None
    shown: Region | AlignedRegion | None = None
    rested: int = 0
    frame: NDArray[np.uint8] | None = None
    frame_region: Region | AlignedRegion | None = None
    frame_age: int = 0
    thresholds: ContrastThresholds = field(default_factory=ContrastThresholds)
    reference: NDArray[np.uint8] | None = None
    reference_quality: float = 0.0
    end_ns: int | None = None
    exposed: tuple[NDArray[np.float32], ...] = ()
    memory: FrameMemory | None = None


@dataclass(frozen=True, slots=True)
class Reconstruction:
    """A picture, and how sure of it the network is.

    Attributes:
        image: uint8 [grid, grid], gamma-encoded grey.
        interval: uint8 [grid, grid], half the width of the interval that holds 90 % of what the
            pixels really show, in grey levels.
    """

    image: NDArray[np.uint8]
    interval: NDArray[np.uint8]


class Reconstructor:
    """Paints the face from slices; holds no state, so one serves any number of faces.

    Args:
        network: a deployed network; None if only its export is loaded.
        model: name and hash of the weights.
        runtime: the same network, exported; None to run the network itself.
        configuration: shape of the network, needed only without a network.
        intervals: of the network's scales on the validation split; None for those of a network
            that is always right about its error.

    Attributes:
        configuration: shape of the network and of its condition.
        intervals: how wide the interval around a picture is.
        model: name and hash of the weights.
    """

    def __init__(
        self,
        network: ConditionalVae | None,
        model: str = 'untrained',
        runtime: Runtime | None = None,
        configuration: ReconstructionConfiguration | None = None,
        intervals: IntervalFactors | None = None,
    ) -> None:
        self._network = network
        self._runtime = runtime or _torch_runtime(network)
        if network is not None:
            configuration = network.configuration
        if configuration is None:
            raise ValueError('an export without its network needs its configuration')
        self.configuration = configuration
        self.intervals = intervals or IntervalFactors()
        self._decays = self.configuration.decays()[:, None, None]
        self.model = model

    @classmethod
    def load(cls, path: Path | None = None) -> Reconstructor:
        """Read a reconstructor from a weights file.

        It runs the export beside the file, without torch. If there is none, torch runs the
        network, limited to one thread.

        Args:
            path: a file of `weights.save`; None for the weights that come with the package.

        Raises:
            MicroexprError: as of `weights.load` and `runtime.load_export`.
        """
        path = path or weights.shipped('reconstruction')
        file = weights.load(path, 'reconstruction', with_tensors=False)
        runtime = load_export(path, file.hash)
        if runtime is not None:
            configuration = file.configuration(ReconstructionConfiguration)
            return cls(
                None,
                file.model,
                runtime,
                configuration,
                IntervalFactors.from_settings(file.settings['intervals']),
            )
        # Imported here: an export runs without torch.
        import torch

        torch.set_num_threads(1)
        return cls.from_weights(weights.load(path, 'reconstruction'))

    @classmethod
    def from_weights(cls, file: weights.Weights) -> Reconstructor:
        """Return the reconstructor that a weights file describes, run by torch.

        Raises:
            MicroexprError: the weights are of another version.
        """
        # Imported here: an export runs without torch.
        from microexpr_ros.perception.reconstruction.network import ConditionalVae

        network = ConditionalVae(file.configuration(ReconstructionConfiguration), deployed=True)
        network.load_state_dict(dict(file.tensors))
        return cls(
            network,
            file.model,
            intervals=IntervalFactors.from_settings(file.settings['intervals']),
        )

    def to_settings(self) -> dict[str, Any]:
        """Return everything but the tensors, as JSON values for `weights.save`."""
        return {
            'configuration': to_settings(self.configuration),
            'intervals': to_settings(self.intervals),
        }

    @property
    def slice_ns(self) -> int:
        """Length of a slice that the network was trained for."""
        return self.configuration.slice_ns

    @property
    def network(self) -> ConditionalVae:
        """The deployed network, for batches.

        Raises:
            ValueError: the reconstructor was made from an export.
        """
        if self._network is None:
            raise ValueError('an export has no network; make the reconstructor with from_weights')
        return self._network

    def initial_state(self) -> ReconstructionState:
        """Return the state of a reconstructor that has seen nothing."""
        c = self.configuration
        nothing = np.zeros((c.grid, c.grid), np.float32)
        return ReconstructionState(
            (nothing,) * c.slices,
            np.zeros((len(c.tau_ms) + 1, c.grid, c.grid), np.float32),
            np.zeros((2, c.grid, c.grid), np.float32),
            LastingEvents.nothing(c.grid) if c.lasting else None,
        )

    def observe(self, slice_: Slice, state: ReconstructionState) -> ReconstructionState:
        """Take in one slice; none may be left out.

        The state is reset when no face region is known. When the slice does not begin where the
        last one ended, only the reference and the thresholds are kept. The best frame so far
        becomes the reference.

        Args:
            slice_: the next slice.
            state: of the slice before.

        Returns:
            The new state.

        Raises:
            MicroexprError: the slice has another length or grid than the network.
        """
        c = self.configuration
        if slice_.duration_ns != c.slice_ns or slice_.counts.shape != (2, c.grid, c.grid):
            raise MicroexprError(
                f'slices of {slice_.duration_ns / 1e6:g} ms and shape {slice_.counts.shape}, but '
                f'{self.model} was trained for {c.slice_ns / 1e6:g} ms and '
                f'{(2, c.grid, c.grid)}: set the synchronizer to that'
            )
        if slice_.region is None:
            return self.initial_state()
        if state.end_ns is not None and not follows(slice_, state.end_ns):
            state = replace(
                self.initial_state(),
                thresholds=state.thresholds,
                reference=state.reference,
                reference_quality=state.reference_quality,
            )
        state = self._follow(state, slice_.region)
        back = RegionChange.between(slice_.region, state.region)
        density = slice_.counts.astype(np.float32) / np.float32(slice_.pixels_per_cell)
        density = back.move_events(density)
        off, on = density
        signed = on - off
        since_frame = state.since_frame + density
        exposed = (*state.exposed[-(EXPOSED_SLICES - 1) :], density)
        leaky = state.leaky * self._decays
        leaky[:-1] += signed
        leaky[-1] += on + off
        # Now and then is enough: it takes 300 slices from there to where numbers are subnormal.
        # Not by a kernel, as with the first one a process takes 65 MB more.
        if slice_.clock_end_ns // c.slice_ns % _FORGETTING_SLICES == 0:
            leaky[np.abs(leaky) < FAINTEST] = 0
        age = state.frame_age + 1
        seen: dict[str, Any] = {'since_frame': since_frame, 'frame_age': age}
        if state.lasting is not None:
            seen['lasting'] = state.lasting.add(density, c.slice_ns / 1e9)
        if slice_.frame is not None:
            frame = grey(slice_.frame, c.grid)
            moved = back.move_picture(frame)
            if state.memory is not None and self.has_frame(state):
                memory = state.memory.add(moved, exposed, since_frame, age)
            else:
                memory = FrameMemory.start(moved, exposed, state.thresholds)
            seen |= {
                'since_frame': np.zeros_like(since_frame),
                'frame': frame,
                'frame_region': slice_.region,
                'frame_age': 0,
                'memory': memory,
                'thresholds': memory.thresholds,
            }
            quality = frame_quality(frame)
            if quality > state.reference_quality:
                seen |= {'reference': frame, 'reference_quality': quality}
        return replace(
            state,
            shown=slice_.region,
            recent=(*state.recent[1:], signed),
            leaky=leaky,
            end_ns=slice_.clock_end_ns,
            exposed=exposed,
            **seen,
        )

    def _follow(
        self, state: ReconstructionState, now: Region | AlignedRegion
    ) -> ReconstructionState:
        """Return a state whose region is near one."""
        change = RegionChange.between(state.region, now)
        if change.corners is None:
            return replace(state, region=now)
        rested = state.rested + 1 if state.shown == now else 0
        if change.distance <= _KEPT_WITHIN and rested < _RESTED_SLICES:
            return replace(state, rested=rested)
        move = change.move_events
        # The next frame begins anew where the last one is too old.
        memory = state.memory if self.has_frame(state) else None
        return replace(
            state,
            region=now,
            rested=rested,
            recent=tuple(map(move, state.recent)),
            leaky=move(state.leaky),
            since_frame=move(state.since_frame),
            exposed=tuple(map(move, state.exposed)),
            lasting=None if state.lasting is None else state.lasting.follow(change),
            memory=None if memory is None else memory.follow(change),
        )

    def remember(self, state: ReconstructionState) -> ReconstructionState:
        """Return a state whose reference is the newest frame, until the face is lost.

        Raises:
            MicroexprError: there has been no frame.
        """
        if state.frame is None:
            raise MicroexprError('there is no frame to remember: start the RGB camera')
        return replace(state, reference=state.frame, reference_quality=math.inf)

    def warm_up(self) -> None:
        """Paint once from nothing, so that the first real image is not the slowest."""
        blank = blank_slice(self.configuration.grid, self.slice_ns)
        self.reconstruct(self.observe(blank, self.initial_state()))

    def has_frame(self, state: ReconstructionState) -> bool:
        """Return whether there is a frame that is young enough to be carried to now."""
        return state.frame is not None and state.frame_age < self.configuration.frame_slices

    def reconstruct(self, state: ReconstructionState) -> Reconstruction:
        """Return the picture at the end of the last slice, in the state's `region`.

        The latent variables are the most probable ones: the same state gives the same picture.
        """
        events, pictures = network_inputs(state, self.configuration)
        image, scale = self._runtime(events[None], pictures[None])
        age = state.frame_age if self.has_frame(state) else None
        has_reference = state.reference is not None
        factors = self.intervals.factors(age, has_reference, pictures, image[0, 0])
        half = 255 * factors * scale[0, 0]
        return Reconstruction(
            np.asarray(np.rint(image[0, 0] * 255), np.uint8),
            np.asarray(np.minimum(np.ceil(half), 255), np.uint8),
        )


def _torch_runtime(network: ConditionalVae | None) -> TorchRuntime:
    if network is None:
        raise ValueError('neither a network nor an export of one')
    # Imported here: an export runs without torch.
    from microexpr_ros.perception.reconstruction.inference import ReconstructionInference
    from microexpr_ros.perception.torch_runtime import TorchRuntime

    return TorchRuntime(ReconstructionInference(network))


def network_inputs(
    state: ReconstructionState, configuration: ReconstructionConfiguration
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return what the network is conditioned on.

    Returns:
        float32 [event_channels, grid, grid]: of `limit_events`. And float32
        [pictures, grid, grid]: of `make_pictures`.
    """
    c = configuration
    events = np.zeros((c.event_channels, c.grid, c.grid), np.float32)
    for number, signed in enumerate(state.recent):
        events[number // c.slices_per_bin] += signed
    events[c.bins : c.bins + len(state.leaky)] = state.leaky
    if state.lasting is not None:
        events[-2] = state.lasting.signed
    memory = state.memory if state.frame_age < c.frame_slices else None
    if memory is None or state.frame is None:
        pictures = make_pictures(None, events[-1], state.reference, c)
        return limit_events(events, c.gain), pictures
    events[-1] = memory.thresholds.log_change(state.since_frame + memory.late)
    late_change = memory.thresholds.log_change(memory.late)
    frame = RegionChange.between(state.frame_region, state.region).move_picture(state.frame)
    seen = SeenFrames(frame, memory.average, state.frame_age, late_change)
    pictures = make_pictures(seen, events[-1], state.reference, c)
    return limit_events(events, c.gain), pictures


def limit_events(events: NDArray[np.float32], gain: float) -> NDArray[np.float32]:
    """Return events as they enter the network, float32 of the same shape.

    Args:
        events: float32 [..., event_channels, grid, grid]: voxel grid, leaky integrals and lasting
            events, per sensor pixel, and the change of log light since the frame, 0 without one.
        gain: as of `ReconstructionConfiguration`.
    """
    limited = compress(events, gain)
    np.clip(events[..., -1, :, :], -3, 3, out=limited[..., -1, :, :])
    return limited


def compress(events: NDArray[np.float32], gain: float) -> NDArray[np.float32]:
    """Return signed events per sensor pixel on a logarithmic scale, float32 of the same shape."""
    # In one place in memory; onnxruntime would take a new one for each operation.
    x = np.abs(events)
    x *= np.float32(gain)
    x += np.float32(1)
    np.log(x, out=x)
    return np.copysign(x, events, out=x)


@dataclass(frozen=True, slots=True)
class SeenFrames:
    """What is known of the frames of a condition.

    Attributes:
        newest: uint8 [grid, grid].
        average: of all so far.
        age: of the newest, slices.
        late_change: float32 [grid, grid], change of log light that the newest does not show
            although it came before it was complete.
    """

    newest: NDArray[np.uint8]
    average: FrameAverage
    age: int
    late_change: NDArray[np.float32]


def make_pictures(
    frames: SeenFrames | None,
    log_change: NDArray[np.float32],
    reference: NDArray[np.uint8] | None,
    configuration: ReconstructionConfiguration,
) -> NDArray[np.float32]:
    """Return the pictures of a condition, float32 [pictures, grid, grid], 0 where there are none.

    `PICTURES` says which; shares of the range, the age as a share of `frame_slices`.

    Args:
        frames: None for none.
        log_change: float32 [grid, grid], of log light since what the newest frame shows.
        reference: uint8 [grid, grid], None for none.
        configuration: of the network.
    """
    c = configuration
    pictures = np.zeros((c.pictures, c.grid, c.grid), np.float32)
    if frames is not None:
        average = frames.average
        pictures[0] = integrate(average.picture if c.averages else frames.newest, log_change)
        pictures[1] = frames.newest.astype(np.float32) / np.float32(255)
        pictures[3] = 1.0
        pictures[4] = frames.age / c.frame_slices
        if c.averages:
            pictures[6] = average.picture
            pictures[7] = np.float32(_DEVIATION_GAIN) * average.deviation
            np.clip(frames.late_change, -3, 3, out=pictures[8])
    if reference is not None:
        pictures[2] = reference.astype(np.float32) / np.float32(255)
        pictures[5] = 1.0
    return pictures


def grey(frame: NDArray[np.uint8], grid: int) -> NDArray[np.uint8]:
    """Return a frame as grey on the grid, uint8 [grid, grid].

    Args:
        frame: uint8 [height, width] grey or [height, width, 3] RGB, of any size.
        grid: rows and columns of the result.
    """
    if frame.ndim == 3:
        frame = np.round(frame.astype(np.float32) @ np.array(srgb.LUMA, np.float32)).astype(
            np.uint8
        )
    if frame.shape == (grid, grid):
        return frame
    # Area averages do not alias when shrinking; when enlarging they would show blocks.
    shrinks = min(frame.shape) >= grid
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(frame, (grid, grid), interpolation=method), np.uint8)
