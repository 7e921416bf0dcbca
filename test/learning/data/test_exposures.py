from dataclasses import replace

import numpy as np
import pytest

from microexpr_ros.learning.data.clips import make_sparse
from microexpr_ros.learning.data.exposures import expose_again, measure_exposures
from microexpr_ros.learning.training.reconstruction import ReconstructionExample, changed_since


def hunting(make_clip):
    """Return a clip of a still face whose camera opens by a third of a stop from frame 10 on."""
    clip = make_clip(2)
    rng = np.random.default_rng(0)
    face = rng.integers(60, 160, (128, 128)).astype(np.uint8)
    brighter = expose_again(face, 1 / 3)
    frames = np.stack([face if n < 10 else brighter for n in range(len(clip.frames))])
    later = clip.target_slice >= clip.frame_slice[10]
    targets = np.stack([brighter if late else face for late in later])
    return replace(clip, frames=frames, target=targets)


def test_exposures_are_measured_in_steps(make_clip):
    clip = hunting(make_clip)
    found = measure_exposures(clip)
    later = clip.target_slice >= clip.frame_slice[10]
    np.testing.assert_allclose(found.targets, np.where(later, 1 / 3, 0), atol=1e-9)
    np.testing.assert_allclose(found.frames, np.where(np.arange(len(clip.frames)) < 10, 0, 1 / 3))
    assert found.of(None) == 0
    assert found.of(10) == pytest.approx(1 / 3)


def test_targets_have_the_exposure_of_the_frame(make_clip):
    clip = hunting(make_clip)
    sparse, number = make_sparse(clip), len(clip.target) - 1
    example = ReconstructionExample(sparse, number, 5)
    assert changed_since(example).all()
    known = replace(example, exposures=measure_exposures(clip))
    assert not changed_since(known).any()
    np.testing.assert_allclose(known.target, clip.frames[5], atol=1)
    np.testing.assert_array_equal(known.before, clip.frames[5])


def test_exposing_again_keeps_white():
    picture = np.array([[0, 100, 250]], np.uint8)
    np.testing.assert_array_equal(expose_again(picture, 0), picture)
    # Twice the light of 100 is encoded as 138; what is white stays white.
    np.testing.assert_array_equal(expose_again(picture, 1), [[0, 138, 255]])
