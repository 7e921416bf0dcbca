"""The networks that are compared: what they are given, and how they are built."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import torch
from torch import Tensor, nn

from microexpr_ros.learning.datasets import SequenceBatch
from microexpr_ros.learning.recurrent_twin import RecurrentTwin
from microexpr_ros.learning.region_counts import RegionCounts
from microexpr_ros.perception.spiking import SpikingConfiguration, SpikingNetwork

Model = Literal['events', 'rgb', 'fusion', 'twin', 'linear']
"""The spiking network on events, on frames and on both; its twin and counts on events."""

CHANNELS: Final[dict[Model, int]] = {'rgb': 2, 'fusion': 4}
"""Input channels of the models that see frames."""


class FrameNetwork(SpikingNetwork):
    """The spiking network, given frames, or events and frames.

    Args:
        model: rgb or fusion.
        configuration: shape and time constants.
    """

    def __init__(self, model: Model, configuration: SpikingConfiguration | None = None) -> None:
        super().__init__(configuration)
        self.model = model
        first = self.convolutions[0]
        assert isinstance(first, nn.Conv2d)
        size, stride = self.configuration.kernels[0], self.configuration.strides[0]
        self.convolutions[0] = nn.Conv2d(
            CHANNELS[model], first.out_channels, size, stride, size // 2, bias=False
        )


Network: TypeAlias = SpikingNetwork | RecurrentTwin | RegionCounts


def build(model: Model, configuration: SpikingConfiguration | None = None) -> Network:
    """Return an untrained network."""
    if model in CHANNELS:
        return FrameNetwork(model, configuration)
    kinds = {'events': SpikingNetwork, 'twin': RecurrentTwin, 'linear': RegionCounts}
    result: Network = kinds[model](configuration)
    return result


def sees_frames(network: Network) -> bool:
    """Whether a network needs the frames of a batch."""
    return isinstance(network, FrameNetwork)


def encode(network: Network, batch: SequenceBatch) -> Tensor:
    """Return what a network is given of a batch, float32 [T, B, ...]."""
    events = network.encode(torch.from_numpy(batch.density), 1.0)
    if not isinstance(network, FrameNetwork):
        return events
    if batch.frames is None:
        raise ValueError('the batch was made without frames')
    frames = torch.from_numpy(batch.frames)
    return frames if network.model == 'rgb' else torch.cat([events, frames], 2)
