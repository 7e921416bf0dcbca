from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from microexpr_ros.alignment.head_motion import HeadMotion
from microexpr_ros.alignment.slices import Slice
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.grid import shift_cells
from microexpr_ros.events.region import AlignedRegion, Region
from microexpr_ros.perception import weights
from microexpr_ros.perception.activity import ActivityConfiguration
from microexpr_ros.perception.classifier import (
    ActionUnitClassifier,
    Status,
    decide_presence,
)
from microexpr_ros.perception.presence import Presence
from microexpr_ros.perception.spiking.configuration import SpikingConfiguration
from microexpr_ros.perception.spiking.network import SpikingNetwork

STEP_NS = 10_000_000
REGION = Region(10, 20, 256, 256)


@pytest.fixture(scope='module')
def classifier():
    torch.manual_seed(0)
    configuration = SpikingConfiguration(
        channels=(4, 6),
        kernels=(5, 3),
        strides=(2, 2),
        tau_ms=(20.0, 40.0),
        integrators=8,
    )
    return ActionUnitClassifier(
        SpikingNetwork(configuration).eval().deployed(),
        Presence.uncalibrated(0.5),
        ActivityConfiguration(moving_hz=5.0, silent_hz=0.01),
        warm_up_ns=50_000_000,
    )


def slice_at(number, counts=None, region=REGION):
    if counts is None:
        counts = np.random.default_rng(number).poisson(0.02, (2, 128, 128)).astype(np.uint8)
    return Slice((number + 1) * STEP_NS, STEP_NS, region, counts, int(counts.sum()))


def run(classifier, slices, state=None):
    state, out = state or classifier.initial_state(), []
    for slice_ in slices:
        estimate, state = classifier.step(slice_, state)
        out.append(estimate)
    return out, state


def test_estimates_have_the_promised_form(classifier):
    out, _ = run(classifier, [slice_at(k) for k in range(8)])
    for number, estimate in enumerate(out):
        assert estimate.end_ns == (number + 1) * STEP_NS
        assert estimate.sides.shape == (18, 2)
        assert estimate.intensity.shape == estimate.confidence.shape == (18,)
        assert estimate.sides.dtype == estimate.confidence.dtype == np.float32
        assert estimate.active.dtype == np.bool_
        for values in (estimate.sides, estimate.confidence):
            assert np.all((values >= 0) & (values <= 1))


@given(
    arrays(np.float32, (18, 2), elements=st.floats(0, 1, width=32)),
    arrays(np.bool_, 18),
    st.sampled_from(Status),
)
def test_units_are_judged_by_their_stronger_side(sides, before, status):
    presence = Presence.uncalibrated(0.3)
    estimate = decide_presence(7, status, sides, presence, before)
    np.testing.assert_array_equal(estimate.intensity, np.maximum(sides[:, 0], sides[:, 1]))
    np.testing.assert_array_equal(estimate.active, presence.active(estimate.intensity, before))
    mirrored = decide_presence(7, status, sides[:, ::-1], presence, before)
    for name in ('intensity', 'confidence', 'active'):
        np.testing.assert_array_equal(getattr(mirrored, name), getattr(estimate, name))


def test_warms_up_then_reads(classifier):
    out, _ = run(classifier, [slice_at(k) for k in range(8)])
    assert [e.status for e in out] == [Status.WARMING_UP] * 4 + [Status.OK] * 4


def test_statuses_are_those_of_the_message():
    names = ('OK', 'NO_FACE', 'TOO_FEW_EVENTS', 'HEAD_MOVING', 'WARMING_UP', 'STALE')
    assert [(s.name, s.value) for s in Status] == [(n, i) for i, n in enumerate(names)]


def test_silence_is_told(classifier):
    empty = np.zeros((2, 128, 128), np.uint8)
    out, _ = run(classifier, [slice_at(k, empty) for k in range(6)])
    assert out[-1].status is Status.TOO_FEW_EVENTS


def test_moving_head_is_told(classifier):
    full = np.ones((2, 128, 128), np.uint8)
    out, _ = run(classifier, [slice_at(k, full) for k in range(8)])
    assert out[-1].status is Status.HEAD_MOVING


@pytest.mark.parametrize(
    ('motion', 'status'),
    [
        (HeadMotion(0, 0, 0, 0, 0, 0), Status.OK),
        (HeadMotion(0.2, 0.2, 0, 0, 0, 0), Status.OK),  # sway
        (HeadMotion(0.4, -0.4, 0, 0, 0, 0), Status.HEAD_MOVING),
        (HeadMotion(0, 0, 0.7, 0, 0, 0), Status.HEAD_MOVING),
        (HeadMotion(0, 0, 0, -0.7, 0, 0), Status.HEAD_MOVING),
        (HeadMotion(0.2, 0.2, 0, 0, 1.3, 0), Status.HEAD_MOVING),  # turn
        (HeadMotion(0.2, 0.2, 0, 0, 0, -1.3), Status.HEAD_MOVING),  # nod
        (HeadMotion(0.2, 0.2, 0, 0, 0, -1, sigma=0.03), Status.OK),
        (HeadMotion(0.9, 0, 0, 0, 0, 0, sigma=0.03), Status.HEAD_MOVING),
    ],
)
def test_measured_motion_of_the_head_counts_and_not_the_rate_of_events(classifier, motion, status):
    busy = np.ones((2, 128, 128), np.uint8)
    slices = [replace(slice_at(k, busy), motion=motion) for k in range(8)]
    out, _ = run(classifier, slices)
    assert out[-1].status is status


def test_lost_face_resets(classifier):
    _, state = run(classifier, [slice_at(k) for k in range(8)])
    estimate, state = classifier.step(slice_at(8, region=None), state)
    assert estimate.status is Status.NO_FACE
    assert estimate.sides.shape == (18, 2)
    assert not estimate.sides.any()
    assert not estimate.confidence.any()
    assert state.end_ns is None
    assert not any(array.any() for array in state.network)


@pytest.mark.parametrize('next_number', [5, 9])
def test_jump_of_the_clock_resets(classifier, next_number):
    _, state = run(classifier, [slice_at(k) for k in range(8)])
    jumped, _ = classifier.step(slice_at(next_number), state)
    fresh, _ = classifier.step(slice_at(next_number), classifier.initial_state())
    np.testing.assert_array_equal(jumped.intensity, fresh.intensity)
    assert jumped.status is Status.WARMING_UP


def test_same_slices_same_estimates_and_the_state_is_left_alone(classifier):
    slices = [slice_at(k) for k in range(8)]
    first, _ = run(classifier, slices)
    again, state = run(classifier, slices)
    np.testing.assert_array_equal(first[-1].intensity, again[-1].intensity)
    before = [array.copy() for array in state.network]
    classifier.step(slice_at(8), state)
    assert all(np.array_equal(a, b) for a, b in zip(before, state.network, strict=True))


def test_sensors_with_more_pixels_read_the_same(classifier):
    counts = np.random.default_rng(0).poisson(0.05, (2, 128, 128)).astype(np.uint8)
    coarse = slice_at(0, counts, Region(0, 0, 128, 128))
    fine = slice_at(0, counts * 4, Region(0, 0, 256, 256))
    state = classifier.initial_state()
    np.testing.assert_allclose(
        classifier.step(coarse, state)[0].intensity,
        classifier.step(fine, state)[0].intensity,
        rtol=1e-5,
    )


def test_slices_of_another_length_are_refused(classifier):
    with pytest.raises(MicroexprError, match=r'slices of 5 ms.*trained for 10 ms'):
        classifier.step(replace(slice_at(0), duration_ns=5_000_000), classifier.initial_state())


def test_another_grid_is_refused(classifier):
    counts = np.zeros((2, 64, 64), np.uint8)
    with pytest.raises(MicroexprError, match=r'\(2, 64, 64\).*\(2, 128, 128\)'):
        classifier.step(slice_at(0, counts), classifier.initial_state())


def test_a_face_is_held_still_for_weights_that_learnt_so(classifier):
    region = AlignedRegion(100, 100, 128)
    inner = np.zeros((2, 128, 128), np.uint8)
    # What leaves the grid cannot come back.
    inner[:, 4:-4, 4:-4] = 1
    still = [slice_at(number, inner * slice_at(number).counts, region) for number in range(8)]
    ways = [(0, 0), (2, -3), *[(-1, 4)] * 6]
    moved = [
        replace(
            slice_,
            counts=shift_cells(slice_.counts, *way),
            off_centre=((way[0] + 0.3) / 128, (way[1] - 0.3) / 128),
        )
        for slice_, way in zip(still, ways, strict=True)
    ]
    followed, aligned = (
        ActionUnitClassifier(classifier.network, classifier.presence, boxes=boxes)
        for boxes in ('followed', 'aligned')
    )
    expected, _ = run(aligned, still)
    found, _ = run(followed, moved)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.sides, other.sides)
    unaided, _ = run(aligned, moved)
    assert not np.array_equal(unaided[-1].sides, expected[-1].sides)


def test_rectangles_are_refused_by_weights_for_aligned_regions(classifier):
    turned = slice_at(0, region=AlignedRegion(138.0, 148.0, 256.0, 0.2))
    aligned = ActionUnitClassifier(classifier.network, classifier.presence, boxes='aligned')
    expected, _ = classifier.step(slice_at(0), classifier.initial_state())
    # What an aligned region shows, a coarse one might.
    for one in (classifier, aligned):
        found, _ = one.step(turned, one.initial_state())
        np.testing.assert_array_equal(found.sides, expected.sides)
        np.testing.assert_array_equal(found.evidence, expected.evidence)
    with pytest.raises(MicroexprError, match=r'rectangular face region.*fix a square'):
        aligned.step(slice_at(0), aligned.initial_state())


def test_weights_file_round_trip(classifier, tmp_path):
    path = tmp_path / 'au.safetensors'
    tensors = classifier.network.state_dict()
    weights.save(path, 'au', 'tiny', classifier.to_settings(), tensors)
    threads = torch.get_num_threads()
    loaded = ActionUnitClassifier.load(path)
    torch.set_num_threads(threads)
    assert loaded.model.startswith('tiny@')
    assert loaded.slice_ns == STEP_NS
    assert loaded.to_settings() == classifier.to_settings()
    slices = [slice_at(k) for k in range(8)]
    np.testing.assert_array_equal(
        run(loaded, slices)[0][-1].intensity, run(classifier, slices)[0][-1].intensity
    )


def test_shipped_weights_load_and_are_small():
    path = weights.shipped('au')
    assert path.stat().st_size < 5_000_000
    classifier = ActionUnitClassifier.load()
    assert classifier.boxes == 'followed'
    classifier.warm_up()
    shown = AlignedRegion(138.0, 148.0, 256.0)
    out, _ = run(classifier, [slice_at(k, region=shown) for k in range(3)])
    assert np.isfinite(out[-1].intensity).all()
    assert np.isfinite(out[-1].evidence).all()
