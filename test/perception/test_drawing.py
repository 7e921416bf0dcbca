from itertools import pairwise

import numpy as np
import pytest

from microexpr_ros import facs
from microexpr_ros.alignment.slices import Slice
from microexpr_ros.events.region import AlignedRegion, Region
from microexpr_ros.landmarks import PLACES
from microexpr_ros.perception.classifier import ActionUnitEstimate, Status
from microexpr_ros.perception.drawing import (
    ACTIVE,
    BACKGROUND,
    LANDMARK,
    LIMIT,
    OFF,
    ON,
    PEAK,
    RESTING,
    SIDE,
    TRACK,
    Panel,
    draw_units,
)

GRID = 32
CELL = SIDE // GRID
STEP_NS = 10_000_000


def slice_of(counts):
    return Slice(STEP_NS, STEP_NS, Region(0, 0, GRID, GRID), counts, int(counts.sum()))


def nothing():
    return np.zeros((2, GRID, GRID), np.uint8)


def estimate_of(intensities, active=(), status=Status.OK, end_ns=STEP_NS):
    """Return an estimate; intensities by row, of both sides or one each, and what is active."""
    sides = np.zeros((len(facs.CODES), 2), np.float32)
    for row, value in intensities.items():
        sides[row] = value
    flags = np.isin(np.arange(len(facs.CODES)), list(active))
    return ActionUnitEstimate(end_ns, status, sides, np.ones(len(sides), np.float32), flags)


def is_colour(picture, colour):
    return np.all(picture == colour, axis=-1)


def widths(picture, colour):
    """Return the widths of the bars of one colour, top to bottom, in pixels.

    Text is antialiased and thin: a run of 8 pixels of one colour is no letter.
    """
    bars = is_colour(picture[40:, 190:], colour).sum(1)
    starts = np.flatnonzero((bars[1:] >= 8) & (bars[:-1] < 8)) + 1
    return bars[starts]


def part(picture, column):
    return picture[:SIDE, column * SIDE : (column + 1) * SIDE]


@pytest.mark.parametrize('shown', ['nothing', 'slice', 'reconstruction', 'estimate', 'all'])
def test_panel_has_one_form_whatever_was_shown(shown):
    panel = Panel()
    if shown in ('slice', 'all'):
        panel.show_slice(slice_of(nothing() + 1))
    if shown in ('reconstruction', 'all'):
        panel.show_reconstruction(np.full((128, 128), 200, np.uint8))
    if shown in ('estimate', 'all'):
        panel.show_estimate(estimate_of({3: 0.7}, [3]))
    picture = panel.draw()
    assert picture.shape == (448, 1248, 3)
    assert picture.dtype == np.uint8
    blank = Panel().draw()
    for column, name in enumerate(('slice', 'reconstruction', 'estimate')):
        changed = not np.array_equal(part(picture, column), part(blank, column))
        assert changed == (shown in (name, 'all'))


def test_polarities_have_their_colours_where_they_happen():
    counts = nothing()
    counts[0, 12:16, 4:8] = 10
    counts[1, 22:26, 20:24] = 10
    panel = Panel()
    panel.show_slice(slice_of(counts))
    events = part(panel.draw(), 0)
    assert tuple(events[14 * CELL, 6 * CELL]) == OFF
    assert tuple(events[24 * CELL, 22 * CELL]) == ON
    assert tuple(events[14 * CELL, 22 * CELL]) == BACKGROUND


def test_events_fade_and_do_not_wrap_where_both_polarities_are():
    panel = Panel()
    panel.show_slice(slice_of(nothing() + 255))
    bright = part(panel.draw(), 0)[SIDE // 2, SIDE // 2]
    assert np.all(bright >= np.maximum(ON, OFF))
    for _ in range(60):
        panel.show_slice(slice_of(nothing()))
    assert tuple(part(panel.draw(), 0)[SIDE // 2, SIDE // 2]) == BACKGROUND


def test_reconstruction_is_grey():
    panel = Panel()
    panel.show_reconstruction(np.full((128, 128), 200, np.uint8))
    picture = part(panel.draw(), 1)[SIDE // 2 :]
    assert np.all(picture == 200)


def test_bars_are_as_long_as_the_units_are_strong():
    picture = draw_units(estimate_of({0: 0.25, 5: 0.5, 17: 1.0}, active=(0, 5, 17)))
    quarter, half, full = widths(picture, ACTIVE)
    # A bar includes both of its ends.
    assert half - 1 == pytest.approx((full - 1) / 2, abs=1)
    assert quarter - 1 == pytest.approx((full - 1) / 4, abs=1)
    assert not len(widths(picture, RESTING))


def test_the_left_side_is_above_the_right_one():
    def lengths(left, right):
        picture = draw_units(estimate_of({0: (left, right)}))
        bar = is_colour(picture[40:, 190:], RESTING).sum(1)
        upper, lower = bar[bar > 0].reshape(2, -1)
        assert len(set(upper)) == len(set(lower)) == 1
        return upper[0], lower[0]

    quarter, half = lengths(0.25, 0.5)
    assert half - 1 == pytest.approx(2 * (quarter - 1), abs=1)
    assert lengths(0.5, 0.25) == (half, quarter)
    assert lengths(0.5, 0.5) == (half, half)


def test_active_units_stand_out():
    picture = draw_units(estimate_of({2: 0.5, 9: 0.5}, active=(9,)))
    assert len(widths(picture, RESTING)) == len(widths(picture, ACTIVE)) == 1
    rows = [np.argmax(is_colour(picture[40:, 230], colour)) for colour in (RESTING, ACTIVE)]
    assert rows[0] < rows[1]


def test_no_intensity_no_bar():
    for estimate in (None, estimate_of({}), estimate_of({4: -0.3})):
        picture = draw_units(estimate)
        assert not len(widths(picture, ACTIVE))
        assert not len(widths(picture, RESTING))
        assert len(widths(picture, TRACK)) == len(facs.CODES)


def test_intensities_over_one_stay_on_their_track():
    over, full = (draw_units(estimate_of({7: value}, active=(7,))) for value in (40.0, 1.0))
    np.testing.assert_array_equal(over, full)


def test_status_is_told():
    calm, moving = (draw_units(estimate_of({}, status=s)) for s in (Status.OK, Status.HEAD_MOVING))
    assert not is_colour(calm, ACTIVE).any()
    assert is_colour(moving[:34], ACTIVE).any()


def test_landmarks_are_circled_in_the_events_and_the_turn_is_in_the_corner():
    panel = Panel()
    region = AlignedRegion(300, 200, 120, roll=0.5)
    slice_ = Slice(STEP_NS, STEP_NS, region, nothing(), 0)
    panel.show_slice(slice_, region.to_pixels(PLACES).astype(np.float32))
    events = part(panel.draw(), 0)
    marked = is_marked(events)
    for column, row in (SIDE * PLACES).round().astype(int):
        assert marked[row - 5 : row + 6, column - 5 : column + 6].sum() >= 8
        assert not marked[row - 1 : row + 2, column - 1 : column + 2].any()
    assert marked[10:60, -60:].any()
    panel.show_slice(slice_of(nothing()))
    below_the_title = part(panel.draw(), 0)[40:]
    assert not is_marked(below_the_title).any()


def test_a_reconstruction_fades_while_slices_come_without_another():
    panel = Panel()
    panel.show_reconstruction(np.full((128, 128), 200, np.uint8))

    def grey(slices):
        for _ in range(slices):
            panel.show_slice(slice_of(nothing()))
        return int(part(panel.draw(), 1)[SIDE // 2, SIDE // 2].max())

    # It is fresh for 0.2 s, and gone after 1.5 s.
    assert grey(20) == 200
    assert 100 < grey(60) < 150
    assert grey(100) == grey(100) < 60
    panel.show_reconstruction(np.full((128, 128), 200, np.uint8))
    assert grey(0) == 200


def test_a_reconstruction_has_faded_when_no_slices_come():
    panel = Panel()
    panel.show_reconstruction(np.full((128, 128), 200, np.uint8))
    panel.show_estimate(estimate_of({}, status=Status.STALE))
    assert part(panel.draw(), 1)[SIDE // 2, SIDE // 2].max() < 60


def marks(panel, colour):
    """Return the columns of a colour in the bar of the first unit."""
    return np.flatnonzero(is_colour(part(panel.draw(), 2)[38:57, 190:], colour).any(0))


def test_a_peak_is_held_for_a_second_and_thresholds_are_marked():
    panel = Panel()
    ends = [k * STEP_NS for k in range(1, 300)]
    for end_ns in ends[:20]:
        panel.show_estimate(estimate_of({0: 0.8 if end_ns == ends[9] else 0.1}, end_ns=end_ns))
    high = marks(panel, PEAK)
    assert high.min() > 150
    assert not len(marks(panel, LIMIT))
    for end_ns in ends[20:110]:
        panel.show_estimate(estimate_of({0: 0.1}, end_ns=end_ns))
    np.testing.assert_array_equal(marks(panel, PEAK), high)
    panel.show_estimate(estimate_of({0: 0.1}, end_ns=ends[110]))
    assert marks(panel, PEAK).max() < 40
    panel.show_thresholds(np.full(len(facs.CODES), 0.5, np.float32))
    # A peak that does not reach its threshold says nothing.
    assert not len(marks(panel, PEAK))
    [limit] = marks(panel, LIMIT)
    assert limit == pytest.approx(6 + (SIDE - 16 - 196) / 2, abs=1)


def test_a_peak_is_forgotten_when_time_begins_again():
    panel = Panel()
    panel.show_estimate(estimate_of({0: 0.8}, end_ns=10**12))
    panel.show_estimate(estimate_of({0: 0.1}))
    assert marks(panel, PEAK).max() < 40


def test_the_line_below_has_time_latency_and_losses():
    panel = Panel()

    def line():
        return panel.draw()[SIDE:, :500]

    pictures = [line()]
    panel.show_slice(slice_of(nothing()))
    pictures.append(line())
    panel.show_estimate(estimate_of({}), 8_000_000)
    pictures.append(line())
    panel.show_losses({'packets': 0, 'frames': 0})
    pictures.append(line())
    assert not any(is_colour(picture, ACTIVE).any() for picture in pictures)
    panel.show_losses({'packets': 3, 'frames': 0})
    pictures.append(line())
    assert is_colour(pictures[-1], ACTIVE).any()
    for before, after in pairwise(pictures):
        assert not np.array_equal(before, after)


def is_marked(picture):
    """Return which pixels have most of the colour of landmarks: lines are antialiased."""
    away = np.abs(picture.astype(int) - np.array(LANDMARK)).sum(axis=2)
    return away < np.abs(np.array(BACKGROUND) - np.array(LANDMARK)).sum() / 2
