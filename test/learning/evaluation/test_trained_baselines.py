import numpy as np
import pytest
import torch

from microexpr_ros.errors import MicroexprError
from microexpr_ros.learning.data.batches import make_batch
from microexpr_ros.learning.evaluation.trained_baselines import (
    read_baselines,
    write_baseline,
)
from microexpr_ros.learning.models.networks import build, decays, encode, sees_frames
from microexpr_ros.learning.models.recurrent_twin import RecurrentTwin
from microexpr_ros.learning.models.region_counts import REGIONS, TAU_MS, RegionCounts
from microexpr_ros.learning.pipelines import make_action_units
from microexpr_ros.learning.training.action_units import TrainingConfiguration, predict
from microexpr_ros.learning.training.configuration import ActionUnitRun
from microexpr_ros.perception.presence import Presence
from microexpr_ros.perception.settings import to_settings
from microexpr_ros.perception.spiking.configuration import SpikingConfiguration
from microexpr_ros.perception.spiking.network import SpikingNetwork

SMALL = SpikingConfiguration(
    pool=4,
    channels=(6, 8),
    kernels=(5, 3),
    strides=(2, 2),
    tau_ms=(20.0, 40.0),
    integrators=16,
)
MODELS = ('events', 'rgb', 'fusion', 'twin', 'linear')


def size(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize('configuration', [SpikingConfiguration(), SMALL])
def test_the_twin_has_the_size_of_the_spiking_network(configuration):
    twin, spiking = RecurrentTwin(configuration), SpikingNetwork(configuration)
    one_unit_more = size(twin) / twin.recurrence.hidden_size * 2
    assert abs(size(twin) - size(spiking)) < one_unit_more
    kinds = torch.nn.Conv2d | torch.nn.Linear
    layers = [sum(isinstance(m, kinds) for m in net.modules()) for net in (twin, spiking)]
    assert layers[0] == layers[1]


def test_counts_leak_by_region():
    counts = RegionCounts(SMALL)
    density = torch.zeros(2, 1, 2, 32, 32)
    # Both events fall into the second region of the third row, in the ON channel.
    density[0, 0, 1, 8, 4], density[0, 0, 1, 11, 7] = 1.0, 3.0
    encoded = counts.encode(density, 1.0)
    per_pixel = 4.0 / SMALL.pool**2 / (32 // REGIONS) ** 2
    assert encoded[0, 0, 1, 2, 1].item() == pytest.approx(per_pixel)
    assert encoded.sum().item() == pytest.approx(per_pixel)
    _, (state,) = counts(encoded, counts.initial_state(1))
    keep = 1 - 10 / TAU_MS
    assert state.sum().item() == pytest.approx(per_pixel * keep)
    _, (forgotten,) = counts(encoded, counts.initial_state(1), memoryless=True)
    assert forgotten.sum().item() == 0


@pytest.mark.parametrize('model', MODELS)
def test_sequences_may_be_cut_anywhere(sparse_clips, model):
    torch.manual_seed(0)
    network = build(model, SMALL).eval()
    given = {'frames': sees_frames(network), 'decays': decays(network)}
    batch = make_batch(sparse_clips[:2], SMALL.pool, **given)
    encoded, rest = encode(network, batch)
    with torch.no_grad():
        whole, after = network(encoded, rest)
        first, between = network(encoded[:17], rest)
        second, last = network(encoded[17:], between)
    torch.testing.assert_close(torch.cat([first, second]), whole)
    for one, other in zip(after, last, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize('model', ['twin', 'linear'])
def test_without_memory_the_order_of_slices_does_not_matter(sparse_clips, model):
    torch.manual_seed(0)
    network = build(model, SMALL).eval()
    encoded, _ = encode(network, make_batch(sparse_clips[:2], SMALL.pool))
    with torch.no_grad():
        plain, _ = network(encoded, network.initial_state(2), memoryless=True)
        turned, _ = network(encoded.flip(0), network.initial_state(2), memoryless=True)
    torch.testing.assert_close(turned.flip(0), plain)


@pytest.mark.parametrize(('model', 'uses'), [('rgb', (False, True)), ('fusion', (True, True))])
def test_networks_use_what_they_are_given(sparse_clips, model, uses):
    torch.manual_seed(0)
    network = build(model, SMALL)
    batch = make_batch(sparse_clips[:2], SMALL.pool, frames=True, decays=decays(network))
    encoded, state = encode(network, batch)
    network(encoded.requires_grad_(), state)[0].sum().backward()
    events, frames = uses
    assert encoded.shape[2] == 2 * events + 3 * frames
    assert all(encoded.grad.abs().sum((0, 1, 3, 4)) > 0)


@pytest.mark.parametrize(
    ('model', 'control'),
    [(model, 'none') for model in MODELS[1:]]
    + [('events', 'memoryless'), ('events', 'time-shuffled')],
)
def test_what_was_trained_is_read_back(sparse_clips, tmp_path, model, control):
    training = TrainingConfiguration(epochs=1, batch=6, control=control)
    run = ActionUnitRun(tmp_path, tmp_path, model, training, SMALL)
    result = make_action_units(sparse_clips, sparse_clips, run)
    (estimator,) = read_baselines(tmp_path).values()
    assert estimator.name == (model if control == 'none' else control)
    assert result['model'].startswith(f'{estimator.name}@')
    traces = estimator.predict(sparse_clips[:2])
    shapes = [(t.intensity.shape, t.intensity.dtype) for t in traces]
    assert shapes == [((40, 18), np.float32)] * 2
    expected = make_action_units(sparse_clips, sparse_clips, run, resume=True)
    assert expected['validation'] == result['validation']
    assert ((estimator.presence.threshold > 0) & (estimator.presence.threshold < 1)).all()


def test_networks_keep_their_weights_and_thresholds(sparse_clips, tmp_path):
    torch.manual_seed(0)
    network = build('fusion', SMALL).eval()
    presence = Presence.uncalibrated(0.3)
    training = {'control': 'none'}
    write_baseline(tmp_path, 'fusion', presence, network, training)
    estimator = read_baselines(tmp_path)['fusion']
    np.testing.assert_array_equal(estimator.presence.threshold, presence.threshold)
    for found, expected in zip(
        estimator.predict(sparse_clips[:3]), predict(network, sparse_clips[:3]), strict=True
    ):
        np.testing.assert_array_equal(found.intensity, expected.intensity)
        np.testing.assert_array_equal(found.evidence, expected.evidence)


def test_networks_for_the_nodes_are_no_baselines(tmp_path):
    (tmp_path / 'au.safetensors').write_bytes(b'')
    assert read_baselines(tmp_path) == {}
    with pytest.raises(MicroexprError, match='microexpr train au'):
        read_baselines(tmp_path / 'none')


def test_damaged_files_are_named(tmp_path):
    network = build('linear', SMALL)
    presence = Presence.uncalibrated()
    path = write_baseline(tmp_path, 'twin', presence, network, {'control': 'none'})
    with pytest.raises(MicroexprError, match=r'twin\.safetensors is damaged'):
        read_baselines(tmp_path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(MicroexprError, match=r'twin\.safetensors'):
        read_baselines(tmp_path)


def test_controls_are_of_the_network_on_events(sparse_clips, tmp_path):
    training = TrainingConfiguration(epochs=1, control='memoryless')
    with pytest.raises(MicroexprError, match="'twin'"):
        make_action_units(
            sparse_clips, sparse_clips, ActionUnitRun(tmp_path, tmp_path, 'twin', training, SMALL)
        )


def test_weights_of_another_version_are_not_read_with_defaults(tmp_path, monkeypatch):
    import microexpr_ros.learning.evaluation.trained_baselines as module

    def older(configuration):
        return {k: v for k, v in to_settings(configuration).items() if k != 'half'}

    network = build('twin', SMALL)
    monkeypatch.setattr(module, 'to_settings', older)
    write_baseline(tmp_path, 'twin', Presence.uncalibrated(), network, {'control': 'none'})
    with pytest.raises(
        MicroexprError, match=r'twin\.safetensors: twin@\w+ has weights .* in half'
    ):
        read_baselines(tmp_path)
