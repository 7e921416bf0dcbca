import numpy as np
import pytest
import torch

from microexpr_ros.learning.evaluation.clip_estimates import (
    ClipEstimates,
    classify_clip,
    count_reliability,
)
from microexpr_ros.learning.evaluation.method_scores import active_slices
from microexpr_ros.learning.training.action_units import predict
from microexpr_ros.perception.classifier import ActionUnitClassifier, Status
from microexpr_ros.perception.presence import Presence
from microexpr_ros.perception.spiking.configuration import SpikingConfiguration
from microexpr_ros.perception.spiking.network import SpikingNetwork

SMALL = SpikingConfiguration(pool=4, channels=(4, 4), kernels=(5, 3), strides=(4, 2),
                             tau_ms=(20.0, 30.0), integrators=8)  # fmt: skip


def test_what_is_published_is_what_the_network_predicts(sparse_clips):
    torch.manual_seed(0)
    network = SpikingNetwork(SMALL).deployed()
    presence = Presence.uncalibrated(0.00226)
    estimates = classify_clip(ActionUnitClassifier(network, presence), sparse_clips[1])
    (expected,) = predict(network, [sparse_clips[1]])
    np.testing.assert_allclose(estimates.intensity, expected.intensity, atol=1e-5)
    np.testing.assert_allclose(estimates.evidence, expected.evidence, atol=1e-5)
    np.testing.assert_array_equal(estimates.active, active_slices(estimates.intensity, presence))
    assert (estimates.status[:19] == Status.WARMING_UP).all()
    assert Status.WARMING_UP not in estimates.status[19:]


@pytest.fixture
def estimates(sparse_clips):
    truth = sparse_clips[1].clip.intensity >= 0.05
    status = np.where(np.arange(40) < 20, Status.WARMING_UP, Status.OK)
    confidence = np.where(truth, 0.7, 0.9).astype(np.float32)
    return ClipEstimates(sparse_clips[1].clip.sides, confidence, truth, status)


def test_reliability_of_the_slices_that_count(estimates, sparse_clips):
    number, confidence, right = count_reliability(estimates, sparse_clips[1], [Status.OK])
    assert number.sum() == right.sum() == 20 * 18
    present = int(estimates.active[20:].sum())
    assert confidence.sum() == pytest.approx(0.7 * present + 0.9 * (360 - present), rel=1e-5)


def test_reliability_of_units_said_to_be_present(estimates, sparse_clips):
    every = list(Status)
    number, _, right = count_reliability(estimates, sparse_clips[1], every, active=True)
    assert number.sum() == right.sum() == estimates.active.sum()
    wrong = ClipEstimates(
        estimates.sides, estimates.confidence, ~estimates.active, estimates.status
    )
    assert count_reliability(wrong, sparse_clips[1], every)[2].sum() == 0
