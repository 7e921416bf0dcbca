"""The networks that are compared: how they are built, and their inputs."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import torch
from torch import Tensor

from microexpr_ros.learning.data.batches import SequenceBatch
from microexpr_ros.learning.models.recurrent_twin import RecurrentTwin
from microexpr_ros.learning.models.region_counts import RegionCounts
from microexpr_ros.perception.spiking.configuration import SpikingConfiguration
from microexpr_ros.perception.spiking.network import (
    NetworkState,
    SpikingNetwork,
)

Model = Literal['events', 'rgb', 'fusion', 'twin', 'linear']
"""The spiking network on events, on frames and on both; its twin and counts on events."""

CHANNELS: Final[dict[Model, tuple[int, int]]] = {'rgb': (2, 1), 'fusion': (4, 1)}
"""Input channels, with traces and without, of the models that see frames."""


class FrameNetwork(SpikingNetwork):
    """The spiking network, given frames, or events and frames.

    The decrease and the increase between frames stand for OFF and ON events, with the same
    traces; the newest frame is one channel more.

    Args:
        model: rgb or fusion.
        configuration: shape and time constants.
    """

    def __init__(self, model: Model, configuration: SpikingConfiguration | None = None) -> None:
        traced, direct = CHANNELS[model]
        super().__init__(configuration, traced=traced, direct=direct)
        self.model = model


Network: TypeAlias = SpikingNetwork | RecurrentTwin | RegionCounts


def build(model: Model, configuration: SpikingConfiguration | None = None) -> Network:
    """Return an untrained network."""
    if model in CHANNELS:
        return FrameNetwork(model, configuration)
    kinds = {'events': SpikingNetwork, 'twin': RecurrentTwin, 'linear': RegionCounts}
    result: Network = kinds[model](configuration)
    return result


def sees_events(network: Network) -> bool:
    """Whether a network needs the events of a batch."""
    return not (isinstance(network, FrameNetwork) and network.model == 'rgb')


def sees_frames(network: Network) -> bool:
    """Whether a network needs the frames of a batch."""
    return isinstance(network, FrameNetwork)


def decays(network: Network) -> tuple[float, ...]:
    """Return the factor per slice of each trace of a network's input."""
    return (network if isinstance(network, RegionCounts) else network.configuration).decays()


def encode(network: Network, batch: SequenceBatch) -> tuple[Tensor, NetworkState]:
    """Return a network's input and initial state for a batch.

    Returns:
        Input, float32 [T, B, ...], and the state at the start: at rest, except the traces of the
        slices before.
    """
    events = network.encode(torch.from_numpy(batch.density), 1.0)
    state = network.initial_state(batch.density.shape[1])
    traces = network.encode(torch.from_numpy(batch.traces), 1.0)
    if isinstance(network, FrameNetwork):
        if batch.frames is None or batch.frame_traces is None:
            raise ValueError('the batch was made without frames')
        gain = network.configuration.change_gain or 1.0
        newest = torch.from_numpy(batch.frames)
        frames = torch.cat([gain * newest[:, :, :2], newest[:, :, 2:]], 2)
        changes = gain * torch.from_numpy(batch.frame_traces)
        both = network.model == 'fusion'
        events = torch.cat([events, frames], 2) if both else frames
        traces = torch.cat([traces, changes], 2) if both else changes
    return events, (traces, *state[1:])
