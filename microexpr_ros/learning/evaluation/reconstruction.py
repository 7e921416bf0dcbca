"""Scores of reconstructed images, beside what costs nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.learning import metrics
from microexpr_ros.learning.data.clips import SparseClip
from microexpr_ros.learning.models import baselines
from microexpr_ros.learning.training.reconstruction import ReconstructionExample, predict_images
from microexpr_ros.perception.reconstruction.reconstructor import Reconstructor

WARM_UP_SLICES = 20
"""Slices of a clip before its first image is scored."""

MOVED_LEVELS = 6
"""Grey levels by which a pixel must differ from the clip's first target to count as moved."""

MOVED_PIXELS = 64
"""Fewest moved pixels of an image whose moving region is scored."""


def evaluate_reconstruction(
    reconstructor: Reconstructor,
    recordings: Sequence[SparseClip],
    mean_face: NDArray[np.uint8],
    targets: int = 4,
) -> dict[str, Any]:
    """Return the report of `microexpr evaluate reconstruction`.

    All methods are scored on the same targets: of each clip, some that have had `WARM_UP_SLICES`
    of events and a frame. The moving region is where a target differs from the clip's first one
    by at least `MOVED_LEVELS`; images with fewer than `MOVED_PIXELS` of it do not count there.

    Args:
        reconstructor: what to evaluate.
        recordings: clips that had no part in training.
        mean_face: uint8 [grid, grid], of `baselines.mean_face`.
        targets: from each clip.
    """
    with_frame = [example for r in recordings for example in _examples(reconstructor, r, targets)]
    without = [ReconstructionExample(t.sparse, t.number, None) for t in with_frame]
    truth = np.stack([t.sparse.clip.target[t.number] for t in with_frame])
    first = np.stack([t.sparse.clip.target[0] for t in with_frame])
    moved = np.abs(truth.astype(np.int16) - first) >= MOVED_LEVELS
    # The similarity has no value where its window leaves the image.
    border = metrics.SSIM_RADIUS
    moved[:, :border] = moved[:, -border:] = moved[..., :border] = moved[..., -border:] = False
    network = reconstructor.network
    images = {
        'events_only': predict_images(network, without),
        'events_and_frame': predict_images(network, with_frame),
        'mean_face': np.broadcast_to(mean_face, truth.shape),
        'copy_last_frame': np.stack([t.sparse.clip.frames[t.frame] for t in with_frame]),
    }
    return {
        **{name: score_images(truth, image, first, moved) for name, image in images.items()},
        'n_images': len(truth),
        'n_images_with_motion': int((moved.sum((1, 2)) >= MOVED_PIXELS).sum()),
        'n_clips': len(recordings),
        'n_identities': len({r.clip.identity for r in recordings}),
        'weights': reconstructor.model,
    }


def score_images(
    truth: NDArray[np.uint8],
    image: NDArray[np.uint8],
    first: NDArray[np.uint8],
    moved: NDArray[np.bool_],
) -> dict[str, float]:
    """Return mean PSNR and SSIM over the images, whole and on the moving region.

    Args:
        truth: uint8 [N, H, W].
        image: uint8 [N, H, W].
        first: uint8 [N, H, W], the face at rest, for the correlation of the change.
        moved: bool [N, H, W], the moving region.
    """
    triples = list(zip(truth, image, strict=True))
    moving = [k for k in range(len(truth)) if moved[k].sum() >= MOVED_PIXELS]
    change = [
        metrics.correlation(
            truth[k][moved[k]].astype(np.float64) - first[k][moved[k]],
            image[k][moved[k]].astype(np.float64) - first[k][moved[k]],
        )
        for k in moving
    ]
    return {
        'psnr': float(np.mean([metrics.psnr(t, i) for t, i in triples])),
        'ssim': float(np.mean([metrics.ssim(t, i) for t, i in triples])),
        'psnr_moving': _mean([metrics.psnr(truth[k], image[k], moved[k]) for k in moving]),
        'ssim_moving': _mean([metrics.ssim(truth[k], image[k], moved[k]) for k in moving]),
        'change_correlation': _mean(change),
    }


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else math.nan


def _examples(
    reconstructor: Reconstructor, recording: SparseClip, targets: int
) -> list[ReconstructionExample]:
    clip, oldest = recording.clip, reconstructor.configuration.frame_slices
    examples = []
    for number, at in enumerate(clip.target_slice.tolist()):
        frame = baselines.newest_frame(recording, at)
        if at >= WARM_UP_SLICES and frame is not None and at - clip.frame_slice[frame] < oldest:
            examples.append(ReconstructionExample(recording, number, frame))
    chosen = np.unique(np.linspace(0, len(examples) - 1, targets).round().astype(int))
    return [examples[k] for k in chosen] if examples else []
