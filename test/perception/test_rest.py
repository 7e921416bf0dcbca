"""While nothing happens, what leaks away ends at 0.

Left to itself it would become subnormal, and stay so: processors take a hundred times as long to
compute with such numbers, and a face at rest cost ten times as much as one that moves.
"""

from dataclasses import replace

import numpy as np
import torch

from microexpr_ros.alignment.slices import blank_slice
from microexpr_ros.perception.activity import Activity, ActivityConfiguration
from microexpr_ros.perception.faces.flicker import FlickerFilter
from microexpr_ros.perception.faces.traces import EventTraces
from microexpr_ros.perception.reconstruction import ReconstructionConfiguration, Reconstructor
from microexpr_ros.perception.reconstruction.network import ConditionalVae
from microexpr_ros.perception.spiking import RegionTraces, SpikingConfiguration

STEP_NS = 10_000_000


def some_counts(*shape):
    return np.random.default_rng(0).poisson(2, shape).astype(np.uint8)


def test_traces_of_the_region_end():
    region_traces = RegionTraces(SpikingConfiguration(grid=16))
    _, traces = region_traces.update(some_counts(2, 16, 16), 3.0, region_traces.initial())
    nothing = np.zeros((2, 16, 16), np.uint8)
    for _ in range(500):
        compressed, traces = region_traces.update(nothing, 3.0, traces)
    # The longest trace is still there after 5 s, and tells as much as it did.
    assert traces[0, -1].min() > 1e-6
    for _ in range(1500):
        compressed, traces = region_traces.update(nothing, 3.0, traces)
    assert not traces.any()
    assert not compressed.any()


def test_traces_of_the_sensor_end():
    traces = EventTraces(240, 320)
    traces.update(some_counts(2, *traces.shape), 0.01)
    assert traces.maps.any(axis=(0, 1)).all()
    nothing = np.zeros((2, *traces.shape), np.uint8)
    for _ in range(700):
        traces.update(nothing, 1.0)
    assert not traces.maps.any()
    assert not traces._mean.any()


def test_averages_of_flicker_end():
    shape = (40, 40)
    flicker = FlickerFilter(shape)
    counts = some_counts(2, *shape)
    for _ in range(30):
        flicker.remove(counts, 0.01)
    counts[:, :20] = 0
    for _ in range(200):
        flicker.remove(counts, 0.1)
    for average in (flicker._mean, flicker._square, flicker._usual):
        assert not average[:, :20].any()
        assert average[:, 20:].any()


def test_rates_of_the_region_end():
    configuration = ActivityConfiguration()
    activity = configuration.observe(some_counts(2, 16, 16), 3.0, STEP_NS, Activity.none())
    assert activity.blocks_hz.all()
    for _ in range(400):
        activity = configuration.observe(np.zeros((2, 16, 16), np.uint8), 3.0, STEP_NS, activity)
    assert not activity.blocks_hz.any()


def test_integrals_of_the_reconstructor_end():
    configuration = ReconstructionConfiguration(grid=16, fine=4, width=4, latent=2)
    torch.manual_seed(0)
    reconstructor = Reconstructor(ConditionalVae(configuration).eval().deployed())
    blank = blank_slice(16, STEP_NS)
    state = reconstructor.initial_state()
    for number in range(3000):
        counts = some_counts(2, 16, 16) if number == 0 else blank.counts
        end_ns = (number + 1) * STEP_NS
        state = reconstructor.observe(replace(blank, counts=counts, end_ns=end_ns), state)
        if number == 0:
            assert state.leaky.any(axis=(1, 2)).all()
            since = state.since_frame.copy()
            assert state.lasting.activity.all()
            assert state.lasting.averages.all()
    assert not state.leaky.any()
    assert not state.lasting.activity.any()
    assert not state.lasting.averages.any()
    # What came since the frame does not leak.
    np.testing.assert_array_equal(state.since_frame, since)
