"""`microexpr bench models`: how long a step of the networks takes, and whether all runtimes agree.

The reference is Norse, or torch, layer by layer; what robots run is the export.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer

from microexpr_ros.cli.bench.machine import describe_machine
from microexpr_ros.errors import MicroexprError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.console import Console
    from rich.table import Table
    from torch import nn

    from microexpr_ros.alignment.slices import Slice
    from microexpr_ros.cli.demo.sources import Source

Piece = TypeVar('Piece')

_STEPS_HZ: Final = 100.0
_IMAGES_HZ: Final = 25.0
_BLOCK: Final = 20
"""Steps in a row before the next runtime has its turn."""

_SIDE: Final = 384
"""Rows of the matrices that show what a core can do: they fit into its caches."""


@dataclass(frozen=True, slots=True)
class Row:
    """One network in one runtime.

    Attributes:
        model: name and hash of the weights.
        runtime: norse and torch, layer by layer, are the references; onnxruntime is the export;
            classifier is all that the node calls: export, statuses, presence and confidence.
        ms: median of a step, or of an image.
        p99_ms: its 99th percentile.
        times_faster: the reference's median over this one's.
        core_share: of one core, at 100 steps or 25 images a second.
        mmac: million multiply-adds of a step.
        floor_ms: how long so many take in a product of matrices.
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
    """What came of the turns: by runtime, seconds and outputs of every step."""

    seconds: Mapping[str, list[float]]
    outputs: Mapping[str, list[NDArray[np.float32]]]
    mac_per_s: float


def models(
    source: Annotated[
        str, typer.Option(help='real (downloaded once), synthetic, or the path of a recording.')
    ] = 'real',
    slices: Annotated[int, typer.Option(help='Slices of a face to step through.', min=20)] = 1000,
    weights: Annotated[
        Path | None, typer.Option(help='Weights of the spiking network; the shipped ones.')
    ] = None,
    as_json: Annotated[bool, typer.Option('--json', help='Print one JSON object.')] = False,
) -> None:
    """Measure a step of every network in every runtime, on one thread, on real events.

    All step through the same slices, in turns, so that what else the machine does falls on all
    alike. Where the real recording cannot be had, a synthetic one stands in.
    """
    import torch
    from rich.console import Console

    torch.set_num_threads(1)
    console = Console(stderr=True)
    with tempfile.TemporaryDirectory() as scratch:
        found = _find(source, slices, Path(scratch), console)
        pieces = list(islice(face_slices(found), slices))
    if not pieces:
        raise MicroexprError(f'{found.path} shows no face: give another --source')
    with console.status('stepping'):
        rows = [*_action_units(pieces, weights), *_reconstruction(pieces)]
    if as_json:
        report = {
            'rows': [asdict(row) for row in rows],
            'source': found.title,
            'slices': len(pieces),
            'machine': describe_machine(),
        }
        typer.echo(json.dumps(report))
        return
    title = f'{len(pieces)} slices, {found.title}'
    Console().print(_table(rows, title))


def _find(source: str, slices: int, scratch: Path, console: Console) -> Source:
    from microexpr_ros.cli.demo import sources

    # A face is not found at once.
    seconds = 1.2 * slices / _STEPS_HZ
    with console.status('looking for events') as status:

        def tell(doing: str, share: float) -> None:
            status.update(f'{doing}, {share:.0%}')

        try:
            return sources.find(source, seconds, scratch, tell)
        except MicroexprError as error:
            if source != 'real':
                raise
            console.print(f'{error}: synthetic events stand in', markup=False)
            return sources.find('synthetic', seconds, scratch, tell)


def face_slices(source: Source) -> Iterator[Slice]:
    """Yield the slices of a recording that show a face, as the synchronizer cuts them."""
    from microexpr_ros import bags
    from microexpr_ros.alignment.synchronizer import Synchronizer
    from microexpr_ros.events import codecs

    decoder: codecs.Decoder | None = None
    for _, packet in bags.read_packets(source.path, source.events_topic):
        if decoder is None:
            decoder = codecs.decoder(packet.encoding, packet.height, packet.width)
            synchronizer = Synchronizer(packet.height, packet.width)
        events, _ = decoder.decode(packet.events, packet.time_base)
        if len(events):
            for aligned in synchronizer.push(events, int(events.t[0]), packet.stamp_ns):
                if aligned.slice.region is not None:
                    yield aligned.slice


def _action_units(slices: list[Slice], path: Path | None) -> list[Row]:
    import numpy as np

    from microexpr_ros.perception import weights
    from microexpr_ros.perception.classifier import ActionUnitClassifier
    from microexpr_ros.perception.export import export_au
    from microexpr_ros.perception.runtime import Runtime, load_export
    from microexpr_ros.perception.spiking.inference import SpikingInference
    from microexpr_ros.perception.torch_runtime import TorchRuntime

    path = path or weights.shipped('au')
    file = weights.load(path, 'au')
    classifier = ActionUnitClassifier.from_weights(file)
    runtime = load_export(path, file.hash) or Runtime(export_au(classifier.network))
    step = SpikingInference(classifier.network)
    exported = ActionUnitClassifier(
        classifier.network, classifier.presence, classifier.activity, runtime=runtime
    )

    def stepping(network: Callable[..., Any]) -> Callable[[Slice], NDArray[np.float32]]:
        state = classifier.initial_state().network

        def run(slice_: Slice) -> NDArray[np.float32]:
            nonlocal state
            cells = np.array([slice_.pixels_per_cell], np.float32)
            sides, *state = network(slice_.counts[None], cells, *state)
            return np.asarray(sides[0])

        return run

    def classifying() -> Callable[[Slice], NDArray[np.float32]]:
        state = exported.initial_state()

        def run(slice_: Slice) -> NDArray[np.float32]:
            nonlocal state
            estimate, state = exported.step(slice_, state)
            return estimate.sides

        return run

    networks = {
        'norse': stepping(TorchRuntime(step)),
        'onnxruntime': stepping(runtime),
        'classifier': classifying(),
    }

    def decisions(outputs: list[NDArray[np.float32]]) -> NDArray[np.bool_]:
        active = [np.zeros(len(outputs[0]), np.bool_)]
        for sides in outputs:
            active.append(classifier.presence.active(sides.max(axis=1), active[-1]))
        return np.stack(active)

    return _rows(file.model, _take_turns(networks, slices), _macs(step), _STEPS_HZ, decisions)


def _reconstruction(slices: list[Slice]) -> list[Row]:
    from microexpr_ros.perception import weights
    from microexpr_ros.perception.export import export_reconstruction
    from microexpr_ros.perception.reconstruction.inference import ReconstructionInference
    from microexpr_ros.perception.reconstruction.reconstructor import (
        Reconstructor,
        network_inputs,
    )
    from microexpr_ros.perception.runtime import Runtime, load_export
    from microexpr_ros.perception.torch_runtime import TorchRuntime

    path = weights.shipped('reconstruction')
    file = weights.load(path, 'reconstruction')
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
    import numpy as np
    import torch

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
    import torch
    from torch.utils.flop_counter import FlopCounterMode

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
    import numpy as np

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


def _table(rows: list[Row], title: str) -> Table:
    from rich.box import SIMPLE
    from rich.table import Table

    caption = 'floor: as many multiply-adds in a product of matrices, ms'
    table = Table(title=title, caption=caption, box=SIMPLE, collapse_padding=True)
    table.add_column('network and runtime', no_wrap=True)
    for name in ('ms', 'faster', 'core', 'floor', 'agrees', 'same'):
        table.add_column(name, justify='right', no_wrap=True)
    for row in rows:
        table.add_row(
            f'{row.model.partition("@")[0]} {row.runtime}',
            f'{row.ms:.2f}',
            f'x {row.times_faster:.1f}',
            f'{row.core_share:.1%}',
            f'{row.floor_ms:.2f}',
            f'{row.agreement:.5f}',
            '' if row.same_decisions is None else f'{row.same_decisions:.1%}',
        )
    return table
