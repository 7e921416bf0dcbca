import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microexpr_ros.perception.activity import BLOCKS, Activity, ActivityConfiguration

SLICE_NS = 10_000_000


def settle(counts, configuration, pixels_per_cell=1.0, slices=300):
    activity = Activity.none()
    for _ in range(slices):
        activity = configuration.observe(counts, pixels_per_cell, SLICE_NS, activity)
    return activity


def test_constant_rate_is_found():
    counts = np.ones((2, 128, 128), np.uint8)
    activity = settle(counts, ActivityConfiguration(), pixels_per_cell=4.0)
    # Two events per cell of four pixels in 10 ms: 50 per pixel and second.
    assert activity.total_hz == pytest.approx(50, rel=0.01)
    np.testing.assert_allclose(activity.blocks_hz, 50, rtol=1e-3)


def test_full_counts_do_not_overflow():
    counts = np.full((2, 128, 128), 255, np.uint8)
    assert settle(counts, ActivityConfiguration()).total_hz == pytest.approx(51_000, rel=0.01)


@given(st.integers(0, BLOCKS - 1), st.integers(0, BLOCKS - 1))
def test_events_fall_in_their_block(row, column):
    counts = np.zeros((2, 128, 128), np.uint8)
    counts[:, 16 * row + 15, 16 * column] = 9
    after = ActivityConfiguration().observe(counts, 1.0, SLICE_NS, Activity.none())
    assert np.flatnonzero(after.blocks_hz).tolist() == [row * BLOCKS + column]


def test_head_moves_if_nearly_all_blocks_do():
    configuration = ActivityConfiguration(moving_hz=10, moving_share=0.7)
    counts = np.zeros((2, 128, 128), np.uint8)
    counts[:, :64] = 1
    assert not configuration.head_moves(settle(counts, configuration))
    counts[:, :112] = 1
    assert configuration.head_moves(settle(counts, configuration))


def test_nothing_is_silent():
    configuration = ActivityConfiguration()
    assert configuration.silent(Activity.none())
    noise = np.zeros((2, 128, 128), np.uint8)
    noise[0, ::8, ::8] = 1
    assert not configuration.silent(settle(noise, configuration))
