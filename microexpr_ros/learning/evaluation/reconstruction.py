"""Scores of reconstructed images, beside images that need no network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.learning import metrics
from microexpr_ros.learning.data.clips import SparseClip
from microexpr_ros.learning.evaluation.rounding import rounded
from microexpr_ros.learning.models import baselines
from microexpr_ros.learning.training.reconstruction import ReconstructionExample, predict_images
from microexpr_ros.perception.reconstruction.reconstructor import Reconstructor

WARM_UP_SLICES: Final = 20
"""Slices of a clip before its first image is scored."""

MOVED_LEVELS: Final = 6
"""Grey levels by which a pixel must differ from the clip's first target to count as moved."""

MOVED_PIXELS: Final = 64
"""Fewest moved pixels of an image whose moving region is scored."""


@dataclass(frozen=True, slots=True)
class ImageScores:
    """How much images look like their targets, mean over the images.

    Attributes:
        psnr: peak signal-to-noise ratio, dB; infinite for equal images.
        ssim: structural similarity, at most 1 for equal images.
        psnr_moving: as `psnr`, of the moving region; nan if nothing moves in any image.
        ssim_moving: as `ssim`, of the moving region.
        change_correlation: correlation of the change since the face at rest, in the moving
            region, -1 to 1.
    """

    psnr: float
    ssim: float
    psnr_moving: float
    ssim_moving: float
    change_correlation: float


@dataclass(frozen=True, slots=True)
class ReconstructionReport:
    """What `microexpr evaluate reconstruction` finds; its JSON has the same keys.

    Attributes:
        split: of the data set.
        events_only: images of the network from events alone.
        events_and_frame: images of the network from events and the newest frame.
        mean_face: the mean face of the training clips, for all images.
        copy_last_frame: the newest frame as it is.
        n_images: images that were scored.
        n_images_with_motion: those with a moving region.
        n_clips: clips of the split.
        n_identities: persons in them.
        weights: name and hash of the network.
    """

    split: str
    events_only: ImageScores
    events_and_frame: ImageScores
    mean_face: ImageScores
    copy_last_frame: ImageScores
    n_images: int
    n_images_with_motion: int
    n_clips: int
    n_identities: int
    weights: str


def evaluate_reconstruction(
    reconstructor: Reconstructor,
    recordings: Sequence[SparseClip],
    mean_face: NDArray[np.uint8],
    split: str = 'test',
    targets: int = 4,
) -> ReconstructionReport:
    """Score the images of a network, and images that need no network.

    All methods are scored on the same targets: of each clip, some that come after
    `WARM_UP_SLICES` of events and a frame. The moving region is where a target differs from the
    clip's first one by at least `MOVED_LEVELS`; images with fewer than `MOVED_PIXELS` of it do
    not count there.

    Args:
        reconstructor: what to evaluate.
        recordings: clips that had no part in training.
        mean_face: uint8 [grid, grid], of `baselines.mean_face`.
        split: name of the split of the clips.
        targets: from each clip.

    Returns:
        The report, its numbers rounded to `rounding.DECIMALS`.
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
    copied = np.stack([t.sparse.clip.frames[t.frame] for t in with_frame])
    report = ReconstructionReport(
        split=split,
        events_only=score_images(truth, predict_images(network, without), first, moved),
        events_and_frame=score_images(truth, predict_images(network, with_frame), first, moved),
        mean_face=score_images(truth, np.broadcast_to(mean_face, truth.shape), first, moved),
        copy_last_frame=score_images(truth, copied, first, moved),
        n_images=len(truth),
        n_images_with_motion=int((moved.sum((1, 2)) >= MOVED_PIXELS).sum()),
        n_clips=len(recordings),
        n_identities=len({r.clip.identity for r in recordings}),
        weights=reconstructor.model,
    )
    return rounded(report)


def score_images(
    truth: NDArray[np.uint8],
    image: NDArray[np.uint8],
    first: NDArray[np.uint8],
    moved: NDArray[np.bool_],
) -> ImageScores:
    """Score images, whole and on the moving region.

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
    return ImageScores(
        psnr=float(np.mean([metrics.psnr(t, i) for t, i in triples])),
        ssim=float(np.mean([metrics.ssim(t, i) for t, i in triples])),
        psnr_moving=_mean([metrics.psnr(truth[k], image[k], moved[k]) for k in moving]),
        ssim_moving=_mean([metrics.ssim(truth[k], image[k], moved[k]) for k in moving]),
        change_correlation=_mean(change),
    )


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
