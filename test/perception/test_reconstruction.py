from dataclasses import replace

import numpy as np
import pytest
import torch

from microexpr_ros.alignment.slices import Slice
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.region import Region
from microexpr_ros.perception import weights
from microexpr_ros.perception.reconstruction.configuration import ReconstructionConfiguration
from microexpr_ros.perception.reconstruction.inference import condition_of
from microexpr_ros.perception.reconstruction.network import ConditionalVae
from microexpr_ros.perception.reconstruction.reconstructor import (
    Reconstructor,
    grey,
    network_inputs,
)

STEP_NS = 10_000_000
REGION = Region(0, 0, 256, 256)
TINY = ReconstructionConfiguration(width=4, latent=2)


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
    inputs = (torch.from_numpy(part)[None] for part in network_inputs(state, TINY))
    return condition_of(*inputs, TINY)[0]


def test_image_form_and_repeatability(reconstructor):
    state = watch(reconstructor, [slice_at(k) for k in range(5)])
    image = reconstructor.reconstruct(state)
    assert image.shape == (128, 128)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, reconstructor.reconstruct(state))


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
    assert torch.count_nonzero(condition[-3:]) == 0


def test_frame_enters_and_gets_old(reconstructor):
    frame = np.arange(128 * 128, dtype=np.uint32).reshape(128, 128).astype(np.uint8)
    slices = [slice_at(0), slice_at(1, frame), slice_at(2)]
    state = watch(reconstructor, slices)
    condition = condition_after(state)
    np.testing.assert_allclose(condition[-2].numpy(), frame / 255, rtol=1e-6)
    assert torch.all(condition[-1] == 1)
    on_off = slices[2].counts.astype(np.float32)
    np.testing.assert_allclose(state.since_frame, (on_off[1] - on_off[0]) / 4)
    for number in range(3, 2 + TINY.frame_slices):
        state = reconstructor.observe(slice_at(number), state)
    assert torch.count_nonzero(condition_after(state)[-3:]) == 0


@torch.no_grad()
def test_without_a_frame_its_channel_is_ignored():
    torch.manual_seed(0)
    network = ConditionalVae(TINY).eval()
    condition = torch.randn(1, TINY.channels, 128, 128)
    condition[:, -2:] = 0
    image = network(condition)
    assert image.min() >= 0
    assert image.max() <= 1


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
    torch.testing.assert_close(deployed(condition), network(condition), rtol=1e-4, atol=1e-5)


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
    np.testing.assert_array_equal(loaded.reconstruct(state), reconstructor.reconstruct(state))


def test_shipped_weights_load_and_are_small():
    path = weights.shipped('reconstruction')
    assert path.stat().st_size < 5_000_000
    threads = torch.get_num_threads()
    loaded = Reconstructor.load()
    torch.set_num_threads(threads)
    assert loaded.reconstruct(loaded.initial_state()).shape == (128, 128)
