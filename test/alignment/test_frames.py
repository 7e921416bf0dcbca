import cv2
import numpy as np
import pytest

from microexpr_ros.alignment.frames import FrameQueue, crop, paste
from microexpr_ros.events.events import Frame
from microexpr_ros.events.region import AlignedRegion, Region

PIXELS = np.zeros((2, 2), np.uint8)


def test_the_newest_frame_before_the_end_is_taken_once():
    queue = FrameQueue()
    for stamp in (10, 20, 30):
        queue.push(Frame(stamp, PIXELS))
    assert queue.take(25).t == 20
    assert queue.skipped == 1
    assert queue.take(25) is None
    assert queue.take(31).t == 30


def test_a_full_queue_drops_the_oldest_and_counts_it():
    queue = FrameQueue(depth=2)
    for stamp in (1, 2, 3):
        queue.push(Frame(stamp, PIXELS))
    assert queue.skipped == 1
    assert queue.take(2) is None


def test_crop_at_the_sensors_own_scale_copies_pixels():
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60), np.uint8)
    cut = crop(pixels, Region(10, 5, 16, 16), (40, 60), (16, 16))
    np.testing.assert_array_equal(cut, pixels[5:21, 10:26])


def test_crop_averages_when_the_frame_is_finer():
    pixels = np.random.default_rng(0).integers(0, 256, (80, 120, 3), np.uint8)
    cut = crop(pixels, Region(10, 5, 16, 16), (40, 60), (16, 16))
    block = pixels[10:42, 20:52].reshape(16, 2, 16, 2, 3).mean((1, 3))
    np.testing.assert_allclose(cut, block, atol=0.51)


def test_crop_beyond_the_frame_repeats_its_edge():
    pixels = np.full((40, 60), 7, np.uint8)
    assert (crop(pixels, Region(-30, -30, 64, 64), (40, 60), (32, 32)) == 7).all()


def test_crop_follows_the_homography():
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60), np.uint8)
    shift = np.array([[1.0, 0, 4], [0, 1, 2], [0, 0, 1]])
    cut = crop(pixels, Region(10, 5, 16, 16), (40, 60), (16, 16), shift)
    np.testing.assert_array_equal(cut, pixels[7:23, 14:30])


def test_crop_turns_the_frame_upright():
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60), np.uint8)
    aligned = AlignedRegion(18, 13, 16)
    cut = crop(pixels, aligned, (40, 60), (16, 16))
    np.testing.assert_array_equal(cut, pixels[5:21, 10:26])
    # A quarter turn to the right: the face's rows run along the sensor's columns, leftwards.
    turned = crop(pixels, AlignedRegion(18, 13, 16, np.pi / 2), (40, 60), (16, 16))
    np.testing.assert_array_equal(turned, np.rot90(cut))


def test_crop_turns_what_the_homography_shifts():
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60), np.uint8)
    shift = np.array([[1.0, 0, 4], [0, 1, 2], [0, 0, 1]])
    turned = crop(pixels, AlignedRegion(18, 13, 16, np.pi), (40, 60), (16, 16), shift)
    np.testing.assert_array_equal(turned, pixels[7:23, 14:30][::-1, ::-1])


def test_a_pasted_region_is_cut_out_as_it_was():
    """Fine enough frames lose little between `paste` and `crop`, but at the border."""
    rng = np.random.default_rng(0)
    picture = cv2.GaussianBlur(rng.uniform(0, 255, (32, 32)), (0, 0), 3).astype(np.uint8)
    frame = np.full((160, 240), 90, np.uint8)
    region = AlignedRegion(30.0, 22.0, 20.0, 0.3)
    pasted = paste(frame, picture, region, (40, 60))
    cut = crop(pasted, region, (40, 60), (32, 32)).astype(int)
    inside = slice(4, -4), slice(4, -4)
    assert np.abs(cut - picture)[inside].max() <= 3
    # It fades into what was there, which is left everywhere else.
    assert np.abs(cut[0] - 90).max() < np.abs(picture[0].astype(int) - 90).max() / 2
    assert (pasted[:, :60] == 90).all()
    assert (frame == 90).all()


def test_pasting_keeps_colours():
    frame = np.zeros((40, 60, 3), np.uint8)
    frame[:] = (120, 60, 40)
    picture = np.full((16, 16), 100, np.uint8)
    pasted = paste(frame, picture, Region(10, 5, 16, 16), (40, 60))
    # Grey was 75.66: each colour is lighter by 24.34.
    np.testing.assert_array_equal(pasted[13, 18], [144, 84, 64])


@pytest.mark.parametrize('region', [Region(-40, 0, 20, 20), Region(50, 30, 20, 20)])
def test_what_is_beyond_the_frame_is_not_pasted(region):
    frame = np.full((40, 60), 90, np.uint8)
    pasted = paste(frame, np.full((16, 16), 200, np.uint8), region, (40, 60))
    assert pasted.shape == frame.shape
    assert (pasted[:28] == 90).all()
    assert (pasted[39, 59] > 150) == (region.x == 50)


def test_pasting_follows_the_homography():
    frame = np.full((40, 60), 90, np.uint8)
    shift = np.array([[1, 0, 7], [0, 1, -3], [0, 0, 1]], np.float64)
    picture = np.full((16, 16), 200, np.uint8)
    moved = paste(frame, picture, Region(10, 8, 16, 16), (40, 60), shift)
    there = paste(frame, picture, Region(17, 5, 16, 16), (40, 60))
    np.testing.assert_array_equal(moved, there)
