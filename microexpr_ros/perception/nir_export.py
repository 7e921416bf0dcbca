"""Spiking networks in the Neuromorphic Intermediate Representation (NIR), for other simulators.

The graph is what spikes: convolutions, leaky integrate-and-fire neurons, the projection and the
leaky integrators. What comes before and after is not part of NIR and stays on the host: the
compressed traces are its input, and the readouts see what is above zero of its output.

NIR's neurons are reset to a voltage, and spike once in a step. Where spikes take the threshold
from the voltage instead, or a neuron spikes as often in a step as its voltage holds the threshold,
a reader has to be told: the metadata of the graph hold `reset` and `burst`, the most spikes in a
step, beside the time step. Thresholds and spikes are 1 in the graph.

Source: Pedersen et al., Neuromorphic intermediate representation: A unified instruction set for
interoperable brain-inspired computing, Nature Communications 2024.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import nir
import numpy as np
import torch
from numpy.typing import NDArray

from microexpr_ros.atomic import atomic_target
from microexpr_ros.errors import MicroexprError
from microexpr_ros.perception import weights
from microexpr_ros.perception.classifier import ActionUnitClassifier
from microexpr_ros.perception.spiking.inference import unit_convolutions
from microexpr_ros.perception.spiking.network import SpikingNetwork

SUFFIX: Final = '.nir'


def write_nir(path: Path) -> Path:
    """Export the weights file of a spiking network to the .nir file beside it.

    Raises:
        MicroexprError: as of `weights.load`, or its neurons do not spike.
    """
    file = weights.load(path, 'au')
    target = path.with_suffix(SUFFIX)
    graph = build_graph(ActionUnitClassifier.from_weights(file).network, file.hash)
    with atomic_target(target, replace=True) as hidden:
        nir.write(hidden, graph)
    return target


def build_graph(network: SpikingNetwork, source: str = '') -> nir.NIRGraph:
    """Return the spiking part of a deployed network as a chain of nodes.

    Args:
        network: a deployed network.
        source: hash of the weights file, kept as metadata.

    Raises:
        MicroexprError: its neurons do not spike.
    """
    c = network.configuration
    if not c.spikes:
        raise MicroexprError(f'NIR describes spiking networks: this one has {c.neurons} neurons')
    step_s, side = c.slice_ns * 1e-9, c.grid // c.pool
    shape: tuple[int, ...] = (len(c.trace_ms) * network.traced + network.direct, side, side)
    nodes: list[tuple[str, nir.NIRNode]] = [('input', nir.Input({'input': np.array(shape)}))]
    for layer, convolution in enumerate(unit_convolutions(network)):
        weight, bias = _array(convolution.weight), _array(convolution.bias)
        stride = c.strides[layer]
        padding = c.kernels[layer] // 2
        nodes.append(
            (
                f'convolution_{layer}',
                nir.Conv2d(shape[1:], weight, stride, padding, 1, 1, bias),
            )
        )
        shape = (c.channels[layer], *((side - 1) // stride + 1 for side in shape[1:]))
        nodes.append((f'neurons_{layer}', _neurons(shape, step_s / c.leak(layer))))
    nodes.append(('flat', nir.Flatten({'input': np.array(shape)}, 0, -1)))
    weight = _array(network.projection.weight) / np.float32(c.burst)
    bias = _array(network.projection.bias)
    nodes.append(('projection', nir.Affine(weight, bias)))
    tau_s = step_s / _array(torch.sigmoid(network.leak_logit))
    integrators = nir.LI(tau_s, np.ones_like(tau_s), np.zeros_like(tau_s))
    nodes.append(('integrators', integrators))
    nodes.append(('output', nir.Output({'output': np.array(tau_s.shape)})))
    names = [name for name, _ in nodes]
    return nir.NIRGraph(
        dict(nodes),
        list(pairwise(names)),
        metadata={'step_s': step_s, 'reset': c.reset, 'burst': c.burst, 'source': source},
    )


def _neurons(shape: tuple[int, ...], tau_s: float) -> nir.LIF:
    ones = np.ones(shape, np.float32)
    return nir.LIF(np.float32(tau_s) * ones, ones, 0 * ones, ones, 0 * ones)


def _array(tensor: Any) -> NDArray[np.float32]:
    return np.asarray(tensor.detach().numpy(), np.float32)
