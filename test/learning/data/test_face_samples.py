import numpy as np
import pytest
from face_takes import make_counted_take, make_take

from microexpr_ros.events.region import AlignedRegion
from microexpr_ros.landmarks import EYE_DISTANCE, PLACES
from microexpr_ros.learning.data.face_samples import mark_places, sample_moments
from microexpr_ros.perception.faces.inference import PLACE, Refined
from microexpr_ros.perception.faces.traces import CROP_MARGIN

SIZE = 48


def test_the_detector_is_shown_where_centre_size_and_roll_are():
    region = AlignedRegion(41.0, 82.0, 64.0, 0.2)
    places = mark_places([region])
    row, column = divmod(int(places[0].argmax()), places.shape[2])
    assert places[0, row, column] == 1
    assert (column + 0.5 + places[1, row, column]) * PLACE == pytest.approx(region.x)
    assert (row + 0.5 + places[2, row, column]) * PLACE == pytest.approx(region.y)
    assert np.exp(places[3, row, column]) * 4 * PLACE == pytest.approx(region.side)
    assert places[4, row, column] == pytest.approx(region.roll)
    assert not mark_places([]).any()


def test_moments_have_crops_of_faces_and_of_none():
    samples = sample_moments(make_take(120), np.random.default_rng(0), 12, 6, SIZE)
    assert len(samples.pooled) == 12
    assert len(samples.crops) == 72
    assert set(samples.is_face) >= {0.0, 1.0}
    shown = samples.landmarks[samples.is_face == 1]
    assert 0.05 < np.abs(shown).mean() < 1
    assert not samples.landmarks[samples.is_face < 1].any()


@pytest.mark.parametrize('augmented', [False, True])
def test_faces_are_where_their_events_are_counted(augmented):
    # Pixels of this sensor lie a quarter of a cell before their share of the grid.
    take = make_counted_take(260, 346, AlignedRegion(180.0, 130.0, 60.0))
    away = []
    for seed in range(12):
        samples = sample_moments(take, np.random.default_rng(seed), 2, 10, SIZE, augmented)
        for crop, landmarks in zip(samples.crops, samples.landmarks, strict=True):
            events = (crop[:4] / (1 - crop[:4])).sum(axis=0)
            cut = events[[0, -1]].any() or events[:, [0, -1]].any()
            if landmarks.any() and not cut:
                at = np.indices(events.shape) + 0.5 - SIZE / 2
                row, column = (events * at).sum(axis=(1, 2)) / events.sum()
                eyes = EYE_DISTANCE / CROP_MARGIN * SIZE
                middle = ((PLACES - 0.5) / EYE_DISTANCE + landmarks).mean(axis=0)
                away.append(np.array([column, row]) / eyes - middle)
    assert len(away) > 20
    assert np.abs(np.mean(away, axis=0)).max() < 0.012


def test_a_take_without_faces_has_none():
    samples = sample_moments(make_take(120, faces=0), np.random.default_rng(0), 4, 4, SIZE)
    assert not samples.places.any()
    assert not (samples.is_face > 0).any()


def test_samples_depend_on_the_seed_alone():
    one, same, other = (
        sample_moments(make_take(60), np.random.default_rng(seed), 3, 3, SIZE)
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one.crops, same.crops)
    assert np.abs(one.crops - other.crops).max() > 0


class Mistaken:
    """Networks that see the face, and others where none is."""

    BESIDE = AlignedRegion(60.0, 60.0, 32.0, 0.1)
    MOVED = AlignedRegion(60.0, 58.0, 36.0)

    def __init__(self):
        self.beside, self.moved = [], []

    def detect(self, traces, threshold, most):
        assert 0 < threshold < 0.3
        self.beside.append(traces.crop(self.BESIDE, SIZE))
        self.moved.append(traces.crop(self.MOVED, SIZE))
        face = AlignedRegion(32.0, 60.0, 40.0)
        return [(0.9, face), (0.8, self.BESIDE)]

    def refine(self, traces, region):
        assert region == self.BESIDE
        return Refined(self.MOVED.to_pixels(PLACES), np.full(5, 0.1), 0.9)


def test_most_crops_without_a_face_show_what_is_mistaken_for_one():
    # Its face goes from column 25 to 40, so that its events are seen beside it, too.
    take, seen = make_take(120), Mistaken()
    samples = sample_moments(take, np.random.default_rng(0), 20, 10, SIZE, False, seen)
    crops = samples.crops[samples.is_face == 0]

    def shown(kind):
        return np.mean([any(np.array_equal(crop, one) for one in kind) for crop in crops])

    assert shown(seen.beside) + shown(seen.moved) == pytest.approx(0.6, abs=0.2)
    assert min(shown(seen.beside), shown(seen.moved)) > 0.15
