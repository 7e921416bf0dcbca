from dataclasses import replace

import numpy as np
import pytest
import torch

from microexpr_ros.alignment.slices import blank_slice
from microexpr_ros.events.region import AlignedRegion, Region
from microexpr_ros.learning import metrics
from microexpr_ros.perception.reconstruction.configuration import ReconstructionConfiguration
from microexpr_ros.perception.reconstruction.face_painter import FacePainter
from microexpr_ros.perception.reconstruction.network import ConditionalVae
from microexpr_ros.perception.reconstruction.reconstructor import Reconstruction, Reconstructor

STEP_NS = 10_000_000
REGION = AlignedRegion(200.0, 200.0, 256.0)
TINY = ReconstructionConfiguration(fine=4, width=4, latent=2)


@pytest.fixture
def reconstructor():
    torch.manual_seed(0)
    return Reconstructor(ConditionalVae(TINY).eval().deployed())


class Stream:
    """Slices of a face, one after the other."""

    def __init__(self, reconstructor):
        self.reconstructor, self.state, self.number = reconstructor, None, 0

    def add(self, slices, where=None, region=REGION, frame=None):
        rng = np.random.default_rng(self.number)
        for _ in range(slices):
            counts = np.zeros((2, 128, 128), np.uint8)
            if where is not None:
                counts[(slice(None), *where)] = rng.poisson(2, counts[(slice(None), *where)].shape)
            self.number += 1
            slice_ = replace(
                blank_slice(128, STEP_NS),
                counts=counts,
                region=region,
                end_ns=self.number * STEP_NS,
                frame=frame,
            )
            state = self.state or self.reconstructor.initial_state()
            self.state = self.reconstructor.observe(slice_, state)
        return self.state


FACE = slice(0, 128), slice(0, 128)
MOUTH = slice(80, 100), slice(40, 90)


def come_to_rest(reconstructor):
    """Return painter and stream of a face that has moved, and its picture at rest."""
    painter, stream = FacePainter(reconstructor), Stream(reconstructor)
    # The activity takes a while to end.
    stream.add(20, FACE)
    return painter, stream, painter.paint(stream.add(40))


def differences(one, other):
    return np.abs(one.image.astype(int) - other.image)


def test_what_does_not_move_stays_for_seconds(reconstructor):
    painter, stream, first = come_to_rest(reconstructor)
    anew = reconstructor.reconstruct(stream.add(4))
    for _ in range(4):
        later = painter.paint(stream.add(4))
    assert differences(anew, first).mean() > 10 * differences(later, first).mean()
    for _ in range(150):
        later = painter.paint(stream.add(40))
    # After two of its time constants, most of it is what the network makes of the rest.
    anew = reconstructor.reconstruct(stream.state)
    assert differences(anew, later).mean() < 0.3 * differences(anew, first).mean()


def test_only_what_moves_is_painted_anew(reconstructor):
    painter, stream, first = come_to_rest(reconstructor)
    state = stream.add(8, MOUTH)
    now, new = painter.paint(state), reconstructor.reconstruct(state)
    inside, beside = (slice(84, 96), slice(44, 86)), (slice(0, 48), slice(0, 128))
    assert differences(new, first)[beside].max() > 1
    for shown, anew, before in (
        (now.image, new.image, first.image),
        (now.interval, new.interval, first.interval),
    ):
        assert np.abs(shown[inside].astype(int) - anew[inside]).max() <= 1
        assert np.abs(shown[beside].astype(int) - before[beside]).max() <= 1


def test_shades_stay_until_half_of_the_face_moves(reconstructor):
    painter, stream, first = come_to_rest(reconstructor)
    state = stream.add(8, MOUTH)
    local, anew = painter.paint(state), reconstructor.reconstruct(state)

    def shade(one, other):
        change = one.image.astype(np.float32) - other.image
        return np.abs(metrics.low_frequencies(change)).mean()

    assert shade(local, first) < 0.2 * shade(anew, first)
    state = stream.add(8, FACE)
    whole, anew = painter.paint(state), reconstructor.reconstruct(state)
    assert shade(whole, anew) < 0.1 * shade(anew, first)


def test_a_face_at_rest_is_the_same_in_another_region(reconstructor):
    painter, stream, first = come_to_rest(reconstructor)
    # Cells of two pixels: by four cells, which is near, and then by twelve.
    near = painter.paint(stream.add(1, region=replace(REGION, x=208.0)))
    assert stream.state.region == REGION
    np.testing.assert_allclose(near.image[:, :124], first.image[:, 4:], atol=1)
    np.testing.assert_allclose(near.interval[:, :124], first.interval[:, 4:], atol=1)
    far = replace(REGION, x=224.0)
    away = painter.paint(stream.add(1, region=far))
    assert stream.state.region == far
    np.testing.assert_allclose(away.image[:, :116], first.image[:, 12:], atol=2)


def test_what_enters_the_region_is_painted(reconstructor):
    painter, stream, _ = come_to_rest(reconstructor)
    # By a quarter of the side: what is seen again is as it was, the rest is new.
    state = stream.add(1, region=replace(REGION, x=264.0))
    now, new = painter.paint(state), reconstructor.reconstruct(state)
    assert np.abs(now.image[:, 100:].astype(int) - new.image[:, 100:]).max() <= 1
    assert np.abs(now.image[:, :92].astype(int) - new.image[:, :92]).max() > 1
    state = stream.add(1, region=replace(REGION, x=400.0))
    np.testing.assert_array_equal(
        painter.paint(state).image, reconstructor.reconstruct(state).image
    )


def test_with_a_frame_the_edge_of_the_region_is_that_of_the_frame(reconstructor):
    painter, stream = FacePainter(reconstructor), Stream(reconstructor)
    frame = np.random.default_rng(0).integers(0, 256, (128, 128), dtype=np.uint8)
    stream.add(20, FACE)
    # By five cells, which leaves what is remembered where it was.
    state = stream.add(1, region=replace(REGION, x=210.0), frame=frame)
    assert state.region == REGION
    now = painter.paint(state)
    np.testing.assert_array_equal(now.image[:, 123:], frame[:, 123:])


def test_black_and_white_stay_so_where_they_are_moved(reconstructor, monkeypatch):
    picture = np.zeros((128, 128), np.uint8)
    picture[:, 64:] = 255
    made = Reconstruction(picture, picture)
    monkeypatch.setattr(reconstructor, 'reconstruct', lambda state: made)
    painter, stream = FacePainter(reconstructor), Stream(reconstructor)
    stream.add(20, FACE)
    now = painter.paint(stream.add(1, region=replace(REGION, x=203.0)))
    # At an edge, which is between two cells now, interpolation is darker than black beside it.
    assert (now.image[:, :62] < 10).all()
    assert (now.image[:, 64:] > 245).all()


def test_a_face_that_comes_back_after_a_gap_is_painted_anew(reconstructor):
    """Even if it has been there for longer by then than it had been at the last picture."""
    painter, stream = FacePainter(reconstructor), Stream(reconstructor)
    painter.paint(stream.add(8, FACE))
    stream.add(40)
    stream.number += 100
    state = stream.add(60, MOUTH)
    np.testing.assert_array_equal(
        painter.paint(state).image, reconstructor.reconstruct(state).image
    )


@pytest.mark.parametrize('what', ['frame', 'rectangle', 'reference', 'gap'])
def test_everything_is_painted_anew_where_everything_may_differ(reconstructor, what):
    painter, stream, first = come_to_rest(reconstructor)
    rng = np.random.default_rng(0)
    frame = rng.integers(40, 200, (128, 128), dtype=np.uint8)
    if what == 'frame':
        state = stream.add(4, frame=frame)
    elif what == 'rectangle':
        state = stream.add(4, region=Region(72, 72, 256, 256))
    elif what == 'reference':
        state = replace(stream.add(4), reference=frame)
    else:
        stream.number += 100
        state = stream.add(4)
    now, new = painter.paint(state), reconstructor.reconstruct(state)
    assert now is not first
    np.testing.assert_array_equal(now.image, new.image)
    np.testing.assert_array_equal(now.interval, new.interval)


def test_a_network_without_lasting_events_paints_every_picture_anew():
    torch.manual_seed(0)
    other = Reconstructor(ConditionalVae(replace(TINY, lasting=False)).eval().deployed())
    painter, stream = FacePainter(other), Stream(other)
    stream.add(20, FACE)
    for _ in range(5):
        state = stream.add(40)
        np.testing.assert_array_equal(painter.paint(state).image, other.reconstruct(state).image)
