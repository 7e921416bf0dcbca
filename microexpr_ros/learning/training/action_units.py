"""Training of the networks that read Action Units."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from microexpr_ros import facs
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.grid import SLICE_NS
from microexpr_ros.learning import metrics
from microexpr_ros.learning.data.augmentation import Augmentation
from microexpr_ros.learning.data.batches import SequenceBatch, make_batch, measure_change_gain
from microexpr_ros.learning.data.clips import (
    UNDECIDED,
    SparseClip,
    fingerprint,
    hold_still,
    in_boxes,
)
from microexpr_ros.learning.data.fresh import FreshClips, FreshConfiguration
from microexpr_ros.learning.models.baselines import shuffled
from microexpr_ros.learning.models.networks import (
    CHANNELS,
    Model,
    Network,
    build,
    decays,
    encode,
    sees_events,
    sees_frames,
)
from microexpr_ros.learning.prediction import Prediction, largest_intensities
from microexpr_ros.learning.training import runner
from microexpr_ros.learning.training.runner import Optimization, Phase, Report, Trained
from microexpr_ros.perception.boxes import Boxes
from microexpr_ros.perception.settings import renamed_field, to_settings
from microexpr_ros.perception.spiking.configuration import SpikingConfiguration
from microexpr_ros.perception.spiking.network import (
    SpikingNetwork,
    intensities,
)

PREDICTED_SLICES: Final = 2400
"""Slices of all clips of a chunk that is predicted at once: about 100 MB."""

_NORMALIZED_CLIPS: Final = 64
"""Clips by whose statistics the normalization of a deployed network is put back."""

_GAIN_CLIPS: Final = 200
"""Training clips, spread over all, whose frames decide the gain of their changes."""

_UNEVEN_SHARE: Final = 0.25
"""Difference of the sides from which a movement is uneven, as a share of the stronger one: no
face moves quite evenly."""

_LEAST_UNEVEN: Final = 0.5
"""Sum of differences up to which a batch's side loss grows with them; a batch has about 1."""

Control = Literal['none', 'time-shuffled', 'memoryless']

Item = TypeVar('Item')


@dataclass(frozen=True, slots=True)
class TrainingConfiguration(Optimization):
    """How a network is trained.

    The first epochs train on single slices, with the traces of the slices before them, and with
    firing rates in place of spikes. That takes a tenth of the time of the last epochs, which
    train with spikes on sequences. Epochs in between can train with random spikes on single
    slices, which takes as little.

    Attributes:
        scored: share of the epochs, the last ones, that are scored on the validation split; those
            with firing rates or random spikes in place of spikes never are.
        rate_share: share of the epochs, the first ones, that train with firing rates.
        stochastic_share: share of the epochs, those that follow, that train with random spikes.
        fixed_convolutions: whether epochs with spikes leave convolutions and normalization as
            they are, and train only what reads the last spikes. Nothing is propagated back
            through the spiking layers then.
        spike_learning_rate: peak of the schedule of the epochs that train with spikes.
        slices: slices sampled from each clip in an epoch with firing rates;
            `moments` in files.
        windows: windows sampled from each clip in an epoch with spikes.
        window: slices of a window.
        burn_in: first slices of a window that the loss leaves out, unless the window begins
            with the clip, as its neurons begin at rest; `settle` in files.
        clip_weight: weight of the clip loss beside the slice loss.
        decision_weight: weight of the decision loss beside them.
        movement_weight: weight of the movement loss beside them.
        side_weight: weight of the side loss beside them.
        control: train a network without access to time, to measure what time is worth.
        augmentation: ranges of random changes.
        boxes: regions in which the faces are seen.
        fresh: clips that are mixed while training goes on; the clips of the data set come beside
            them, and alone in the last epochs.
    """

    epochs: int = 45
    batch: int = 16
    average: float = 0.998
    scored: float = 1.0
    rate_share: float = 8 / 9
    stochastic_share: float = 0.0
    fixed_convolutions: bool = False
    spike_learning_rate: float = 1e-3
    slices: int = renamed_field(6, 'moments')
    windows: int = 2
    window: int = 32
    burn_in: int = renamed_field(8, 'settle')
    clip_weight: float = 0.5
    decision_weight: float = 0.5
    movement_weight: float = 1.0
    side_weight: float = 1.0
    control: Control = 'none'
    augmentation: Augmentation = field(default_factory=Augmentation)
    boxes: Boxes = 'followed'
    fresh: FreshConfiguration = field(default_factory=FreshConfiguration)

    def __post_init__(self) -> None:
        # Slots make a new class, which `super` does not know.
        Optimization.__post_init__(self)
        if min(shares := (self.rate_share, self.stochastic_share)) < 0 or sum(shares) > 1:
            raise ValueError(
                f'rate_share {self.rate_share} and stochastic_share {self.stochastic_share} must '
                'be at least 0, and together at most 1'
            )
        if not 0 <= self.burn_in < self.window:
            raise ValueError(f'burn_in {self.burn_in} leaves nothing of a window of {self.window}')

    @property
    def rate_epochs(self) -> int:
        """Number of epochs that train with firing rates; all of them only for a share of 1."""
        most = self.epochs if self.rate_share == 1 else self.epochs - 1
        return min(round(self.rate_share * self.epochs), most)

    @property
    def single_slice_epochs(self) -> int:
        """Number of epochs that train on single slices: those with rates or random spikes."""
        if self.rate_share == 1:
            return self.epochs
        share = self.rate_share + self.stochastic_share
        return min(round(share * self.epochs), self.epochs - 1)

    @property
    def phases(self) -> tuple[Phase, ...]:
        """Firing rates, random spikes, then spikes; what comes first has `learning_rate`."""
        rates, single = self.rate_epochs, self.single_slice_epochs
        lengths = (rates, single - rates, self.epochs - single)
        slow = self.spike_learning_rate
        peaks = (self.learning_rate, slow if rates else self.learning_rate, slow)
        if single == 0:
            return (Phase(self.epochs, self.learning_rate),)
        return tuple(Phase(n, peak) for n, peak in zip(lengths, peaks, strict=True) if n)


class ActionUnitLoss(nn.Module):
    """Graded intensity of both sides in every slice, and the dominant unit over the whole clip.

    The slice loss is the cross entropy between the square roots of intensities, so that small
    ones count. The clip loss is the cross entropy of the dominant unit, or none, given the
    units' peaks over learned thresholds, so that small movements count too. Units whose true
    intensity is above the dominant one's (a blink during an expression) do not compete.

    The decision loss is the cross entropy of the dominant unit, or none, given the largest
    evidence for each unit. Here every unit competes: the network must know what is a blink or
    speech and not the expression.

    The movement loss is the same for every slice by itself, given the evidence in it: for the
    main unit while it moves, for none at rest and beside the movement. Slices with a movement
    and those without weigh alike. The decision loss alone teaches only the slice with the
    largest evidence, and of the few that are sampled; a clip has a hundred others.

    The side loss is the cross entropy of the left side's share of what moves unevenly, given the
    difference of the sides' log-odds. Few movements are uneven, so the slice loss, or a mean over
    all that moves, hardly teaches it: the mean is over the uneven ones alone.
    """

    def __init__(
        self,
        clip_weight: float,
        decision_weight: float = 0.0,
        side_weight: float = 0.0,
        movement_weight: float = 0.0,
    ) -> None:
        super().__init__()
        self.clip_weight = clip_weight
        self.decision_weight = decision_weight
        self.side_weight = side_weight
        self.movement_weight = movement_weight
        self.threshold = nn.Parameter(torch.full((len(facs.CODES),), -2.0))
        self.sharpness = nn.Parameter(torch.tensor(1.0))

    def forward(
        self, logits: Tensor, sides: Tensor, valid: Tensor, label: Tensor, main: Tensor
    ) -> Tensor:
        """Return the loss.

        Args:
            logits: float32 [T, B * S, 18, 2 or 3], of S sequences of each clip, one after the
                other: the sides, and evidence if the network gathers it.
            sides: float32 [T, B * S, 18, 2], ground truth.
            valid: bool [T, B * S].
            label: int64 [B], position of the dominant unit, 18 for none.
            main: int64 [T, B * S], as `SparseClip.main`.
        """
        by_decision = logits.new_zeros(())
        if logits.shape[-1] == 3:
            evidence, logits = logits[..., 2], logits[..., :2]
            by_decision = self.decision_weight * functional.cross_entropy(
                functional.pad(_largest(evidence, valid, len(label)), (0, 1)), label
            ) + self.movement_weight * _movement_loss(evidence, valid, main)
        target = sides.sqrt()
        losses = functional.binary_cross_entropy_with_logits(logits, target, reduction='none')
        entropy = functional.binary_cross_entropy(target, target, reduction='none')
        # Less the entropy of the targets, the loss of a perfect network is 0.
        by_side = ((losses - entropy).sum((2, 3)) * valid).sum() / valid.sum()

        peaks = _largest(logits.amax(3), valid, len(label))
        margin = (peaks - self.threshold) * functional.softplus(self.sharpness)
        margin = torch.cat([margin, torch.zeros_like(margin[:, :1])], 1)
        visible = sides.masked_fill(~valid[..., None, None], 0)
        true_peaks = visible.amax((0, 3)).view(len(label), -1, len(facs.CODES)).amax(1)
        real = functional.pad(true_peaks, (0, 1))
        own = real.gather(1, label[:, None])
        excused = (real > own) & (functional.one_hot(label, margin.shape[1]) == 0)
        by_clip = functional.cross_entropy(margin.masked_fill(excused, -torch.inf), label)
        loss = by_side / 2 + self.clip_weight * by_clip + by_decision
        if self.side_weight:
            loss = loss + self.side_weight * _side_loss(logits, sides, valid)
        return loss


def _movement_loss(evidence: Tensor, valid: Tensor, main: Tensor) -> Tensor:
    """Return the movement loss; arguments as of `ActionUnitLoss.forward`, evidence [T, B, 18]."""
    none = evidence.shape[-1]
    # None competes with a logit of 0, as in the decision loss.
    losses = functional.cross_entropy(
        functional.pad(evidence, (0, 1)).flatten(0, 1),
        main.flatten(),
        reduction='none',
        ignore_index=UNDECIDED,
    ).view(main.shape)
    moving, resting = valid & (main >= 0) & (main < none), valid & (main == none)
    means = [losses[kind].mean() for kind in (moving, resting) if kind.any()]
    return torch.stack(means).mean() if means else evidence.new_zeros(())


def _side_loss(logits: Tensor, sides: Tensor, valid: Tensor) -> Tensor:
    """Return the side loss.

    Args:
        logits: float32 [T, B, 18, 2], of the roots of the intensities.
        sides: float32 [T, B, 18, 2], true intensities.
        valid: bool [T, B].
    """
    roots = sides.sqrt()
    share = roots[..., 0] / roots.sum(3).clamp(min=1e-6)
    # For small intensities, the difference of the log-odds is the logarithm of their ratio.
    found = logits[..., 0] - logits[..., 1]
    losses = functional.binary_cross_entropy_with_logits(found, share, reduction='none')
    entropy = functional.binary_cross_entropy(share, share, reduction='none')
    difference = (sides[..., 0] - sides[..., 1]).abs() * valid[..., None]
    weights = difference * (difference > _UNEVEN_SHARE * sides.amax(3))
    # A single faint movement is not to rule a batch.
    return ((losses - entropy) * weights).sum() / weights.sum().clamp(min=_LEAST_UNEVEN)


def _largest(values: Tensor, valid: Tensor, clips: int) -> Tensor:
    """Return the largest values of each clip, float32 [B, 18]; as of `ActionUnitLoss.forward`."""
    seen = values.masked_fill(~valid[..., None], -torch.inf)
    return seen.amax(0).view(clips, -1, len(facs.CODES)).amax(1)


def train(
    training: Sequence[SparseClip],
    validation: Sequence[SparseClip],
    configuration: TrainingConfiguration | None = None,
    network: SpikingConfiguration | None = None,
    checkpoint: Path | None = None,
    resume: bool = False,
    report: Report | None = None,
    model: Model = 'events',
    start: Mapping[str, Tensor] | SpikingNetwork | None = None,
) -> Trained[Network]:
    """Train with firing rates, then with spikes by backpropagation through time.

    Args:
        training: clips to learn from.
        validation: clips that choose the best epoch; never the test split.
        configuration: how to train.
        network: what to train.
        checkpoint: file written after every epoch.
        resume: go on from the checkpoint.
        report: called after every step and every epoch.
        model: which of the networks that are compared.
        start: state of a network to go on from, whose time constants are not taken over, or a
            deployed network of the model events, to which layers that add their input may be
            added; None to start from random numbers.

    Raises:
        MicroexprError: `start` is of a network of another shape; `resume`, and the checkpoint is
            missing or of another configuration.
    """
    c = configuration or TrainingConfiguration()
    if c.single_slice_epochs == c.epochs and (network or SpikingConfiguration()).spikes:
        raise MicroexprError(
            f'rate_share {c.rate_share} leaves no epoch of {c.epochs} that trains with spikes: '
            'lower it, or train graded neurons'
        )
    runner.seed_torch(c)
    if model in CHANNELS and (shape := network or SpikingConfiguration()).change_gain == 0:
        some = in_boxes(training[:: max(len(training) // _GAIN_CLIPS, 1)], c.boxes)
        gain = measure_change_gain(some, shape.pool, shape.semi_saturation)
        network = replace(shape, change_gain=gain)
    net = build(model, network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if start is not None:
        if isinstance(start, SpikingNetwork):
            wanted = net.configuration if isinstance(net, SpikingNetwork) else None
            start = _normalize(start, training[:_NORMALIZED_CLIPS], c, wanted).state_dict()
        _take_over(net, start)
    loss_of = ActionUnitLoss(c.clip_weight, c.decision_weight, c.side_weight, c.movement_weight)
    validation = in_boxes(validation, c.boxes)
    fresh = FreshClips(c.fresh, c.seed) if c.fresh.scenes else ()

    unscored = min(round((1 - c.scored) * c.epochs), c.epochs - 1)
    if net.configuration.spikes:
        # What fires at rates is not what will be deployed.
        unscored = max(unscored, c.single_slice_epochs)

    def clip_at(epoch: int, number: int) -> SparseClip:
        if number < len(training):
            return training[number]
        if isinstance(fresh, FreshClips) and epoch < c.epochs - c.fresh.exact_epochs:
            return fresh.use(number - len(training))
        return training[number % len(training)]

    def losses(
        epoch: int, rng: np.random.Generator, order: Sequence[NDArray[np.int64]]
    ) -> Iterator[Tensor]:
        single = epoch < c.single_slice_epochs
        for chosen in order:
            _set_firing(net, not single, epoch >= c.rate_epochs, c.fixed_convolutions)
            batch = _sample_batch([clip_at(epoch, int(i)) for i in chosen], net, c, single, rng)
            with c.precision():
                logits = _logits(net, batch, c.control, warm=not single)
            yield loss_of(
                logits.float(),
                torch.from_numpy(batch.sides),
                torch.from_numpy(batch.valid),
                torch.from_numpy(batch.label[:: len(batch.label) // len(chosen)]),
                torch.from_numpy(batch.main),
            )

    def prepare() -> None:
        if start is None:
            _recalibrate_batch_norm(net, in_boxes(training[: c.batch], c.boxes))

    task = runner.TrainingTask(
        network=net,
        loss=loss_of,
        items=len(training) + len(fresh),
        losses=losses,
        score=lambda now: score(predict(now, validation, c.control), validation),
        identity={
            'model': model,
            'network': to_settings(net.configuration),
            'clips': fingerprint(training),
        },
        prepare=prepare,
        unscored=unscored,
        phases=c.phases,
    )
    return runner.run_training(task, c, checkpoint, resume, report)


def score(predicted: Sequence[Prediction], clips: Sequence[SparseClip]) -> float:
    """Return the score of an epoch: mean AUC of all units and of the dominant one.

    Both are of the largest intensities, so that methods that gather evidence and those that do
    not can be compared. It needs no thresholds, so it does not depend on how they are fitted.

    Args:
        predicted: of each clip.
        clips: the clips.
    """
    peaks = largest_intensities(predicted)
    present = np.stack([r.peaks for r in clips]) >= facs.PRESENT
    units = np.arange(len(facs.CODES))
    dominant = np.array([r.label for r in clips])[:, None] == units
    areas = [
        metrics.area_under_curve(truth[:, k], peaks[:, k])
        for truth in (present, dominant)
        for k in units
    ]
    return float(np.nanmean(areas))


def _set_firing(network: Network, spiking: bool, stochastic: bool, fixed: bool) -> None:
    """Set what neurons give while training, and what of the network learns from spikes."""
    if not isinstance(network, SpikingNetwork):
        return
    network.spiking, network.stochastic = spiking, stochastic
    for part in (network.convolutions, network.norms):
        part.requires_grad_(not (spiking and fixed))
        part.train(not (spiking and fixed))


def _take_over(network: Network, start: Mapping[str, Tensor]) -> None:
    own = network.state_dict()
    kept = {key: own[key] for key in own if key.endswith('leak_logit')}
    try:
        network.load_state_dict({**start, **kept})
    except RuntimeError as error:
        raise MicroexprError(
            'the network to start from has another shape: give the configuration that it was '
            f'trained with, but for its neurons ({" ".join(str(error).split())[:200]})'
        ) from error


def _normalize(
    deployed: SpikingNetwork,
    clips: Sequence[SparseClip],
    configuration: TrainingConfiguration,
    wanted: SpikingConfiguration | None,
) -> SpikingNetwork:
    """Return a deployed network with a normalization in place of its biases, and more layers.

    Rates of rectified neurons are brought below the limit that those that are wanted have.

    Raises:
        MicroexprError: `wanted` is not that network with more layers that add their input.
    """
    rng = np.random.default_rng(configuration.seed)
    encoded, state = encode(deployed, _sample_batch(clips, deployed, configuration, True, rng))
    has_limit = wanted is not None and wanted.neurons != 'rectified'
    if has_limit and deployed.configuration.neurons == 'rectified':
        deployed = deployed.limited(encoded, state)
    try:
        return deployed.trainable(encoded, state, wanted)
    except ValueError as error:
        raise MicroexprError(f'the network to start from has another shape: {error}') from error


@torch.no_grad()
def _recalibrate_batch_norm(network: Network, clips: Sequence[SparseClip]) -> None:
    # Events are sparse: the variance of currents is a thousandth of the initial running variance
    # of 1, which would need an epoch to adapt.
    batch = _whole_clips(network, clips)
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    network.train()(*encode(network, batch))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def _sample_batch(
    clips: Sequence[SparseClip],
    network: Network,
    configuration: TrainingConfiguration,
    single: bool,
    rng: np.random.Generator,
) -> SequenceBatch:
    c = configuration
    count, length = (c.slices, 1) if single else (c.windows, c.window)
    if c.boxes == 'followed':
        clips = [
            hold_still(sparse, c.augmentation.sample_path(rng, sparse.clip.landmarks))
            for sparse in clips
        ]
    aligned = c.boxes != 'coarse'
    jitters = [
        c.augmentation.sample(rng, sparse.clip.landmarks[0] if aligned else None)
        for sparse in clips
    ]
    order = None
    if c.control == 'time-shuffled':
        order = [shuffled(clip.slices, int(rng.integers(2**31))) for clip in clips]
    if single:
        ends = [sample_slice_ends(clip, count, rng) for clip in clips]
    else:
        ends = [sample_window_ends(clip, count, length, rng) for clip in clips]
    windows = [(max(end - length, 0), end) for own in ends for end in own.tolist()]
    batch = make_batch(
        _repeat_each(clips, count),
        network.configuration.pool,
        _repeat_each(jitters, count),
        _repeat_each(order, count) if order is not None else None,
        windows,
        frames=sees_frames(network),
        decays=decays(network),
        events=sees_events(network),
    )
    if not single:
        begins_within = np.array([first > 0 for first, _ in windows], np.bool_)
        batch.valid[: c.burn_in, begins_within] = False
    return batch


def _repeat_each(items: Sequence[Item], times: int) -> list[Item]:
    return [item for item in items for _ in range(times)]


def sample_slice_ends(
    sparse: SparseClip, count: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Sample slices to train on: near the apex, in the rise, in the fall, the others anywhere.

    Args:
        sparse: the clip.
        count: how many.
        rng: of the sampling.

    Returns:
        int64 [count], the number of each slice plus 1, where a window that ends with it ends.
    """
    ends = rng.integers(1, sparse.slices + 1, count)
    if sparse.clip.dominant:
        c = sparse.clip
        onset, apex, offset = (t // SLICE_NS for t in (c.onset_ns, c.apex_ns, c.offset_ns))
        known = [
            apex + rng.integers(0, 4),
            rng.integers(onset, apex + 1) + 1,
            rng.integers(apex, max(offset, apex) + 1) + 1,
        ]
        ends[: len(known)] = np.clip(known, 1, sparse.slices)[:count]
    return np.asarray(ends, np.int64)


def sample_window_ends(
    sparse: SparseClip, count: int, window: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Sample windows to train on: one has the apex anywhere in it, the others are anywhere.

    So rises, falls and rests are all seen.

    Args:
        sparse: the clip.
        count: how many.
        window: slices of a window.
        rng: of the sampling.

    Returns:
        int64 [count], the number of each window's last slice plus 1.
    """
    ends = rng.integers(min(window, sparse.slices), sparse.slices + 1, count)
    if sparse.clip.dominant:
        apex = sparse.clip.apex_ns // SLICE_NS
        ends[0] = np.clip(rng.integers(apex + 1, apex + window), 1, sparse.slices)
    return np.asarray(ends, np.int64)


def _whole_clips(
    network: Network, clips: Sequence[SparseClip], order: Sequence[NDArray[np.int64]] | None = None
) -> SequenceBatch:
    return make_batch(
        clips,
        network.configuration.pool,
        order=order,
        frames=sees_frames(network),
        decays=decays(network),
        events=sees_events(network),
    )


def predict(
    network: Network,
    clips: Sequence[SparseClip],
    control: Control = 'none',
    seed: int = 0,
) -> list[Prediction]:
    """Return what a network says of whole clips; arguments as of `predict_logits`."""
    return [
        Prediction(
            intensities(logits[..., :2]).amax(2).numpy(),
            torch.sigmoid(logits[..., 2]).numpy() if logits.shape[-1] > 2 else None,
        )
        for logits in map(torch.from_numpy, predict_logits(network, clips, control, seed))
    ]


@torch.inference_mode()
def predict_logits(
    network: Network,
    clips: Sequence[SparseClip],
    control: Control = 'none',
    seed: int = 0,
) -> list[NDArray[np.float32]]:
    """Return the log-odds of `SpikingNetwork.step`, float32 [T, 18, 2 or 3], of whole clips.

    Args:
        network: in evaluation mode.
        clips: the clips, in the boxes that it needs.
        control: 'time-shuffled' puts each clip's slices in random order, and the logits back
            in the order of time; 'memoryless' resets the network's state before every slice.
        seed: of the shuffling.
    """
    out: list[NDArray[np.float32]] = []
    while chunk := clips[len(out) : len(out) + _clips_per_chunk(clips[len(out) :])]:
        order = None
        if control == 'time-shuffled':
            order = [shuffled(r.slices, seed + len(out) + i) for i, r in enumerate(chunk)]
        logits = _logits(network, _whole_clips(network, chunk, order), control).numpy()
        for b, sparse in enumerate(chunk):
            own = logits[: sparse.slices, b]
            # The logits of a slice are compared with the truth of the same slice.
            out.append(own if order is None else own[np.argsort(order[b])])
    return out


def _logits(
    network: Network, batch: SequenceBatch, control: Control, warm: bool = False
) -> Tensor:
    encoded, state = encode(network, batch)
    if warm and isinstance(network, SpikingNetwork):
        state = network.warm_state(encoded, state)
    if control == 'memoryless':
        rest = network.initial_state(encoded.shape[1])
        logits, _ = network(encoded, rest, memoryless=True)
    else:
        logits, _ = network(encoded, state)
    result: Tensor = logits
    return result


def _clips_per_chunk(clips: Sequence[SparseClip]) -> int:
    longest = np.maximum.accumulate([r.slices for r in clips])
    fits = longest * np.arange(1, len(clips) + 1) <= PREDICTED_SLICES
    return max(1, int(fits.sum()))
