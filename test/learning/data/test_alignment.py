from dataclasses import replace

import numpy as np
import pytest

from microexpr_ros.alignment.face_alignment import align
from microexpr_ros.events.region import AlignedRegion
from microexpr_ros.landmarks import EYE_DISTANCE, PLACES
from microexpr_ros.learning.data.augmentation import Augmentation, Jitter
from microexpr_ros.learning.data.batches import make_batch
from microexpr_ros.learning.data.clips import (
    align_clip,
    dense_counts,
    hold_still,
    in_boxes,
    make_sparse,
)

TURNED = AlignedRegion(60.0, 70.0, 100.0, 0.2)


def clip_of(make_clip, region, number=4):
    """Return a clip whose landmarks say that the face is in a region."""
    clip = make_clip(number)
    landmarks = np.tile(region.to_pixels(PLACES).astype(np.float32), (len(clip.sides), 1, 1))
    return make_sparse(replace(clip, landmarks=landmarks))


def test_landmarks_move_to_their_places(make_clip):
    aligned = align_clip(clip_of(make_clip, TURNED))
    np.testing.assert_allclose(aligned.clip.landmarks[0], 128 * PLACES, atol=0.01)
    assert aligned.boxes == 'aligned'


def test_a_cell_moves_to_where_the_region_shows_it():
    table = Jitter(region=TURNED).cell_map().reshape(128, 128)
    for row, column in ((40, 50), (70, 60), (100, 90)):
        x, y = 128 * TURNED.to_shares(np.array([column + 0.5, row + 0.5]))
        assert table[row, column] == int(y) * 128 + int(x)


def test_density_does_not_depend_on_the_size_of_the_region(make_clip):
    """Everywhere one event per cell is one event per sensor pixel, however large it is shown."""
    clip = make_clip(4)
    clip.counts[:] = 1
    for side in (64.0, 100.0):
        sparse = clip_of(lambda _: replace(clip, pixels_per_cell=1.0), AlignedRegion(64, 64, side))
        inside = np.s_[:, 0, :, 2:-2, 2:-2]
        moved = make_batch([align_clip(sparse)], 8).density[inside] / 64
        assert moved.mean() == pytest.approx(1, rel=0.02)
        region = align(sparse.clip.landmarks[0])
        together = make_batch([sparse], 8, [Jitter(region=region)]).density[inside] / 64
        np.testing.assert_allclose(together, moved, rtol=1e-4)


def test_a_jitter_of_the_region_is_an_aligned_clip(make_clip):
    sparse = clip_of(make_clip, TURNED)
    jitter = Jitter(region=align(sparse.clip.landmarks[0]))
    given = {'frames': True, 'decays': (0.5, 0.9), 'windows': [(11, 31)]}
    moved = make_batch([sparse], 2, [jitter], **given)
    aligned = make_batch([align_clip(sparse)], 2, **given)
    for name in ('density', 'traces', 'frames', 'frame_traces'):
        np.testing.assert_allclose(getattr(moved, name), getattr(aligned, name), rtol=1e-4)


def test_events_and_frames_move_alike():
    jitter = Jitter(mirror=True, rows=3, turn=0.1, bend=2.0, seed=3, region=TURNED)
    for row, column in ((60, 40), (70, 70), (90, 60)):
        image = np.zeros((128, 128), np.uint8)
        image[row : row + 4, column : column + 4] = 200
        expected = np.stack(np.divmod(jitter.cell_map()[np.flatnonzero(image)], 128)).mean(1)
        found = np.argwhere(jitter.warp_images(image)).mean(0)
        np.testing.assert_allclose(found, expected, atol=1)


def test_events_of_cells_that_meet_are_added(make_clip):
    sparse = clip_of(make_clip, AlignedRegion(64, 64, 256.0))
    aligned = align_clip(sparse)
    assert aligned.clip.pixels_per_cell == pytest.approx(4 * sparse.clip.pixels_per_cell)
    for number in (0, 15, 25):
        assert dense_counts(aligned, number).sum() == dense_counts(sparse, number).sum()


def test_boxes_are_aligned_once(make_clip):
    coarse = clip_of(make_clip, TURNED)
    (aligned,) = in_boxes([coarse], 'aligned')
    assert in_boxes([aligned], 'aligned') == [aligned]
    assert in_boxes([coarse], 'coarse') == [coarse]
    with pytest.raises(ValueError, match='aligned already'):
        in_boxes([aligned], 'coarse')


def moving(make_clip, way):
    """Return a clip with one event in each slice, at the centre of a face that moves.

    Args:
        make_clip: as of the fixture.
        way: float [T, 2], column and row that it has moved by, cells.
    """
    clip = make_clip(4)
    steps = np.arange(len(clip.sides))
    places = TURNED.to_pixels(PLACES) + way(steps)[:, None]
    clip = replace(clip, landmarks=places.astype(np.float32))
    clip.counts[:] = 0
    column, row = np.floor(np.array([TURNED.x, TURNED.y]) + way(steps)).astype(int).T
    clip.counts[steps, 1, row, column] = 1
    return make_sparse(clip)


def test_a_face_that_is_held_still_stays_where_it_was(make_clip):
    sparse = moving(make_clip, lambda t: np.stack([12 * np.sin(t / 9), t / 7], 1))
    held = hold_still(sparse)
    middles = held.clip.landmarks.mean(1)
    assert np.ptp(sparse.clip.landmarks.mean(1), axis=0).min() > 4
    assert np.abs(middles - middles[0]).max() <= 0.51
    assert len(held.cells) == len(sparse.cells)
    rows, columns = np.divmod(held.cells.astype(int) - 128 * 128, 128)
    assert np.abs(columns - TURNED.x).max() < 1.6
    assert np.abs(rows - TURNED.y).max() < 1.6
    assert held.boxes == 'coarse'


def test_images_are_held_still_as_events_are(make_clip):
    clip = moving(make_clip, lambda t: np.stack([12 * np.sin(t / 9), t / 7], 1)).clip
    frames = np.zeros((3, 128, 128), np.uint8)
    at = np.array([0, 10, 20], np.int32)
    centres = clip.landmarks.mean(1)
    for frame, (column, row) in zip(frames, centres[at].round().astype(int), strict=True):
        frame[row - 1 : row + 2, column - 1 : column + 2] = 200
    clip = replace(clip, counts=np.zeros((len(clip.sides), 2, 128, 128), np.uint8))
    held = hold_still(make_sparse(replace(clip, frames=frames, frame_slice=at)))
    for frame in held.clip.frames:
        assert np.abs(np.argwhere(frame).mean(0)[::-1] - centres[0]).max() < 1.6


def test_events_that_leave_the_grid_are_left_out(make_clip):
    sparse = moving(make_clip, lambda t: np.zeros((len(t), 2)))
    found = sparse.clip.landmarks.astype(np.float64).copy()
    found[10:] += 100
    held = hold_still(sparse, found)
    assert held.starts.tolist() == [*range(11), *[10] * (sparse.slices - 10)]
    assert dense_counts(held, 9).sum() == 1
    assert dense_counts(held, 10).sum() == 0


def test_followed_boxes_are_aligned_ones_of_a_face_that_is_held_still(make_clip):
    sparse = moving(make_clip, lambda t: np.stack([t / 5, t / 9], 1))
    (followed,) = in_boxes([sparse], 'followed')
    expected = align_clip(hold_still(sparse))
    assert followed.boxes == 'followed'
    np.testing.assert_array_equal(followed.cells, expected.cells)
    assert in_boxes([followed], 'followed') == [followed]
    with pytest.raises(ValueError, match='aligned already'):
        hold_still(followed)


def test_the_way_of_a_tracker_lags_and_wanders():
    rng = np.random.default_rng(0)
    still = np.tile(TURNED.to_pixels(PLACES), (400, 1, 1))
    moved = still + np.linspace(0, 60, 400)[:, None, None]
    eyes = EYE_DISTANCE * TURNED.side
    augmentation = Augmentation(lag=0.3, wander=0.02)
    wander = [(augmentation.sample_path(rng, still) - still).std() / eyes for _ in range(50)]
    assert 0 < min(wander) < max(wander) < 0.025
    lags = [
        1 - (augmentation.sample_path(rng, moved)[-1] - still[-1]).mean() / 60 for _ in range(50)
    ]
    assert -0.1 < min(lags) < 0.1
    assert 0.2 < max(lags) < 0.4


def test_a_tracker_errs_by_shares_of_the_distance_between_the_eyes():
    rng = np.random.default_rng(0)
    landmarks = TURNED.to_pixels(PLACES)
    found = [
        Augmentation(tracking=0.06, lost=0.0).sample_region(rng, landmarks) for _ in range(800)
    ]
    eyes = EYE_DISTANCE * TURNED.side
    off = np.array(
        [
            [(r.x - TURNED.x) / eyes, (r.y - TURNED.y) / eyes, np.log(r.side / TURNED.side),
             r.roll - TURNED.roll]
            for r in found
        ]
    )  # fmt: skip
    # A standard deviation between 0 and 0.06, with equal chances: 0.06 / sqrt(3) in all.
    expected = 0.06 / 3**0.5 * np.array([1, 1, 0.8, 0.8])
    np.testing.assert_allclose(off.std(axis=0), expected, rtol=0.1)
    assert np.abs(off.mean(axis=0)).max() < 0.006


def test_a_lost_face_is_far_off():
    rng = np.random.default_rng(0)
    landmarks = TURNED.to_pixels(PLACES)
    found = [
        Augmentation(tracking=0.0, lost=0.25).sample_region(rng, landmarks) for _ in range(400)
    ]
    off = np.array([abs(r.x - TURNED.x) for r in found])
    assert (off > 0.1).mean() == pytest.approx(0.25, abs=0.06)
    assert off.max() > 0.2 * EYE_DISTANCE * TURNED.side
