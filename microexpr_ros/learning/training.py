"""Training of the networks that read Action Units."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from microexpr_ros import facs
from microexpr_ros.events.histogram import SLICE_NS
from microexpr_ros.learning import metrics, runner
from microexpr_ros.learning.augmentation import Augmentation
from microexpr_ros.learning.baselines import shuffled
from microexpr_ros.learning.datasets import Recording, SequenceBatch, fingerprint, sequences
from microexpr_ros.learning.networks import Model, Network, build, encode, sees_frames
from microexpr_ros.learning.runner import Optimization, Report, Trained
from microexpr_ros.perception.spiking import NetworkState, SpikingConfiguration

MARGIN_SLICES: Final = 4
"""Slices before the onset and after the apex that a window holds."""

PREDICTED_SLICES: Final = 2400
"""Slices of all clips together that are predicted at once: about 100 MB."""

Control = Literal['none', 'time-shuffled', 'memoryless']


@dataclass(frozen=True, slots=True)
class TrainingConfiguration(Optimization):
    """How a network is trained.

    Attributes:
        window: slices of each clip that are seen in a pass, from before the onset of its
            dominant unit to after the apex, if both fit.
        clip_weight: weight of the clip loss beside the slice loss.
        carry: chance that a clip begins with the state that another one ended with, as in a
            stream, and not at rest.
        control: train a network that must not know time, to see what time is worth.
        augmentation: ranges of random changes.
    """

    window: int = 64
    clip_weight: float = 0.3
    carry: float = 0.3
    control: Control = 'none'
    augmentation: Augmentation = field(default_factory=Augmentation)


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
    configuration: TrainingConfiguration | None = None,
    network: SpikingConfiguration | None = None,
    checkpoint: Path | None = None,
    resume: bool = False,
    report: Report | None = None,
    model: Model = 'events',
) -> Trained[Network]:
    """Train by backpropagation through time.

    Args:
        training: clips to learn from.
        validation: clips that choose the best epoch; never the test split.
        configuration: how to train.
        network: what to train.
        checkpoint: file written after every epoch.
        resume: go on from the checkpoint.
        report: called after every step and every epoch.
        model: which of the networks that are compared.

    Raises:
        MicroexprError: `resume`, and the checkpoint is missing or of another configuration.
    """
    c = configuration or TrainingConfiguration()
    runner.begin(c)
    net = build(model, network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    loss_of = ActionUnitLoss(c.clip_weight)

    def losses(
        epoch: int, rng: np.random.Generator, order: Sequence[NDArray[np.int64]]
    ) -> Iterator[Tensor]:
        carried: NetworkState | None = None
        for chosen in order:
            batch = _draw([training[i] for i in chosen], net, c, rng)
            state = _start(net, carried, len(chosen), c.carry, rng)
            logits, after = net(encode(net, batch), state, memoryless=c.control == 'memoryless')
            carried = tuple(v.detach() for v in after)
            yield loss_of(
                logits,
                torch.from_numpy(batch.intensity),
                torch.from_numpy(batch.valid),
                torch.from_numpy(batch.label),
            )

    lesson = runner.Lesson(
        network=net,
        loss=loss_of,
        items=len(training),
        losses=losses,
        score=lambda now: score(predict(now, validation), validation),
        identity={
            'model': model,
            'network': asdict(net.configuration),
            'clips': fingerprint(training),
        },
        prepare=lambda: _settle(net, training[: c.batch]),
    )
    return runner.run(lesson, c, checkpoint, resume, report)


def score(traces: Sequence[NDArray[np.float32]], recordings: Sequence[Recording]) -> float:
    """Return what chooses the best epoch: mean AUC of the units and of the dominant one.

    It needs no thresholds, so it does not depend on how these are fitted.

    Args:
        traces: predicted intensities of each clip, float32 [T, 18].
        recordings: the clips.
    """
    peaks = np.stack([trace.max(0) for trace in traces])
    present = np.stack([r.peaks for r in recordings]) >= facs.PRESENT
    units = np.arange(len(facs.CODES))
    leads = np.array([r.label for r in recordings])[:, None] == units
    areas = [
        metrics.area_under_curve(truth[:, k], peaks[:, k])
        for truth in (present, leads)
        for k in units
    ]
    return float(np.nanmean(areas))


@torch.no_grad()
def _settle(network: Network, clips: Sequence[Recording]) -> None:
    # Events are sparse: currents vary a thousandfold less than the variance of 1 that the running
    # statistics begin with, and would need an epoch to get there.
    batch = sequences(clips, network.configuration.pool, frames=sees_frames(network))
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    usual = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    network.train()(encode(network, batch), network.initial_state(len(clips)))
    for norm, momentum in zip(norms, usual, strict=True):
        norm.momentum = momentum


def _draw(
    clips: Sequence[Recording],
    network: Network,
    configuration: TrainingConfiguration,
    rng: np.random.Generator,
) -> SequenceBatch:
    jitters = [configuration.augmentation.draw(rng) for _ in clips]
    windows = [window(clip, configuration.window, rng) for clip in clips]
    order = None
    if configuration.control == 'time-shuffled':
        order = [first + shuffled(end - first, int(rng.integers(2**31))) for first, end in windows]
    pool = network.configuration.pool
    return sequences(clips, pool, jitters, order, windows, frames=sees_frames(network))


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
    network: Network,
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
    network: Network,
    recordings: Sequence[Recording],
    control: Control = 'none',
    seed: int = 0,
) -> list[NDArray[np.float32]]:
    """Return the intensities of whole clips, each float32 [T, 18].

    Args:
        network: at rest (`eval`).
        recordings: the clips.
        control: 'time-shuffled' puts each clip's slices in random order, 'memoryless' makes
            the network forget after every slice.
        seed: of the shuffling.
    """
    out: list[NDArray[np.float32]] = []
    while clips := recordings[len(out) : len(out) + _at_once(recordings[len(out) :])]:
        order = None
        if control == 'time-shuffled':
            order = [shuffled(r.slices, seed + len(out) + i) for i, r in enumerate(clips)]
        pool = network.configuration.pool
        data = sequences(clips, pool, order=order, frames=sees_frames(network))
        logits, _ = network(
            encode(network, data),
            network.initial_state(len(clips)),
            memoryless=control == 'memoryless',
        )
        intensity = torch.sigmoid(logits).numpy()
        out += [intensity[: clip.slices, b] for b, clip in enumerate(clips)]
    return out


def _at_once(recordings: Sequence[Recording]) -> int:
    longest = np.maximum.accumulate([r.slices for r in recordings])
    fits = longest * np.arange(1, len(recordings) + 1) <= PREDICTED_SLICES
    return max(1, int(fits.sum()))
