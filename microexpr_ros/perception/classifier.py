"""Action Units of one face, slice by slice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.alignment.slices import Slice, blank_slice, follows
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.grid import SLICE_NS
from microexpr_ros.facs import CODES
from microexpr_ros.perception import weights
from microexpr_ros.perception.activity import Activity, ActivityConfiguration
from microexpr_ros.perception.presence import Presence
from microexpr_ros.perception.runtime import Runtime, beside

if TYPE_CHECKING:
    from microexpr_ros.perception.spiking.network import SpikingNetwork


class Status(IntEnum):
    """What an estimate is worth; the values are those of the ActionUnitArray message."""

    OK = 0
    NO_FACE = 1
    TOO_FEW_EVENTS = 2
    HEAD_MOVING = 3
    WARMING_UP = 4
    STALE = 5


BLIND: Final = (Status.NO_FACE, Status.STALE)
"""Statuses in which nothing is seen, so that the confidence is 0."""


@dataclass(frozen=True, slots=True)
class ActionUnitEstimate:
    """All units of one face at the end of one slice, in the order of `facs.CODES`.

    The confidence of a unit is the calibrated probability that its `active` flag is right,
    whatever the status says beside it, but 0 in those of `BLIND`. The calibration is fitted on
    validation clips of the data that the network was trained on; on other data it is only a
    ranking.

    Attributes:
        end_ns: end of the slice, ROS time of the sensor.
        status: what the estimate is worth.
        sides: float32 [18, 2], intensities on the subject's left and right, 0 to 1; FACS grades
            A-E are 0.2 to 1.0.
        confidence: float32 [18], 0 to 1.
        active: bool [18], intensity over the unit's threshold, with hysteresis.
    """

    end_ns: int
    status: Status
    sides: NDArray[np.float32]
    confidence: NDArray[np.float32]
    active: NDArray[np.bool_]

    @property
    def intensity(self) -> NDArray[np.float32]:
        """Intensity of the stronger side, float32 [18], 0 to 1."""
        return np.asarray(self.sides.max(axis=1), np.float32)


@dataclass(frozen=True, slots=True)
class ActionUnitState:
    """What the classifier remembers of one face.

    Attributes:
        network: arrays that the network wants back at the next step.
        activity: recent rates of events.
        active: bool [18], which units were active.
        age_ns: how long the state has followed the face.
        end_ns: end of the last slice, None before the first.
    """

    network: tuple[NDArray[np.float32], ...]
    activity: Activity
    active: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(len(CODES), np.bool_))
    age_ns: int = 0
    end_ns: int | None = None


class ActionUnitClassifier:
    """Reads Action Units from slices; holds no state, so one serves any number of faces.

    Args:
        network: a deployed network; None if its export is all there is.
        presence: thresholds and calibration.
        activity: when the head moves and when there are too few events.
        warm_up_ns: age of the state from which estimates count.
        model: name and hash of the weights.
        runtime: the same network, exported; None to step the network itself.
        slice_ns: length of a slice, where there is no network to tell.
    """

    def __init__(
        self,
        network: SpikingNetwork | None,
        presence: Presence,
        activity: ActivityConfiguration | None = None,
        warm_up_ns: int = 200_000_000,
        model: str = 'untrained',
        runtime: Runtime | None = None,
        slice_ns: int = SLICE_NS,
    ) -> None:
        self._network = network
        self._advance: Callable[..., list[NDArray[np.float32]]]
        if runtime is not None:
            self._advance, shapes = runtime, runtime.shapes
        elif network is not None:
            # Not at the top: with an export, a robot needs no torch.
            from microexpr_ros.perception.reference import Reference, Step

            step = Step(network)
            self._advance, shapes = Reference(step), [tuple(i.shape) for i in step.inputs()]
        else:
            raise ValueError('neither a network nor an export of one')
        self.grid = shapes[0][-1]
        self.slice_ns = slice_ns if network is None else network.configuration.slice_ns
        self._at_rest = tuple(np.zeros(shape, np.float32) for shape in shapes[2:])
        self.presence = presence
        self.activity = activity or ActivityConfiguration()
        self.warm_up_ns = warm_up_ns
        self.model = model

    @classmethod
    def load(cls, path: Path | None = None) -> ActionUnitClassifier:
        """Read a classifier from a weights file; torch runs only if no export lies beside it.

        Then it is limited to one thread: the network is too small to gain from a second, which
        a robot needs elsewhere.

        Args:
            path: a file of `weights.save`; None for the weights that come with the package.

        Raises:
            MicroexprError: as of `weights.load` and `runtime.beside`.
        """
        path = path or weights.shipped('au')
        file = weights.load(path, 'au', with_tensors=False)
        runtime = beside(path, file.hash)
        if runtime is not None:
            slice_ns = file.settings['configuration']['slice_ns']
            return cls(None, *_settings(file), runtime=runtime, slice_ns=slice_ns)
        import torch

        torch.set_num_threads(1)
        return cls.from_weights(weights.load(path, 'au'))

    @classmethod
    def from_weights(cls, file: weights.Weights) -> ActionUnitClassifier:
        """Return the classifier that a weights file describes, stepped by torch.

        Raises:
            MicroexprError: the weights are of another version.
        """
        from microexpr_ros.perception.spiking.network import SpikingConfiguration, SpikingNetwork

        network = SpikingNetwork(file.configuration(SpikingConfiguration), normalized=False)
        network.load_state_dict(dict(file.tensors))
        return cls(network, *_settings(file))

    def to_settings(self) -> dict[str, Any]:
        """Return everything but the tensors, as JSON values for `weights.save`."""
        return {
            'configuration': asdict(self.network.configuration),
            'presence': self.presence.to_settings(),
            'activity': asdict(self.activity),
            'warm_up_ns': self.warm_up_ns,
        }

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

        The state starts anew when no face region is known, and when the slice does not begin
        where the last one ended.

        Args:
            slice_: the next slice; none may be left out, not even an empty one.
            state: of the slice before.

        Returns:
            The estimate at the end of the slice, and the new state.

        Raises:
            MicroexprError: the slice has another length or grid than the network.
        """
        self._check(slice_)
        if slice_.region is None:
            return _no_face(slice_.end_ns), self.initial_state()
        if state.end_ns is not None and not follows(slice_, state.end_ns):
            state = self.initial_state()
        cells = np.array([slice_.pixels_per_cell], np.float32)
        sides, *network = self._advance(slice_.counts[None], cells, *state.network)
        activity = self.activity.observe(
            slice_.counts, slice_.pixels_per_cell, slice_.duration_ns, state.activity
        )
        age_ns = state.age_ns + slice_.duration_ns
        status = self._status(activity, age_ns)
        estimate = judge(slice_.end_ns, status, sides[0], self.presence, state.active)
        return estimate, ActionUnitState(
            tuple(network), activity, estimate.active, age_ns, slice_.end_ns
        )

    def warm_up(self) -> None:
        """Step once on nothing, so that the first real slice is not the slowest."""
        self.step(blank_slice(self.grid, self.slice_ns), self.initial_state())

    def _status(self, activity: Activity, age_ns: int) -> Status:
        if age_ns < self.warm_up_ns:
            return Status.WARMING_UP
        if self.activity.head_moves(activity):
            return Status.HEAD_MOVING
        if self.activity.silent(activity):
            return Status.TOO_FEW_EVENTS
        return Status.OK

    def _check(self, slice_: Slice) -> None:
        if slice_.duration_ns != self.slice_ns:
            raise MicroexprError(
                f'slices of {slice_.duration_ns / 1e6:g} ms, but {self.model} was trained for '
                f'{self.slice_ns / 1e6:g} ms: set the slice length of the synchronizer to that'
            )
        shape = (2, self.grid, self.grid)
        if slice_.counts.shape != shape:
            raise MicroexprError(
                f'slices of shape {slice_.counts.shape}, but {self.model} was trained for '
                f'{shape}: set the grid of the synchronizer to that'
            )


def judge(
    end_ns: int,
    status: Status,
    sides: NDArray[np.float32],
    presence: Presence,
    before: NDArray[np.bool_],
) -> ActionUnitEstimate:
    """Return intensities as an estimate: presence and confidence follow from the stronger side.

    Args:
        end_ns: end of the slice.
        status: what the estimate is worth.
        sides: float32 [18, 2], intensities on the subject's left and right, 0 to 1.
        presence: thresholds and calibration.
        before: bool [18], which units were active one slice ago.
    """
    intensity = sides.max(axis=1)
    active = presence.active(intensity, before)
    probability = presence.probability(intensity)
    confidence = np.where(active, probability, 1 - probability) * (status not in BLIND)
    return ActionUnitEstimate(end_ns, status, sides, confidence.astype(np.float32), active)


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
