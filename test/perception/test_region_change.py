import numpy as np
import pytest

from microexpr_ros.events.region import AlignedRegion, Region
from microexpr_ros.perception.reconstruction.region_change import RegionChange

BEFORE = AlignedRegion(200.0, 200.0, 256.0)


@pytest.mark.parametrize(
    ('before', 'after'),
    [
        (BEFORE, BEFORE),
        (None, BEFORE),
        (BEFORE, None),
        (Region(0, 0, 10, 10), Region(5, 0, 10, 10)),
        (Region(0, 0, 10, 10), BEFORE),
        (BEFORE, Region(0, 0, 10, 10)),
    ],
)
def test_nothing_moves_unless_both_follow_a_face(before, after):
    change = RegionChange.between(before, after)
    events, picture = np.ones((2, 128, 128), np.float32), np.ones((128, 128), np.uint8)
    assert change.distance == 0
    assert change.move_events(events) is events
    assert change.move_picture(picture) is picture


def test_distance_is_that_of_the_farthest_corner():
    shifted = RegionChange.between(BEFORE, AlignedRegion(200.0 + 25.6, 200.0, 256.0))
    assert shifted.distance == pytest.approx(0.1)
    grown = RegionChange.between(BEFORE, AlignedRegion(200.0, 200.0, 2 * 256.0))
    assert grown.distance == pytest.approx(np.sqrt(0.5))
    turned = RegionChange.between(BEFORE, AlignedRegion(200.0, 200.0, 256.0, 0.1))
    assert turned.distance == pytest.approx(2 * np.sin(0.05) * np.sqrt(0.5))


def test_events_and_pictures_move_with_the_sensor():
    rng = np.random.default_rng(0)
    events = rng.random((3, 2, 128, 128), np.float32)
    picture = rng.integers(0, 256, (128, 128), dtype=np.uint8)
    # Cells of two pixels: four cells up and eight left.
    change = RegionChange.between(BEFORE, AlignedRegion(216.0, 208.0, 256.0))
    moved = change.move_events(events)
    assert moved.shape == events.shape
    np.testing.assert_allclose(moved[..., :124, :120], events[..., 4:, 8:], atol=1e-5)
    assert not moved[..., 124:, :].any()
    assert not moved[..., 120:].any()
    shown = change.move_picture(picture)
    np.testing.assert_allclose(shown[:124, :120].astype(int), picture[4:, 8:], atol=1)
    np.testing.assert_array_equal(shown[:120, 125], picture[4:124, -1])
    layers = change.move_picture(np.dstack([picture, picture]).astype(np.float32))
    np.testing.assert_allclose(layers[:124, :120, 1], picture[4:, 8:], atol=1e-2)


def test_there_and_back_is_where_it_was():
    y, x = np.mgrid[:128, :128].astype(np.float32)
    picture = 128 + 60 * np.sin(x / 9) * np.cos(y / 7)
    after = AlignedRegion(210.3, 195.1, 240.0, 0.08)
    there = RegionChange.between(BEFORE, after).move_picture(picture)
    back = RegionChange.between(after, BEFORE).move_picture(there)
    middle = slice(24, 104), slice(24, 104)
    np.testing.assert_allclose(back[middle], picture[middle], atol=0.5)
    assert np.abs(there - picture)[middle].max() > 20


def test_pictures_that_are_moved_again_and_again_keep_their_contrast():
    x = np.arange(128, dtype=np.float32)
    picture = np.broadcast_to(128 + 60 * np.sin(2 * np.pi * x / 8), (128, 128)).astype(np.float32)
    to = RegionChange.between(BEFORE, AlignedRegion(203.0, 201.0, 256.0))
    back = RegionChange.between(AlignedRegion(203.0, 201.0, 256.0), BEFORE)
    moved = picture
    for _ in range(10):
        moved = back.move_picture(to.move_picture(moved, again=True), again=True)
    middle = slice(32, 96), slice(32, 96)
    assert moved[middle].std() == pytest.approx(picture[middle].std(), rel=0.15)


def test_the_share_inside_is_what_was_seen_before():
    # Cells of two pixels: two and a half to the right.
    change = RegionChange.between(BEFORE, AlignedRegion(205.0, 200.0, 256.0))
    share = change.share_inside(128)
    np.testing.assert_allclose(share[:, :125], 1)
    np.testing.assert_allclose(share[:, 125], 0.5, atol=0.02)
    assert not share[:, 126:].any()
    assert RegionChange.between(BEFORE, BEFORE).share_inside(4).all()
