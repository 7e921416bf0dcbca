import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from microexpr_ros.errors import MicroexprError
from microexpr_ros.learning.data.augmentation import Augmentation, Jitter
from microexpr_ros.learning.data.batches import make_batch
from microexpr_ros.learning.data.clips import UNDECIDED, make_sparse
from microexpr_ros.learning.data.fresh import FreshConfiguration
from microexpr_ros.learning.models.baselines import (
    always_positive,
    chance,
    majority,
    mean_face,
    newest_frame,
)
from microexpr_ros.learning.pipelines import make_action_units, make_reconstruction
from microexpr_ros.learning.prediction import Prediction
from microexpr_ros.learning.training import action_units as training
from microexpr_ros.learning.training.action_units import (
    ActionUnitLoss,
    TrainingConfiguration,
    _side_loss,
    predict,
    sample_slice_ends,
    sample_window_ends,
    score,
    train,
)
from microexpr_ros.learning.training.checkpoint import read_best, write_checkpoint
from microexpr_ros.learning.training.configuration import ActionUnitRun, ReconstructionRun
from microexpr_ros.learning.training.reconstruction import (
    ExampleSampler,
    ReconstructionExample,
    ReconstructionTraining,
    divergence,
    make_example_batch,
    train_reconstruction,
    true_flows,
)
from microexpr_ros.perception.classifier import ActionUnitClassifier
from microexpr_ros.perception.reconstruction.configuration import (
    PICTURES,
    ReconstructionConfiguration,
)
from microexpr_ros.perception.reconstruction.integration import ContrastThresholds
from microexpr_ros.perception.reconstruction.network import ConditionalVae, Gaussians
from microexpr_ros.perception.reconstruction.reconstructor import Reconstructor
from microexpr_ros.perception.spiking.configuration import SpikingConfiguration
from microexpr_ros.perception.spiking.network import (
    SpikingNetwork,
    averaged_slices,
    random_spikes,
)
from microexpr_ros.perception.weights import load

SMALL = SpikingConfiguration(
    pool=4,
    channels=(6, 8),
    kernels=(5, 3),
    strides=(2, 2),
    tau_ms=(20.0, 40.0),
    integrators=16,
)
TINY = ReconstructionConfiguration(fine=4, width=4, latent=2, global_latent=3)


class StopError(Exception):
    pass


def short(**changes):
    known = {'epochs': 2, 'rate_share': 0.5, 'batch': 6, 'seed': 3}
    return TrainingConfiguration(**{**known, **changes})


def logits(sides, eps):
    return torch.logit(sides.sqrt(), eps)


def at_rest(valid):
    return torch.full(valid.shape, 18)


def test_loss_of_a_perfect_network_is_small():
    sides = torch.zeros(10, 2, 18, 2)
    sides[4:7, 0, 2, 1] = 0.25
    label = torch.tensor([2, 18])
    valid = torch.ones(10, 2, dtype=torch.bool)
    loss = ActionUnitLoss(clip_weight=0.3)
    right = loss(logits(sides, 1e-4), sides, valid, label, at_rest(valid))
    wrong = loss(logits(sides.roll(1, 2), 1e-4), sides, valid, label, at_rest(valid))
    other_side = loss(logits(sides.flip(3), 1e-4), sides, valid, label, at_rest(valid))
    assert 0 <= right < 0.05 < 10 * right < other_side <= wrong


def test_loss_does_not_see_what_is_filled_up():
    torch.manual_seed(0)
    given, sides = torch.randn(10, 2, 18, 2), torch.rand(10, 2, 18, 2)
    valid = torch.ones(10, 2, dtype=torch.bool)
    valid[6:, 1] = False
    other = torch.where(valid[..., None, None], given, 9.0)
    loss, label = ActionUnitLoss(0.3), torch.tensor([2, 4])
    hidden = torch.where(valid[..., None, None], sides, 0.0)
    # A unit that moves more than the dominant one, but where nobody looks.
    moved = torch.where(valid[..., None, None], 0.9 * sides, 1.0)
    main = at_rest(valid)
    assert loss(given, 0.9 * hidden, valid, label, main) == loss(other, moved, valid, label, main)


def test_sequences_of_a_clip_are_one_clip_to_the_loss():
    """One clip of two sequences, in the order of time or not, is one of twice the length."""
    torch.manual_seed(0)
    given, sides = torch.randn(8, 1, 18, 2), torch.rand(8, 1, 18, 2)
    valid, label = torch.ones(8, 1, dtype=torch.bool), torch.tensor([2])
    loss = ActionUnitLoss(0.3)
    halves = [torch.cat([x[4:], x[:4]], 1) for x in (given, sides, valid)]
    torch.testing.assert_close(
        loss(*halves, label, at_rest(halves[2])), loss(given, sides, valid, label, at_rest(valid))
    )


def test_blink_under_an_expression_is_excused():
    sides = torch.zeros(4, 1, 18, 2)
    sides[:, 0, 2], sides[:, 0, 17] = 0.2, 1.0
    valid, label = torch.ones(4, 1, dtype=torch.bool), torch.tensor([2])
    loss = ActionUnitLoss(1.0)
    given = logits(sides, 1e-3)
    without = given.clone()
    without[:, :, 17] = -7
    by_slice, truth = ActionUnitLoss(0.0), (sides, valid, label, at_rest(valid))
    clip_loss = [(loss(x, *truth) - by_slice(x, *truth)).item() for x in (given, without)]
    assert clip_loss[0] == pytest.approx(clip_loss[1], abs=1e-4)


@pytest.mark.parametrize('number', [1, 2, 3])
def test_sampled_slices_hold_the_apex_the_rise_and_the_fall(make_clip, number):
    sparse, rng = make_sparse(make_clip(number)), np.random.default_rng(0)
    drawn = np.array([sample_slice_ends(sparse, 6, rng) for _ in range(300)])
    assert drawn.min() >= 1
    assert drawn.max() <= 40
    assert set(range(1, 41)) <= set(drawn[:, 3:].ravel().tolist())
    if number % 3:
        # Onset in slice 10, apex in slice 20, offset in slice 30; ends are one more.
        assert [(c.min(), c.max()) for c in drawn[:, :3].T] == [(20, 23), (11, 21), (21, 31)]
    assert sample_slice_ends(sparse, 2, rng).shape == (2,)


@pytest.mark.parametrize(
    'changes', [{'rate_share': 1.5}, {'rate_share': -0.5}, {'burn_in': 32}, {'epochs': 0}]
)
def test_trainings_that_make_no_sense_are_refused(changes):
    with pytest.raises(ValueError, match=str(next(iter(changes.values())))):
        short(**changes)


def test_training_learns_where_units_are(sparse_clips):
    # A few epochs of a few clips do not get over faces of every shape.
    alike = Augmentation(shift=6, zoom=0.08, stretch=1.0, turn=0.0, shear=0.0, bend=0.0)
    rates = {'learning_rate': 1e-2, 'spike_learning_rate': 1e-2}
    configuration = short(epochs=24, augmentation=alike, **rates)
    trained = train(sparse_clips, sparse_clips, configuration, SMALL)
    losses = [entry['loss'] for entry in trained.history]
    assert losses[11] < 0.8 * losses[0]
    assert losses[-1] < 0.8 * losses[0]
    # Only what spikes is scored.
    scores = [entry['score'] for entry in trained.history[12:]]
    assert all('score' not in entry for entry in trained.history[:12])
    assert (trained.epoch, trained.score) == (13 + int(np.argmax(scores)), max(scores))


def test_fresh_clips_come_beside_those_of_the_data_set_until_the_last_epochs(
    sparse_clips, monkeypatch
):
    few, used = sparse_clips[:4], []

    class Mixed:
        def __init__(self, configuration, seed):
            assert seed == 3

        def __len__(self):
            return 2

        def use(self, number):
            used.append(number)
            return sparse_clips[4 + number]

    monkeypatch.setattr(training, 'FreshClips', Mixed)
    fresh = FreshConfiguration(scenes=Path('somewhere'), exact_epochs=2)
    seen = []
    steps = lambda progress: seen.append((progress.epoch, progress.steps))  # noqa: E731
    train(few, few, short(epochs=4, batch=3, fresh=fresh), SMALL, report=steps)
    assert sorted(used) == [0, 0, 1, 1]
    assert {count for _, count in seen} == {2}


def test_parts_of_a_training_follow_each_other():
    c = TrainingConfiguration(epochs=20, rate_share=0.5, stochastic_share=0.3, learning_rate=4e-3)
    assert (c.rate_epochs, c.single_slice_epochs) == (10, 16)
    assert [(p.epochs, p.learning_rate) for p in c.phases] == [(10, 4e-3), (6, 1e-3), (4, 1e-3)]
    # Whatever the shares, the last epoch has spikes, unless all have firing rates.
    c = TrainingConfiguration(epochs=2, rate_share=0.0, stochastic_share=0.9, learning_rate=4e-3)
    assert [(p.epochs, p.learning_rate) for p in c.phases] == [(1, 4e-3), (1, 1e-3)]


def state_of(network):
    return {key: value.clone() for key, value in network.state_dict().items()}


def test_random_spikes_then_spikes_with_fixed_convolutions(sparse_clips, monkeypatch):
    few, seen = sparse_clips[:4], []
    forward = SpikingNetwork.forward

    def watch(network, *arguments, **options):
        if network.training:
            state = network.state_dict()
            fixed = [state[f'{name}.0.weight'].clone() for name in ('convolutions', 'norms')]
            seen.append((network.spiking, network.stochastic, *fixed, state['projection.weight']))
        return forward(network, *arguments, **options)

    monkeypatch.setattr(SpikingNetwork, 'forward', watch)
    c = short(
        epochs=4,
        batch=4,
        rate_share=0.0,
        stochastic_share=0.5,
        average=0.0,
        fixed_convolutions=True,
    )
    before = state_of(train(few, few, c, SMALL).network)
    # The first one measures the normalization.
    assert [part[:2] for part in seen[1:]] == [(False, True)] * 2 + [(True, True)] * 2
    assert not torch.equal(seen[1][2], seen[2][2])
    for position in (2, 3):
        assert torch.equal(seen[3][position], seen[4][position])
    assert torch.equal(before['convolutions.0.weight'], seen[3][2])


def test_graded_neurons_never_give_random_spikes_on_sequences():
    """The last epochs of a graded network have sequences in place of spikes."""
    network = SpikingNetwork(replace(SMALL, neurons='graded'))
    network.stochastic = True
    driven = torch.full((1, 6, 4, 4), 0.375)
    assert set(network._rate(0, driven).unique().tolist()) == {0.375}
    network.spiking = False
    slices = averaged_slices(network._reading_leak(0))
    spikes = SMALL.burst * slices * network._rate(0, driven)
    torch.testing.assert_close(spikes, spikes.round())
    assert len(spikes.round().unique()) > 1


def test_a_training_goes_on_from_another(sparse_clips):
    few = sparse_clips[:4]
    graded = replace(SMALL, neurons='graded')
    first = train(few, few, short(epochs=1, rate_share=1.0), graded).network
    slow = replace(SMALL, integrator_tau_ms=40.0)
    c = short(epochs=1, rate_share=0.0, learning_rate=1e-9, fixed_convolutions=True)
    second = train(few, few, c, slow, start=first.state_dict()).network
    for key, value in first.state_dict().items():
        if key.endswith('leak_logit'):
            continue
        torch.testing.assert_close(second.state_dict()[key], value, rtol=0, atol=1e-6)
    tau_ms = 10 / torch.sigmoid(second.leak_logit).detach()
    torch.testing.assert_close(tau_ms, torch.full_like(tau_ms, 40.0), rtol=1e-4, atol=0)


def test_a_training_of_units_goes_on_from_a_deployed_network(sparse_clips):
    few = sparse_clips[:4]
    graded = replace(SMALL, neurons='graded')
    first = train(few, few, short(epochs=2, rate_share=1.0), graded).network
    # A rate of nearly nothing: what is started from is what comes out.
    c = short(epochs=1, rate_share=1.0, learning_rate=1e-9)
    second = train(few, few, c, graded, start=first.deployed()).network
    assert second.normalized
    for one, other in zip(predict(first, few), predict(second, few), strict=True):
        np.testing.assert_allclose(one.intensity, other.intensity, atol=2e-3)
    # Its normalization has the statistics of what it learns from now, not those of before.
    assert not torch.allclose(first.norms[0].running_var, second.norms[0].running_var)


def test_a_network_grows_by_layers_that_add_their_input(sparse_clips):
    few = sparse_clips[:4]
    graded = replace(SMALL, neurons='graded')
    first = train(few, few, short(epochs=2, rate_share=1.0), graded).network
    grown = replace(
        graded,
        channels=(6, 6, 8, 8, 8),
        kernels=(5, 3, 3, 3, 3),
        strides=(2, 1, 2, 1, 1),
        tau_ms=(20.0, 20.0, 40.0, 20.0, 20.0),
    )
    # A rate of nearly nothing: what is started from is what comes out.
    c = short(epochs=1, rate_share=1.0, learning_rate=1e-9)
    second = train(few, few, c, grown, start=first.deployed()).network
    assert len(second.convolutions) == len(first.convolutions) + 3
    for one, other in zip(predict(first, few), predict(second, few), strict=True):
        np.testing.assert_allclose(one.intensity, other.intensity, atol=2e-3)
    c = short(epochs=2, rate_share=1.0, learning_rate=1e-2)
    learnt = train(few, few, c, grown, start=first.deployed()).network
    assert learnt.norms[1].weight.abs().max() > 1e-3
    other = replace(grown, channels=(9, *grown.channels[1:]))
    with pytest.raises(MicroexprError, match=r'another shape: layers .* are not'):
        train(few, few, c, other, start=first.deployed())


def test_spikes_go_on_from_rectified_neurons(sparse_clips):
    few = sparse_clips[:4]
    rectified = replace(SMALL, neurons='rectified', initial_gain=5.0)
    first = train(few, few, short(epochs=3, rate_share=1.0), rectified).network
    c, graded = (
        short(epochs=1, rate_share=1.0, learning_rate=1e-9),
        replace(SMALL, neurons='graded'),
    )
    limited, cut = (
        train(few, few, c, graded, start=start).network
        for start in (first.deployed(), first.state_dict())
    )
    wanted, found, wrong = (
        np.concatenate([p.intensity for p in predict(network, few)])
        for network in (first, limited, cut)
    )
    assert np.abs(found - wanted).mean() < 0.5 * np.abs(wrong - wanted).mean()
    spiking = train(few, few, short(epochs=1, rate_share=0.0), SMALL, start=first.deployed())
    assert spiking.network.configuration.spikes


def test_weights_start_a_training_of_their_model_alone(sparse_clips, tmp_path):
    few = sparse_clips[:4]
    still = short(epochs=1, rate_share=1.0, learning_rate=1e-9)
    graded = replace(SMALL, neurons='graded')
    run = ActionUnitRun(tmp_path, tmp_path, training=still, network=graded)
    make_action_units(few, few, run)
    path = tmp_path / 'au.safetensors'
    first = predict(ActionUnitClassifier.from_weights(load(path, 'au')).network, few)
    again = replace(run, out=tmp_path / 'again', start=path)
    make_action_units(few, few, again)
    path = again.out / 'au.safetensors'
    second = predict(ActionUnitClassifier.from_weights(load(path, 'au')).network, few)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_allclose(one.intensity, other.intensity, atol=2e-3)
    with pytest.raises(MicroexprError, match='start twin from a checkpoint'):
        make_action_units(few, few, replace(again, model='twin'))


@pytest.mark.parametrize(
    ('first', 'then', 'file', 'is_refused'),
    [
        ('graded', 'rectified', 'au.safetensors', True),
        ('graded', 'rectified', 'events.checkpoint', True),
        ('rectified', 'graded', 'events.checkpoint', True),
        ('rectified', 'graded', 'au.safetensors', False),
        ('rectified', 'rectified', 'events.checkpoint', False),
    ],
)
def test_only_weights_of_rectified_neurons_start_neurons_with_a_limit(
    first, then, file, is_refused, sparse_clips, tmp_path
):
    few, short_one = sparse_clips[:4], short(epochs=1, rate_share=1.0)
    shape = replace(SMALL, neurons=first)
    make_action_units(
        few, few, ActionUnitRun(tmp_path, tmp_path, training=short_one, network=shape)
    )
    again = ActionUnitRun(
        tmp_path,
        tmp_path / 'again',
        training=short_one,
        network=replace(SMALL, neurons=then),
        start=tmp_path / file,
    )
    if not is_refused:
        make_action_units(few, few, again)
        return
    with pytest.raises(MicroexprError, match=f'has {first} neurons, which {then} ones do not'):
        make_action_units(few, few, again)


def test_a_start_of_another_shape_is_refused(sparse_clips):
    start = SpikingNetwork(replace(SMALL, integrators=7)).state_dict()
    with pytest.raises(MicroexprError, match=r'another shape.*projection'):
        train(sparse_clips[:4], sparse_clips[:4], short(epochs=1), SMALL, start=start)


def test_a_start_must_be_a_finished_training(tmp_path):
    with pytest.raises(MicroexprError, match=r'no checkpoint at .*none: train the run'):
        read_best(tmp_path / 'none')
    (path := tmp_path / 'text').write_text('text')
    with pytest.raises(MicroexprError, match='is no checkpoint'):
        read_best(path)
    write_checkpoint(path, {}, {}, [{'loss': 1.0}], {})
    with pytest.raises(MicroexprError, match='has no scored epoch yet'):
        read_best(path)
    write_checkpoint(path, {}, {}, [{'loss': 1.0}], {'weight': torch.ones(2)})
    assert torch.equal(read_best(path)['weight'], torch.ones(2))


def test_the_side_loss_asks_for_the_ratio_of_the_sides_where_something_moves_unevenly():
    sides = torch.zeros(1, 2, 18, 2)
    sides[0, :, 3] = torch.tensor([0.36, 0.04])
    sides[0, :, 5] = torch.tensor([0.5, 0.45])
    valid = torch.tensor([[True, False]])
    logits = torch.zeros(1, 2, 18, 2, requires_grad=True)
    loss = _side_loss(logits, sides, valid)
    loss.backward()
    # Towards more on the left, in the one uneven unit and in the one slice that counts.
    assert logits.grad[0, 0, 3, 0] < 0 < logits.grad[0, 0, 3, 1]
    assert logits.grad.count_nonzero() == 2
    right = torch.zeros(1, 2, 18, 2)
    right[..., 3, 0] = np.log(3)
    assert float(_side_loss(right, sides, valid)) == pytest.approx(0, abs=1e-6)
    assert float(loss) > 0.05
    # What is uneven weighs the same however much moves evenly beside it.
    beside = torch.cat([sides, torch.full((1, 50, 18, 2), 0.4)], 1)
    many = _side_loss(torch.zeros(1, 52, 18, 2), beside, torch.ones(1, 52, dtype=torch.bool))
    assert float(many) == pytest.approx(float(_side_loss(logits, sides, ~valid | valid)), rel=1e-4)


def test_random_spikes_have_the_rate_as_mean_and_gradient():
    rate = torch.tensor([0.0, 0.25, 0.75, 1.0]).repeat(4000, 1).requires_grad_()
    spikes = random_spikes(rate)
    assert set(spikes.unique().tolist()) == {0.0, 1.0}
    torch.testing.assert_close(spikes.mean(0), rate[0], rtol=0, atol=0.03)
    spikes.sum().backward()
    assert torch.equal(rate.grad, torch.ones_like(rate))


def test_random_bursts_are_the_rate_rounded_up_or_down():
    rate = torch.tensor([0.0, 0.25, 0.4, 0.9, 1.0]).repeat(4000, 1).requires_grad_()
    spikes = random_spikes(rate, 1, 4)
    torch.testing.assert_close(spikes.mean(0), rate[0], rtol=0, atol=0.01)
    counts = [set((4 * column).unique().tolist()) for column in spikes.unbind(1)]
    assert counts == [{0.0}, {1.0}, {1.0, 2.0}, {3.0, 4.0}, {4.0}]
    spikes.sum().backward()
    assert torch.equal(rate.grad, torch.ones_like(rate))


def test_random_spikes_are_as_uncertain_as_what_a_leaky_integrator_makes_of_them():
    torch.manual_seed(0)
    leak, rate = 0.25, 0.3
    spikes = (torch.rand(200, 2000) < rate).float()
    integrated = torch.full((2000,), rate)
    for now in spikes:
        integrated = integrated + leak * (now - integrated)
    drawn = random_spikes(torch.full((20_000,), rate), averaged_slices(leak))
    assert float(drawn.var()) == pytest.approx(float(integrated.var()), rel=0.1)
    assert averaged_slices(1.0) == 1


def test_weights_are_averaged(sparse_clips):
    few = sparse_clips[:6]
    newest, averaged = (
        train(few, few, short(epochs=1, rate_share=0.0, average=average), SMALL).network
        for average in (0.0, 0.999)
    )
    # After one step of the optimizer: of the start 1 / 11, and the rest of the new weights.
    torch.manual_seed(3)
    start = training.build('events', SMALL).state_dict()
    key = 'convolutions.0.weight'
    new, mean = (network.state_dict()[key] for network in (newest, averaged))
    torch.testing.assert_close(mean, start[key] / 11 + new * 10 / 11, rtol=1e-4, atol=1e-6)


def test_spikes_must_be_trained(sparse_clips):
    with pytest.raises(MicroexprError, match='leaves no epoch of 2 that trains with spikes'):
        train(sparse_clips, sparse_clips, short(rate_share=1.0), SMALL)
    graded = replace(SMALL, neurons='graded')
    trained = train(sparse_clips[:3], sparse_clips, short(rate_share=1.0, scored=0.5), graded)
    assert ['score' in entry for entry in trained.history] == [False, True]


def test_windows_hold_the_apex_and_reach_the_fall_and_the_rest(make_clip):
    sparse, rng = make_sparse(make_clip(1)), np.random.default_rng(0)
    drawn = np.array([sample_window_ends(sparse, 2, 12, rng) for _ in range(300)])
    # The apex is in slice 20.
    assert (drawn[:, 0].min(), drawn[:, 0].max()) == (21, 31)
    assert (drawn[:, 1].min(), drawn[:, 1].max()) == (12, 40)


def test_evidence_is_trained_on_the_published_label():
    sides = torch.zeros(4, 1, 18, 2)
    sides[:, 0, 2], sides[:, 0, 17] = 0.2, 1.0
    valid, label = torch.ones(4, 1, dtype=torch.bool), torch.tensor([2])
    loss, blind = ActionUnitLoss(0.0, 1.0), ActionUnitLoss(0.0, 0.0)
    right = torch.cat([logits(sides, 1e-3), torch.full((4, 1, 18, 1), -9.0)], 3)
    right[2, 0, 2, 2] = 9.0
    blink = right.clone()
    blink[:, 0, 17, 2] = 12.0
    truth = sides, valid, label, at_rest(valid)
    found = [(loss(x, *truth) - blind(x, *truth)).item() for x in (right, blink)]
    assert found == pytest.approx([0, 3], abs=0.1)


def movement_loss(evidence, main, valid=None):
    sides = torch.zeros(*evidence.shape, 2)
    valid = torch.ones(main.shape, dtype=torch.bool) if valid is None else valid
    given = torch.cat([logits(sides, 1e-3), evidence[..., None]], 3)
    label = torch.tensor([18])
    with_it, without = ActionUnitLoss(0.0, movement_weight=1.0), ActionUnitLoss(0.0)
    truth = sides, valid, label, main
    return (with_it(given, *truth) - without(given, *truth)).item()


def test_evidence_is_trained_in_every_slice():
    """Evidence in the right slice does not excuse evidence in another, as it does over a clip."""
    main = torch.tensor([[18], [-1], [2], [18]])
    right = torch.full((4, 1, 18), -9.0)
    right[2, 0, 2] = 9.0
    early = right.clone()
    early[0, 0, 2] = 6.0
    begun = right.clone()
    begun[1, 0, 2] = 6.0
    none_found = torch.full((4, 1, 18), -9.0)
    # One of two slices at rest has a loss of 6, and rest has half of the weight.
    losses = [movement_loss(evidence, main) for evidence in (right, begun, early, none_found)]
    assert losses == pytest.approx([0, 0, 1.5, 4.5], abs=0.01)


def test_slices_with_a_movement_weigh_as_much_as_those_without():
    main = torch.full((10, 1), 18)
    main[4] = 3
    none_found = torch.full((10, 1, 18), -9.0)
    assert movement_loss(none_found, main) == pytest.approx(4.5, abs=0.01)


def test_evidence_is_not_trained_where_a_sequence_is_filled_up():
    main = torch.tensor([[2], [18], [18]])
    evidence = torch.full((3, 1, 18), -9.0)
    evidence[0, 0, 2] = evidence[2, 0, 5] = 9.0
    valid = torch.tensor([[True], [True], [False]])
    assert movement_loss(evidence, main, valid) == pytest.approx(0, abs=0.01)
    assert movement_loss(evidence, torch.full((3, 1), UNDECIDED)) == 0


def test_resumed_training_is_the_uninterrupted_one(sparse_clips, tmp_path):
    def stop(progress):
        if progress.epoch == 1:
            raise StopError

    whole = train(sparse_clips, sparse_clips, short(), SMALL)
    path = tmp_path / 'au.checkpoint'
    with pytest.raises(StopError):
        train(
            sparse_clips,
            sparse_clips,
            short(),
            SMALL,
            checkpoint=path,
            report=stop,
        )
    resumed = train(sparse_clips, sparse_clips, short(), SMALL, checkpoint=path, resume=True)
    assert [e['loss'] for e in resumed.history] == [e['loss'] for e in whole.history]
    for key, value in whole.network.state_dict().items():
        torch.testing.assert_close(resumed.network.state_dict()[key], value)


def test_resuming_something_else_is_refused(sparse_clips, tmp_path):
    path = tmp_path / 'au.checkpoint'
    few = sparse_clips[:2]
    with pytest.raises(MicroexprError, match='leave out --resume'):
        train(few, few, short(), SMALL, checkpoint=path, resume=True)
    path.write_text('text')
    with pytest.raises(MicroexprError, match='is no checkpoint'):
        train(few, few, short(), SMALL, checkpoint=path, resume=True)
    train(few, few, short(epochs=1), SMALL, checkpoint=path)
    for clips, changes in ((few, {'seed': 9}), (sparse_clips[2:4], {})):
        with pytest.raises(MicroexprError, match='other settings or data'):
            train(clips, few, short(epochs=1, **changes), SMALL, checkpoint=path, resume=True)


@pytest.mark.parametrize('control', ['time-shuffled', 'memoryless'])
def test_controls_train(sparse_clips, control):
    few = sparse_clips[:3]
    trained = train(few, few, short(control=control), SMALL)
    assert np.isfinite(trained.history[0]['loss'])


@pytest.mark.parametrize('control', ['time-shuffled', 'memoryless'])
def test_controls_change_what_a_network_with_memory_says(sparse_clips, control):
    torch.manual_seed(0)
    network, few = SpikingNetwork(SMALL), sparse_clips[:3]
    density = torch.from_numpy(make_batch(few, SMALL.pool).density)
    # Untrained currents are too small to fire before the normalization has seen some.
    for norm in network.norms:
        norm.momentum = 1.0
    with torch.no_grad():
        network(network.encode(density, 1.0), network.initial_state(3))
    plain, without = (predict(network.eval(), few, c) for c in ('none', control))
    assert [t.intensity.shape for t in without] == [(40, 18)] * 3
    assert not np.allclose(plain[0].intensity, without[0].intensity)


@torch.no_grad()
def test_shuffled_slices_are_read_back_in_the_order_of_time(sparse_clips):
    """A network without memory says the same of every slice, wherever it stands."""
    torch.manual_seed(0)
    network, few = SpikingNetwork(replace(SMALL, trace_ms=(10.0,))), sparse_clips[:3]
    network.spiking = False
    for norm in network.norms:
        norm.momentum = 1.0
        norm.weight.mul_(5)
    density = torch.from_numpy(make_batch(few, SMALL.pool).density)
    network(network.encode(density, 1.0), network.initial_state(3))
    plain, back = (predict(network.eval(), few, c) for c in ('none', 'time-shuffled'))
    assert np.ptp(plain[0].intensity, 0).any()
    for one, other in zip(back, plain, strict=True):
        np.testing.assert_allclose(one.intensity, other.intensity, rtol=1e-4)
        np.testing.assert_allclose(one.evidence, other.evidence, rtol=1e-4)


def test_resumed_reconstruction_is_the_uninterrupted_one(sparse_clips, tmp_path):
    def stop(progress):
        if progress.epoch == 1:
            raise StopError

    few, path = sparse_clips[:4], tmp_path / 'reconstruction.checkpoint'
    configuration = ReconstructionTraining(epochs=2, targets=2, batch=4)
    whole = train_reconstruction(few, few, configuration, TINY)
    with pytest.raises(StopError):
        train_reconstruction(few, few, configuration, TINY, path, report=stop)
    resumed = train_reconstruction(few, few, configuration, TINY, path, resume=True)
    assert resumed.history == whole.history
    for key, value in whole.network.state_dict().items():
        torch.testing.assert_close(resumed.network.state_dict()[key], value)


def test_prediction_does_not_depend_on_the_batch(sparse_clips, make_clip, monkeypatch):
    torch.manual_seed(0)
    network = SpikingNetwork(SMALL).eval()
    clips = [*sparse_clips[:2], make_sparse(make_clip(7, slices=33)), sparse_clips[3]]
    together = predict(network, clips)
    monkeypatch.setattr(training, 'PREDICTED_SLICES', 60)
    apart = predict(network, clips)
    assert [len(t.intensity) for t in apart] == [40, 40, 33, 40]
    for one, other in zip(together, apart, strict=True):
        np.testing.assert_allclose(one.intensity, other.intensity, atol=1e-6)
        np.testing.assert_allclose(one.evidence, other.evidence, atol=1e-6)


def test_score_by_hand(sparse_clips):
    perfect = [r.clip.intensity for r in sparse_clips]
    flat = [np.ones_like(t) for t in perfect]
    opposite = [np.broadcast_to(1 - t.max(0), t.shape) for t in perfect]
    for said, expected in ((perfect, 1), (flat, 0.5), (opposite, 0)):
        assert score([Prediction(t) for t in said], sparse_clips) == expected


def test_action_units_from_clips_to_weights(sparse_clips, tmp_path):
    run = ActionUnitRun(tmp_path, tmp_path, training=short(), network=SMALL)
    result = make_action_units(sparse_clips, sparse_clips, run)
    file = load(tmp_path / 'au.safetensors', 'au')
    classifier = ActionUnitClassifier.from_weights(file)
    assert classifier.model == result['model']
    assert file.settings['training']['best_epoch'] == result['best_epoch']
    assert (tmp_path / 'au.onnx').is_file()
    assert (tmp_path / 'au.nir').is_file()
    json.dumps(result, allow_nan=False)


def test_reconstruction_from_clips_to_weights(sparse_clips, tmp_path):
    configuration = ReconstructionTraining(epochs=2, targets=1, batch=6)
    run = ReconstructionRun(tmp_path, tmp_path, training=configuration, network=TINY)
    result = make_reconstruction(sparse_clips, sparse_clips, run)
    path = tmp_path / 'reconstruction.safetensors'
    assert Reconstructor.from_weights(load(path, 'reconstruction')).model == result['model']
    assert result['validation_loss'] == -max(e['score'] for e in result['history'])


def test_divergence_by_hand():
    def gaussians(mean, log_variance):
        """Return one local and no global latent value."""
        nothing = torch.zeros(1, 0)
        local = (torch.full((1, 1, 1, 1), value) for value in (mean, log_variance))
        return Gaussians(*local, nothing, nothing)

    standard = gaussians(0.0, 0.0)
    assert divergence(standard, standard).item() == 0
    # Unit variances: half the squared distance of the means.
    assert divergence(gaussians(2.0, 0.0), standard).item() == pytest.approx(2)
    normal = torch.distributions.Normal
    expected = torch.distributions.kl_divergence(normal(0.5, 2.0), normal(-1.0, 0.7))
    both = gaussians(0.5, 2 * np.log(2.0)), gaussians(-1.0, 2 * np.log(0.7))
    assert divergence(*both).item() == pytest.approx(expected.item())
    # The global values count like the local ones.
    swapped = [Gaussians(*part[2:], *(v.view(1, 1) for v in part[:2])) for part in both]
    empty = [torch.zeros(1, 0, 1, 1)] * 2
    moved = [Gaussians(*empty, *part[2:]) for part in swapped]
    assert divergence(*moved).item() == pytest.approx(expected.item())


def test_references_in_another_light_are_of_the_same_person_and_another_clip(sparse_clips):
    sampler = ExampleSampler(sparse_clips, TINY, ReconstructionTraining())
    rng = np.random.default_rng(0)
    for number, sparse in enumerate(sparse_clips):
        person = [s for s in sparse_clips if s.clip.identity == sparse.clip.identity]
        others = [frame for s in person if s is not sparse for frame in s.clip.frames]
        for _ in range(5):
            frame = sampler.sample_other_light(number, rng).frame
            assert any(np.array_equal(frame, other) for other in others)
            # Without references of its own, a clip has its frames.
            same = sampler.sample_same_light(number, rng).frame
            assert any(np.array_equal(same, own) for own in sparse.clip.frames)


def test_references_in_the_same_light_are_those_of_the_clip(sparse_clips):
    own = np.stack([np.full((128, 128), level, np.uint8) for level in (10, 20)])
    clips = [replace(sparse_clips[0], references=own), *sparse_clips[1:]]
    sampler = ExampleSampler(clips, TINY, ReconstructionTraining())
    rng = np.random.default_rng(0)
    levels = {int(sampler.sample_same_light(0, rng).frame.max()) for _ in range(20)}
    assert levels == {10, 20}


def test_a_training_goes_on_from_tensors_that_fit(sparse_clips):
    few, configuration = sparse_clips[:4], ReconstructionTraining(epochs=1, targets=1, batch=4)
    first = train_reconstruction(few, few, configuration, TINY).network.state_dict()
    # A rate of nearly nothing: what is started from is what comes out.
    still = replace(configuration, learning_rate=1e-12)
    start = {**first, 'paint.weight': torch.zeros(3), 'unknown': torch.zeros(1)}
    network = train_reconstruction(few, few, still, TINY, start=start).network
    after = dict(network.named_parameters())
    torch.testing.assert_close(after['fine.convolution.weight'], first['fine.convolution.weight'])
    # What has another size begins with random numbers.
    assert after['paint.weight'].shape == first['paint.weight'].shape
    assert after['paint.weight'].abs().max() > 1e-3


def test_a_training_goes_on_from_a_deployed_network(sparse_clips):
    few, configuration = sparse_clips[:4], ReconstructionTraining(epochs=1, targets=1, batch=4)
    deployed = train_reconstruction(few, few, configuration, TINY).network.deployed()
    # A rate of nearly nothing: what is started from is what comes out.
    still = replace(configuration, learning_rate=1e-12)
    again = train_reconstruction(few, few, still, TINY, start=deployed).network
    condition, _, _ = make_example_batch(
        [ReconstructionExample(sparse, 3, 0) for sparse in few], TINY
    )
    with torch.no_grad():
        before, after = deployed(condition), again.eval().deployed()(condition)
    assert before.image.std() > 0.01
    # The one step that was taken moved the running statistics by a tenth.
    assert (before.image - after.image).abs().mean() < 0.1 * before.image.std()


def test_blocks_that_are_added_to_a_network_change_nothing_at_first(sparse_clips):
    few, configuration = sparse_clips[:4], ReconstructionTraining(epochs=1, targets=1, batch=4)
    shallow = replace(TINY, blocks=0)
    before = train_reconstruction(few, few, configuration, shallow).network.deployed()
    still = replace(configuration, learning_rate=1e-12)
    deeper = replace(TINY, blocks=2)
    condition, _, _ = make_example_batch(
        [ReconstructionExample(sparse, 3, 0) for sparse in few], TINY
    )
    for start in (before, before.trainable(condition).state_dict()):
        after = train_reconstruction(few, few, still, deeper, start=start).network.deployed()
        assert len(after.whole) == 2
        with torch.no_grad():
            away = before(condition).image - after(condition).image
        assert away.abs().mean() < 0.1 * before(condition).image.std()


@torch.no_grad()
def test_a_deployed_network_in_the_form_that_is_trained_is_the_same(sparse_clips):
    torch.manual_seed(0)
    network = ConditionalVae(TINY)
    examples = [ReconstructionExample(sparse, 3, 0) for sparse in sparse_clips[:4]]
    condition, target, _ = make_example_batch(examples, TINY)
    network.train()(condition)
    deployed = network.eval().deployed()
    trainable = deployed.trainable(condition)
    torch.testing.assert_close(
        trainable.eval()(condition).image, deployed(condition).image, rtol=0, atol=1e-5
    )
    # In training, normalization by this batch changes nothing on it either.
    torch.testing.assert_close(
        trainable.train()(condition).image, deployed(condition).image, rtol=0, atol=1e-4
    )
    features, prior = trainable.eval().encode(condition)
    assert trainable.posterior is not None
    posterior = trainable.posterior(target, features[-1])
    for now, expected in zip(posterior, prior, strict=True):
        torch.testing.assert_close(now, expected)


def test_flows_are_learnt_from_true_movement():
    """The average of the frames shows everything two cells further left than now."""
    rng = np.random.default_rng(0)
    smooth = cv2.GaussianBlur(rng.standard_normal((128, 130)), (0, 0), 3)
    wide = torch.from_numpy(0.5 + 0.2 * smooth / smooth.std()).float().clamp(0, 1)
    condition = torch.zeros(2, TINY.channels, 128, 128)
    condition[0, -PICTURES + 6], condition[0, -PICTURES + 3] = wide[:, 2:], 1
    target = wide[:, :128].expand(2, 1, 128, 128)
    flows, known = true_flows(condition, target, TINY)
    assert known[0, :2].all()
    # Without a reference there, and in the second without a frame, there is none to learn from.
    assert not known[0, 2:].any()
    assert not known[1].any()
    inside = flows[0, :, 4:-4, 4:-4]
    torch.testing.assert_close(inside[0], torch.full((24, 24), -2.0), atol=0.3, rtol=0)
    torch.testing.assert_close(inside[1], torch.zeros(24, 24), atol=0.3, rtol=0)


def test_a_reference_is_mirrored_with_its_example(sparse_clips):
    training = ReconstructionTraining(reference_chance=1.0)
    sampler = ExampleSampler(sparse_clips, TINY, training)
    rng = np.random.default_rng(0)
    mirrored = [
        (example.jitter.mirror, example.reference.jitter.mirror)
        for example in (sampler.sample(0, rng) for _ in range(20))
    ]
    assert len(set(mirrored)) == 2
    assert all(own == other for own, other in mirrored)


def test_a_gain_of_the_events_leaves_the_change_of_light(sparse_clips):
    sparse = sparse_clips[1]
    example = ReconstructionExample(sparse, 6, 2, ContrastThresholds(0.3, 0.25))
    plain, _, _ = make_example_batch([example], TINY)
    louder, _, _ = make_example_batch(
        [replace(example, jitter=Jitter(gain=1.4, balance=1.2))], TINY
    )
    change = slice(TINY.event_channels - 1, None)
    assert plain[:, change].abs().max() > 0
    torch.testing.assert_close(louder[:, change], plain[:, change], atol=1e-5, rtol=1e-4)
    assert (louder[:, : change.start] - plain[:, : change.start]).abs().max() > 0.01


def test_baselines_by_hand(sparse_clips):
    assert chance() == pytest.approx(1 / 19)
    assert majority(np.array([4, 4, 18]), np.array([4, 18, 4, 4])) == 0.75
    present = np.zeros((4, 18), bool)
    present[:2, 0] = True
    # F1 of "always" for a unit in half of the clips is 2/3, for the others 0.
    assert always_positive(present) == pytest.approx(2 / 3 / 18)
    clip = sparse_clips[0].clip
    assert [newest_frame(sparse_clips[0], at) for at in (1, 4, 5)] == [None, 0, 1]
    same = mean_face([sparse_clips[0], sparse_clips[0]])
    np.testing.assert_array_equal(same, clip.target[0])
