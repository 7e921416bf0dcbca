"""How wide the intervals around pictures must be, fitted to clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.learning.data.clips import SparseClip
from microexpr_ros.learning.training.fixed_examples import find_examples, without_frame
from microexpr_ros.learning.training.reconstruction import (
    CHANGED_PIXELS,
    ExampleSampler,
    ReconstructionExample,
    ReconstructionTraining,
    changed_since,
    example_pictures,
    predict_pictures,
    remember_frames,
)
from microexpr_ros.perception.reconstruction.intervals import (
    AGE_LIMITS,
    CHANGE_LIMITS,
    IntervalFactors,
    change_groups,
    fit_factor,
)
from microexpr_ros.perception.reconstruction.network import ConditionalVae
from microexpr_ros.perception.reconstruction.reconstructor import Reconstructor

_TARGETS: Final = 3
"""From each clip and for each condition."""

_FEWEST_PIXELS: Final = 2000
"""Of a group that gets a factor of its own."""

_FEWEST_CHANGED: Final = 0.005
"""Share of the pixels of a group that truly changed, from which on its intervals hold them, too.
In groups with fewer they are exceptions: to hold them, all others would get too wide intervals."""


def half_widths(
    reconstructor: Reconstructor,
    example: ReconstructionExample,
    image: NDArray[np.float32],
    scale: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Return half the widths of the intervals of a picture, float32 [grid, grid].

    Args:
        reconstructor: whose picture it is.
        example: what was to be made.
        image: float32 [grid, grid], 0 to 1, the network's.
        scale: float32 [grid, grid], likewise.
    """
    pictures = example_pictures(example, reconstructor.network)
    has_reference = example.reference is not None
    factors = reconstructor.intervals.factors(example.age, has_reference, pictures, image)
    return factors * scale


def predict_with_intervals(
    reconstructor: Reconstructor, examples: Sequence[ReconstructionExample]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return pictures and half the widths of their intervals, float32 [N, grid, grid] each."""
    images, scales = predict_pictures(reconstructor.network, examples)
    widths = [
        half_widths(reconstructor, example, image, scale)
        for example, image, scale in zip(examples, images, scales, strict=True)
    ]
    return images, np.stack(widths)


def fit_intervals(
    network: ConditionalVae, clips: Sequence[SparseClip], training: ReconstructionTraining
) -> IntervalFactors:
    """Return the factors whose intervals hold the right share of the clips' pixels.

    Args:
        network: a deployed network.
        clips: of the validation split, of persons that it did not learn from.
        training: how many of the references are in another light.
    """
    remembered = [remember_frames(clip) for clip in clips]
    by_age = [
        [
            example
            for clip, memories in zip(clips, remembered, strict=True)
            for example in find_examples(clip, low, high, _TARGETS, memories)
        ]
        for low, high in pairwise((0, *AGE_LIMITS))
    ]
    # An age that the clips do not have gets the factors of all.
    all_ages = [example for examples in by_age for example in examples]
    alone = [example for clip in clips for example in without_frame(clip, _TARGETS)]
    referred = _with_references(clips, alone, network, training)
    return IntervalFactors(
        tuple(_fit_groups(network, examples or all_ages) for examples in by_age)
        if all_ages
        else IntervalFactors().frame,
        _fit_one(network, referred or alone),
        _fit_one(network, alone),
    )


def _with_references(
    clips: Sequence[SparseClip],
    examples: Sequence[ReconstructionExample],
    network: ConditionalVae,
    training: ReconstructionTraining,
) -> list[ReconstructionExample]:
    """Return the examples that there is a reference for, some of them in another light."""
    sampler = ExampleSampler(clips, network.configuration, training)
    rng = np.random.default_rng(0)
    numbers = {id(clip): number for number, clip in enumerate(clips)}
    referred = []
    for example in examples:
        number, reference = numbers[id(example.sparse)], None
        if rng.random() < training.other_light_chance:
            reference = sampler.sample_other_light(number, rng)
        reference = reference or sampler.sample_same_light(number, rng)
        if reference is not None:
            referred.append(replace(example, reference=reference))
    return referred


def _fit_one(network: ConditionalVae, examples: Sequence[ReconstructionExample]) -> float:
    """Return the factor of all pixels of pictures without a frame."""
    images, scales = predict_pictures(network, examples)
    return fit_factor(_measure_errors(images, examples).ravel(), scales.ravel())


def _fit_groups(
    network: ConditionalVae, examples: Sequence[ReconstructionExample]
) -> tuple[float, ...]:
    """Return the factor of each group of pixels of pictures with a frame."""
    images, scales = predict_pictures(network, examples)
    pictures = (example_pictures(example, network) for example in examples)
    groups = np.stack([change_groups(p, i) for p, i in zip(pictures, images, strict=True)])
    changed = np.stack([changed_since(example) for example in examples])
    return fit_group_factors(_measure_errors(images, examples), scales, groups, changed)


def fit_group_factors(
    errors: NDArray[np.float32],
    scales: NDArray[np.float32],
    groups: NDArray[np.int64],
    changed: NDArray[np.bool_],
) -> tuple[float, ...]:
    """Return the factor of each group of pixels, of `intervals.change_groups`.

    Its intervals hold the right share of all pixels of the group and, where enough of them truly
    changed, of these, too: they are few, and what happens there is what the picture is looked at
    for.

    Args:
        errors: float32 [N, grid, grid], magnitudes of the errors of N pictures.
        scales: float32 [N, grid, grid], the network's scales of them.
        groups: int64 [N, grid, grid], the group of each pixel; too small ones get the factor of
            all pixels.
        changed: bool [N, grid, grid], pixels that truly changed since the frame.
    """
    # Pictures in which much changed would outvote the others.
    count = np.maximum(changed.sum((1, 2), keepdims=True), CHANGED_PIXELS)
    weights = np.broadcast_to(1 / count, changed.shape).astype(np.float32)
    found = []
    for group in range(len(CHANGE_LIMITS) + 1):
        chosen = groups == group
        if chosen.sum() < _FEWEST_PIXELS:
            chosen = np.ones_like(chosen)
        factor = fit_factor(errors[chosen], scales[chosen])
        if changed[chosen].mean() >= _FEWEST_CHANGED:
            chosen &= changed
            held = fit_factor(errors[chosen], scales[chosen], weights[chosen])
            factor = max(factor, held)
        found.append(factor)
    return tuple(found)


def _measure_errors(
    images: NDArray[np.float32], examples: Sequence[ReconstructionExample]
) -> NDArray[np.float32]:
    truth = np.stack([example.target for example in examples]) / np.float32(255)
    return np.asarray(np.abs(images - truth), np.float32)
