"""Action Units of one face, slice by slice."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.alignment.head_motion import HeadMotion
from microexpr_ros.alignment.slices import Slice, blank_slice, follows
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.grid import shift_cells
from microexpr_ros.events.region import Region
from microexpr_ros.facs import CODES
from microexpr_ros.perception import weights
from microexpr_ros.perception.activity import Activity, ActivityConfiguration
from microexpr_ros.perception.boxes import Boxes
from microexpr_ros.perception.head_limits import HeadLimits
from microexpr_ros.perception.presence import Presence
from microexpr_ros.perception.runtime import Runtime, load_export
from microexpr_ros.perception.settings import to_settings
from microexpr_ros.perception.spiking.configuration import SpikingConfiguration
from microexpr_ros.perception.spiking.region_traces import RegionTraces

if TYPE_CHECKING:
    from microexpr_ros.perception.spiking.network import SpikingNetwork
    from microexpr_ros.perception.torch_runtime import TorchRuntime


class Status(IntEnum):
    """What an estimate is worth: the values of the field `state` of ActionUnitArray."""

    OK = 0
    NO_FACE = 1
    TOO_FEW_EVENTS = 2
    HEAD_MOVING = 3
    WARMING_UP = 4
    STALE = 5


BLIND: Final = (Status.NO_FACE, Status.STALE)
"""Statuses without a visible face, in which the confidence is 0."""


@dataclass(frozen=True, slots=True)
class ActionUnitEstimate:
    """All units of one face at the end of one slice, in the order of `facs.CODES`.

    The confidence of a unit is the calibrated probability that its `active` flag is right. It
    does not depend on the status, except that it is 0 in those of `BLIND`. It is calibrated on
    validation clips of the data that the network was trained on; on other data it is only a
    ranking.

    Attributes:
        end_ns: end of the slice, ROS time of the sensor.
        status: what the estimate is worth.
        sides: float32 [18, 2], intensities on the subject's left and right, 0 to 1; FACS grades
            A-E are 0.2 to 1.0.
        confidence: float32 [18], 0 to 1.
        active: bool [18], intensity over the unit's threshold, with hysteresis.
        evidence: float32 [18], 0 to 1, that the unit is the main one of a movement that is going
            on or has just ended; None if the network does not decide that.
    """

    end_ns: int
    status: Status
    sides: NDArray[np.float32]
    confidence: NDArray[np.float32]
    active: NDArray[np.bool_]
    evidence: NDArray[np.float32] | None = None

    @property
    def intensity(self) -> NDArray[np.float32]:
        """Intensity of the stronger side, float32 [18], 0 to 1."""
        return stronger_side(self.sides)


@dataclass(frozen=True, slots=True)
class ActionUnitState:
    """What the classifier remembers of one face.

    Attributes:
        network: the traces, and the state of the network, as arrays.
        activity: recent rates of events.
        active: bool [18], which units were active.
        age_ns: how long the state has followed the face.
        end_ns: end of the last slice on the clock that slices are counted by, None before the
            first.
    """

    network: tuple[NDArray[np.float32], ...]
    activity: Activity
    active: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(len(CODES), np.bool_))
    age_ns: int = 0
    end_ns: int | None = None


class ActionUnitClassifier:
    """Reads Action Units from slices; holds no state, so one serves any number of faces.

    Args:
        network: a deployed network; None if only its export is loaded.
        presence: thresholds and calibration.
        activity: when there are too few events; and when the head moves, where its motion is not
            measured.
        warm_up_ns: age of the state from which the status can be OK.
        model: name and hash of the weights.
        runtime: the same network, exported; None to step the network itself.
        configuration: of the network, needed only without one.
        limits: when the head moves.
        boxes: regions in which the network was trained to see faces.

    Attributes:
        configuration: shape and time constants of the network.
    """

    def __init__(
        self,
        network: SpikingNetwork | None,
        presence: Presence,
        activity: ActivityConfiguration | None = None,
        warm_up_ns: int = 200_000_000,
        model: str = 'untrained',
        runtime: Runtime | None = None,
        configuration: SpikingConfiguration | None = None,
        limits: HeadLimits | None = None,
        boxes: Boxes = 'coarse',
    ) -> None:
        self._network = network
        self._runtime = runtime or _torch_runtime(network)
        if network is not None:
            configuration = network.configuration
        if configuration is None:
            raise ValueError('an export without its network needs its configuration')
        self.configuration = configuration
        self._traces = RegionTraces(configuration)
        at_rest = [np.zeros(shape, np.float32) for shape in self._runtime.shapes[1:]]
        self._at_rest = (self._traces.initial(), *at_rest)
        self.presence = presence
        self.activity = activity or ActivityConfiguration()
        self.limits = limits or HeadLimits()
        self.warm_up_ns = warm_up_ns
        self.model = model
        self.boxes = boxes

    @classmethod
    def load(cls, path: Path | None = None) -> ActionUnitClassifier:
        """Read a classifier from a weights file.

        It runs the export beside the file, without torch. If there is none, torch runs the
        network, limited to one thread: the network is too small to gain from a second, which a
        robot needs elsewhere.

        Args:
            path: a file of `weights.save`; None for the weights that come with the package.

        Raises:
            MicroexprError: as of `weights.load` and `runtime.load_export`.
        """
        path = path or weights.shipped('au')
        file = weights.load(path, 'au', with_tensors=False)
        runtime = load_export(path, file.hash)
        if runtime is not None:
            configuration, boxes = file.configuration(SpikingConfiguration), read_boxes(file)
            if runtime.shapes[0] != RegionTraces(configuration).shape:
                raise MicroexprError(
                    f'{path.with_suffix(".onnx")} was exported by an earlier version; delete it, '
                    'or export the weights again'
                )
            return cls(
                None,
                *_settings(file),
                runtime=runtime,
                configuration=configuration,
                boxes=boxes,
            )
        # Imported here: an export runs without torch.
        import torch

        torch.set_num_threads(1)
        return cls.from_weights(weights.load(path, 'au'))

    @classmethod
    def from_weights(cls, file: weights.Weights) -> ActionUnitClassifier:
        """Return the classifier that a weights file describes, stepped by torch.

        Raises:
            MicroexprError: the weights are of another version.
        """
        # Imported here: an export runs without torch.
        from microexpr_ros.perception.spiking.network import SpikingNetwork

        network = SpikingNetwork(file.configuration(SpikingConfiguration), normalized=False)
        network.load_state_dict(dict(file.tensors))
        return cls(network, *_settings(file), boxes=read_boxes(file))

    def to_settings(self) -> dict[str, Any]:
        """Return everything but the tensors, as JSON values for `weights.save`."""
        return {
            'configuration': to_settings(self.configuration),
            'presence': self.presence.to_settings(),
            'activity': to_settings(self.activity),
            'warm_up_ns': self.warm_up_ns,
            'boxes': self.boxes,
        }

    @property
    def grid(self) -> int:
        """Rows and columns of the slices that the network was trained for."""
        return self.configuration.grid

    @property
    def slice_ns(self) -> int:
        """Length of a slice that the network was trained for."""
        return self.configuration.slice_ns

    @property
    def network(self) -> SpikingNetwork:
        """The deployed network, for batches.

        Raises:
            ValueError: the classifier was made from an export.
        """
        if self._network is None:
            raise ValueError('an export has no network; make the classifier with from_weights')
        return self._network

    def initial_state(self) -> ActionUnitState:
        """Return the state of a classifier that has seen nothing."""
        return ActionUnitState(self._at_rest, Activity.none())

    def step(
        self, slice_: Slice, state: ActionUnitState
    ) -> tuple[ActionUnitEstimate, ActionUnitState]:
        """Advance by one slice.

        The state is reset when no face region is known, and when the slice does not begin
        where the last one ended.

        Args:
            slice_: the next slice; none may be left out, not even an empty one.
            state: of the slice before.

        Returns:
            The estimate at the end of the slice, and the new state.

        Raises:
            MicroexprError: the slice has another length, grid or kind of region than the network.
        """
        self._check(slice_)
        if slice_.region is None:
            return _no_face(slice_.end_ns), self.initial_state()
        if state.end_ns is not None and not follows(slice_, state.end_ns):
            state = self.initial_state()
        sides, evidence, network = self.run_network(slice_, state.network)
        activity = self.activity.observe(
            slice_.counts, slice_.pixels_per_cell, slice_.duration_ns, state.activity
        )
        age_ns = state.age_ns + slice_.duration_ns
        status = self._status(slice_.motion, activity, age_ns)
        estimate = decide_presence(
            slice_.end_ns, status, sides, self.presence, state.active, evidence
        )
        return estimate, ActionUnitState(
            network, activity, estimate.active, age_ns, slice_.clock_end_ns
        )

    def run_network(
        self, slice_: Slice, state: tuple[NDArray[np.float32], ...]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None, tuple[NDArray[np.float32], ...]]:
        """Advance the network alone, with its traces, by a slice that shows a face.

        Args:
            slice_: the next slice.
            state: `ActionUnitState.network` of the slice before.

        Returns:
            `sides` and `evidence` as of `ActionUnitEstimate`, and the new state.
        """
        traces, *before = state
        compressed, traces = self._traces.update(
            self.held_still(slice_), slice_.pixels_per_cell, traces
        )
        sides, *rest = self._runtime(compressed, *before)
        decided, after = rest[: -len(before)], rest[-len(before) :]
        return sides[0], decided[0][0] if decided else None, (traces, *after)

    def held_still(self, slice_: Slice) -> NDArray[np.uint8]:
        """Return the counts of a slice as the network sees them, uint8 [2, grid, grid]."""
        if self.boxes != 'followed':
            return slice_.counts
        columns, rows = (round(-share * self.grid) for share in slice_.off_centre)
        return shift_cells(slice_.counts, columns, rows)

    def warm_up(self) -> None:
        """Step once on an empty slice, so that the first real one is not the slowest."""
        self.step(blank_slice(self.grid, self.slice_ns), self.initial_state())

    def _status(self, motion: HeadMotion | None, activity: Activity, age_ns: int) -> Status:
        if age_ns < self.warm_up_ns:
            return Status.WARMING_UP
        if self._head_moves(motion, activity):
            return Status.HEAD_MOVING
        if self.activity.silent(activity):
            return Status.TOO_FEW_EVENTS
        return Status.OK

    def _head_moves(self, motion: HeadMotion | None, activity: Activity) -> bool:
        # Where no landmarks are known, as in a fixed region, only events show it.
        if motion is None:
            return self.activity.head_moves(activity)
        return self.limits.are_exceeded(motion)

    def _check(self, slice_: Slice) -> None:
        if slice_.duration_ns != self.slice_ns:
            raise MicroexprError(
                f'slices of {slice_.duration_ns / 1e6:g} ms, but {self.model} was trained for '
                f'{self.slice_ns / 1e6:g} ms: set the slice length of the synchronizer to that'
            )
        if isinstance(slice_.region, Region) and self.boxes != 'coarse':
            raise MicroexprError(
                f'a rectangular face region, but {self.model} was trained for aligned ones: '
                'follow the face, or fix a square region'
            )
        shape = (2, self.grid, self.grid)
        if slice_.counts.shape != shape:
            raise MicroexprError(
                f'slices of shape {slice_.counts.shape}, but {self.model} was trained for '
                f'{shape}: set the grid of the synchronizer to that'
            )


def stronger_side(sides: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the intensity of the stronger side, float32 [18], of those of both, [18, 2]."""
    # Quicker than a maximum along the axis.
    return np.maximum(sides[:, 0], sides[:, 1])


def decide_presence(
    end_ns: int,
    status: Status,
    sides: NDArray[np.float32],
    presence: Presence,
    before: NDArray[np.bool_],
    evidence: NDArray[np.float32] | None = None,
) -> ActionUnitEstimate:
    """Return an estimate: presence and confidence follow from the intensity of the stronger side.

    Args:
        end_ns: end of the slice.
        status: what the estimate is worth.
        sides: float32 [18, 2], intensities on the subject's left and right, 0 to 1.
        presence: thresholds and calibration.
        before: bool [18], which units were active one slice ago.
        evidence: as of `ActionUnitEstimate`.
    """
    intensity = stronger_side(sides)
    active = presence.active(intensity, before)
    probability = presence.probability(intensity)
    confidence = np.where(active, probability, 1 - probability) * (status not in BLIND)
    return ActionUnitEstimate(
        end_ns, status, sides, confidence.astype(np.float32), active, evidence
    )


def _torch_runtime(network: SpikingNetwork | None) -> TorchRuntime:
    if network is None:
        raise ValueError('neither a network nor an export of one')
    # Imported here: an export runs without torch.
    from microexpr_ros.perception.spiking.inference import SpikingInference
    from microexpr_ros.perception.torch_runtime import TorchRuntime

    return TorchRuntime(SpikingInference(network))


def read_boxes(file: weights.Weights) -> Boxes:
    """Return the regions that weights were trained for; files of before they were said: coarse."""
    boxes: Boxes = file.settings.get('boxes', 'coarse')
    return boxes


def _settings(file: weights.Weights) -> tuple[Presence, ActivityConfiguration, int, str]:
    return (
        Presence.from_settings(file.settings['presence']),
        ActivityConfiguration(**file.settings['activity']),
        int(file.settings['warm_up_ns']),
        file.model,
    )


def _no_face(end_ns: int) -> ActionUnitEstimate:
    nothing = np.zeros((len(CODES), 2), np.float32)
    zeros = nothing[:, 0]
    return ActionUnitEstimate(end_ns, Status.NO_FACE, nothing, zeros, zeros.astype(np.bool_))
