"""Scores of reconstructed pictures, by what they were made from, beside ways without a network."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from microexpr_ros.learning import metrics
from microexpr_ros.learning.data.clips import SparseClip, dense_counts
from microexpr_ros.learning.evaluation.resting_faces import RestReport
from microexpr_ros.learning.evaluation.rounding import rounded
from microexpr_ros.learning.training.fixed_examples import find_examples, without_frame
from microexpr_ros.learning.training.intervals import half_widths
from microexpr_ros.learning.training.picture_baselines import PictureBaseline
from microexpr_ros.learning.training.reconstruction import (
    CHANGED_PIXELS,
    ExampleSampler,
    ReconstructionExample,
    ReconstructionTraining,
    changed_since,
    predict_pictures,
    remember_frames,
)
from microexpr_ros.perception.reconstruction.integration import integrate, to_log, to_picture
from microexpr_ros.perception.reconstruction.intervals import AGE_LIMITS
from microexpr_ros.perception.reconstruction.reconstructor import Reconstructor

COMPLEMENTARY_HZ: Final = 1.0
"""Cut-off of the complementary filter between events and frames."""

BLUR_CELLS: Final = 0.5
"""Movement of a landmark, while a frame is exposed, from which on the frame counts as blurred."""

_EXPOSED_SLICES: Final = 4
"""Slices that the frames of the data are exposed for, at most, with the read-out of the rows."""

Pictures = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class PictureScores:
    """How much pictures look like their targets, mean over the pictures.

    Attributes:
        psnr: peak signal-to-noise ratio, dB.
        ssim: structural similarity (`metrics.ssim`), at most 1 for equal pictures.
        psnr_changed: as `psnr`, of the pixels that changed since the frame; nan without a frame.
        correlation: of the change since the frame, on these pixels, -1 to 1; nan likewise.
    """

    psnr: float
    ssim: float
    psnr_changed: float
    correlation: float


@dataclass(frozen=True, slots=True)
class Coverage:
    """Share of the true pixels that the intervals hold.

    Attributes:
        all: of all pixels.
        changed: of those that changed since the frame; nan without one.
    """

    all: float
    changed: float


@dataclass(frozen=True, slots=True)
class ConditionReport:
    """Pictures that were made from the same.

    Attributes:
        n: number of pictures.
        methods: scores by method: `network`, and others that need no network.
        coverage: of the network's intervals of 90 %.
        by_light: scores by kind of light, of `network` and the others that need no network.
        by_sensor: likewise, by kind of event sensor.
        by_motion: likewise, of pictures whose frame was taken while the head was `still` or
            `moving`: while landmarks moved by at least `BLUR_CELLS`, which blurs; empty without a
            frame.
    """

    n: int
    methods: Mapping[str, PictureScores]
    coverage: Coverage
    by_light: Mapping[str, Mapping[str, PictureScores]]
    by_sensor: Mapping[str, Mapping[str, PictureScores]]
    by_motion: Mapping[str, Mapping[str, PictureScores]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReconstructionReport:
    """What `microexpr evaluate reconstruction` finds; its JSON has the same keys.

    Attributes:
        split: of the data set.
        by_frame_age: with a frame, by its age in ms, for example `33-100`.
        with_reference: with a picture of the same person from 1 to 60 s before in the same light,
            and no frame; None if the data set has no such pictures.
        with_reference_other_light: with one from another clip, in another light, and no frame.
        events_only: from events alone.
        n_clips: clips of the split.
        n_identities: persons in them.
        weights: name and hash of the network.
        shift: the same on the split shift; None if the data set has none.
        rest: how steady pictures of faces at rest are, on the split rest; None likewise.
    """

    split: str
    by_frame_age: Mapping[str, ConditionReport]
    with_reference: ConditionReport | None
    with_reference_other_light: ConditionReport
    events_only: ConditionReport
    n_clips: int
    n_identities: int
    weights: str
    shift: ReconstructionReport | None = None
    rest: RestReport | None = None


def evaluate_reconstruction(
    reconstructor: Reconstructor,
    recordings: Sequence[SparseClip],
    mean_face: NDArray[np.uint8],
    split: str = 'test',
    baselines: Sequence[PictureBaseline] = (),
    targets: int = 2,
    seed: int = 0,
) -> ReconstructionReport:
    """Score the pictures of a network, and pictures that need no network.

    All methods are scored on the same targets: some of each clip, after `WARM_UP_SLICES` of
    events. Frames are those of the simulated frame camera, with noise and blur; frames that came
    after the one of the wanted age are withheld, also from the estimate of the thresholds.

    Args:
        reconstructor: what to evaluate, with its network.
        recordings: clips that had no part in training.
        mean_face: uint8 [grid, grid], of `baselines.mean_face`.
        split: name of the split of the clips.
        baselines: trained networks to score on the same targets.
        targets: from each clip and for each condition.
        seed: of the choice of references.

    Returns:
        The report, its numbers rounded to `rounding.DECIMALS`.
    """
    ages = list(pairwise((0, *AGE_LIMITS)))
    memories = [remember_frames(r) for r in recordings]
    by_age = {
        f'{10 * low}-{10 * high}': [
            example
            for r, remembered in zip(recordings, memories, strict=True)
            for example in find_examples(r, low, high, targets, remembered)
        ]
        for low, high in ages
    }
    alone = [example for r in recordings for example in without_frame(r, targets)]
    sampler = ExampleSampler(recordings, reconstructor.configuration, ReconstructionTraining())
    rng = np.random.default_rng(seed)
    numbers = {id(r): n for n, r in enumerate(recordings)}
    other_light = [
        replace(e, reference=sampler.sample_other_light(numbers[id(e.sparse)], rng)) for e in alone
    ]
    same_light = [
        replace(e, reference=sampler.sample_same_light(numbers[id(e.sparse)], rng))
        for e in alone
        if e.sparse.references is not None
    ]
    face = mean_face.astype(np.float32) / np.float32(255)
    carried: dict[str, Callable[[ReconstructionExample], Pictures]] = {
        'direct integration': _integrate_directly,
        'copy of the frame': _copy_frame,
        'complementary filter': _filter_complementarily,
    }
    remembered: dict[str, Callable[[ReconstructionExample], Pictures]] = {
        'copy of the reference': _copy_reference,
        'oracle: copy with the true brightness and contrast': _copy_in_true_range,
        'oracle: copy with the true low frequencies': _copy_in_true_light,
        'oracle: copy moved by the flow to the truth': _copy_moved,
    }
    report = ReconstructionReport(
        split=split,
        by_frame_age={
            name: _score_condition(reconstructor, examples, carried, baselines)
            for name, examples in by_age.items()
            if examples
        },
        with_reference=_score_condition(reconstructor, same_light, remembered, baselines)
        if same_light
        else None,
        with_reference_other_light=_score_condition(
            reconstructor,
            [e for e in other_light if e.reference is not None],
            remembered,
            baselines,
        ),
        events_only=_score_condition(
            reconstructor, alone, {'mean face': lambda _: face}, baselines
        ),
        n_clips=len(recordings),
        n_identities=len({r.clip.identity for r in recordings}),
        weights=reconstructor.model,
    )
    return rounded(report)


def score_pictures(
    examples: Sequence[ReconstructionExample], pictures: Sequence[Pictures]
) -> PictureScores:
    """Score pictures, whole and where the face changed since the frame.

    Args:
        examples: what was to be made.
        pictures: float32 [grid, grid] each, 0 to 1.
    """
    return _mean_scores([_score_one(e, p) for e, p in zip(examples, pictures, strict=True)])


def _mean_scores(rows: Sequence[tuple[float, ...]]) -> PictureScores:
    return PictureScores(
        *(metrics.mean_of_known(np.array(column)) for column in zip(*rows, strict=True))
    )


def _score_one(example: ReconstructionExample, picture: Pictures) -> tuple[float, ...]:
    truth = example.target
    image = np.asarray(np.rint(picture.clip(0, 1) * 255), np.uint8)
    changed, correlation = math.nan, math.nan
    where = changed_since(example)
    if where.sum() >= CHANGED_PIXELS and example.frame is not None:
        changed = metrics.psnr(truth, image, where)
        before = example.before[where].astype(np.float64)
        correlation = metrics.correlation(truth[where] - before, image[where] - before)
    return metrics.finite_psnr(truth, image), metrics.ssim(truth, image), changed, correlation


def _score_condition(
    reconstructor: Reconstructor,
    examples: Sequence[ReconstructionExample],
    others: Mapping[str, Callable[[ReconstructionExample], Pictures]],
    baselines: Sequence[PictureBaseline],
) -> ConditionReport:
    images, scales = predict_pictures(reconstructor.network, examples)
    made: dict[str, list[Pictures]] = {'network': list(images)}
    for name, method in others.items():
        made[name] = [method(example) for example in examples]
    for baseline in baselines:
        made[baseline.name] = baseline.predict(examples)
    scored = {
        name: [_score_one(e, p) for e, p in zip(examples, pictures, strict=True)]
        for name, pictures in made.items()
    }

    def score_by(kinds: Sequence[str | None]) -> dict[str, dict[str, PictureScores]]:
        scores = {}
        for kind in sorted({kind for kind in kinds if kind is not None}):
            chosen = [k for k, own in enumerate(kinds) if own == kind]
            scores[kind] = {
                name: _mean_scores([scored[name][k] for k in chosen])
                for name in ('network', *others)
            }
        return scores

    return ConditionReport(
        n=len(examples),
        methods={name: _mean_scores(rows) for name, rows in scored.items()},
        coverage=_measure_coverage(reconstructor, examples, images, scales),
        by_light=score_by([e.sparse.clip.light for e in examples]),
        by_sensor=score_by([e.sparse.clip.sensor for e in examples]),
        by_motion=score_by([_motion_kind(e) for e in examples]),
    )


def _motion_kind(example: ReconstructionExample) -> str | None:
    """Return whether the head was `still` or `moving` during the frame; None without one."""
    if example.frame is None:
        return None
    clip = example.sparse.clip
    end = int(clip.frame_slice[example.frame])
    places = clip.landmarks[[max(end - _EXPOSED_SLICES, 0), end]]
    moved = float(np.linalg.norm(places[1] - places[0], axis=-1).max())
    return 'moving' if moved >= BLUR_CELLS else 'still'


def _measure_coverage(
    reconstructor: Reconstructor,
    examples: Sequence[ReconstructionExample],
    images: Pictures,
    scales: Pictures,
) -> Coverage:
    everywhere, changed = [], []
    for example, image, scale in zip(examples, images, scales, strict=True):
        widths = half_widths(reconstructor, example, image, scale)
        held = np.abs(image - _truth(example)) <= widths
        everywhere.append(float(held.mean()))
        where = changed_since(example)
        if where.sum() >= CHANGED_PIXELS:
            changed.append(float(held[where].mean()))
    return Coverage(float(np.mean(everywhere)), float(np.mean(changed)) if changed else math.nan)


def _copy_frame(example: ReconstructionExample) -> Pictures:
    return np.asarray(example.sparse.clip.frames[example.frame] / np.float32(255), np.float32)


def _copy_reference(example: ReconstructionExample) -> Pictures:
    assert example.reference is not None
    return np.asarray(example.reference.picture() / np.float32(255), np.float32)


def _copy_in_true_range(example: ReconstructionExample) -> Pictures:
    copied, truth = _copy_reference(example), _truth(example)
    away = copied - copied.mean()
    gain = (away * (truth - truth.mean())).sum() / max(float(np.square(away).sum()), 1e-9)
    return np.asarray(gain * away + truth.mean(), np.float32)


def _copy_in_true_light(example: ReconstructionExample) -> Pictures:
    copied, truth = _copy_reference(example), _truth(example)
    return np.asarray(copied + metrics.low_frequencies(truth - copied), np.float32)


def _copy_moved(example: ReconstructionExample) -> Pictures:
    """Move the reference by the optical flow that the true picture tells (Farnebäck, 2003)."""
    copied, truth = _copy_reference(example), _truth(example)
    before, after = ((255 * picture).astype(np.uint8) for picture in (copied, truth))
    flow = cv2.calcOpticalFlowFarneback(after, before, None, 0.5, 4, 15, 3, 7, 1.5, 0)  # type: ignore[call-overload]
    smooth = cv2.GaussianBlur(flow, (0, 0), 2.0)
    row, column = np.indices(copied.shape, np.float32)
    return np.asarray(
        cv2.remap(
            copied,
            column + smooth[..., 0],
            row + smooth[..., 1],
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        ),
        np.float32,
    )


def _truth(example: ReconstructionExample) -> Pictures:
    return np.asarray(example.target.astype(np.float32) / np.float32(255))


def _integrate_directly(example: ReconstructionExample) -> Pictures:
    clip, frame = example.sparse.clip, example.frame
    at = int(clip.target_slice[example.number])
    density = _sum_density(example.sparse, int(clip.frame_slice[frame]) + 1, at + 1)
    return integrate(clip.frames[frame], example.thresholds.log_change(density))


def _filter_complementarily(example: ReconstructionExample) -> Pictures:
    """Integrate events and let the picture creep to the newest frame.

    Continuous-time intensity estimation of Scheerlinck et al. (ACCV 2018), in steps of a slice.
    """
    clip, last = example.sparse.clip, example.frame or 0
    at = int(clip.target_slice[example.number])
    keep = np.float32(math.exp(-2 * math.pi * COMPLEMENTARY_HZ * 0.01))
    first = int(clip.frame_slice[0])
    newest = state = to_log(clip.frames[0])
    frame = 0
    for slice_ in range(first + 1, at + 1):
        density = _sum_density(example.sparse, slice_, slice_ + 1)
        state = state + example.thresholds.log_change(density)
        if frame < last and clip.frame_slice[frame + 1] == slice_:
            frame += 1
            newest = to_log(clip.frames[frame])
        state = newest + keep * (state - newest)
    return to_picture(state)


def _sum_density(sparse: SparseClip, first: int, last: int) -> NDArray[np.float32]:
    """Return the events of slices, float32 [2, grid, grid], per sensor pixel, OFF then ON."""
    counts = np.zeros((2, *sparse.clip.target.shape[1:]), np.float32)
    for number in range(first, last):
        counts += dense_counts(sparse, number)
    return np.asarray(counts / np.float32(sparse.clip.pixels_per_cell), np.float32)
