import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from microexpr_ros.alignment.slices import Slice
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.region import AlignedRegion, Region
from microexpr_ros.perception import weights
from microexpr_ros.perception.reconstruction.configuration import (
    PICTURES,
    ReconstructionConfiguration,
)
from microexpr_ros.perception.reconstruction.frame_memory import START_DEVIATION
from microexpr_ros.perception.reconstruction.integration import integrate, to_log, to_picture
from microexpr_ros.perception.reconstruction.intervals import (
    COVERAGE,
    IntervalFactors,
    change_groups,
    fit_factor,
)
from microexpr_ros.perception.reconstruction.network import ConditionalVae, move
from microexpr_ros.perception.reconstruction.reconstructor import (
    Reconstructor,
    grey,
    network_inputs,
)
from microexpr_ros.perception.settings import to_settings

STEP_NS = 10_000_000
REGION = Region(0, 0, 256, 256)
TINY = ReconstructionConfiguration(fine=4, width=4, latent=2, global_latent=3)


@pytest.fixture(scope='module')
def reconstructor():
    torch.manual_seed(0)
    return Reconstructor(ConditionalVae(TINY).eval().deployed())


def slice_at(number, frame=None, region=REGION, counts=None):
    if counts is None:
        counts = np.random.default_rng(number).poisson(0.1, (2, 128, 128)).astype(np.uint8)
    return Slice((number + 1) * STEP_NS, STEP_NS, region, counts, int(counts.sum()), frame)


def watch(reconstructor, slices):
    state = reconstructor.initial_state()
    for slice_ in slices:
        state = reconstructor.observe(slice_, state)
    return state


def condition_after(state):
    return torch.from_numpy(np.concatenate(network_inputs(state, TINY)))


def test_image_form_and_repeatability(reconstructor):
    state = watch(reconstructor, [slice_at(k) for k in range(5)])
    found = reconstructor.reconstruct(state)
    for picture in (found.image, found.interval):
        assert picture.shape == (128, 128)
        assert picture.dtype == np.uint8
    again = reconstructor.reconstruct(state)
    np.testing.assert_array_equal(found.image, again.image)
    np.testing.assert_array_equal(found.interval, again.interval)


def test_condition_by_hand(reconstructor):
    # One ON event at slice 0, three OFF events at slice 2, four pixels per cell.
    counts = np.zeros((4, 2, 128, 128), np.uint8)
    counts[0, 1, 5, 7] = 1
    counts[2, 0, 5, 7] = 3
    slices = [slice_at(k, counts=counts[k]) for k in range(4)]
    state = watch(reconstructor, slices)
    decay = np.exp(-10 / np.array([50, 200, 800, 800]))
    signs = np.array([-1, -1, -1, 1])
    np.testing.assert_allclose(state.leaky[:, 5, 7], (decay**3 + signs * 3 * decay) / 4, rtol=1e-5)
    condition = condition_after(state)
    assert condition.shape == (TINY.channels, 128, 128)
    # The last bin holds slices 1 to 3, the one before slice 0.
    log = np.log1p(TINY.gain * 0.75)
    assert condition[4, 5, 7].item() == pytest.approx(-log)
    assert condition[3, 5, 7].item() == pytest.approx(np.log1p(TINY.gain * 0.25))
    assert torch.count_nonzero(condition[-1 - PICTURES :]) == 0


def test_frame_enters_and_gets_old(reconstructor):
    frame = np.arange(128 * 128, dtype=np.uint32).reshape(128, 128).astype(np.uint8)
    slices = [slice_at(0), slice_at(1, frame), slice_at(2)]
    state = watch(reconstructor, slices)
    condition = condition_after(state)
    pictures = condition[-PICTURES:].numpy()
    carried, newest, _, has_frame, age, _, average, deviation, late_change = pictures
    np.testing.assert_allclose(newest, frame / 255, rtol=1e-6)
    np.testing.assert_array_equal(has_frame, 1)
    np.testing.assert_allclose(age, 1 / TINY.frame_slices)
    density = slices[2].counts / np.float32(4)
    np.testing.assert_allclose(state.since_frame, density)
    # The frame shows the middle of its exposure, which lasted 3.2 slices: of the events in its
    # last slice it shows 0.5 / 3.2, of those of the slice before 1.5 / 3.2.
    late = sum(
        share * slice_.counts / np.float32(4)
        for share, slice_ in ((1 - 0.5 / 3.2, slices[1]), (1 - 1.5 / 3.2, slices[0]))
    )
    np.testing.assert_allclose(late_change, 0.2 * (late[1] - late[0]), atol=1e-6)
    density = density + late
    change = 0.2 * (density[1] - density[0])
    np.testing.assert_allclose(condition[-1 - PICTURES], change, atol=1e-6)
    np.testing.assert_allclose(average, newest, rtol=1e-6)
    np.testing.assert_allclose(deviation, 20 * START_DEVIATION, rtol=1e-6)
    np.testing.assert_allclose(carried, integrate(newest, change.astype(np.float32)), atol=1e-6)
    for number in range(3, 2 + TINY.frame_slices):
        state = reconstructor.observe(slice_at(number), state)
    condition = condition_after(state)
    assert torch.count_nonzero(condition[-1 - PICTURES]) == 0
    assert torch.count_nonzero(condition[-PICTURES:][[0, 1, 3, 4, 6, 7, 8]]) == 0


def portrait(seed=0, contrast=60):
    rng = np.random.default_rng(seed)
    smooth = cv2.GaussianBlur(rng.standard_normal((128, 128)), (0, 0), 4)
    return np.clip(128 + contrast * smooth / smooth.std(), 30, 225).astype(np.uint8)


def test_frames_of_a_region_that_moves_are_averaged_where_they_belong(reconstructor):
    """A scene that rests is seen by a region that sways over it by five cells, and then rests."""
    rng = np.random.default_rng(0)
    scene = cv2.resize(portrait(), (256, 256), interpolation=cv2.INTER_CUBIC)
    start = AlignedRegion(128.0, 128.0, 160.0)
    none = np.zeros((2, 128, 128), np.uint8)

    def seen(region):
        corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        there = (region.to_pixels(corners) - 0.5).astype(np.float32)
        cells = (128 * corners - 0.5).astype(np.float32)
        warp = cv2.getAffineTransform(cells, there)
        linear = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(scene, warp, (128, 128), flags=linear)

    def error(state, picture):
        return np.abs(255 * state.memory.average.picture - picture)[8:-8, 8:-8].mean()

    state = reconstructor.initial_state()
    for number in range(60):
        region = replace(start, x=128.0 + 6 * np.sin(number / 8), roll=0.02 * np.sin(number / 11))
        frame = None
        if number % 3 == 0:
            noisy = seen(region) + 6 * rng.standard_normal((128, 128))
            frame = noisy.clip(0, 255).astype(np.uint8)
        state = reconstructor.observe(slice_at(number, frame, region, none), state)
        assert state.shown == region
    assert state.region != region
    # Less than the noise, 4.8 levels in the mean: the average is sharp, and is where it is said.
    assert error(state, seen(state.region)) < 3.0
    assert error(state, seen(region)) > 2 * error(state, seen(state.region))
    for number in range(60, 90):
        state = reconstructor.observe(slice_at(number, None, region, none), state)
    # Where the region rests, it shows what is remembered as it is.
    assert state.region == region
    assert error(state, seen(region)) < 3.0


def test_events_of_a_region_that_moves_stay_where_they_were(reconstructor):
    start = AlignedRegion(128.0, 128.0, 256.0)
    counts = np.zeros((2, 128, 128), np.uint8)
    counts[1, 60:68, 40:48] = 1
    state = watch(reconstructor, [slice_at(0, None, start, counts)])
    before = state.leaky[0].copy()
    none = np.zeros_like(counts)
    # By two cells, within what is left as it is, and then by sixteen.
    for number, x in enumerate((132.0, 160.0), start=1):
        region = replace(start, x=x)
        state = reconstructor.observe(slice_at(number, None, region, none), state)
        rows, columns = np.nonzero(state.leaky[0] > 0.5 * state.leaky[0].max())
        shift = 0 if x == 132.0 else 16
        assert (columns.min(), columns.max()) == (40 - shift, 47 - shift)
        assert (rows.min(), rows.max()) == (60, 67)
    assert state.leaky[0].sum() == pytest.approx(before.sum() * TINY.decays()[0] ** 2, rel=1e-3)


def test_the_sharpest_good_frame_becomes_the_reference(reconstructor):
    sharp = portrait()
    blurred = cv2.GaussianBlur(sharp, (0, 0), 6)
    dark = (sharp // 10).astype(np.uint8)
    state = watch(reconstructor, [slice_at(0, dark)])
    assert state.reference is None
    for number, (frame, best) in enumerate(
        [(blurred, blurred), (sharp, sharp), (blurred, sharp), (dark, sharp)], start=1
    ):
        state = reconstructor.observe(slice_at(number, frame), state)
        np.testing.assert_array_equal(state.reference, best)
    # It outlasts a gap in the slices, the events do not; another face begins without one.
    after = reconstructor.observe(slice_at(9), state)
    np.testing.assert_array_equal(after.reference, sharp)
    assert after.frame is None
    assert reconstructor.observe(slice_at(10, region=None), after).reference is None


def test_what_is_to_be_remembered_is_not_replaced(reconstructor):
    with pytest.raises(MicroexprError, match='no frame'):
        reconstructor.remember(reconstructor.initial_state())
    blurred = cv2.GaussianBlur(portrait(), (0, 0), 6)
    state = reconstructor.remember(watch(reconstructor, [slice_at(0, blurred)]))
    state = reconstructor.observe(slice_at(1, portrait()), state)
    np.testing.assert_array_equal(state.reference, blurred)
    condition = condition_after(state)[-PICTURES:]
    np.testing.assert_allclose(condition[2].numpy(), blurred / 255, rtol=1e-6)
    assert condition[5].all()


def test_the_reference_is_a_frame_as_it_was_cut(reconstructor):
    start, frame = AlignedRegion(128.0, 128.0, 256.0), portrait()
    near, far = replace(start, x=132.0), replace(start, x=300.0)
    state = watch(reconstructor, [slice_at(0, None, start), slice_at(1, frame, near)])
    # By two cells, which leaves everything else where it was.
    assert state.region == start
    np.testing.assert_array_equal(state.reference, frame)
    later = replace(watch(reconstructor, [slice_at(0, frame, start)]), reference=None)
    later = reconstructor.remember(reconstructor.observe(slice_at(1, None, far), later))
    assert later.region == far
    np.testing.assert_array_equal(later.reference, frame)


def test_everything_that_is_remembered_goes_along(reconstructor):
    start = AlignedRegion(128.0, 128.0, 128.0)
    moving = [
        slice_at(n, portrait(n) if n % 4 == 0 else None, start, busy_counts(n)) for n in range(30)
    ]
    before = watch(reconstructor, moving)
    # As of frames with the longest delay.
    memory = replace(before.memory, late=before.memory.first_late[-1])
    before = replace(before, memory=memory)
    # Cells of one pixel: sixteen to the right, without any event.
    none = np.zeros((2, 128, 128), np.uint8)
    now = reconstructor.observe(slice_at(30, None, replace(start, x=144.0), none), before)
    assert now.region.x == 144.0

    def gone(array, shifted):
        assert array.any()
        np.testing.assert_allclose(
            shifted[..., 8:-8, 8:-24], array[..., 8:-8, 24:-8], rtol=1e-3, atol=1e-3
        )

    for old, new in zip(before.recent[1:], now.recent, strict=False):
        gone(old, new)
    for old, new in zip(before.exposed[1:], now.exposed, strict=False):
        gone(old, new)
    gone(before.leaky * reconstructor.configuration.decays()[:, None, None], now.leaky)
    gone(before.since_frame, now.since_frame)
    keep = watch(reconstructor, [*moving, slice_at(30, None, start, none)]).lasting.signed
    gone(keep, now.lasting.signed)
    old, new = before.memory, now.memory
    gone(old.average.picture, new.average.picture)
    gone(old.average.deviation, new.average.deviation)
    for name in ('late', 'since_first', 'first'):
        gone(getattr(old, name).astype(np.float32), getattr(new, name).astype(np.float32))
    for one, other in list(zip(old.first_late, new.first_late, strict=True))[1:]:
        gone(one, other)
    pictures = network_inputs(now, reconstructor.configuration)[1]
    gone(before.frame.astype(np.float32) / 255, pictures[1])


def busy_counts(number):
    """Return events that change from slice to slice, smooth enough to be moved."""
    rng = np.random.default_rng(number)
    smooth = cv2.GaussianBlur(rng.standard_normal((128, 128, 2)), (0, 0), 6)
    return np.rint(40 * np.abs(smooth)).clip(0, 250).astype(np.uint8).transpose(2, 0, 1)


@pytest.mark.parametrize(('share', 'goes'), [(0.049, False), (0.051, True)])
def test_what_is_remembered_goes_along_from_a_twentieth_on(reconstructor, share, goes):
    start = AlignedRegion(128.0, 128.0, 256.0)
    after = replace(start, y=128.0 + 256 * share)
    state = watch(reconstructor, [slice_at(0, None, start), slice_at(1, None, after)])
    assert (state.region == after) == goes


def test_what_is_remembered_goes_along_when_the_region_rests(reconstructor):
    start = AlignedRegion(128.0, 128.0, 256.0)
    after = replace(start, y=130.0)
    slices = [slice_at(n, None, start if n == 0 else after) for n in range(22)]
    state = watch(reconstructor, slices[:-1])
    assert (state.region, state.shown) == (start, after)
    assert reconstructor.observe(slices[-1], state).region == after


def test_frames_that_are_too_old_are_not_moved(reconstructor):
    start = AlignedRegion(128.0, 128.0, 256.0)
    state = watch(reconstructor, [slice_at(0, portrait(), start)])
    assert state.memory is not None
    for number in range(1, reconstructor.configuration.frame_slices + 2):
        state = reconstructor.observe(slice_at(number, None, start), state)
    moved = reconstructor.observe(slice_at(number + 1, None, replace(start, x=200.0)), state)
    assert moved.memory is None


def test_thresholds_are_learnt_from_frames(reconstructor):
    """Frames that brighten by what 0.3 an event says teach a threshold of 0.3.

    They show what was there when they were complete, which is learnt, too; and a change of their
    exposure is not taken for one of the light.
    """
    first = portrait(contrast=30)
    where = np.zeros((128, 128), bool)
    where[30:90, 30:90] = True
    silence = np.zeros((2, 128, 128), np.uint8)
    state = watch(reconstructor, [slice_at(0, first, counts=silence)])
    frame = first
    for number in range(1, 7):
        for k in range(1, 12):
            state = reconstructor.observe(slice_at(12 * (number - 1) + k, counts=silence), state)
        counts = silence.copy()
        counts[number % 2][where] = 4
        change = np.where(where, 0.3 if number % 2 else -0.3, 0) + (0.2 if number == 3 else 0)
        frame = np.rint(255 * to_picture(to_log(frame) + change.astype(np.float32)))
        frame = frame.astype(np.uint8)
        state = reconstructor.observe(slice_at(12 * number, frame, counts=counts), state)
    assert state.thresholds.on == pytest.approx(0.3, abs=0.03)
    assert state.thresholds.off == pytest.approx(0.3, abs=0.03)
    assert state.thresholds.delay == 0


def test_integration_by_hand():
    frame = np.full((32, 32), 100, np.uint8)
    np.testing.assert_allclose(
        integrate(frame, np.zeros((32, 32), np.float32)), 100 / 255, atol=1e-3
    )
    # Twice the light: linear 0.1274 becomes 0.2548, which sRGB encodes as 0.542.
    doubled = integrate(frame, np.full((32, 32), np.log(2), np.float32))
    np.testing.assert_allclose(doubled, 0.542, atol=3e-3)


def test_intervals_hold_what_they_promise():
    rng = np.random.default_rng(0)
    scale = rng.uniform(0.01, 0.1, 2000).astype(np.float32)
    error = np.abs(2 * scale * rng.standard_normal(scale.shape)).astype(np.float32)
    factor = fit_factor(error, scale)
    held = error <= factor * scale
    assert held.mean() == pytest.approx(COVERAGE, abs=1e-3)
    # Pixels that count more are held for the others' sake, too.
    counts = np.where(np.arange(2000) < 200, 50, 1).astype(np.float32)
    error[:200] *= 3
    wide = fit_factor(error, scale, counts)
    held = error <= wide * scale
    assert np.average(held, weights=counts) == pytest.approx(COVERAGE, abs=1e-2)
    assert wide > 2 * factor


def test_factors_are_of_the_age_and_the_change():
    rows = tuple(tuple(10 * age + group for group in range(7)) for age in range(1, 5))
    factors = IntervalFactors(rows, 5.0, 6.0)
    still = np.full((PICTURES, 128, 128), 0.5, np.float32)
    image = still[0]
    ages = {0: 10, 2: 10, 3: 20, 10: 30, 30: 40, 99: 40}
    assert {age: factors.factors(age, True, still, image).max() for age in ages} == ages
    assert factors.factors(None, True, still, image)[0, 0] == 5.0
    assert factors.factors(None, False, still, image)[0, 0] == 6.0
    moved = image.copy()
    moved[40:80, 40:80] += np.float32(0.01)
    found = factors.factors(0, False, still, moved)
    assert (found[60, 60], found[20, 20]) == (14, 10)


def test_noise_of_the_newest_frame_is_no_change():
    pictures = np.full((PICTURES, 128, 128), 0.5, np.float32)
    image = pictures[6]
    noise = np.random.default_rng(0).normal(0, 0.05, image.shape).astype(np.float32)
    pictures[1] += noise
    assert change_groups(pictures, image).max() == 0
    # Networks of before have no average of frames: theirs is the newest one.
    assert change_groups(pictures[:6], image).max() == 6


def test_intervals_are_those_of_the_factors(reconstructor):
    frame = np.full((128, 128), 100, np.uint8)
    state = watch(reconstructor, [slice_at(k, frame if k == 0 else None) for k in range(5)])
    wider = IntervalFactors(tuple((2 * f,) * 7 for f, *_ in reconstructor.intervals.frame))
    doubled = Reconstructor(reconstructor.network, intervals=wider).reconstruct(state)
    found = reconstructor.reconstruct(state)
    np.testing.assert_array_equal(doubled.image, found.image)
    half = found.interval < 127
    assert half.any()
    assert np.abs(doubled.interval[half].astype(int) - 2 * found.interval[half]).max() <= 1


def test_factors_of_earlier_files_are_of_all_pixels():
    image = np.random.default_rng(0).random((128, 128), np.float32)
    pictures = np.zeros((PICTURES, 128, 128), np.float32)
    values = {'frame': [1.0, 2.0, 3.0, 4.0], 'reference': 5.0, 'events': 6.0}
    factors = IntervalFactors.from_settings(values)
    assert np.unique(factors.factors(4, False, pictures, image)) == [2.0]
    # Their groups were of another measure of change: the widest interval holds for all.
    groups = {'frame': [[1.0, 4.0, 2.0]], 'reference': 5.0, 'events': 6.0}
    factors = IntervalFactors.from_settings(groups)
    assert np.unique(factors.factors(4, False, pictures, image)) == [4.0]
    assert factors.reference == 5.0


def test_factors_of_a_file_are_those_that_were_written():
    rows = tuple(tuple(10.0 * age + group for group in range(3)) for age in range(4))
    factors = IntervalFactors(rows, 5.0, 6.0, (0.01, 0.1))
    assert IntervalFactors.from_settings(json.loads(json.dumps(to_settings(factors)))) == factors


def test_moving_shows_what_was_beside():
    picture = torch.rand(1, 1, 16, 16)
    flow = torch.zeros(1, 2, 16, 16)
    torch.testing.assert_close(move(picture, flow), picture)
    flow[:, 0], flow[:, 1] = 3, -2
    moved = move(picture, flow)
    torch.testing.assert_close(moved[..., 2:, :-3], picture[..., :-2, 3:])
    # Beyond the edge there is its last row or column.
    torch.testing.assert_close(moved[0, 0, 2:, -1], picture[0, 0, :-2, -1])


@torch.no_grad()
def test_the_average_and_the_reference_are_moved_into_the_mixture():
    torch.manual_seed(0)
    network = ConditionalVae(TINY).eval()
    condition = torch.zeros(1, TINY.channels, 128, 128)
    condition[:, -PICTURES + 6] = torch.rand(128, 128)
    condition[:, -PICTURES + 3] = 1
    network.mover.weigh.bias += 100
    network.paint.weight[:] = 0
    network.paint.bias[:] = 0
    network.mover.flow.bias[:2] = 0.5
    image = network(condition).image
    # Half of four cells to the right and down.
    torch.testing.assert_close(
        image[..., :-2, :-2], condition[:, -PICTURES + 6, None, 2:, 2:], atol=1e-4, rtol=0
    )


@torch.no_grad()
def test_what_is_missing_is_not_mixed_in():
    torch.manual_seed(0)
    network = ConditionalVae(TINY).eval()
    condition = torch.randn(1, TINY.channels, 128, 128)
    condition[:, -PICTURES:] = 0
    features, prior = network.encode(condition)
    pictures = features[0]
    plain = network.decode(features, prior.means()).image
    for picture in (0, 1, 2, 6):
        spoilt = pictures.clone()
        spoilt[:, picture] = 100.0
        # Only the mixture would see it: the features stay those of the condition without it.
        other = network.decode([spoilt, *features[1:]], prior.means()).image
        torch.testing.assert_close(other, plain, atol=1e-4, rtol=0)


@torch.no_grad()
def test_samples_of_the_prior_differ_and_their_means_do_not():
    torch.manual_seed(0)
    network = ConditionalVae(TINY).eval()
    features, prior = network.encode(torch.randn(1, TINY.channels, 128, 128))
    one, other = (
        network.decode(features, prior.sample(torch.Generator().manual_seed(k))).image
        for k in range(2)
    )
    assert (one - other).abs().max() > 1e-4
    same = network.decode(features, prior.means()).image
    torch.testing.assert_close(network.decode(features, prior.means()).image, same)


@torch.no_grad()
def test_deployed_is_the_same_network():
    torch.manual_seed(0)
    network = ConditionalVae(TINY)
    condition = torch.randn(4, TINY.channels, 128, 128)
    for _ in range(3):
        network(condition)
    network.eval()
    deployed = network.deployed()
    assert deployed.posterior is None
    for part, same in zip(deployed(condition), network(condition), strict=True):
        torch.testing.assert_close(part, same, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('jump', [slice_at(3), slice_at(9)])
def test_jump_of_the_clock_resets(reconstructor, jump):
    state = watch(reconstructor, [slice_at(k) for k in range(5)])
    after = reconstructor.observe(jump, state)
    fresh = reconstructor.observe(jump, reconstructor.initial_state())
    np.testing.assert_array_equal(after.leaky, fresh.leaky)


def test_lost_face_resets(reconstructor):
    state = watch(reconstructor, [slice_at(k, np.zeros((9, 9), np.uint8)) for k in range(5)])
    state = reconstructor.observe(slice_at(5, region=None), state)
    assert state.frame is None
    assert not state.leaky.any()


def test_other_slices_are_refused(reconstructor):
    with pytest.raises(MicroexprError, match='5 ms'):
        reconstructor.observe(
            replace(slice_at(0), duration_ns=5_000_000), reconstructor.initial_state()
        )


def test_grey_takes_any_frame():
    colour = np.zeros((256, 200, 3), np.uint8)
    colour[..., 1] = 255
    assert np.all(grey(colour, 128) == 150)
    assert grey(np.full((50, 60), 7, np.uint8), 128).shape == (128, 128)
    checks = np.indices((256, 256)).sum(0) % 2 * np.uint8(200)
    assert np.all(grey(checks.astype(np.uint8), 128) == 100)


def test_weights_file_round_trip(reconstructor, tmp_path):
    path = tmp_path / 'reconstruction.safetensors'
    tensors = {k: v.contiguous() for k, v in reconstructor.network.state_dict().items()}
    weights.save(path, 'reconstruction', 'tiny', reconstructor.to_settings(), tensors)
    threads = torch.get_num_threads()
    loaded = Reconstructor.load(path)
    torch.set_num_threads(threads)
    assert loaded.configuration == TINY
    state = watch(reconstructor, [slice_at(k) for k in range(5)])
    assert loaded.intervals == reconstructor.intervals
    np.testing.assert_array_equal(
        loaded.reconstruct(state).image, reconstructor.reconstruct(state).image
    )


def test_shipped_weights_load_and_are_small():
    path = weights.shipped('reconstruction')
    assert path.stat().st_size < 5_000_000
    threads = torch.get_num_threads()
    loaded = Reconstructor.load()
    torch.set_num_threads(threads)
    assert loaded.reconstruct(loaded.initial_state()).image.shape == (128, 128)
