"""Networks to ONNX, for `runtime`."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
from onnx import GraphProto, ModelProto

from microexpr_ros.atomic import atomic_target
from microexpr_ros.perception import weights
from microexpr_ros.perception.classifier import ActionUnitClassifier
from microexpr_ros.perception.faces.configuration import FaceConfiguration
from microexpr_ros.perception.faces.network import FaceDetector, FaceNetworks, FaceRefiner
from microexpr_ros.perception.reconstruction.inference import ReconstructionInference
from microexpr_ros.perception.reconstruction.network import ConditionalVae
from microexpr_ros.perception.reconstruction.reconstructor import Reconstructor
from microexpr_ros.perception.runtime import SOURCE
from microexpr_ros.perception.spiking.inference import SpikingInference, simplify
from microexpr_ros.perception.spiking.network import SpikingNetwork

Exported = SpikingInference | ReconstructionInference | FaceDetector | FaceRefiner


def write_export(path: Path, kind: weights.Kind) -> Path:
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
    with atomic_target(target, replace=True) as hidden:
        hidden.write_bytes(model)
    return target


def export_au(network: SpikingNetwork, source: str = '') -> bytes:
    """Return `SpikingInference` of a deployed network as ONNX.

    Args:
        network: a deployed network.
        source: hash of the weights file, kept as metadata.
    """
    return _export(SpikingInference(simplify(network)), source)


def export_reconstruction(network: ConditionalVae, source: str = '') -> bytes:
    """Return `ReconstructionInference` of a deployed network as ONNX.

    Args:
        network: a deployed network.
        source: hash of the weights file, kept as metadata.
    """
    return _export(ReconstructionInference(network), source)


def write_face_exports(path: Path) -> list[Path]:
    """Export the face tracker's networks to .detector.onnx and .refiner.onnx beside their weights.

    Raises:
        MicroexprError: As of `weights.load`.
    """
    file = weights.load(path, 'face')
    networks = FaceNetworks(file.configuration(FaceConfiguration))
    networks.load_state_dict(dict(file.tensors))
    targets = []
    for name, network in (('detector', networks.detector), ('refiner', networks.refiner)):
        target = path.with_suffix(f'.{name}.onnx')
        with atomic_target(target, replace=True) as hidden:
            hidden.write_bytes(_export(network, file.hash))
        targets.append(target)
    return targets


def _export(module: Exported, source: str) -> bytes:
    # The exporter logs optional packages and its own internals: nothing that a user can act on.
    exporter = logging.getLogger('torch.onnx')
    level = exporter.level
    exporter.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter('ignore')
            # The version of which the exporter makes all operators: it converts none in branches.
            program = torch.onnx.export(
                module.eval(), module.inputs(), dynamo=True, verbose=False, opset_version=18
            )
    finally:
        exporter.setLevel(level)
    assert program is not None
    model = program.model_proto
    _forget_sources(model)
    model.metadata_props.add(key=SOURCE, value=source)
    serialized: bytes = model.SerializeToString()
    return serialized


def _forget_sources(model: ModelProto) -> None:
    """Remove where in the code each part comes from: half of the file, and paths of a machine."""
    for graph in _find_graphs(model.graph):
        named = (*graph.value_info, *graph.input, *graph.output, *graph.initializer)
        for part in (graph, *graph.node, *named):
            part.ClearField('metadata_props')
            part.ClearField('doc_string')
    model.ClearField('metadata_props')
    model.ClearField('doc_string')


def _find_graphs(graph: GraphProto) -> Iterator[GraphProto]:
    """Yield a graph and those of its branches."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField('g'):
                yield from _find_graphs(attribute.g)
