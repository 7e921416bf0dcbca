"""What is compared with what, on slices that are made by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from microexpr_ros.alignment.slices import blank_slice
from microexpr_ros.events.region import AlignedRegion
from microexpr_ros.learning import metrics
from microexpr_ros.learning.evaluation import story_pictures
from microexpr_ros.learning.evaluation.story_pictures import (
    ALONE,
    COPY,
    FRAME,
    METHODS,
    NOTHING,
    paint_story,
    score_pictures,
)
from microexpr_ros.perception.reconstruction.configuration import ReconstructionConfiguration
from microexpr_ros.perception.reconstruction.face_painter import FacePainter
from microexpr_ros.perception.reconstruction.network import ConditionalVae
from microexpr_ros.perception.reconstruction.reconstructor import Reconstructor

STEP_NS = 10_000_000
FACE = AlignedRegion(200.0, 200.0, 256.0)
SCENE = np.random.default_rng(0).integers(60, 160, (128, 128), dtype=np.uint8)


@pytest.fixture(scope='module')
def reconstructor():
    torch.manual_seed(0)
    tiny = ReconstructionConfiguration(fine=4, width=4, latent=2)
    return Reconstructor(ConditionalVae(tiny).eval().deployed())


def measure_pictures(slices, reconstructor):
    return score_pictures(paint_story(slices, reconstructor))


def story(frame_at, region_at=lambda number: FACE, slices=300):
    """Return slices with a frame in every third."""
    return [
        replace(
            blank_slice(128, STEP_NS),
            region=region_at(number),
            end_ns=10 * STEP_NS + (number + 1) * STEP_NS,
            sensor_end_ns=(number + 1) * STEP_NS,
            frame=frame_at(number) if number % 3 == 0 else None,
        )
        for number in range(slices)
    ]


def brightened(number):
    """Return the scene, a square of which is lighter from the middle on."""
    frame = SCENE.copy()
    if number >= 198:
        frame[40:100, 40:100] += 50
    return frame


def test_pictures_are_compared_with_frames_that_were_not_given(reconstructor, monkeypatch):
    seen = []

    class Watched(FacePainter):
        def paint(self, state):
            seen.append((state.frame is not None, state.frame_age))
            return super().paint(state)

    monkeypatch.setattr(story_pictures, 'FacePainter', Watched)
    sums = measure_pictures(story(brightened), reconstructor)
    assert tuple(sums) == METHODS
    # Of 100 frames, 66 come after the first second; of those a third is given.
    assert [sums[name].pictures for name in METHODS] == [66, 66, 44, 44]
    assert {age for given, age in seen if given} == {3, 6}
    # The square is other than the frame that was given only until the next one is.
    for name in (FRAME, COPY):
        assert sums[name].changed == 2
    assert [sums[name].changed for name in (ALONE, NOTHING)] == [0, 0]
    changed = 20 * np.log10(255 / 50)
    assert sums[COPY].psnr_changed / 2 == pytest.approx(changed, abs=1.5)
    whole = metrics.psnr(brightened(200), SCENE)
    assert sums[COPY].psnr == pytest.approx(42 * 60 + 2 * whole)
    assert sums[COPY].ssim == pytest.approx(42 + 2 * metrics.ssim(brightened(200), SCENE))


def test_nothing_is_what_the_network_paints_before_it_has_seen_anything(reconstructor):
    sums = measure_pictures(story(brightened), reconstructor)
    blank = reconstructor.reconstruct(reconstructor.initial_state()).image
    before, after = (metrics.psnr(brightened(number), blank) for number in (0, 200))
    # No event ever came.
    for name in (NOTHING, ALONE):
        assert sums[name].psnr == pytest.approx(33 * before + 33 * after, abs=0.5)


def test_a_copy_is_moved_to_where_the_region_is(reconstructor):
    y, x = np.mgrid[:300, :400]
    scene = (128 + 60 * np.sin(x / 9.0) * np.cos(y / 7.0)).astype(np.uint8)

    def region_at(number):
        # Cells of two pixels.
        return replace(FACE, x=200.0 + 2 * number)

    def frame_at(number):
        return scene[50:178, number : number + 128]

    sums = measure_pictures(story(frame_at, region_at, slices=199), reconstructor)
    still = measure_pictures(story(frame_at, slices=199), reconstructor)
    # But for its border, which was not seen before, it is exact.
    assert sums[COPY].ssim / sums[COPY].pictures > 0.97
    assert still[COPY].ssim / still[COPY].pictures < 0.9


def test_a_face_that_is_lost_has_no_pictures(reconstructor):
    def region_at(number):
        return FACE if number < 150 else None

    sums = measure_pictures(story(brightened, region_at), reconstructor)
    assert sums[ALONE].pictures == 16
    gone = measure_pictures(story(brightened, lambda number: None), reconstructor)
    assert {one.pictures for one in gone.values()} == {0}
