from dataclasses import replace

import numpy as np
import pytest

from microexpr_ros.learning.data.clips import make_sparse
from microexpr_ros.learning.evaluation.resting_faces import evaluate_rest, paint_clip, score_rest
from microexpr_ros.learning.evaluation.rounding import rounded
from microexpr_ros.perception.reconstruction.configuration import ReconstructionConfiguration
from microexpr_ros.perception.reconstruction.network import ConditionalVae
from microexpr_ros.perception.reconstruction.reconstructor import Reconstructor
from microexpr_ros.synthesis.dataset.splits import RESTS_FROM_NS


@pytest.fixture
def take(make_clip):
    """A take of five seconds with a target every 40 ms; the face is the same all the time."""
    clip = make_clip(1, code=4)
    slices = 500
    at = np.arange(3, slices, 4, dtype=np.int32)
    counts = np.zeros((slices, *clip.counts.shape[1:]), np.uint8)
    counts[: len(clip.counts)] = clip.counts
    face = clip.target[0]
    return make_sparse(
        replace(
            clip,
            counts=counts,
            sides=np.repeat(clip.sides[:1], slices, axis=0),
            landmarks=np.repeat(clip.landmarks[:1], slices, axis=0),
            target=np.repeat(face[None], len(at), axis=0),
            target_slice=at,
        )
    )


def test_drift_flicker_and_quality_by_hand(take):
    true = np.asarray(take.clip.target)
    scores = score_rest(true, take)
    assert scores.drift == scores.true_drift == scores.flicker == 0
    assert scores.ssim_first == scores.ssim_last == pytest.approx(1)
    resting = (take.clip.target_slice.astype(np.int64) + 1) * 10_000_000 > RESTS_FROM_NS
    assert 0 < resting.sum() < len(resting)
    # Whatever happens before the rest does not count.
    shown = true.astype(np.int16)
    shown[~resting] = 0
    assert score_rest(shown.astype(np.uint8), take) == scores
    # Every other picture is two levels brighter, and the last second ten more.
    shown = np.minimum(true.astype(np.int16), 200)
    shown[::2] += 2
    shown[-25:] += 10
    found = score_rest(shown.astype(np.uint8), take)
    drift = np.abs(shown[resting][-1] - shown[resting][0]).mean() / 255
    assert found.drift == pytest.approx(max(drift, 12 / 255), abs=2.1 / 255)
    assert found.flicker == pytest.approx(2 + 10 / (resting.sum() - 1), rel=0.05)
    assert found.psnr_last < found.psnr_first


def test_a_split_is_scored_as_its_takes(take):
    configuration = ReconstructionConfiguration(fine=4, width=4, latent=2)
    reconstructor = Reconstructor(ConditionalVae(configuration).eval().deployed())
    images = paint_clip(reconstructor, take)
    assert images.shape == take.clip.target.shape
    report = evaluate_rest(reconstructor, [take, take])
    assert report.scores == rounded(score_rest(images, take))
    assert report.worst_drift == report.scores.drift
    assert (report.n_clips, report.n_identities) == (2, 1)
