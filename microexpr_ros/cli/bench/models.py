"""`microexpr bench models`: how long a step of the networks takes, and whether all runtimes agree.

The reference is Norse, or torch, layer by layer; what robots run is the export.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Final, TypeVar

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from microexpr_ros import bags
from microexpr_ros.alignment.slices import Slice
from microexpr_ros.alignment.synchronizer import Synchronizer
from microexpr_ros.cli import output
from microexpr_ros.cli.bench.machine import read_machine
from microexpr_ros.cli.commands import make_app
from microexpr_ros.cli.demo import sources
from microexpr_ros.cli.demo.sources import Source
from microexpr_ros.cli.output import JsonOption
from microexpr_ros.cli.recording_options import SensorOption, SourceOption, TimeUnitOption
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events import codecs
from microexpr_ros.perception import weights as weights_files
from microexpr_ros.perception.classifier import ActionUnitClassifier, stronger_side
from microexpr_ros.perception.export import export_au, export_reconstruction
from microexpr_ros.perception.faces import EventFaceTracker
from microexpr_ros.perception.reconstruction.inference import ReconstructionInference
from microexpr_ros.perception.reconstruction.reconstructor import Reconstructor, network_inputs
from microexpr_ros.perception.runtime import Runtime, load_export
from microexpr_ros.perception.spiking.inference import SpikingInference
from microexpr_ros.perception.spiking.network import intensities
from microexpr_ros.perception.torch_runtime import TorchRuntime

app = make_app()

Piece = TypeVar('Piece')

_STEPS_HZ: Final = 100.0
_IMAGES_HZ: Final = 30.0
_BLOCK: Final = 20
"""Steps of one runtime before the turn of the next."""

_SIDE: Final = 384
"""Rows of the matrices that the floor is measured with: they fit into a core's caches."""


@dataclass(frozen=True, slots=True)
class Row:
    """One network in one runtime.

    Attributes:
        model: name and hash of the weights.
        runtime: norse and torch, layer by layer, are the references; onnxruntime is the export,
            with the traces that it is given;
            classifier is all that the node calls: export, statuses, presence and confidence.
        ms: median time of a step, or of an image.
        p99_ms: 99th percentile of that time.
        times_faster: median of the reference over this median.
        core_share: share of one core at 100 steps or 30 images a second.
        mmac: million multiply-adds of a step.
        floor_ms: time of as many multiply-adds in a product of matrices.
        agreement: correlation of all outputs with the reference's.
        same_decisions: share of units and slices with the reference's `active`; None for images.
    """

    model: str
    runtime: str
    ms: float
    p99_ms: float
    times_faster: float
    core_share: float
    mmac: float
    floor_ms: float
    agreement: float
    same_decisions: float | None


@dataclass(frozen=True, slots=True)
class _Runs:
    """Time and output of every step by runtime, and the rate of a product of matrices."""

    seconds: Mapping[str, list[float]]
    outputs: Mapping[str, list[NDArray[np.float32]]]
    mac_per_s: float


@app.command()
def models(
    source: SourceOption = 'real',
    sensor: SensorOption = None,
    time_unit: TimeUnitOption = None,
    slices: Annotated[int, typer.Option(help='Slices of a face to step through.', min=20)] = 1000,
    weights: Annotated[
        Path | None,
        typer.Option(help='Weights of the spiking network; without it, the shipped ones.'),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure a step of every network in every runtime.

    All run on one thread on the same slices of a recording, in turns, so that other load on the
    machine slows all of them alike. If the real recording cannot be downloaded, a synthetic one
    is used.
    """
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        found = _prepare(source, slices, Path(scratch), sensor, time_unit)
        pieces = list(islice(face_slices(found), slices))
    if not pieces:
        raise MicroexprError(f'{found.path} shows no face: give another --source')
    with output.spinner('stepping'):
        rows = [*_action_units(pieces, weights), *_reconstruction(pieces)]
    if as_json:
        output.print_json(
            {
                'rows': [asdict(row) for row in rows],
                'source': found.title,
                'slices': len(pieces),
                'machine': read_machine(),
            }
        )
    else:
        output.print_table(
            [_cells(row) for row in rows],
            text=('network and runtime',),
            title=f'{len(pieces)} slices, {found.title}',
            caption='floor: as many multiply-adds in a product of matrices, ms',
        )


def _prepare(
    source: str, slices: int, scratch: Path, sensor: str | None, time_unit: str | None
) -> Source:
    # More than the slices: the first ones show no face yet.
    seconds = 1.2 * slices / _STEPS_HZ
    with output.progress_bar('looking for events') as bar:

        def progress(title: str, done: float) -> None:
            bar.update(done, title=title)

        try:
            return sources.prepare_source(
                source, seconds, scratch, progress, sensor=sensor, time_unit=time_unit
            )
        except MicroexprError as error:
            if source != 'real':
                raise
            bar.print(f'{error}: synthetic events are used instead')
            return sources.prepare_source('synthetic', seconds, scratch, progress)


def face_slices(source: Source) -> Iterator[Slice]:
    """Yield the slices of a recording that show a face, as the synchronizer cuts them."""
    decoder: codecs.Decoder | None = None
    for _, packet in bags.read_packets(source.path, source.events_topic):
        if decoder is None:
            decoder = codecs.decoder(packet.encoding, packet.height, packet.width)
            synchronizer = Synchronizer(packet.height, packet.width, make_tracker=EventFaceTracker)
        events, _ = decoder.decode(packet.events, packet.time_base)
        if len(events):
            for aligned in synchronizer.push(events, int(events.t[0]), packet.stamp_ns):
                if aligned.slice.region is not None:
                    yield aligned.slice


def _action_units(slices: list[Slice], path: Path | None) -> list[Row]:
    path = path or weights_files.shipped('au')
    file = weights_files.load(path, 'au')
    classifier = ActionUnitClassifier.from_weights(file)
    runtime = load_export(path, file.hash) or Runtime(export_au(classifier.network))
    exported = ActionUnitClassifier(
        classifier.network,
        classifier.presence,
        classifier.activity,
        runtime=runtime,
        boxes=classifier.boxes,
    )

    def stepping_torch() -> Callable[[Slice], NDArray[np.float32]]:
        network = classifier.network
        state = network.initial_state()

        @torch.inference_mode()
        def run(slice_: Slice) -> NDArray[np.float32]:
            nonlocal state
            counts = torch.tensor(classifier.held_still(slice_)[None])
            logits, state = network.step(network.encode(counts, slice_.pixels_per_cell), state)
            return np.asarray(intensities(logits[0, :, :2]).numpy())

        return run

    def stepping_export() -> Callable[[Slice], NDArray[np.float32]]:
        state = exported.initial_state().network

        def run(slice_: Slice) -> NDArray[np.float32]:
            nonlocal state
            sides, _, state = exported.run_network(slice_, state)
            return sides

        return run

    def classifying() -> Callable[[Slice], NDArray[np.float32]]:
        state = exported.initial_state()

        def run(slice_: Slice) -> NDArray[np.float32]:
            nonlocal state
            estimate, state = exported.step(slice_, state)
            return estimate.sides

        return run

    networks = {
        'norse': stepping_torch(),
        'onnxruntime': stepping_export(),
        'classifier': classifying(),
    }

    def decisions(outputs: list[NDArray[np.float32]]) -> NDArray[np.bool_]:
        active = [np.zeros(len(outputs[0]), np.bool_)]
        for sides in outputs:
            active.append(classifier.presence.active(stronger_side(sides), active[-1]))
        return np.stack(active)

    macs = _macs(SpikingInference(classifier.network))
    return _rows(file.model, _take_turns(networks, slices), macs, _STEPS_HZ, decisions)


def _reconstruction(slices: list[Slice]) -> list[Row]:
    path = weights_files.shipped('reconstruction')
    file = weights_files.load(path, 'reconstruction')
    reconstructor = Reconstructor.from_weights(file)
    runtime = load_export(path, file.hash) or Runtime(export_reconstruction(reconstructor.network))
    image = ReconstructionInference(reconstructor.network)

    def conditions() -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        state = reconstructor.initial_state()
        every = round(_STEPS_HZ / _IMAGES_HZ)
        for number, slice_ in enumerate(slices):
            state = reconstructor.observe(slice_, state)
            if number % every == 0:
                yield network_inputs(state, reconstructor.configuration)

    networks = {
        name: lambda inputs, run=run: run(*(part[None] for part in inputs))[0]
        for name, run in (('torch', TorchRuntime(image)), ('onnxruntime', runtime))
    }
    runs = _take_turns(networks, conditions())
    return _rows(file.model, runs, _macs(image), _IMAGES_HZ)


def _take_turns(
    runs: Mapping[str, Callable[[Piece], NDArray[np.float32]]], pieces: Iterable[Piece]
) -> _Runs:
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    outputs: dict[str, list[NDArray[np.float32]]] = {name: [] for name in runs}
    products = []
    matrix = torch.ones(_SIDE, _SIDE)
    remaining = iter(pieces)
    while block := list(islice(remaining, _BLOCK)):
        for name, run in runs.items():
            for piece in block:
                begin = time.perf_counter()
                output = run(piece)
                seconds[name].append(time.perf_counter() - begin)
                outputs[name].append(output)
        begin = time.perf_counter()
        torch.mm(matrix, matrix)
        products.append(time.perf_counter() - begin)
    return _Runs(seconds, outputs, _SIDE**3 / float(np.median(products)))


def _macs(module: nn.Module) -> int:
    """Return the multiply-adds of a network's convolutions and products."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(*module.inputs())  # type: ignore[operator]
    return int(counter.get_total_flops()) // 2


def _rows(
    model: str,
    runs: _Runs,
    macs: int,
    rate_hz: float,
    decisions: Callable[[list[NDArray[np.float32]]], NDArray[np.bool_]] | None = None,
) -> list[Row]:
    reference, *_ = runs.outputs
    expected = np.ravel(runs.outputs[reference])
    reference_s = float(np.median(runs.seconds[reference]))
    rows = []
    for name, outputs in runs.outputs.items():
        median_s, p99_s = (float(v) for v in np.percentile(runs.seconds[name], [50, 99]))
        same = None
        if decisions is not None:
            same = float((decisions(outputs) == decisions(runs.outputs[reference])).mean())
        rows.append(
            Row(
                model=model,
                runtime=name,
                ms=round(median_s * 1e3, 3),
                p99_ms=round(p99_s * 1e3, 3),
                times_faster=round(reference_s / median_s, 2),
                core_share=round(median_s * rate_hz, 4),
                mmac=round(macs / 1e6, 2),
                floor_ms=round(macs / runs.mac_per_s * 1e3, 3),
                agreement=round(float(np.corrcoef(expected, np.ravel(outputs))[0, 1]), 7),
                same_decisions=same,
            )
        )
    return rows


def _cells(row: Row) -> dict[str, str]:
    return {
        'network and runtime': f'{row.model.partition("@")[0]} {row.runtime}',
        'ms': f'{row.ms:.2f}',
        'faster': f'x {row.times_faster:.1f}',
        'core': f'{row.core_share:.1%}',
        'floor': f'{row.floor_ms:.2f}',
        'agrees': f'{row.agreement:.5f}',
        'same': '' if row.same_decisions is None else f'{row.same_decisions:.1%}',
    }
