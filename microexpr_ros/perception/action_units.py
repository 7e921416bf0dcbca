"""Action Units of one face, slice by slice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from microexpr_ros.alignment.slices import Slice, blank_slice, follows
from microexpr_ros.errors import MicroexprError
from microexpr_ros.facs import CODES
from microexpr_ros.perception import weights
from microexpr_ros.perception.activity import Activity, ActivityConfiguration
from microexpr_ros.perception.presence import Presence
from microexpr_ros.perception.runtime import Runtime, beside
from microexpr_ros.perception.spiking import (
    NetworkState,
    SpikingConfiguration,
    SpikingNetwork,
)


class Status(IntEnum):
    """What an estimate is worth; the values are those of the ActionUnitArray message."""

    OK = 0
    NO_FACE = 1
    TOO_FEW_EVENTS = 2
    HEAD_MOVING = 3
    WARMING_UP = 4
    STALE = 5


EVIDENCE: Mapping[Status, float] = {
    Status.OK: 1.0,
    Status.NO_FACE: 0.0,
    Status.TOO_FEW_EVENTS: 0.5,
    Status.HEAD_MOVING: 0.5,
    Status.WARMING_UP: 0.5,
    Status.STALE: 0.0,
}
"""Factor on the confidence: a stated convention, not a measurement."""


@dataclass(frozen=True, slots=True)
class ActionUnitEstimate:
    """All units of one face at the end of one slice, in the order of `facs.CODES`.

    The confidence of a unit is the calibrated probability that its `active` flag is right,
    times `EVIDENCE` of the status. The calibration is fitted on validation clips of the data
    that the network was trained on; on other data it is only a ranking.

    Attributes:
        end_ns: end of the slice, ROS time of the sensor.
        status: what the estimate is worth.
        intensity: float32 [18], 0 to 1; FACS grades A-E are 0.2 to 1.0.
        confidence: float32 [18], 0 to 1.
        active: bool [18], intensity over the unit's threshold, with hysteresis.
    """

    end_ns: int
    status: Status
    intensity: NDArray[np.float32]
    confidence: NDArray[np.float32]
    active: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ActionUnitState:
    """What the classifier remembers of one face.

    Attributes:
        network: membrane voltages.
        activity: recent rates of events.
        active: bool [18], which units were active.
        age_ns: how long the state has followed the face.
        end_ns: end of the last slice, None before the first.
    """

    network: NetworkState
    activity: Activity
    active: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(len(CODES), np.bool_))
    age_ns: int = 0
    end_ns: int | None = None


class ActionUnitClassifier:
    """Reads Action Units from slices; holds no state, so one serves any number of faces.

    Args:
        network: a deployed network.
        presence: thresholds and calibration.
        activity: when the head moves and when there are too few events.
        warm_up_ns: age of the state from which estimates count.
        model: name and hash of the weights.
        runtime: the same network, exported; None to step the network itself.
    """

    def __init__(
        self,
        network: SpikingNetwork,
        presence: Presence,
        activity: ActivityConfiguration | None = None,
        warm_up_ns: int = 200_000_000,
        model: str = 'untrained',
        runtime: Runtime | None = None,
    ) -> None:
        self._network = network.eval()
        self._runtime = runtime
        self.presence = presence
        self.activity = activity or ActivityConfiguration()
        self.warm_up_ns = warm_up_ns
        self.model = model

    @classmethod
    def load(cls, path: Path | None = None) -> ActionUnitClassifier:
        """Read a classifier from a weights file, and limit torch to one thread.

        The network is too small to gain from a second thread, which a robot needs elsewhere.

        Args:
            path: a file of `weights.save`; None for the weights that come with the package.

        Raises:
            MicroexprError: as of `weights.load`.
        """
        path = path or weights.shipped('au')
        file = weights.load(path, 'au')
        torch.set_num_threads(1)
        return cls.from_weights(file, beside(path, file.hash))

    @classmethod
    def from_weights(
        cls, file: weights.Weights, runtime: Runtime | None = None
    ) -> ActionUnitClassifier:
        """Return the classifier that a weights file describes."""
        configuration = _configuration(file.settings['configuration'])
        network = SpikingNetwork(configuration, normalized=False)
        network.load_state_dict(dict(file.tensors))
        return cls(
            network,
            Presence.from_settings(file.settings['presence']),
            ActivityConfiguration(**file.settings['activity']),
            int(file.settings['warm_up_ns']),
            file.model,
            runtime,
        )

    def to_settings(self) -> dict[str, Any]:
        """Return everything but the tensors, as JSON values for `weights.save`."""
        return {
            'configuration': asdict(self._network.configuration),
            'presence': self.presence.to_settings(),
            'activity': asdict(self.activity),
            'warm_up_ns': self.warm_up_ns,
        }

    @property
    def slice_ns(self) -> int:
        """Length of a slice that the network was trained for."""
        return self._network.configuration.slice_ns

    @property
    def network(self) -> SpikingNetwork:
        """The deployed network, for batches."""
        return self._network

    def initial_state(self) -> ActionUnitState:
        """Return the state of a classifier that has seen nothing."""
        return ActionUnitState(self._network.initial_state(), Activity.none())

    @torch.inference_mode()
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
        intensity, voltages = self._advance(slice_, state.network)
        after = ActionUnitState(
            voltages,
            self.activity.observe(
                slice_.counts, slice_.pixels_per_cell, slice_.duration_ns, state.activity
            ),
            self.presence.active(intensity, state.active),
            state.age_ns + slice_.duration_ns,
            slice_.end_ns,
        )
        status = self._status(after)
        probability = self.presence.probability(intensity)
        confidence = np.where(after.active, probability, 1 - probability) * EVIDENCE[status]
        estimate = ActionUnitEstimate(
            slice_.end_ns, status, intensity, confidence.astype(np.float32), after.active
        )
        return estimate, after

    def warm_up(self) -> None:
        """Step once on nothing, so that the first real slice is not the slowest."""
        self.step(
            blank_slice(self._network.configuration.grid, self.slice_ns), self.initial_state()
        )

    def _advance(
        self, slice_: Slice, state: NetworkState
    ) -> tuple[NDArray[np.float32], NetworkState]:
        if self._runtime is None:
            counts = torch.tensor(slice_.counts)[None]
            encoded = self._network.encode(counts, slice_.pixels_per_cell)
            logits, after = self._network.step(encoded, state)
            return torch.sigmoid(logits)[0].numpy(), after
        cells = np.array([slice_.pixels_per_cell], np.float32)
        before = (voltage.numpy() for voltage in state)
        intensity, *voltages = self._runtime(slice_.counts[None], cells, *before)
        return intensity[0], tuple(map(torch.from_numpy, voltages))

    def _status(self, state: ActionUnitState) -> Status:
        if state.age_ns < self.warm_up_ns:
            return Status.WARMING_UP
        if self.activity.head_moves(state.activity):
            return Status.HEAD_MOVING
        if self.activity.silent(state.activity):
            return Status.TOO_FEW_EVENTS
        return Status.OK

    def _check(self, slice_: Slice) -> None:
        c = self._network.configuration
        if slice_.duration_ns != c.slice_ns:
            raise MicroexprError(
                f'slices of {slice_.duration_ns / 1e6:g} ms, but {self.model} was trained for '
                f'{c.slice_ns / 1e6:g} ms: set the slice length of the synchronizer to that'
            )
        if slice_.counts.shape != (2, c.grid, c.grid):
            raise MicroexprError(
                f'slices of shape {slice_.counts.shape}, but {self.model} was trained for '
                f'{(2, c.grid, c.grid)}: set the grid of the synchronizer to that'
            )


def _no_face(end_ns: int) -> ActionUnitEstimate:
    zeros = np.zeros(len(CODES), np.float32)
    return ActionUnitEstimate(end_ns, Status.NO_FACE, zeros, zeros, zeros.astype(np.bool_))


def _configuration(settings: Mapping[str, Any]) -> SpikingConfiguration:
    # JSON knows no tuples.
    values: dict[str, Any] = {f.name: settings[f.name] for f in fields(SpikingConfiguration)}
    for name in ('channels', 'kernels', 'strides', 'tau_ms', 'integrator_tau_ms'):
        values[name] = tuple(values[name])
    return SpikingConfiguration(**values)
