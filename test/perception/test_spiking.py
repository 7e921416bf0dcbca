from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from norse.torch import LIFBoxCell, LIFBoxFeedForwardState, LIFBoxParameters
from norse.torch.functional.reset import reset_subtract, reset_value
from torch import nn

from microexpr_ros.perception.folding import fold_batch_norm
from microexpr_ros.perception.spiking.burst_cell import BurstCell
from microexpr_ros.perception.spiking.configuration import SpikingConfiguration
from microexpr_ros.perception.spiking.inference import simplify
from microexpr_ros.perception.spiking.lif import lif_sequence
from microexpr_ros.perception.spiking.network import (
    SpikingNetwork,
    current_for_rate,
    firing_rate,
    intensities,
    limit_rate,
)
from microexpr_ros.perception.spiking.traces import update_traces

SMALL = SpikingConfiguration(
    grid=32,
    channels=(4, 6, 6),
    kernels=(5, 3, 3),
    strides=(2, 2, 1),
    tau_ms=(20.0, 40.0, 40.0),
    dropout=0.0,
    integrators=8,
)
CONFIGURATIONS = {
    'burst': SMALL,
    'single': replace(SMALL, burst=1),
    # As the weights of generator 0.3 were trained.
    'current': replace(
        SMALL,
        drive='current',
        reset='zero',
        burst=1,
        residual=False,
        initial_gain=2.0,
        decision=False,
    ),
    'graded': replace(SMALL, neurons='graded', signed_traces=True),
    'rectified': replace(SMALL, neurons='rectified', initial_gain=1.0),
}


@pytest.fixture(params=CONFIGURATIONS)
def network(request):
    torch.manual_seed(1)
    network = SpikingNetwork(CONFIGURATIONS[request.param])
    counts = torch.poisson(torch.full((20, 3, 2, 32, 32), 0.2))
    for _ in range(5):
        network(network.encode(counts, 1.0), network.initial_state(3))
    return network.eval()


@pytest.fixture
def encoded(network):
    torch.manual_seed(2)
    return network.encode(torch.poisson(torch.full((12, 3, 2, 32, 32), 0.2)), 1.0)


def run(network, encoded):
    state, out = network.initial_state(encoded.shape[1]), []
    for now in encoded:
        logits, state = network.step(now, state)
        out.append(logits)
    return torch.stack(out), state


@torch.no_grad()
def test_sequence_equals_steps(network, encoded):
    whole, after = network(encoded, network.initial_state(3))
    stepped, state = run(network, encoded)
    torch.testing.assert_close(whole, stepped)
    for a, b in zip(after, state, strict=True):
        torch.testing.assert_close(a, b)


@torch.no_grad()
def test_a_simplified_network_gives_the_same(network, encoded):
    deployed = network.deployed()
    simplified = simplify(deployed)
    assert not any(isinstance(cell, BurstCell) for cell in simplified.cells)
    assert all(isinstance(cell, BurstCell) for cell in deployed.cells)
    logits, state = run(deployed, encoded)
    same_logits, same_state = run(simplified, encoded)
    torch.testing.assert_close(same_logits, logits)
    traces, *voltages = state[: len(deployed.cells) + 1]
    assert torch.equal(same_state[0], traces)
    for same, voltage in zip(same_state[1:], voltages, strict=False):
        torch.testing.assert_close(same, deployed.configuration.burst * voltage)


def test_network_spikes_and_remembers(network, encoded):
    out, _ = run(network, encoded)
    again, _ = run(network, torch.cat([encoded[:1], encoded[:1]]))
    assert not torch.equal(out[0], out[1])
    assert not torch.equal(again[0], again[1])


@torch.no_grad()
def test_deployed_is_the_same_network(network, encoded):
    deployed = network.deployed()
    assert not deployed.normalized
    assert not any(isinstance(m, nn.BatchNorm2d) for m in deployed.modules())
    torch.testing.assert_close(run(deployed, encoded)[0], run(network, encoded)[0])


@torch.no_grad()
def test_the_trained_form_of_a_deployed_network_deploys_to_it(network, encoded):
    deployed = network.deployed()
    again = deployed.trainable(encoded, deployed.initial_state(3))
    assert again.normalized
    assert deployed.spiking
    before = deployed.state_dict()
    for key, value in again.deployed().state_dict().items():
        torch.testing.assert_close(value, before[key], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_memoryless_is_a_step_from_rest(network, encoded):
    out, _ = network(encoded, network.initial_state(3), memoryless=True)
    for t, now in enumerate(encoded):
        torch.testing.assert_close(out[t], network.step(now, network.initial_state(3))[0])


@torch.no_grad()
def test_state_is_not_changed_in_place(network, encoded):
    state = network.initial_state(3)
    network.step(encoded[0], state)
    network(encoded, state)
    assert all(torch.count_nonzero(v) == 0 for v in state)


def test_every_learnt_value_gets_a_gradient(network, encoded):
    network.train()
    out, _ = network(encoded, network.initial_state(3))
    out.square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_encoding_pools():
    network = SpikingNetwork(SMALL)
    counts = torch.zeros(1, 2, 32, 32, dtype=torch.uint8)
    counts[0, 1, 4:6, 8:10] = torch.tensor([[1, 2], [3, 4]], dtype=torch.uint8)
    encoded = network.encode(counts, 2.0)
    assert encoded.shape == (1, 2, 16, 16)
    # Ten events in four cells of two pixels each.
    assert encoded[0, 1, 2, 4].item() == pytest.approx(10 / 8)
    assert torch.count_nonzero(encoded) == 1


@torch.no_grad()
def test_traces_leak_and_add_up(network):
    encoded = torch.zeros(3, 1, 2, 16, 16)
    encoded[0, 0, 1, 4, 5], encoded[2, 0, 1, 4, 5] = 0.5, 0.25
    _, (traces, *_) = network(encoded, network.initial_state(1))
    assert traces.shape == (1, 4, 2, 16, 16)
    expected = [0.5 * (1 - 10 / tau) ** 2 + 0.25 for tau in SMALL.trace_ms]
    np.testing.assert_allclose(traces[0, :, 1, 4, 5], expected, rtol=1e-6)
    assert torch.count_nonzero(traces) == 4


@torch.no_grad()
def test_rates_remember_nothing_but_traces(network, encoded):
    """One slice with the traces of those before is what the whole sequence gives at its end."""
    network.spiking = False
    # Untrained, the last neurons hardly fire.
    for norm in network.norms[1:]:
        norm.weight.mul_(5)
        norm.bias.add_(1)
    whole, _ = network(encoded, network.initial_state(3))
    _, (traces, *_) = network(encoded[:-1], network.initial_state(3))
    rest = network.initial_state(3)[1:]
    alone, _ = network(encoded[-1:], (traces, *rest))
    torch.testing.assert_close(alone[0], whole[-1])
    assert not torch.equal(network(encoded[-1:], network.initial_state(3))[0][0], alone[0])


@pytest.mark.parametrize('leak', [0.2, 0.5])
def test_rate_is_that_of_the_spikes(leak):
    def fired(current):
        spikes, _ = lif_sequence(torch.full((400, 1), current), torch.zeros(1), leak, 1.0)
        return spikes[200:].mean().item()

    for current, expected in ((0.9, 0.0), (1.0, 0.0), (1.01 / leak, 1.0), (9.0, 1.0)):
        assert fired(current) == expected
        assert firing_rate(torch.tensor(current), leak).item() == pytest.approx(expected)
    between = torch.linspace(1, 1 / leak, 20)
    difference = [fired(c) - firing_rate(torch.tensor(c), leak).item() for c in between.tolist()]
    # A neuron fires every second, third, fourth slice, never between.
    assert np.abs(difference).max() < 0.51
    assert np.abs(np.mean(difference)) < 0.15


def test_intensities_are_squares_of_what_the_logits_say():
    assert intensities(torch.logit(torch.tensor(0.5))).item() == pytest.approx(0.25)


def test_layers_add_their_input_to_rates_alone():
    with pytest.raises(ValueError, match='to a rate, not to a current'):
        SpikingConfiguration(drive='current')


def test_bursts_need_spikes_that_subtract():
    with pytest.raises(ValueError, match='burst 4 needs the reset subtract: it is zero'):
        SpikingConfiguration(reset='zero')
    with pytest.raises(ValueError, match='burst 0 must be at least 1'):
        SpikingConfiguration(burst=0)


def test_lists_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match='one value per spiking layer'):
        SpikingConfiguration(channels=(8, 16))


@pytest.mark.parametrize(
    ('leak', 'burst', 'largest', 'mean'),
    [(0.2, 1, 0.12, 0.06), (0.25, 1, 0.12, 0.06), (0.25, 4, 0.06, 0.02), (0.5, 4, 0.11, 0.04)],
)
def test_rate_of_spikes_that_subtract_is_the_rate_that_is_wanted(leak, burst, largest, mean):
    wanted = torch.linspace(0, 1, 21)
    current = current_for_rate(wanted, leak, burst).expand(400, 21)
    spikes, _ = lif_sequence(current, torch.zeros(21), leak, 1.0, True, burst)
    found = spikes[200:].mean(0)
    assert (found - wanted).abs().max() < largest
    assert (found - wanted).abs().mean() < mean
    torch.testing.assert_close(firing_rate(current[0], leak, burst), wanted)


def test_bursts_follow_a_rate_at_once():
    """Single spikes are what a voltage holds back; in bursts they leave with what drives them."""
    rate = torch.full((6, 1), 0.7)
    followed = {}
    for burst in (1, 8):
        current = current_for_rate(rate, 0.5, burst)
        spikes, _ = lif_sequence(current, torch.zeros(1), 0.5, 1.0, True, burst)
        followed[burst] = (spikes[:, 0] - 0.7).abs().max().item()
    assert followed[8] < 0.13 < 0.69 < followed[1]


@pytest.mark.parametrize('burst', [2, 4])
def test_a_burst_is_so_many_spikes_of_a_neuron_of_norse(burst):
    """A neuron with the whole threshold, given so many times the current, and time to fire."""
    cell = BurstCell(burst, 0.02, 0.01, True, 1.0)
    parameters = LIFBoxParameters(
        tau_mem_inv=torch.tensor(50.0), v_th=torch.tensor(1.0), reset_method=reset_subtract
    )
    single, still = LIFBoxCell(parameters, dt=0.01), LIFBoxCell(parameters, dt=0.0)
    generator = torch.Generator().manual_seed(0)
    state = LIFBoxFeedForwardState(torch.zeros(50))
    other, counts = LIFBoxFeedForwardState(torch.zeros(50)), []
    for current in 3 * torch.rand(20, 50, generator=generator) - 0.5:
        spikes, state = cell(current, state)
        count, other = single(burst * current, other)
        for _ in range(burst - 1):
            more, other = still(burst * current, other)
            count = count + more
        torch.testing.assert_close(burst * spikes, count)
        torch.testing.assert_close(burst * state.v, other.v)
        counts.append(count)
    assert set(torch.stack(counts).unique().tolist()) == set(range(burst + 1))


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 2**31), st.floats(12, 200), st.sampled_from([2, 4, 8]))
def test_scan_of_bursts_equals_the_cell(seed, tau_ms, burst):
    generator = torch.Generator().manual_seed(seed)
    current = 3 * torch.randn(15, 2, 3, generator=generator)
    voltage = 0.3 * torch.randn(2, 3, generator=generator)
    fired, after = lif_sequence(current, voltage, 10 / tau_ms, 1.0, True, burst)
    cell = BurstCell(burst, tau_ms * 1e-3, 0.01, True, 1.0)
    state, spikes = LIFBoxFeedForwardState(voltage), []
    for now in current:
        spike, state = cell(now, state)
        spikes.append(spike)
    differs = fired != torch.stack(spikes)
    # A voltage within rounding of the threshold may fire in one and not in the other.
    assert differs.float().mean() < 0.02
    if not differs.any():
        torch.testing.assert_close(after, state.v, rtol=1e-4, atol=1e-5)


def test_bursts_pass_gradients_from_below_the_threshold_to_beyond_all_spikes():
    current = torch.tensor([-2.0, 0.0, 0.5, 1.5, 3.0, 5.0])[None].requires_grad_()
    spikes, _ = lif_sequence(current, torch.zeros(6), 0.5, 1.0, True, 4)
    assert spikes[0].tolist() == [0, 0, 0, 0.5, 1, 1]
    spikes.sum().backward()
    # Half of each current is the voltage: -1, 0, 0.25, 0.75, 1.5 and 2.5.
    assert current.grad[0].tolist() == [0, 0.375, 0.5, 0.5, 0.25, 0]


def test_limited_rates_pass_gradients_of_neurons_near_the_limits():
    rate = torch.tensor([-2.0, -0.5, 0.5, 1.5, 3.0], requires_grad=True)
    limited = limit_rate(rate)
    limited.sum().backward()
    assert limited.tolist() == pytest.approx([0, 0, 0.5, 1, 1])
    assert rate.grad.tolist() == [0, 1, 1, 1, 0]


@torch.no_grad()
def test_a_layer_adds_its_input():
    torch.manual_seed(0)
    network = SpikingNetwork(replace(SMALL, neurons='graded')).eval()
    for norm in network.norms:
        torch.nn.init.constant_(norm.bias, 0.3)
    encoded = torch.rand(1, 1, 2, 16, 16)
    seen = []
    network.convolutions[2].register_forward_hook(lambda _, given, out: seen.append((given, out)))
    network.projection.register_forward_hook(lambda _, given, __: seen.append(given[0]))
    network.step(encoded[0], network.initial_state())
    (((before,), convolved), after) = seen
    expected = (before + network.norms[2](convolved)).clamp(0, 1)
    torch.testing.assert_close(after, expected.flatten(1))


@torch.no_grad()
def test_opposite_events_cancel_in_signed_traces():
    traces = torch.zeros(1, 1, 2, 1, 1)
    encoded = torch.tensor([0.3, 0.3]).view(1, 2, 1, 1)
    inputs, _ = update_traces(encoded, traces, (0.5,), 0.1, signed=True)
    assert inputs.flatten().tolist() == pytest.approx([0, 0.6 / 0.7])
    inputs, _ = update_traces(
        encoded * torch.tensor([1, 0]).view(2, 1, 1), traces, (0.5,), 0.1, True
    )
    assert inputs.flatten().tolist() == pytest.approx([-0.75, 0.75])


@torch.no_grad()
def test_small_traces_are_seen_beside_large_ones_if_the_input_adapts():
    # The whole head moves; one cell has twice the events of the others.
    encoded = torch.full((1, 2, 4, 4), 1.0)
    encoded[0, 1, 0, 0] = 3.0
    traces = torch.zeros(1, 1, 2, 4, 4)
    contrasts = []
    for adaptation in (0.0, 2.0):
        inputs, _ = update_traces(encoded, traces, (0.5,), 0.1, True, adaptation)
        contrasts.append(float(inputs[0, 1, 0, 0] - inputs[0, 1, 1, 1]))
        assert inputs.abs().max() < 1
    mean = (2.0 * 15 + 4.0) / 16
    expected = 4 / (4 + 0.1 + 2 * mean) - 2 / (2 + 0.1 + 2 * mean)
    assert contrasts == pytest.approx([4 / 4.1 - 2 / 2.1, expected], abs=1e-6)
    assert contrasts[1] > 5 * contrasts[0]


@pytest.mark.parametrize(('gain', 'is_limited'), [(0.05, False), (5.0, True)])
@torch.no_grad()
def test_rectified_neurons_are_graded_ones_without_upper_limit(gain, is_limited):
    torch.manual_seed(0)
    graded = SpikingNetwork(replace(SMALL, neurons='graded', initial_gain=gain))
    rectified = SpikingNetwork(replace(SMALL, neurons='rectified'))
    rectified.load_state_dict(graded.state_dict())
    encoded = torch.rand(4, 2, 2, 16, 16)
    (one, _), (other, _) = (n(encoded, n.initial_state(2)) for n in (graded, rectified))
    assert torch.equal(one, other) != is_limited


@torch.no_grad()
def test_rates_of_rectified_neurons_are_brought_below_a_limit():
    torch.manual_seed(0)
    shape = replace(SMALL, neurons='rectified', initial_gain=3.0)
    trained = SpikingNetwork(shape)
    encoded = torch.rand(6, 4, 2, 16, 16)
    state = trained.initial_state(4)
    for _ in range(5):
        trained(encoded, state)
    deployed = trained.eval().deployed()
    assert any(shape.adds_input(layer) for layer in range(len(shape.channels)))
    wanted, _ = deployed(encoded, state)
    limited = deployed.limited(encoded, state, 1.0)
    assert limited.configuration.neurons == 'graded'
    # No rate of these inputs meets the limit, so nothing else has changed.
    found, _ = limited(encoded, state)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    unlimited = SpikingNetwork(replace(shape, neurons='graded'), False)
    unlimited.load_state_dict(deployed.state_dict())
    assert (unlimited(encoded, state)[0] - wanted).abs().max() > 0.1
    # A tenth of the rates of each channel meets it now.
    assert not torch.allclose(deployed.limited(encoded, state, 0.9)(encoded, state)[0], wanted)


@torch.no_grad()
def test_evidence_is_gathered_over_slices():
    torch.manual_seed(0)
    network = SpikingNetwork(replace(SMALL, neurons='graded', decision_tau_ms=50.0)).eval()
    network.leak_logit.fill_(20.0)
    encoded = torch.zeros(40, 1, 2, 16, 16)
    logits, _ = network(encoded, network.initial_state())
    evidence = logits[:, 0, :, 2] - network.decision_bias
    # Nothing changes, so each slice closes a fifth of the distance to where all would end.
    torch.testing.assert_close(evidence[10], evidence[39] * (1 - 0.8**11), rtol=2e-3, atol=1e-4)


@torch.no_grad()
def test_a_warm_state_is_that_after_a_long_time():
    torch.manual_seed(0)
    network = SpikingNetwork(replace(SMALL, neurons='graded', trace_ms=(10.0,))).eval()
    encoded = torch.rand(1, 1, 2, 16, 16).expand(400, -1, -1, -1, -1)
    state = network.initial_state()
    _, after = network(encoded, state)
    seen = (after[0], *state[1:])
    *_, integrated, evidence = network.warm_state(encoded, seen)
    torch.testing.assert_close(integrated, after[-2], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(evidence, after[-1], rtol=1e-3, atol=1e-4)
    *_, integrated, evidence = network.warm_state(encoded, state)
    assert not integrated.any()
    assert not evidence.any()


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**31), st.floats(12, 200), st.floats(0.3, 2), st.booleans())
def test_scan_equals_norse_forward_and_backward(seed, tau_ms, width, subtract):
    generator = torch.Generator().manual_seed(seed)
    current = (3 * torch.randn(15, 2, 3, generator=generator)).requires_grad_()
    voltage = (0.3 * torch.randn(2, 3, generator=generator)).requires_grad_()
    weight = torch.randn(15, 2, 3, generator=generator)
    parameters = LIFBoxParameters(
        tau_mem_inv=torch.tensor(1e3 / tau_ms),
        v_th=torch.tensor(1.0),
        method='triangle',
        alpha=width,
        reset_method=reset_subtract if subtract else reset_value,
    )
    cell, state, spikes = LIFBoxCell(parameters, dt=0.01), LIFBoxFeedForwardState(voltage), []
    for now in current.unbind():
        spike, state = cell(now, state)
        spikes.append(spike)
    expected = torch.stack(spikes)
    wanted = torch.autograd.grad(
        (expected * weight).sum() + state.v.square().sum(), (current, voltage)
    )

    fired, after = lif_sequence(current, voltage, 10 / tau_ms, width, subtract)
    got = torch.autograd.grad((fired * weight).sum() + after.square().sum(), (current, voltage))
    # A voltage within rounding of the threshold may fire in one and not in the other.
    if torch.equal(fired, expected):
        torch.testing.assert_close(after, state.v, rtol=1e-4, atol=1e-5)
        for a, b in zip(got, wanted, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)
    else:
        assert (fired != expected).float().mean() < 0.05


@torch.no_grad()
def test_folded_convolution_is_equal():
    torch.manual_seed(0)
    convolution, norm = nn.Conv2d(2, 4, 3, 2, 1), nn.BatchNorm2d(4)
    for _ in range(3):
        norm(convolution(torch.randn(8, 2, 9, 9)))
    norm.eval()
    x = torch.randn(2, 2, 9, 9)
    torch.testing.assert_close(fold_batch_norm(convolution, norm)(x), norm(convolution(x)))


def test_norm_without_statistics_cannot_be_fold_batch_norm():
    with pytest.raises(ValueError, match='no running statistics'):
        fold_batch_norm(nn.Conv2d(1, 1, 3), nn.BatchNorm2d(1, track_running_stats=False))


def test_layers_are_found_again_among_those_that_add_their_input():
    own = SpikingConfiguration()
    grown = replace(
        own,
        channels=(24, 48, 48, 48, 96, 96, 96),
        kernels=(5, 3, 3, 3, 3, 3, 3),
        strides=(2, 2, 1, 1, 2, 1, 2),
        tau_ms=(20.0,) * 7,
    )
    assert own.find_layers(own) == [0, 1, 2, 3, 4, 5]
    assert own.find_layers(grown) == [0, 1, 2, 4, 5, 6]
    for other in (
        replace(grown, residual=False),
        replace(grown, strides=(2, 2, 1, 2, 2, 1, 2)),
        replace(grown, kernels=(3, 3, 3, 3, 3, 3, 3)),
    ):
        with pytest.raises(ValueError, match='and others that add their input'):
            own.find_layers(other)
    with pytest.raises(ValueError, match='and others that add their input'):
        grown.find_layers(own)
