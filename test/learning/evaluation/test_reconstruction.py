import json

import numpy as np
import pytest
import torch

from microexpr_ros.learning.evaluation import json_values
from microexpr_ros.learning.evaluation.reconstruction import (
    evaluate_reconstruction,
    score_images,
)
from microexpr_ros.learning.models.baselines import mean_face
from microexpr_ros.perception.reconstruction.configuration import ReconstructionConfiguration
from microexpr_ros.perception.reconstruction.network import ConditionalVae
from microexpr_ros.perception.reconstruction.reconstructor import Reconstructor


def test_report_has_all_methods_on_the_same_targets(sparse_clips):
    torch.manual_seed(0)
    network = ConditionalVae(ReconstructionConfiguration(width=4, latent=2)).deployed()
    mean = mean_face(sparse_clips)
    report = evaluate_reconstruction(Reconstructor(network), sparse_clips, mean, targets=2)
    assert report.n_images == 24
    assert report.copy_last_frame.psnr > report.mean_face.psnr
    assert 0 < report.events_only.ssim < 1
    values = json_values(report)
    json.dumps(values, allow_nan=False)
    assert values['mean_face']['psnr'] == report.mean_face.psnr
    assert (values['split'], values['n_clips']) == ('test', len(sparse_clips))


def test_images_by_hand():
    rest = np.full((2, 32, 32), 100, np.uint8)
    truth, moved = rest.copy(), np.zeros(rest.shape, bool)
    truth[0, 8:20, 8:20] = 100 + np.arange(12, dtype=np.uint8)
    moved[0, 8:20, 8:20] = True
    scores = score_images(truth, truth[:, ::-1, ::-1][:, ::-1, ::-1], rest, moved)
    assert scores.change_correlation == pytest.approx(1)
    still = score_images(truth, rest, rest, moved)
    assert still.change_correlation == 0
    # The second image is the same; the mean square of the change of the first is 506 / 12.
    expected = 10 * np.log10(255**2 / (506 / 12))
    assert still.psnr_moving == pytest.approx(expected)


def test_without_motion_the_moving_region_has_no_scores():
    image = np.full((1, 32, 32), 100, np.uint8)
    scores = score_images(image, image, image, np.zeros(image.shape, bool))
    assert np.isinf(scores.psnr)
    assert scores.ssim == 1
    moving = (scores.psnr_moving, scores.ssim_moving, scores.change_correlation)
    assert np.isnan(moving).all()
    # JSON has no number for either.
    assert json_values(scores)['psnr'] is None
    assert json_values(scores)['psnr_moving'] is None
