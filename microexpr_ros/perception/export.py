"""Networks to ONNX, for `runtime`."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from microexpr_ros.perception import weights
from microexpr_ros.perception.action_units import ActionUnitClassifier
from microexpr_ros.perception.reconstruction import ConditionalVae, Reconstructor
from microexpr_ros.perception.runtime import SOURCE
from microexpr_ros.perception.spiking import SpikingNetwork


class _Step(nn.Module):
    """Counts to intensities: encoding, one step, sigmoid."""

    def __init__(self, network: SpikingNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, counts: Tensor, pixels_per_cell: Tensor, *state: Tensor
    ) -> tuple[Tensor, ...]:
        encoded = self.network.encode(counts, pixels_per_cell)
        logits, after = self.network.step(encoded, state)
        return torch.sigmoid(logits), *after


class _Image(nn.Module):
    """Condition, events not yet compressed, to image."""

    def __init__(self, network: ConditionalVae) -> None:
        super().__init__()
        self.network = network

    def forward(self, events: Tensor, picture: Tensor) -> Tensor:
        compressed = self.network.configuration.compress(events)
        image: Tensor = self.network(torch.cat([compressed, picture], 1))
        return image


def write_beside(path: Path, kind: weights.Kind) -> Path:
    """Export a weights file to the .onnx file beside it, which `load` then runs.

    Raises:
        MicroexprError: as of `weights.load`.
    """
    file = weights.load(path, kind)
    if kind == 'au':
        model = export_au(ActionUnitClassifier.from_weights(file).network, file.hash)
    else:
        model = export_reconstruction(Reconstructor.from_weights(file).network, file.hash)
    target = path.with_suffix('.onnx')
    partial = target.with_name(f'{target.name}.partial')
    partial.write_bytes(model)
    partial.replace(target)
    return target


def export_au(network: SpikingNetwork, source: str = '') -> bytes:
    """Return one step of a deployed network as ONNX.

    Inputs: counts uint8 [1, 2, grid, grid], pixels per cell float32 [1], the state's arrays.
    Outputs: intensities float32 [1, 18], 0 to 1, and the new state's arrays.

    Args:
        network: a deployed network.
        source: hash of the weights file, kept as metadata.
    """
    grid = network.configuration.grid
    counts = torch.zeros(1, 2, grid, grid, dtype=torch.uint8)
    return _export(_Step(network), (counts, torch.ones(1), *network.initial_state()), source)


def export_reconstruction(network: ConditionalVae, source: str = '') -> bytes:
    """Return a deployed network as ONNX.

    Inputs: signed events per sensor pixel float32 [1, channels - 2, grid, grid], and frame and
    mask float32 [1, 2, grid, grid]. Output: image float32 [1, 1, grid, grid], 0 to 1.

    Args:
        network: a deployed network.
        source: hash of the weights file, kept as metadata.
    """
    c = network.configuration
    events = torch.zeros(1, c.channels - 2, c.grid, c.grid)
    return _export(_Image(network), (events, torch.zeros(1, 2, c.grid, c.grid)), source)


def _export(module: nn.Module, inputs: tuple[Tensor, ...], source: str) -> bytes:
    # The exporter talks of optional packages and of its own internals; nothing a user can act on.
    exporter = logging.getLogger('torch.onnx')
    level = exporter.level
    exporter.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter('ignore')
            program = torch.onnx.export(module.eval(), inputs, dynamo=True, verbose=False)
    finally:
        exporter.setLevel(level)
    assert program is not None
    model = program.model_proto
    model.metadata_props.add(key=SOURCE, value=source)
    serialized: bytes = model.SerializeToString()
    return serialized
