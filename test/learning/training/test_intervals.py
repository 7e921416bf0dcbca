from dataclasses import replace

import numpy as np
import pytest
import torch

from microexpr_ros.learning.evaluation.reconstruction import evaluate_reconstruction
from microexpr_ros.learning.models.baselines import mean_face
from microexpr_ros.learning.training.intervals import fit_group_factors, fit_intervals
from microexpr_ros.learning.training.reconstruction import ReconstructionTraining
from microexpr_ros.perception.reconstruction.configuration import ReconstructionConfiguration
from microexpr_ros.perception.reconstruction.intervals import COVERAGE, IntervalFactors
from microexpr_ros.perception.reconstruction.network import ConditionalVae
from microexpr_ros.perception.reconstruction.reconstructor import Reconstructor

# How much its untrained pictures err where nothing changed depends on its layers and its seed.
TINY = ReconstructionConfiguration(
    fine=4, width=4, latent=2, global_latent=3, lasting=False, blocks=0
)
SHAPE = 6, 100, 100


def errors_of(changed, wide, seed=0):
    """Return errors of scale 1, those of the changed pixels `wide` times as large."""
    errors = np.random.default_rng(seed).exponential(1, SHAPE).astype(np.float32)
    errors[changed] *= wide
    return errors


def test_each_group_has_a_factor_that_holds_its_pixels():
    groups = np.zeros(SHAPE, np.int64)
    groups[:, 50:] = 3
    errors = errors_of(groups == 3, 4)
    nothing = np.zeros(SHAPE, bool)
    found = fit_group_factors(errors, np.ones(SHAPE, np.float32), groups, nothing)
    for group in (0, 3):
        held = errors[groups == group] <= found[group]
        assert held.mean() == pytest.approx(COVERAGE, abs=1e-3)
    # A group without pixels has that of all.
    assert found[1] == pytest.approx(np.quantile(errors, COVERAGE), rel=1e-4)
    assert found[0] < found[1] < found[3]


def test_changed_pixels_are_held_where_they_are_no_exceptions():
    groups = np.zeros(SHAPE, np.int64)
    groups[:, 50:] = 3
    changed = np.zeros(SHAPE, bool)
    changed[:, 0, :10] = True  # 0.2 % of group 0
    changed[:, 90:] = True  # 20 % of group 3
    errors = errors_of(changed, 5)
    found = fit_group_factors(errors, np.ones(SHAPE, np.float32), groups, changed)
    still = errors[groups == 0] <= found[0]
    assert still.mean() == pytest.approx(COVERAGE, abs=1e-3)
    moved = errors[changed & (groups == 3)] <= found[3]
    assert moved.mean() == pytest.approx(COVERAGE, abs=1e-3)


def test_pictures_count_alike_however_much_changed():
    groups = np.full(SHAPE, 3)
    changed = np.zeros(SHAPE, bool)
    changed[0] = True
    changed[1:, :10, :10] = True
    errors = errors_of(changed, 1)
    # All of the first picture is easy, the few changed pixels of the others are not.
    errors[0] *= np.float32(0.01)
    errors[1:][changed[1:]] *= 5
    (factor,) = {fit_group_factors(errors, np.ones(SHAPE, np.float32), groups, changed)[3]}
    shares = [(e <= factor)[c].mean() for e, c in zip(errors, changed, strict=True)]
    assert np.mean(shares) == pytest.approx(COVERAGE, abs=5e-3)


def test_fitted_intervals_are_honest_in_the_report(sparse_clips):
    torch.manual_seed(0)
    network = ConditionalVae(TINY).eval().deployed()
    clips = [replace(c, references=c.clip.frames[:2]) for c in sparse_clips]
    factors = fit_intervals(network, clips, ReconstructionTraining(other_light_chance=0.0))
    assert factors != IntervalFactors()
    fitted = Reconstructor(network, intervals=factors)
    report = evaluate_reconstruction(fitted, clips, mean_face(clips), targets=3)
    for condition in report.by_frame_age.values():
        assert COVERAGE - 0.01 < condition.coverage.all < 0.95
    # Hardly anything changes within 30 ms.
    changed = [c.coverage.changed for c in report.by_frame_age.values()]
    assert np.nanmin(changed) > COVERAGE - 0.03
    assert report.events_only.coverage.all == pytest.approx(COVERAGE, abs=0.01)
    assert report.with_reference.coverage.all == pytest.approx(COVERAGE, abs=0.03)


def test_clips_without_frames_leave_the_factors_of_a_laplace_distribution(sparse_clips):
    torch.manual_seed(0)
    network = ConditionalVae(TINY).eval().deployed()
    clip = sparse_clips[0].clip
    nothing = np.zeros((0, 128, 128), np.uint8), np.zeros(0, np.int32)
    bare = replace(sparse_clips[0], clip=replace(clip, frames=nothing[0], frame_slice=nothing[1]))
    factors = fit_intervals(network, [bare], ReconstructionTraining())
    assert factors.frame == IntervalFactors().frame
    # Without references either, that of events alone stands for both.
    assert factors.reference == factors.events != IntervalFactors().events
