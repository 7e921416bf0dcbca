from __future__ import annotations

import event_streams as streams
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microexpr_ros.events.events import Events
from microexpr_ros.events.grid import accumulate, shift_cells
from microexpr_ros.events.region import AlignedRegion, Region, holds

regions = st.builds(
    Region, st.integers(-30, 70), st.integers(-30, 70), st.integers(1, 120), st.integers(1, 120)
)


@given(
    events=streams.events(),
    region=regions,
    rows=st.integers(1, 9),
    columns=st.integers(1, 9),
    seed=st.integers(0, 9),
)
@settings(max_examples=60, deadline=None)
def test_counts_like_the_definition(events, region, rows, columns, seed):
    counts = np.random.default_rng(seed).integers(0, 256, (2, rows, columns), dtype=np.uint8)
    want = counts.astype(int)
    u, v = events.x.astype(int) - region.x, events.y.astype(int) - region.y
    inside = (u >= 0) & (u < region.width) & (v >= 0) & (v < region.height)
    row, column = v[inside] * rows // region.height, u[inside] * columns // region.width
    np.add.at(want, (events.p[inside], row, column), 1)
    assert accumulate(events, region, counts) == np.count_nonzero(inside)
    np.testing.assert_array_equal(counts, np.minimum(want, 255))


def test_counts_saturate():
    events = streams.make_events(np.zeros(300), [1] * 300, [1] * 300, [1] * 300)
    counts = np.zeros((2, 2, 2), np.uint8)
    assert accumulate(events, Region(0, 0, 2, 2), counts) == 300
    assert counts.tolist() == [[[0, 0], [0, 0]], [[0, 0], [0, 255]]]


def test_nothing_counts_nothing():
    counts = np.full((2, 3, 3), 7, np.uint8)
    assert accumulate(Events.empty(), Region(0, 0, 5, 5), counts) == 0
    assert (counts == 7).all()


def test_counts_need_not_be_contiguous():
    events = streams.make_events([0], [1], [0], [1])
    every_second = np.zeros((2, 2, 4), np.uint8)
    assert accumulate(events, Region(0, 0, 2, 2), every_second[:, :, ::2]) == 1
    assert every_second.nonzero() == ([1], [0], [2])


@given(
    events=streams.events(),
    region=st.builds(
        AlignedRegion,
        st.floats(-30, 70),
        st.floats(-30, 70),
        st.floats(1, 120),
        st.floats(-3.2, 3.2),
    ),
    rows=st.integers(1, 9),
    columns=st.integers(1, 9),
)
@settings(max_examples=60, deadline=None)
def test_an_aligned_region_counts_an_event_in_the_cell_of_its_pixels_centre(
    events, region, rows, columns
):
    counts = np.zeros((2, rows, columns), np.uint8)
    centres = np.stack([events.x, events.y], axis=1) + 0.5
    places = region.to_shares(centres) * (columns, rows)
    # Centres on the border of two cells may go to either.
    clear = (np.abs(places - np.round(places)) > 1e-3).all(axis=1)
    kept = events[clear]
    inside = ((places[clear] >= 0) & (places[clear] < (columns, rows))).all(axis=1)
    want = np.zeros(counts.shape, int)
    column, row = np.floor(places[clear][inside]).astype(int).T
    np.add.at(want, (kept.p[inside], row, column), 1)
    assert accumulate(kept, region, counts) == np.count_nonzero(inside)
    np.testing.assert_array_equal(counts, np.minimum(want, 255))


@pytest.mark.parametrize('region', [Region(-3, 5, 8, 4), AlignedRegion(4.5, 7.0, 6.0, 0.3)])
def test_shares_of_a_region_are_the_pixels_again(region):
    shares = np.array([[0.0, 0.0], [1.0, 0.25], [0.5, 2.0]])
    np.testing.assert_allclose(region.to_shares(region.to_pixels(shares)), shares, atol=1e-12)
    assert holds(region, region.to_pixels(np.array([[0.01, 0.99], [0.5, 0.01]])))
    for beside in ([-0.01, 0.5], [0.5, 1.01]):
        assert not holds(region, region.to_pixels(np.array([[0.5, 0.5], beside])))


def test_an_aligned_region_that_is_not_turned_counts_like_the_rectangle():
    rng = np.random.default_rng(3)
    events = streams.make_events(
        range(5000), rng.integers(0, 90, 5000), rng.integers(0, 90, 5000), rng.integers(0, 2, 5000)
    )
    rectangle, aligned = np.zeros((2, 2, 16, 16), np.uint8)
    inside = accumulate(events, Region(10, 20, 64, 64), rectangle)
    assert accumulate(events, AlignedRegion(42, 52, 64), aligned) == inside > 1000
    np.testing.assert_array_equal(aligned, rectangle)


@given(rows=st.integers(-9, 9), columns=st.integers(-9, 9))
def test_cells_that_are_shifted_out_of_the_grid_are_lost(rows, columns):
    counts = np.random.default_rng(0).integers(1, 256, (2, 5, 6), dtype=np.uint8)
    wide = np.zeros((2, 5 + 18, 6 + 18), np.uint8)
    wide[:, 9 + rows : 14 + rows, 9 + columns : 15 + columns] = counts
    np.testing.assert_array_equal(shift_cells(counts, columns, rows), wide[:, 9:14, 9:15])
