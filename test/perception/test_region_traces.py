import numpy as np
import pytest
import torch

from microexpr_ros.perception.spiking import RegionTraces, SpikingConfiguration
from microexpr_ros.perception.spiking.network import SpikingNetwork
from microexpr_ros.perception.spiking.traces import update_traces


@pytest.mark.parametrize(
    'changes',
    [
        {},
        {'pool': 1},
        {'pool': 4},
        {'signed_traces': True},
        {'signed_traces': True, 'adaptation': 1.5},
        {'adaptation': 0.5},
    ],
)
def test_region_traces_are_what_the_network_is_trained_on(changes):
    c = SpikingConfiguration(grid=16, trace_ms=(20.0, 60.0, 180.0), **changes)
    network, region_traces = SpikingNetwork(c), RegionTraces(c)
    expected = network.initial_state()[0]
    traces = region_traces.initial()
    assert traces.shape == tuple(expected.shape)
    generator = np.random.default_rng(0)
    for number in range(30):
        counts = generator.poisson(3 * (number % 3), (2, 16, 16)).astype(np.uint8)
        counts[:, :8] = 0
        encoded = network.encode(torch.from_numpy(counts)[None], 3.7)
        inputs, expected = update_traces(
            encoded, expected, c.decays(), c.semi_saturation, c.signed_traces, c.adaptation
        )
        before = traces.copy()
        compressed, after = region_traces.update(counts, 3.7, traces)
        np.testing.assert_array_equal(traces, before)
        traces = after
        np.testing.assert_allclose(traces, expected.numpy(), rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(compressed, inputs.numpy(), rtol=0, atol=1e-6)
        assert compressed.shape == region_traces.shape
    assert np.ptp(compressed) > 0.5


def test_full_cells_do_not_wrap():
    region_traces = RegionTraces(SpikingConfiguration(grid=16, pool=4))
    counts = np.full((2, 16, 16), 255, np.uint8)
    _, traces = region_traces.update(counts, 1.0, region_traces.initial())
    np.testing.assert_array_equal(traces, 255)


def test_counts_may_be_read_only():
    region_traces = RegionTraces(SpikingConfiguration(grid=16))
    counts = np.ones((2, 16, 16), np.uint8)
    counts.setflags(write=False)
    _, traces = region_traces.update(counts, 2.0, region_traces.initial())
    np.testing.assert_array_equal(traces, 0.5)
