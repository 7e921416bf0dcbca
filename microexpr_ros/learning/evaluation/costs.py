"""What networks compute per second of stream: operations caused by spikes, and dense ones."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from microexpr_ros.events.grid import SLICE_NS
from microexpr_ros.learning.data.clips import SparseClip
from microexpr_ros.learning.evaluation.action_unit_report import Operations
from microexpr_ros.learning.evaluation.trained_baselines import IntensityEstimator
from microexpr_ros.learning.training.action_units import predict
from microexpr_ros.perception.spiking.network import SpikingNetwork


def fan_out(layer: nn.Module, spikes: Tensor) -> float:
    """Return how many additions into neurons are caused by spikes.

    Args:
        layer: a convolution or a linear layer.
        spikes: how many come into it where, float32 [N, C, H, W] or [..., I].
    """
    if isinstance(layer, nn.Conv2d):
        # Neurons that a value reaches: fewer at the border, and where a stride steps over.
        reached = functional.conv2d(
            spikes.sum(1, keepdim=True),
            torch.ones(1, 1, *layer.kernel_size),
            stride=layer.stride,
            padding=layer.padding,
        )
        return float(reached.sum(dtype=torch.float64)) * layer.out_channels / layer.groups
    assert isinstance(layer, nn.Linear)
    return float(spikes.sum(dtype=torch.float64)) * layer.out_features


@torch.inference_mode()
def count_operations(network: SpikingNetwork, recordings: Sequence[SparseClip]) -> Operations:
    """Count the spikes of a network and the operations that they cause.

    An operation is one addition of a weight to one neuron; a burst of spikes causes as many as it
    has spikes. Each layer is counted by its input: the first takes traces, which are graded and
    hardly ever 0, the next ones take spikes, and the readout takes integrators, which are never 0.

    Args:
        network: deployed.
        recordings: clips.
    """
    spikes, burst = 0.0, network.configuration.burst
    layers = {
        name: layer
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Conv2d | nn.Linear)
    }
    operations = dict.fromkeys(layers, 0.0)

    def count(name: str, layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        nonlocal spikes
        fired = (inputs[0] * burst).round()
        if bool((fired == inputs[0] * burst).all()):
            spikes += float(fired.sum(dtype=torch.float64))
        else:
            fired = (inputs[0] != 0).float()
        operations[name] += fan_out(layer, fired)

    hooks = [
        layer.register_forward_pre_hook(partial(count, name)) for name, layer in layers.items()
    ]
    try:
        # One by one: in a batch, short clips are padded, and the padding would spike too.
        for recording in recordings:
            predict(network, [recording])
    finally:
        for hook in hooks:
            hook.remove()
    seconds = _seconds(recordings)
    by_layer = {name: number / seconds for name, number in operations.items()}
    return Operations(spikes / seconds, sum(by_layer.values()), by_layer)


def count_multiply_adds(estimator: IntensityEstimator, recording: SparseClip) -> float:
    """Return the dense multiply-adds of a torch network per second of stream."""
    with FlopCounterMode(display=False) as counter:
        estimator.predict([recording])
    return float(counter.get_total_flops()) / 2 / _seconds([recording])


def _seconds(recordings: Sequence[SparseClip]) -> float:
    return sum(r.slices for r in recordings) * SLICE_NS * 1e-9
