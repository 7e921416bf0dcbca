"""Shape of the reconstruction network and of what it is conditioned on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.events.grid import GRID, SLICE_NS
from microexpr_ros.perception.settings import added_field


@dataclass(frozen=True, slots=True)
class ReconstructionConfiguration:
    """Shape of the network and of what it is conditioned on.

    Attributes:
        grid: rows and columns of slices and images.
        slice_ns: length of a slice.
        bins: temporal bins of the voxel grid of recent signed events.
        slices_per_bin: slices that one bin sums.
        tau_ms: time constants of the leaky integrals of signed events, ms.
        activity_tau_ms: time constant of the leaky integral of all events, ms.
        frame_slices: age in slices from which a frame is no longer carried to now.
        gain: events per sensor pixel e enter as sign(e) log(1 + gain |e|).
        fine: channels on the full grid.
        width: channels of half the grid; coarser ones have 2, 4 and 4 times as many.
        latent: channels of the local latent variable, which is 1/16 of the grid wide and high.
        global_latent: values of the global latent variable.
        moves: whether the frame and the reference are also moved by a predicted flow.
        averages: whether the average of the frames stands for the newest one, and enters too.
        lasting: whether events that stay until others take their place enter (`LastingEvents`).
        blocks: residual blocks on a sixteenth of the grid, where they see the whole face.
    """

    grid: int = GRID
    slice_ns: int = SLICE_NS
    bins: int = 5
    slices_per_bin: int = 3
    tau_ms: tuple[float, ...] = (50.0, 200.0, 800.0)
    activity_tau_ms: float = 800.0
    frame_slices: int = 100
    gain: float = 5.0
    fine: int = 8
    width: int = 16
    latent: int = 4
    global_latent: int = 8
    moves: bool = added_field(True, before=False)
    averages: bool = added_field(True, before=False)
    lasting: bool = added_field(True, before=False)
    blocks: int = added_field(4, before=0)

    @property
    def slices(self) -> int:
        """Slices that the voxel grid covers."""
        return self.bins * self.slices_per_bin

    @property
    def event_channels(self) -> int:
        """Channels of events: voxel grid, leaky integrals, activity, lasting, since the frame."""
        return self.bins + len(self.tau_ms) + self.lasting + 2

    @property
    def channels(self) -> int:
        """Channels of the condition: the events' and the pictures'."""
        return self.event_channels + self.pictures

    @property
    def pictures(self) -> int:
        """Channels of pictures in a condition: the first of PICTURES."""
        return PICTURES if self.averages else _WITHOUT_AVERAGE

    def decays(self) -> NDArray[np.float32]:
        """Return the factor per slice of each leaky integral, the activity's last."""
        tau_ms = np.array([*self.tau_ms, self.activity_tau_ms])
        return np.exp(-self.slice_ns * 1e-6 / tau_ms).astype(np.float32)


PICTURES = 9
"""Channels of pictures in a condition: the frames carried to now, the newest frame, the reference,
where there is a frame, its age from 0 to 1, where there is a reference; then the average of the
frames when the newest was taken, the deviation of its error, and the change of log light that the
newest frame does not show although it came before it was complete."""

_WITHOUT_AVERAGE = 6
