import math
import struct
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from microexpr_ros.errors import MicroexprError
from microexpr_ros.learning.training.runner import (
    Optimization,
    Phase,
    Progress,
    TrainingTask,
    run_training,
    seed_torch,
    training_settings,
)
from microexpr_ros.learning.training.tensorboard import tensorboard_log


def line(optimization, scores=None, seen=None):
    """Return a task that fits y = 2 x with one weight."""
    seed_torch(optimization)
    network = nn.Linear(1, 1, bias=False)

    def losses(epoch, rng, order):
        for chosen in order:
            if seen is not None:
                seen.append((epoch, chosen.tolist()))
            x = torch.from_numpy(chosen.astype(np.float32))[:, None] / 10
            yield ((network(x) - 2 * x) ** 2).mean()

    def score(net):
        if scores is not None:
            return scores.pop(0)
        return -abs(float(net.weight.detach()) - 2)

    return TrainingTask(network=network, items=10, losses=losses, score=score, identity={})


def test_every_item_is_seen_once_per_epoch():
    seen = []
    optimization = Optimization(epochs=3, batch=4)
    run_training(line(optimization, seen=seen), optimization)
    assert [len(chosen) for _, chosen in seen] == [4, 4, 2] * 3
    for epoch in range(3):
        items = [item for e, chosen in seen if e == epoch for item in chosen]
        assert sorted(items) == list(range(10))
    assert seen[0][1] != seen[3][1]


def test_a_line_is_found():
    optimization = Optimization(epochs=40, batch=2, learning_rate=0.1, weight_decay=0.0)
    trained = run_training(line(optimization), optimization)
    assert trained.network.weight.item() == pytest.approx(2, abs=0.02)
    assert trained.score == max(entry['score'] for entry in trained.history)


def test_the_network_of_the_best_epoch_is_returned():
    weights = []
    optimization = Optimization(epochs=3, batch=5, learning_rate=0.1)
    task = line(optimization, scores=[0.1, 0.7, 0.3])

    def report(progress):
        if progress.score is not None:
            weights.append(task.network.weight.item())

    trained = run_training(task, optimization, report=report)
    assert (trained.epoch, trained.score) == (2, 0.7)
    assert trained.network.weight.item() == weights[1] != weights[2]
    assert training_settings(optimization, trained)['best_epoch'] == 2


def test_epochs_without_a_score_are_passed_over():
    optimization = Optimization(epochs=3, batch=5)
    trained = run_training(line(optimization, scores=[math.nan, 0.3, math.nan]), optimization)
    assert (trained.epoch, trained.score) == (2, 0.3)
    with pytest.raises(MicroexprError, match='every validation score is nan'):
        run_training(line(optimization, scores=[math.nan] * 3), optimization)


def test_progress_is_reported_after_each_step_and_then_for_the_epoch():
    reports = []
    optimization = Optimization(epochs=2, batch=5)
    run_training(line(optimization, scores=[0.1, 0.2]), optimization, report=reports.append)
    assert [(p.epoch, p.step, p.score) for p in reports] == [
        (0, 1, None), (0, 2, None), (0, 2, 0.1), (1, 1, None), (1, 2, None), (1, 2, 0.2),
    ]  # fmt: skip
    assert all(p.steps == 2 and math.isfinite(p.loss) and p.learning_rate > 0 for p in reports)


def test_each_phase_has_a_schedule_of_its_own(tmp_path):
    optimization = Optimization(epochs=5, batch=5, learning_rate=0.1, warm_up=0.5)
    phases = (Phase(3, 0.1), Phase(2, 0.01))

    def rates(epochs, resume):
        reports = []
        task = replace(line(optimization), phases=phases)

        def report(progress):
            if progress.score is None:
                reports.append(progress.learning_rate)
            elif progress.epoch + 1 == epochs:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run_training(task, optimization, tmp_path / 'line', resume, report)
        return reports

    whole = rates(5, resume=False)
    assert max(whole[:6]) == pytest.approx(0.1)
    assert max(whole[6:]) == pytest.approx(0.01)
    assert whole[5] < whole[6] < whole[7]
    # Interrupted at the end of a phase, and within one.
    assert [*rates(3, resume=False), *rates(4, resume=True), *rates(5, resume=True)] == whole


@pytest.mark.parametrize('change', [{'epochs': 0}, {'batch': 0}, {'warm_up': 1.0}])
def test_optimization_without_sense_is_refused(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        Optimization(**change)


def test_curves_can_be_read_back(tmp_path):
    pytest.importorskip('tensorboardX')
    from tensorboardX.proto.event_pb2 import Event

    with tensorboard_log(tmp_path) as report:
        report(Progress(1, 3, 2, 5, 0.5, 1e-3, None, 0.0))
        report(Progress(1, 3, 5, 5, 0.4, 1e-3, 0.8, 0.0))
    (file,) = tmp_path.iterdir()
    content, found = file.read_bytes(), {}
    while content:
        # Length, its checksum, the record, its checksum.
        (size,) = struct.unpack_from('<Q', content)
        event = Event.FromString(content[12 : 12 + size])
        found |= {(v.tag, event.step): v.simple_value for v in event.summary.value}
        content = content[size + 16 :]
    assert found == pytest.approx(
        {
            ('training/loss', 7): 0.5,
            ('training/learning_rate', 7): 1e-3,
            ('validation/score', 10): 0.8,
        }
    )


def test_curves_without_their_package_say_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'tensorboardX', None)
    with (
        pytest.raises(MicroexprError, match='pip install tensorboardX'),
        tensorboard_log(tmp_path),
    ):
        pass


def test_small_numbers_are_flushed_while_training_only():
    tiny = torch.tensor([1e-310], dtype=torch.float64)
    seen = []

    def losses(epoch, rng, order):
        for _ in order:
            seen.append(float(tiny * 0.5))
            yield network(torch.ones(1, 1)).sum()

    network = nn.Linear(1, 1)
    task = TrainingTask(network=network, items=1, losses=losses, score=lambda _: 0.0, identity={})
    run_training(task, Optimization(epochs=1, batch=1))
    assert seen == [0.0]
    assert float(tiny * 0.5) > 0
