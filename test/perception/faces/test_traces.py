import numpy as np
import pytest

from microexpr_ros.events.region import AlignedRegion
from microexpr_ros.perception.faces.traces import (
    CHANNELS,
    CROP_MARGIN,
    POOLED,
    EventTraces,
)


@pytest.fixture
def traces():
    # Four pixels of the sensor are one cell.
    return EventTraces(240, 320)


def slice_of(traces, *, on=(), off=(), events=8):
    counts = np.zeros((2, *traces.shape), np.uint8)
    for polarity, cells in enumerate((off, on)):
        for row, column in cells:
            counts[polarity, row, column] = events
    return counts


def block(row, column):
    return [(row + r, column + c) for r in range(8) for c in range(8)]


def test_events_are_counted_per_pixel(traces):
    traces.update(slice_of(traces, on=[(10, 20)], off=[(30, 40)]), 0.01)
    np.testing.assert_allclose(traces.maps[10, 20, :4], [0, 2, 0, 2])
    np.testing.assert_allclose(traces.maps[30, 40, :4], [2, 0, 2, 0])


def test_a_sensor_may_have_fewer_pixels_than_there_are_cells():
    with np.errstate(all='raise'):
        traces = EventTraces(48, 64)
        traces.update(np.zeros((2, *traces.shape), np.uint8), 0.01)
    assert not traces.maps.any()


def test_traces_fade_with_time_and_the_memory_stays(traces):
    traces.update(slice_of(traces, on=block(40, 40)), 0.01)
    before = traces.maps[44, 44].copy()
    for _ in range(100):
        traces.update(slice_of(traces), 0.01)
    after = traces.maps[44, 44]
    assert after[1] == pytest.approx(before[1] * np.exp(-1 / 0.04), rel=1e-3)
    assert after[3] == pytest.approx(before[3] * np.exp(-1 / 0.2), rel=1e-3)
    assert after[5] > 0.94 * before[5] > 0


def test_new_activity_replaces_what_is_remembered_there_alone(traces):
    traces.update(slice_of(traces, on=[*block(40, 40), *block(80, 100)]), 0.01)
    here, elsewhere = traces.maps[44, 44, 5], traces.maps[84, 104, 5]
    for _ in range(5):
        traces.update(slice_of(traces, off=block(40, 40)), 0.01)
    assert traces.maps[44, 44, 5] < 0.1 * here
    assert traces.maps[84, 104, 5] > 0.99 * elsewhere


def test_little_of_even_noise_is_remembered():
    traces, rng = EventTraces(240, 320), np.random.default_rng(0)
    received = 0.0
    for _ in range(200):
        noise = (rng.random((2, *traces.shape)) < 0.02).astype(np.uint8)
        received += noise.mean() / 4
        traces.update(noise, 0.01)
    assert traces.maps[..., 4:].mean() < 0.25 * received


@pytest.mark.parametrize('size', [48, 64])
def test_a_crop_is_upright_in_a_face_that_is_turned(traces, size):
    for row, column in ((60, 80), (60, 100)):
        for r in range(-2, 3):
            for c in range(-2, 3):
                traces.maps[row + r, column + c] = 5
    upright = traces.crop(AlignedRegion(80.5, 60.5, 40), size)
    turned = traces.crop(AlignedRegion(80.5, 60.5, 40, np.pi / 2), size)
    assert upright.shape == (CHANNELS, size, size)
    away = round(20 / (40 * CROP_MARGIN) * size)
    assert upright[0, size // 2, size // 2 + away] > 0.7
    assert turned[0, size // 2 - away, size // 2] > 0.7
    assert upright[0, size // 2 - away, size // 2] == 0


def test_the_whole_sensor_is_pooled_by_two(traces):
    traces.maps[:2, :2] = 1
    pooled = traces.pooled()
    assert pooled.shape == (CHANNELS, POOLED, POOLED)
    assert pooled[0, 0, 0] == pytest.approx(0.5)
    assert pooled[0].sum() == pytest.approx(0.5)
    whole = AlignedRegion(80, 80, 160)
    np.testing.assert_allclose(traces.pooled_view(whole), pooled, atol=1e-6)


def test_a_reset_forgets_everything(traces):
    traces.update(slice_of(traces, on=block(40, 40)), 0.01)
    traces.reset()
    assert not traces.maps.any()
    assert not traces.activity.any()


def test_nothing_is_left_of_a_lamp_that_was_found_to_flicker():
    traces = EventTraces(240, 320)
    lamp = np.random.default_rng(0).integers(0, 7, (2, *traces.shape)).astype(np.uint8)
    traces.update(lamp, 0.01)
    assert traces.maps[..., 4:].mean() > 0.3
    for _ in range(60):
        traces.update(lamp, 0.01)
    assert traces.maps[..., 4:].mean() < 0.01
    # What moves under it is remembered.
    moved = lamp.copy()
    moved[1, 40:48, 40:48] += 8
    traces.update(moved, 0.01)
    for _ in range(20):
        traces.update(lamp, 0.01)
    assert traces.maps[44, 44, 5] > 0.5
