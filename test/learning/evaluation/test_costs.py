import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from microexpr_ros.learning.evaluation.costs import (
    count_multiply_adds,
    count_operations,
    fan_out,
)
from microexpr_ros.learning.evaluation.trained_baselines import IntensityEstimator
from microexpr_ros.perception.presence import Presence
from microexpr_ros.perception.spiking.configuration import SpikingConfiguration
from microexpr_ros.perception.spiking.network import SpikingNetwork

SMALL = SpikingConfiguration(pool=4, channels=(4, 4), kernels=(5, 3), strides=(4, 2),
                             tau_ms=(20.0, 30.0), integrators=8)  # fmt: skip


def test_fan_out_by_hand():
    layer = nn.Conv2d(2, 5, 3, stride=1, padding=1)
    spikes = torch.zeros(1, 2, 8, 8)
    spikes[0, 0, 4, 4] = 1
    assert fan_out(layer, spikes) == 9 * 5
    # A corner reaches four neurons of each channel; each spike of a burst causes as much.
    spikes[0, 1, 0, 0] = 3
    assert fan_out(layer, spikes) == (9 + 3 * 4) * 5
    assert fan_out(nn.Linear(6, 7), torch.tensor([[0, 1, 0, 2, 0, 0.0]])) == 21


@pytest.mark.parametrize(('kernel', 'stride'), [(3, 1), (3, 2), (7, 4)])
def test_fan_out_is_the_sum_of_a_convolution_of_ones(kernel, stride):
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 4, kernel, stride, kernel // 2, bias=False)
    spikes = (torch.rand(2, 3, 16, 16) < 0.2).float()
    ones = torch.ones_like(layer.weight)
    expected = functional.conv2d(spikes, ones, stride=stride, padding=kernel // 2).sum()
    assert fan_out(layer, spikes) == pytest.approx(float(expected))


def test_operations_follow_the_spikes(sparse_clips):
    torch.manual_seed(0)
    network = SpikingNetwork(SMALL).deployed()
    counted = count_operations(network, sparse_clips[:2])
    assert counted.synops_per_s == pytest.approx(sum(counted.by_layer.values()))
    # Integrators are never silent: 8 of them, 100 slices a second, into both sides of 18 units.
    assert counted.by_layer['readout'] <= 100 * 8 * 36
    for convolution in network.convolutions:
        nn.init.zeros_(convolution.weight)
        nn.init.constant_(convolution.bias, -1)
    silent = count_operations(network, sparse_clips[:2])
    assert silent.spikes_per_s == 0
    assert silent.by_layer['projection'] == silent.by_layer['convolutions.1'] == 0
    assert silent.by_layer['convolutions.0'] == counted.by_layer['convolutions.0'] > 0


def test_counting_leaves_no_trace(sparse_clips):
    network = SpikingNetwork(SMALL).deployed()
    count_operations(network, sparse_clips[:1])
    assert not any(module._forward_pre_hooks for module in network.modules())


def test_multiply_adds_by_hand(sparse_clips):
    layer = nn.Linear(10, 18)

    def predict(clips):
        with torch.inference_mode():
            return [layer(torch.ones(r.slices, 10)).numpy() for r in clips]

    estimator = IntensityEstimator('twin', predict, Presence.uncalibrated())
    assert count_multiply_adds(estimator, sparse_clips[0]) == pytest.approx(100 * 180)
    assert np.isfinite(count_multiply_adds(estimator, sparse_clips[1]))
