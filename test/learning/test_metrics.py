import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from microexpr_ros.learning import metrics
from microexpr_ros.learning.training.reconstruction import structural_similarity as torch_ssim


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    truth = (128 + 60 * np.sin(np.indices((64, 80)).sum(0) / 5)).astype(np.uint8)
    noisy = np.clip(truth + rng.normal(0, 15, truth.shape), 0, 255).astype(np.uint8)
    return truth, noisy


def test_ssim_equals_scikit_image(images):
    expected = structural_similarity(
        *images, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255
    )
    assert metrics.ssim(*images) == pytest.approx(expected, abs=1e-6)


def test_loss_and_metric_share_one_ssim(images):
    tensors = (torch.from_numpy(i / np.float32(255))[None, None] for i in images)
    assert float(torch_ssim(*tensors)) == pytest.approx(metrics.ssim(*images), abs=1e-4)


def test_psnr_equals_scikit_image(images):
    expected = peak_signal_noise_ratio(*images, data_range=255)
    assert metrics.psnr(*images) == pytest.approx(expected)


def test_scores_of_equal_images(images):
    assert metrics.ssim(images[0], images[0]) == pytest.approx(1)
    assert metrics.psnr(images[0], images[0]) == float('inf')


def test_masked_scores_see_only_the_mask(images):
    truth, noisy = images
    mask = np.zeros(truth.shape, bool)
    mask[20:40, 20:40] = True
    half = truth.copy()
    half[mask] = noisy[mask]
    assert metrics.psnr(truth, half, mask) == pytest.approx(metrics.psnr(truth, noisy, mask))
    assert metrics.psnr(truth, half, ~mask) == float('inf')
    assert metrics.ssim(truth, half, mask) < metrics.ssim(truth, half)


def test_f1_by_hand():
    truth = np.array([1, 1, 1, 0, 0], bool)
    predicted = np.array([1, 1, 0, 1, 0], bool)
    # Two found, one missed, one wrong.
    assert metrics.f1(truth, predicted) == pytest.approx(2 * 2 / (2 * 2 + 1 + 1))
    assert metrics.f1(np.zeros(3, bool), np.zeros(3, bool)) == 0


def test_recall_by_hand():
    truth = np.array([0, 0, 1, 1, 1, 5])
    predicted = np.array([0, 1, 1, 1, 0, 5])
    assert metrics.unweighted_recall(truth, predicted) == pytest.approx((1 / 2 + 2 / 3 + 1) / 3)
    assert metrics.accuracy(truth, predicted) == pytest.approx(4 / 6)


def test_area_by_hand():
    truth = np.array([1, 1, 0, 0], bool)
    # Of four pairs: two right, one tie, one wrong.
    score = np.array([0.9, 0.4, 0.4, 0.6])
    assert metrics.area_under_curve(truth, score) == pytest.approx(2.5 / 4)
    assert np.isnan(metrics.area_under_curve(np.ones(4, bool), score))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**31))
def test_area_is_the_share_of_right_pairs(seed):
    rng = np.random.default_rng(seed)
    truth = np.r_[True, False, rng.random(20) < 0.4]
    score = rng.integers(0, 6, 22) / 5
    pairs = np.sign(score[truth][:, None] - score[~truth][None])
    assert metrics.area_under_curve(truth, score) == pytest.approx(((pairs + 1) / 2).mean())


def test_correlation():
    x = np.arange(12.0)
    assert metrics.correlation(x, 3 - 2 * x) == pytest.approx(-1)
    assert metrics.correlation(x, np.ones(12)) == 0


def test_confusion_by_hand():
    truth = np.array([[1, 0], [1, 0], [0, 0], [0, 0], [1, 0]], bool)
    found = np.array([[1, 0], [0, 0], [1, 1], [0, 0], [1, 0]], bool)
    counts = metrics.confusion(truth, found)
    assert counts.tolist() == [[2, 0], [1, 1], [1, 0], [1, 4]]
    assert metrics.f1_of(counts)[0] == pytest.approx(4 / 6)
    assert metrics.recall_of(counts)[0] == pytest.approx((2 / 3 + 1 / 2) / 2)
    # The second never occurs: nothing is known of it.
    assert np.isnan(metrics.f1_of(counts)[1])
    assert np.isnan(metrics.recall_of(counts)[1])
    assert metrics.mean_of_known(metrics.f1_of(counts)) == pytest.approx(4 / 6)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**31), st.integers(0, 20))
def test_confusions_of_parts_add_up(seed, cut):
    rng = np.random.default_rng(seed)
    truth, found = rng.random((2, 20)) < 0.4
    parts = [metrics.confusion(truth[part], found[part]) for part in np.s_[:cut, cut:]]
    whole = metrics.confusion(truth, found)
    np.testing.assert_array_equal(sum(parts), whole)
    assert whole.sum() == 20
    if truth.any():
        assert metrics.f1_of(whole) == pytest.approx(metrics.f1(truth, found))


def test_calibration_error_by_hand():
    confidence = np.array([0.9, 0.9, 0.9, 0.9, 0.5, 0.5, 1.0])
    right = np.array([1, 1, 1, 0, 1, 1, 0], bool)
    # Bins 13 (four: sure of 0.9, right in 0.75), 7 (two: 0.5 and 1), 14 (one: 1 and 0).
    sums = metrics.reliability(confidence, right)
    assert sums[0].nonzero()[0].tolist() == [7, 13, 14]
    expected = (4 * 0.15 + 2 * 0.5 + 1 * 1.0) / 7
    assert metrics.calibration_error(sums) == pytest.approx(expected)
    assert np.isnan(metrics.calibration_error(np.zeros_like(sums)))


def test_confidence_that_is_a_probability_is_calibrated():
    rng = np.random.default_rng(0)
    confidence = rng.random(50_000)
    right = rng.random(50_000) < confidence
    assert metrics.calibration_error(metrics.reliability(confidence, right)) < 0.01
    assert metrics.calibration_error(metrics.reliability(confidence, ~right)) > 0.3
