from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from microexpr_ros.alignment.slices import Slice
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.region import Region
from microexpr_ros.facs import CODES
from microexpr_ros.learning.data.augmentation import Augmentation, Jitter
from microexpr_ros.learning.data.batches import (
    condition_events,
    encode_frames,
    let_rest,
    make_batch,
    measure_change_gain,
)
from microexpr_ros.learning.data.clips import UNDECIDED, dense_counts, load_split, make_sparse
from microexpr_ros.learning.training.reconstruction import (
    ReconstructionExample,
    Reference,
    make_example_batch,
)
from microexpr_ros.perception.reconstruction.configuration import ReconstructionConfiguration
from microexpr_ros.perception.reconstruction.network import ConditionalVae
from microexpr_ros.perception.reconstruction.reconstructor import Reconstructor, network_inputs
from microexpr_ros.perception.spiking.network import SpikingNetwork

TINY = ReconstructionConfiguration(fine=4, width=4, latent=2, global_latent=3)


def test_counts_come_back(make_clip):
    clip = make_clip(4)
    sparse = make_sparse(clip)
    for number in range(sparse.slices):
        np.testing.assert_array_equal(dense_counts(sparse, number), clip.counts[number])


def test_sequences_are_what_the_classifier_would_be_given(make_clip):
    clips = [make_clip(4), make_clip(5, slices=33)]
    batch = make_batch([make_sparse(c) for c in clips], pool=2)
    network = SpikingNetwork()
    encoded = network.encode(torch.from_numpy(batch.density), 1.0)
    for b, clip in enumerate(clips):
        expected = network.encode(torch.from_numpy(clip.counts), clip.pixels_per_cell)
        torch.testing.assert_close(encoded[: len(clip.counts), b], expected)
    assert batch.valid.sum(0).tolist() == [40, 33]
    assert not batch.density[33:, 1].any()
    assert batch.label.tolist() == [2, 8]


def test_order_moves_slices(make_clip):
    sparse = make_sparse(make_clip(4))
    order = np.random.default_rng(0).permutation(sparse.slices)
    plain, shuffled = (
        make_batch([sparse], 2),
        make_batch([sparse], 2, order=[order]),
    )
    np.testing.assert_array_equal(shuffled.density, plain.density[order])


def test_mirror_and_shift_move_events_and_images_alike():
    rng = np.random.default_rng(0)
    image = np.zeros((128, 128), np.uint8)
    image[40:80, 30:70] = rng.integers(1, 255, (40, 40))
    for jitter in (Jitter(), Jitter(mirror=True), Jitter(mirror=True, rows=3, columns=-5)):
        moved = np.zeros_like(image)
        moved.ravel()[jitter.cell_map()[np.flatnonzero(image)]] = image[image > 0]
        np.testing.assert_array_equal(jitter.warp_images(image), moved)


@pytest.mark.parametrize(
    'jitter',
    [
        Jitter(mirror=True, rows=2, columns=3, zoom=1.2),
        Jitter(stretch=1.3, turn=0.2, shear=0.1),
        Jitter(mirror=True, rows=-4, zoom=0.9, stretch=0.8, turn=-0.2, bend=6, seed=3),
    ],
)
def test_all_that_moves_moves_events_and_images_alike(jitter):
    for row, column in ((30, 90), (64, 64), (90, 40)):
        image = np.zeros((128, 128), np.uint8)
        image[row : row + 4, column : column + 4] = 200
        expected = np.stack(np.divmod(jitter.cell_map()[np.flatnonzero(image)], 128)).mean(1)
        found = np.argwhere(jitter.warp_images(image)).mean(0)
        np.testing.assert_allclose(found, expected, atol=1)


def test_a_turn_is_clockwise_and_a_stretch_is_tall():
    right = 64 * 128 + 100
    assert Jitter(turn=0.2).cell_map()[right] // 128 == pytest.approx(64 + 36 * np.sin(0.2), abs=1)
    cells = np.stack(np.divmod(Jitter(stretch=1.44).cell_map()[[100 * 128 + 64, right]], 128))
    assert cells.T.tolist() == [[64 + int(36.5 * 1.2), 64], [64, 64 + int(36.5 / 1.2)]]


def test_a_bend_is_smooth_and_small():
    rows, columns = np.divmod(Jitter(bend=4, seed=1).cell_map().reshape(128, 128), 128)
    moved = (np.stack([rows, columns]) - np.indices((128, 128)))[:, 16:-16, 16:-16]
    assert 2 < np.abs(moved).max() < 6
    assert np.abs(np.diff(moved, axis=1)).max() <= 2


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**31))
def test_jitter_neither_invents_nor_repeats_events(seed):
    clip = _spread(seed)
    jitter = Augmentation(noise=0.0).sample(np.random.default_rng(seed))
    plain = make_batch([clip], 2).density.sum()
    changed = make_batch([clip], 2, [jitter]).density.sum()
    assert changed <= plain * jitter.gains().max() * 1.0001


def test_thinning_keeps_its_share(make_clip):
    sparse = make_sparse(make_clip(4))
    kept = make_batch([sparse], 2, [Jitter(keep=0.5, seed=3)]).density.sum()
    assert kept / make_batch([sparse], 2).density.sum() == pytest.approx(0.5, abs=0.05)


def test_polarities_have_their_gains(make_clip):
    sparse = make_sparse(make_clip(4))
    plain, changed = (
        make_batch([sparse], 2, [jitter]).density.sum((0, 1, 3, 4))
        for jitter in (Jitter(), Jitter(gain=1.2, balance=4.0))
    )
    np.testing.assert_allclose(changed / plain, [1.2 / 2, 1.2 * 2], rtol=1e-4)


def test_flipping_keeps_events_in_place_and_time(make_clip):
    sparse = make_sparse(make_clip(4))
    plain, half, all_ = (
        make_batch([sparse], 2, [Jitter(flip=flip, seed=5)]).density for flip in (0, 0.5, 1)
    )
    np.testing.assert_array_equal(all_, plain[:, :, ::-1])
    np.testing.assert_allclose(half.sum(2), plain.sum(2), atol=1e-5)
    moved = np.abs(half - plain).sum() / 2 / plain.sum()
    assert moved == pytest.approx(0.5, abs=0.1)


def test_late_entries_go_to_the_neighbouring_slices(make_clip):
    clip = make_clip(4)
    clip.counts[:] = 0
    clip.counts[20] = 1
    density = make_batch([make_sparse(clip)], 2, [Jitter(late=0.4, seed=2)]).density.sum(
        (1, 2, 3, 4)
    )
    total = 2 * 128 * 128 / clip.pixels_per_cell
    np.testing.assert_allclose(density[19:22] / total, [0.2, 0.6, 0.2], atol=0.01)
    assert density.sum() == pytest.approx(total)


def test_late_entries_of_a_condition_end_in_the_bin_that_is_theirs(make_clip):
    clip = make_clip(4)
    clip.counts[:] = 0
    clip.counts[20, 1] = 1
    last_bin = TINY.bins - 1
    plain, late = (
        condition_events(make_sparse(clip), 20, None, TINY, Jitter(late=late, seed=2))[0]
        for late in (0, 1)
    )
    share = late[last_bin].sum() / plain[last_bin].sum()
    # Half of them come one slice later, after the last one that has been seen.
    assert share == pytest.approx(0.5, abs=0.02)


def test_frames_are_seen_when_they_are_complete(make_clip):
    clip = make_clip(4)
    batch = make_batch([make_sparse(clip)], 2, frames=True)
    darker, brighter, newest = batch.frames[:, 0].swapaxes(0, 1)
    change = brighter - darker
    assert not (darker * brighter).any()
    pooled = clip.frames.reshape(-1, 64, 2, 64, 2).mean((2, 4))
    normal = (pooled - pooled.mean((1, 2), keepdims=True)) / (
        pooled.std((1, 2), keepdims=True) + 1
    )
    # Frames are complete in slices 2, 5, 8 and so on.
    assert not newest[:2].any()
    np.testing.assert_allclose(newest[5], normal[1], atol=1e-4)
    np.testing.assert_allclose(newest[7], normal[1], atol=1e-4)
    np.testing.assert_allclose(change[5], normal[1] - normal[0], atol=1e-4)
    assert not change[[2, 3, 4, 6, 7]].any()


def test_the_gain_brings_the_typical_change_to_the_middle_of_the_compression(make_clip):
    def blinking(step):
        clip = make_clip(4)
        rng = np.random.default_rng(0)
        scene = rng.integers(60, 120, clip.frames.shape[1:])
        # Every second frame, half of the pixels are brighter.
        scene = np.repeat(np.repeat(scene[::4, ::4], 4, 0), 4, 1)
        frames = np.stack([scene + step * (k % 2) * (scene > 90) for k in range(len(clip.frames))])
        return make_sparse(replace(clip, frames=frames.astype(np.uint8)))

    clips = [blinking(step) for step in (2, 6, 40)]
    gain = measure_change_gain(clips, 2, 0.1)
    changes, _ = encode_frames(clips[1], 2, Jitter())
    size = gain * np.sqrt((changes[1:] ** 2).sum(1).mean())
    assert size / (size + 0.1) == pytest.approx(0.5, abs=0.01)
    assert measure_change_gain(clips, 2, 0.5) == pytest.approx(5 * gain)
    still = blinking(0)
    assert measure_change_gain([still], 2, 0.1) == 1


def test_events_can_be_left_out(make_clip):
    sparse = make_sparse(make_clip(4))
    given = {'windows': [(11, 31)], 'frames': True, 'decays': (0.5, 0.9)}
    whole = make_batch([sparse], 2, [Jitter(noise=0.01)], **given)
    part = make_batch([sparse], 2, [Jitter(noise=0.01)], **given, events=False)
    assert not part.density.any()
    assert not part.traces.any()
    np.testing.assert_array_equal(part.frames, whole.frames)
    np.testing.assert_array_equal(part.frame_traces, whole.frame_traces)


def test_frames_of_a_window_are_those_of_the_clip(make_clip):
    sparse = make_sparse(make_clip(4))
    whole = make_batch([sparse], 2, frames=True).frames
    part = make_batch([sparse], 2, windows=[(11, 31)], frames=True).frames
    np.testing.assert_allclose(part, whole[11:31], atol=1e-5)


def test_frames_do_not_see_light(make_clip):
    clip = make_clip(4)
    dim = replace(clip, frames=clip.frames // 2)
    bright, dark = (
        make_batch([make_sparse(c)], 2, frames=True).frames[:, 0, 2] for c in (clip, dim)
    )
    # The rest is rounding, and the 1 that keeps a black frame finite.
    assert np.abs(bright - dark).max() < 0.05 * np.abs(bright).max()


@pytest.mark.parametrize('jitter', [None, Jitter(mirror=True, rows=5, keep=0.5, flip=0.2, seed=4)])
def test_traces_are_what_the_slices_before_have_left(make_clip, jitter):
    """A sequence that begins within a clip goes on where the one before it ended."""
    sparse, decays = make_sparse(make_clip(4)), (0.5, 0.9)
    jitters = None if jitter is None else [jitter]
    whole = make_batch([sparse], 2, jitters, frames=True, decays=decays)
    part = make_batch([sparse], 2, jitters, windows=[(11, 31)], frames=True, decays=decays)
    np.testing.assert_allclose(part.density, whole.density[11:31], rtol=1e-6)
    np.testing.assert_array_equal(part.sides, whole.sides[11:31])
    assert not whole.traces.any()
    for found, slices in ((part.traces, whole.density), (part.frame_traces, whole.frames)):
        expected = np.zeros((2, 2, 64, 64))
        for now in slices[:11, 0, :2]:
            expected = np.array(decays)[:, None, None, None] * expected + now
        np.testing.assert_allclose(found[0], expected, rtol=1e-4, atol=1e-5)


def test_windows_of_one_clip_are_drawn_as_each_alone(make_clip):
    sparse, decays = make_sparse(make_clip(4)), (0.5, 0.9)
    jitter = Jitter(mirror=True, rows=5, turn=0.1, keep=0.7, seed=4)
    windows = [(20, 31), (0, 9), (11, 13), (11, 40), (39, 40)]
    count = len(windows)
    together = make_batch(
        [sparse] * count, 2, [jitter] * count, None, windows, frames=True, decays=decays
    )
    for b, (first, end) in enumerate(windows):
        alone = make_batch([sparse], 2, [jitter], None, [(first, end)], frames=True, decays=decays)
        for name in ('traces', 'frame_traces'):
            np.testing.assert_allclose(
                getattr(together, name)[b], getattr(alone, name)[0], rtol=1e-4, atol=1e-6
            )
        for name in ('density', 'frames', 'sides', 'valid'):
            np.testing.assert_array_equal(
                getattr(together, name)[: end - first, b], getattr(alone, name)[:, 0]
            )
    assert together.traces[0].any()


def test_mirrored_sides_are_exchanged(make_clip):
    clip = make_clip(4)
    clip.sides[..., 1] = 0
    plain, mirrored = (
        make_batch([make_sparse(clip)], 2, [Jitter(mirror=mirror)]).sides
        for mirror in (False, True)
    )
    assert plain[..., 0].any()
    np.testing.assert_array_equal(mirrored, plain[..., ::-1])


def test_noise_of_the_past_is_that_of_its_slices():
    """Mean and spread of the traces are near those of noise that is added slice by slice."""
    jitter, decays, slices = Jitter(noise=0.01, seed=1), (0.5, 0.95), 60
    density = np.zeros((slices, 2, 64, 64), np.float32)
    jitter.add_noise(density)
    expected = np.zeros((2, 2, 64, 64))
    for now in density:
        expected = np.array(decays)[:, None, None, None] * expected + now
    traces = np.zeros((2, 2, 64, 64), np.float32)
    jitter.add_trace_noise(traces, decays, slices)
    assert traces.min() >= 0
    # What would be below 0 is cut off, so there is somewhat more of it.
    assert 1 < traces[1].mean() / expected[1].mean() < 2
    assert 0.5 < traces[1].std() / expected[1].std() < 1


def test_noise_has_its_rate():
    density = np.zeros((50, 2, 64, 64), np.float32)
    Jitter(noise=0.01, seed=1).add_noise(density)
    assert density.mean() == pytest.approx(0.01, rel=0.01)


@pytest.mark.parametrize('frame', [None, 4])
def test_condition_is_what_the_reconstructor_holds(make_clip, frame):
    clip = make_clip(4)
    reconstructor = Reconstructor(ConditionalVae(TINY).deployed())
    number = 5
    at = int(clip.target_slice[number])
    frame_at = None if frame is None else int(clip.frame_slice[frame])
    state = reconstructor.initial_state()
    for k in range(at + 1):
        picture = clip.frames[frame] if frame is not None and k == frame_at else None
        end_ns = (k + 1) * 10_000_000
        counts = clip.counts[k]
        slice_ = Slice(end_ns, 10_000_000, Region(0, 0, 256, 256), counts, 0, picture)
        state = reconstructor.observe(slice_, state)
    sparse = make_sparse(clip)
    # The only frame is the best so far.
    reference = None if frame is None else Reference(sparse.clip.frames[frame])
    condition, target, _ = make_example_batch(
        [ReconstructionExample(sparse, number, frame, reference=reference)], TINY
    )
    expected = torch.from_numpy(np.concatenate(network_inputs(state, TINY)))
    torch.testing.assert_close(condition[0], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(target[0, 0], clip.target[number] / np.float32(255))


def test_a_rest_leaves_what_lasts_and_noise(make_clip):
    sparse = make_sparse(make_clip(4))
    before, _, _ = condition_events(sparse, 40, None, TINY)
    rng = np.random.default_rng(0)
    pixels, hz, slices = 4.0, 0.5, 30
    after = let_rest(before, slices, hz, pixels, TINY, rng)
    np.testing.assert_array_equal(after[-1], before[-1])
    assert np.abs(before[-1]).max() > 0.1
    integrals = slice(TINY.bins, TINY.bins + 4)
    kept = before[integrals] * (TINY.decays() ** slices)[:, None, None]
    added = after[integrals] - kept
    # Half a leaky sum's time constant times the rate, per pixel of a cell.
    tau = np.array([0.05, 0.2, 0.8])
    np.testing.assert_allclose(
        added[:3].std(axis=(1, 2)), np.sqrt(hz * tau / (2 * pixels)), rtol=0.05
    )
    assert added[3].mean() == pytest.approx(hz * 0.8, rel=0.05)
    bins = after[: TINY.bins]
    assert bins.std() == pytest.approx(np.sqrt(hz * 0.03 / pixels), rel=0.05)
    assert abs(bins.mean()) < 0.01


def test_condition_without_events_is_empty(make_clip):
    clip = make_clip(0)
    sparse = make_sparse(clip)
    events, since, late = condition_events(sparse, 0, None, TINY, Jitter(keep=0.0))
    assert not events.any()
    assert not since.any()
    assert not late.any()


def test_loading_reads_the_split(data):
    sparse_clips = load_split(data, 'val', images=False)
    assert [r.clip.index for r in sparse_clips] == list(range(6))
    assert sparse_clips[0].clip.frames.shape == (0, 128, 128)


def test_missing_data_names_the_command(tmp_path):
    with pytest.raises(MicroexprError, match=r'microexpr synth --split train'):
        load_split(tmp_path, 'train', images=False)


def _spread(seed):
    from microexpr_ros.learning.data.clips import SparseClip

    rng = np.random.default_rng(seed)
    cells = np.sort(rng.integers(0, 2 * 128 * 128, (5, 40)), axis=1).astype(np.uint16)
    clip = _plain()
    return SparseClip(
        cells.ravel(),
        np.ones(200, np.uint8),
        np.arange(6, dtype=np.int64) * 40,
        replace(clip, sides=np.zeros((5, 18, 2), np.float32)),
    )


def _plain():
    from microexpr_ros.synthesis.dataset.clip import Clip

    nothing = np.zeros((0, 128, 128), np.uint8)
    none = np.zeros(0, np.int32)
    return Clip(
        counts=np.zeros((0, 2, 128, 128), np.uint8),
        pixels_per_cell=1.0,
        sides=np.zeros((0, 18, 2), np.float32),
        landmarks=np.zeros((0, 5, 2), np.float32),
        frames=nothing,
        frame_slice=none,
        target=nothing,
        target_slice=none,
        dominant=0,
        onset_ns=0,
        apex_ns=0,
        offset_ns=0,
        amplitude=0.0,
        identity=0,
        skin='plain',
        light='bright',
        sensor='vga',
        seed=0,
        index=0,
        distractors=(),
    )


def test_main_unit_is_named_while_it_moves_and_shuffled_with_the_slices(make_clip):
    # The unit 4 rises from slice 10 to its peak in slice 20, and falls until slice 30.
    sparse = make_sparse(make_clip(1))
    unit, main = CODES.index(4), sparse.main()
    # Slices 16 and 24 are at the limit of 0.6, where rounding decides.
    assert set(main[17:24].tolist()) == {unit}
    assert set(main[12:16].tolist()) | set(main[25:29].tolist()) == {UNDECIDED}
    assert set(main[:12].tolist()) | set(main[29:].tolist()) == {len(CODES)}
    assert (make_sparse(make_clip(0)).main() == len(CODES)).all()

    order = np.random.default_rng(0).permutation(sparse.slices)
    batch = make_batch([sparse] * 2, 2, order=[order] * 2, windows=[(0, 40), (5, 12)])
    assert batch.main[:, 0].tolist() == main[order].tolist()
    assert batch.main[:7, 1].tolist() == main[order][5:12].tolist()
    assert (batch.main[7:, 1] == UNDECIDED).all()
