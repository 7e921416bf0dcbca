"""Training of the spiking network."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from microexpr_ros import facs
from microexpr_ros.events.histogram import SLICE_NS
from microexpr_ros.learning.augmentation import Augmentation
from microexpr_ros.learning.baselines import shuffled
from microexpr_ros.learning.checkpoint import read_checkpoint, write_checkpoint
from microexpr_ros.learning.datasets import Recording, SequenceBatch, sequences
from microexpr_ros.perception.spiking import NetworkState, SpikingConfiguration, SpikingNetwork

MARGIN_SLICES: Final = 4
"""Slices before the onset and after the apex that a window holds."""

Control = Literal['none', 'time-shuffled', 'memoryless']


@dataclass(frozen=True, slots=True)
class TrainingConfiguration:
    """How the spiking network is trained.

    Attributes:
        epochs: passes over the training clips.
        batch: clips per step of the optimizer.
        window: slices of each clip that are seen in a pass, from before the onset of its
            dominant unit to after the apex, if both fit.
        learning_rate: peak of the one-cycle schedule (Smith and Topin, 2018).
        weight_decay: of AdamW.
        clip_norm: largest norm of a gradient.
        clip_weight: weight of the clip loss beside the slice loss.
        carry: chance that a clip begins with the state that another one ended with, as in a
            stream, and not at rest.
        seed: of everything random.
        control: train a network that must not know time, to see what time is worth.
        augmentation: ranges of random changes.
    """

    epochs: int = 12
    batch: int = 8
    window: int = 64
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    clip_norm: float = 1.0
    clip_weight: float = 0.3
    carry: float = 0.3
    seed: int = 0
    control: Control = 'none'
    augmentation: Augmentation = field(
        default_factory=lambda: Augmentation(shift=6, zoom=0.08, gain=1.5, drop=0.3, noise=0.002)
    )


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a training is.

    Attributes:
        epoch: epochs that are done.
        epochs: all epochs.
        step: steps that are done in this epoch.
        steps: steps of an epoch.
        loss: mean training loss of this epoch.
        score: validation score of the last epoch, nan before the first.
        seconds: since the training started or was resumed.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    score: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Trained:
    """The best network of a training, by its score on the validation split.

    Attributes:
        network: with its normalization.
        epoch: epoch after which it was best, from 1.
        score: its validation score.
        history: one entry per epoch: loss and score.
    """

    network: SpikingNetwork
    epoch: int
    score: float
    history: tuple[dict[str, float], ...]


class ActionUnitLoss(nn.Module):
    """Graded intensity in every slice, and the dominant unit over the whole clip.

    The slice loss is the cross entropy between intensities: at its minimum the network gives
    the expected intensity. The clip loss is the cross entropy of the dominant unit, or none,
    given the units' peaks over learnt thresholds, so that small movements count too. Units that
    really move more than the dominant one (a blink under an expression) are not held against
    the network.
    """

    def __init__(self, clip_weight: float) -> None:
        super().__init__()
        self.clip_weight = clip_weight
        self.threshold = nn.Parameter(torch.full((len(facs.CODES),), -2.0))
        self.sharpness = nn.Parameter(torch.tensor(1.0))

    def forward(self, logits: Tensor, intensity: Tensor, valid: Tensor, label: Tensor) -> Tensor:
        """Return the loss.

        Args:
            logits: float32 [T, B, 18].
            intensity: float32 [T, B, 18], ground truth.
            valid: bool [T, B].
            label: int64 [B], position of the dominant unit, 18 for none.
        """
        losses = functional.binary_cross_entropy_with_logits(logits, intensity, reduction='none')
        entropy = functional.binary_cross_entropy(intensity, intensity, reduction='none')
        # Without the targets' own entropy the loss of a perfect network is 0.
        by_slice = ((losses - entropy).sum(2) * valid).sum() / valid.sum()

        peaks = logits.masked_fill(~valid[..., None], -torch.inf).amax(0)
        margin = (peaks - self.threshold) * functional.softplus(self.sharpness)
        margin = torch.cat([margin, torch.zeros_like(margin[:, :1])], 1)
        real = functional.pad(intensity.amax(0), (0, 1))
        own = real.gather(1, label[:, None])
        excused = (real > own) & (functional.one_hot(label, margin.shape[1]) == 0)
        by_clip = functional.cross_entropy(margin.masked_fill(excused, -torch.inf), label)
        return by_slice + self.clip_weight * by_clip


def train(
    training: Sequence[Recording],
    validation: Sequence[Recording],
    score: Callable[[SpikingNetwork, Sequence[Recording]], float],
    configuration: TrainingConfiguration | None = None,
    network: SpikingConfiguration | None = None,
    checkpoint: Path | None = None,
    resume: bool = False,
    report: Callable[[Progress], None] | None = None,
) -> Trained:
    """Train by backpropagation through time.

    Args:
        training: clips to learn from.
        validation: clips that choose the best epoch; never the test split.
        score: validation score of a network, larger is better.
        configuration: how to train.
        network: what to train.
        checkpoint: file written after every epoch.
        resume: go on from the checkpoint.
        report: called after every step.

    Raises:
        MicroexprError: `resume`, and the checkpoint is missing or of another configuration.
    """
    c = configuration or TrainingConfiguration()
    torch.manual_seed(c.seed)
    # Gradients through a hundred leaky steps end in denormal numbers, a hundred times slower.
    torch.set_flush_denormal(True)
    net = SpikingNetwork(network)
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    loss_of = ActionUnitLoss(c.clip_weight)
    parameters = [*net.parameters(), *loss_of.parameters()]
    optimizer = torch.optim.AdamW(parameters, c.learning_rate, weight_decay=c.weight_decay)
    steps = math.ceil(len(training) / c.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, c.learning_rate, total_steps=steps * c.epochs, pct_start=0.2
    )
    parts = {'network': net, 'loss': loss_of, 'optimizer': optimizer, 'schedule': schedule}
    identity = {
        'training': asdict(c),
        'network': asdict(net.configuration),
        'clips': len(training),
    }
    history: list[dict[str, float]] = []
    best: dict[str, Tensor] = {}
    if resume and checkpoint is not None:
        history, best = read_checkpoint(checkpoint, identity, parts)

    started = time.monotonic()
    if not history:
        _settle(net, training[: c.batch])
    for epoch in range(len(history), c.epochs):
        # One generator per epoch: a resumed training draws what an uninterrupted one would.
        rng = np.random.default_rng([c.seed, epoch])
        order = rng.permutation(len(training))
        net.train()
        carried: NetworkState | None = None
        losses: list[float] = []
        for step in range(steps):
            clips = [training[i] for i in order[step * c.batch : (step + 1) * c.batch]]
            batch = _draw(clips, net.configuration.pool, c, rng)
            state = _start(net, carried, len(clips), c.carry, rng)
            encoded = net.encode(torch.from_numpy(batch.density), 1.0)
            logits, after = net(encoded, state, memoryless=c.control == 'memoryless')
            loss = loss_of(
                logits,
                torch.from_numpy(batch.intensity),
                torch.from_numpy(batch.valid),
                torch.from_numpy(batch.label),
            )
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, c.clip_norm)
            optimizer.step()
            schedule.step()
            carried = tuple(v.detach() for v in after)
            losses.append(float(loss.detach()))
            if report is not None:
                last = history[-1]['score'] if history else math.nan
                seconds = time.monotonic() - started
                mean = float(np.mean(losses))
                report(Progress(epoch, c.epochs, step + 1, steps, mean, last, seconds))
        now = score(net.eval(), validation)
        if not history or now > max(entry['score'] for entry in history):
            best = {key: value.clone() for key, value in net.state_dict().items()}
        history.append({'loss': float(np.mean(losses)), 'score': now})
        if checkpoint is not None:
            write_checkpoint(checkpoint, identity, parts, history, best)
    net.load_state_dict(best)
    scores = [entry['score'] for entry in history]
    epoch = int(np.argmax(scores))
    return Trained(net.eval(), epoch + 1, scores[epoch], tuple(history))


@torch.no_grad()
def _settle(network: SpikingNetwork, clips: Sequence[Recording]) -> None:
    # Events are sparse: currents vary a thousandfold less than the variance of 1 that the running
    # statistics begin with, and would need an epoch to get there.
    encoded = network.encode(
        torch.from_numpy(sequences(clips, network.configuration.pool).density), 1.0
    )
    norms = [m for m in network.norms if isinstance(m, nn.BatchNorm2d)]
    usual = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    network.train()(encoded, network.initial_state(len(clips)))
    for norm, momentum in zip(norms, usual, strict=True):
        norm.momentum = momentum


def _draw(
    clips: Sequence[Recording],
    pool: int,
    configuration: TrainingConfiguration,
    rng: np.random.Generator,
) -> SequenceBatch:
    jitters = [configuration.augmentation.draw(rng) for _ in clips]
    windows = [window(clip, configuration.window, rng) for clip in clips]
    order = None
    if configuration.control == 'time-shuffled':
        order = [first + shuffled(end - first, int(rng.integers(2**31))) for first, end in windows]
    return sequences(clips, pool, jitters, order, windows)


def window(recording: Recording, slices: int, rng: np.random.Generator) -> tuple[int, int]:
    """Draw a part of a clip that begins before the onset and holds the apex, if it can.

    Args:
        recording: the clip.
        slices: length of the part; a shorter clip is taken whole.
        rng: draws the part.

    Returns:
        First slice, and the one after the last.
    """
    latest = max(recording.slices - slices, 0)
    earliest = 0
    if recording.clip.dominant:
        onset, apex = (t // SLICE_NS for t in (recording.clip.onset_ns, recording.clip.apex_ns))
        latest = min(latest, max(onset - MARGIN_SLICES, 0))
        earliest = min(max(apex + MARGIN_SLICES - slices, 0), latest)
    first = int(rng.integers(earliest, latest + 1))
    return first, min(first + slices, recording.slices)


def _start(
    network: SpikingNetwork,
    carried: NetworkState | None,
    batch: int,
    chance: float,
    rng: np.random.Generator,
) -> NetworkState:
    rest = network.initial_state(batch)
    if carried is None or len(carried[0]) < batch:
        return rest
    keep = torch.from_numpy(rng.random(batch) < chance)
    return tuple(
        torch.where(keep.view(-1, *[1] * (before.dim() - 1)), before[:batch], zeros)
        for before, zeros in zip(carried, rest, strict=True)
    )


@torch.inference_mode()
def predict(
    network: SpikingNetwork,
    recordings: Sequence[Recording],
    control: Control = 'none',
    batch: int = 16,
    seed: int = 0,
) -> list[NDArray[np.float32]]:
    """Return the intensities of whole clips, each float32 [T, 18].

    Args:
        network: at rest (`eval`).
        recordings: the clips.
        control: 'time-shuffled' puts each clip's slices in random order, 'memoryless' makes
            the network forget after every slice.
        batch: clips at a time.
        seed: of the shuffling.
    """
    out: list[NDArray[np.float32]] = []
    for first in range(0, len(recordings), batch):
        clips = recordings[first : first + batch]
        order = None
        if control == 'time-shuffled':
            order = [shuffled(r.slices, seed + first + i) for i, r in enumerate(clips)]
        data = sequences(clips, network.configuration.pool, order=order)
        encoded = network.encode(torch.from_numpy(data.density), 1.0)
        logits, _ = network(
            encoded, network.initial_state(len(clips)), memoryless=control == 'memoryless'
        )
        intensity = torch.sigmoid(logits).numpy()
        out += [intensity[: clip.slices, b] for b, clip in enumerate(clips)]
    return out


def settings(configuration: TrainingConfiguration, trained: Trained) -> dict[str, Any]:
    """Return how a network was trained, as JSON values for its weights file."""
    return {**asdict(configuration), 'best_epoch': trained.epoch, 'validation': trained.score}
