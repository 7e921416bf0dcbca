"""Training of the conditional variational autoencoder."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from microexpr_ros.learning.data.augmentation import Augmentation, Jitter
from microexpr_ros.learning.data.batches import condition_events, let_rest
from microexpr_ros.learning.data.clips import SparseClip, dense_counts, fingerprint
from microexpr_ros.learning.data.exposures import Exposures, expose_again, measure_exposures
from microexpr_ros.learning.metrics import gaussian
from microexpr_ros.learning.models.baselines import newest_frame
from microexpr_ros.learning.training import runner
from microexpr_ros.learning.training.runner import Optimization, Report, Trained
from microexpr_ros.perception.reconstruction.configuration import ReconstructionConfiguration
from microexpr_ros.perception.reconstruction.frame_memory import FrameAverage, FrameMemory
from microexpr_ros.perception.reconstruction.integration import EXPOSED_SLICES, ContrastThresholds
from microexpr_ros.perception.reconstruction.network import (
    MOVED,
    ConditionalVae,
    Gaussians,
    Latents,
    Picture,
)
from microexpr_ros.perception.reconstruction.reconstructor import (
    SeenFrames,
    limit_events,
    make_pictures,
)
from microexpr_ros.perception.settings import to_settings

CHANGED_PIXELS: Final = 64
"""Fewest changed pixels of an image whose changed pixels are scored."""

CHANGED: Final = 0.02
"""Change since the frame, as a share of the range, from which a pixel counts as changed."""

_LEAST_CHANGED: Final = 32
"""Changed pixels of a picture whose error counts for itself."""

_NORMALIZED_PICTURES: Final = 64
"""Pictures whose statistics the normalization of a deployed network is put back by."""

_FARTHEST_CELLS: Final = 12.0
"""Flows that are learnt from reach no farther."""

_LONGEST_REST_SLICES: Final = 1000

_REST_NOISE_HZ: Final = (0.01, 1.0)
"""Least and most noise of a sensor pixel in a rest."""

_LEAST_SQUARE: Final = 1e-5
"""Added to squared errors: below 50 dB nothing is to be gained."""


@dataclass(frozen=True, slots=True)
class ReconstructionTraining(Optimization):
    """How the autoencoder is trained.

    Attributes:
        targets: targets sampled from each clip in an epoch.
        changed_weight: weight of the error of pixels that changed since the frame, over that of
            the others.
        ssim_weight: weight of 1 - SSIM beside the mean absolute error.
        psnr_weight: weight of the mean logarithm of the squared error of each picture, and of its
            changed pixels. Pictures made with a frame have errors ten times smaller than others:
            by the other terms they would hardly count.
        scale_weight: weight of the likelihood of the errors, which teaches their scale.
        flow_weight: weight of the error of the predicted flows, cells.
        kl_weight: weight of the divergence after `kl_epochs`, per image.
        kl_epochs: epochs in which the weight grows linearly from 0.
        frame_chance: share of targets that are given a frame.
        reference_chance: share of targets that are given a reference, with or without a frame.
        other_light_chance: share of the references that are of another clip, in another light, if
            there are some in the light of the clip.
        rest_chance: share of the targets without a frame that are shown after a rest, in which
            there was nothing but noise.
        bend: largest displacement of the smooth deformation, cells, by which a reference of the
            same light differs from the face as if the head were turned.
        bend_chance: share of the references that are deformed; if none were made, frames of the
            clip stand for them, all deformed.
        augmentation: ranges of random changes; a gain changes the thresholds with it, as the
            change of light stays what it is.
    """

    batch: int = 16
    learning_rate: float = 2e-3
    warm_up: float = 0.1
    targets: int = 4
    changed_weight: float = 8.0
    ssim_weight: float = 0.3
    psnr_weight: float = 0.02
    scale_weight: float = 0.02
    flow_weight: float = 0.02
    kl_weight: float = 1e-3
    kl_epochs: int = 3
    frame_chance: float = 0.55
    reference_chance: float = 0.6
    other_light_chance: float = 0.1
    rest_chance: float = 0.3
    bend: float = 5.0
    bend_chance: float = 0.3
    augmentation: Augmentation = field(
        default_factory=lambda: Augmentation(
            shift=3,
            zoom=0.04,
            stretch=1.0,
            turn=0.03,
            shear=0.0,
            bend=0.0,
            gain=1.5,
            balance=1.2,
            drop=0.0,
            flip=0.0,
            late=0.0,
            noise=0.0,
        )
    )


@dataclass(frozen=True, slots=True)
class Reference:
    """A picture of the same person from before.

    Attributes:
        frame: uint8 [grid, grid], as it was taken.
        jitter: an augmentation; nearly that of the example.
    """

    frame: NDArray[np.uint8]
    jitter: Jitter = field(default_factory=Jitter)

    def picture(self) -> NDArray[np.uint8]:
        """Return it after the augmentation, uint8 [grid, grid]."""
        return self.jitter.warp_images(self.frame)


@dataclass(frozen=True, slots=True)
class Rest:
    """A while in which nothing moves, so that a face still looks as it did before.

    Attributes:
        slices: its length.
        noise_hz: events of a sensor pixel in a second.
        seed: of the noise.
    """

    slices: int
    noise_hz: float
    seed: int

    @classmethod
    def sample(cls, rng: np.random.Generator, shortest: int) -> Rest:
        """Sample a rest of at least `shortest` slices."""
        lengths = np.log([shortest, _LONGEST_REST_SLICES]).tolist()
        return cls(
            round(math.exp(rng.uniform(*lengths))),
            math.exp(rng.uniform(*np.log(_REST_NOISE_HZ).tolist())),
            int(rng.integers(2**31)),
        )


@dataclass(frozen=True, slots=True)
class ReconstructionExample:
    """One image to reconstruct.

    Attributes:
        sparse: its clip.
        number: of the target in the clip.
        frame: number of the frame to condition on, None for none.
        thresholds: of the sensor, as far as the frames up to then tell.
        reference: a picture of the same person, None for none.
        jitter: an augmentation.
        average: of the frames up to then; None for that of the frame alone.
        exposures: of the clip; None if they are all alike.
        rest: what came between the target's events and its picture; None for nothing.
    """

    sparse: SparseClip
    number: int
    frame: int | None
    thresholds: ContrastThresholds = field(default_factory=ContrastThresholds)
    reference: Reference | None = None
    jitter: Jitter = field(default_factory=Jitter)
    average: FrameAverage | None = None
    exposures: Exposures | None = None
    rest: Rest | None = None

    @property
    def target(self) -> NDArray[np.uint8]:
        """What is to be made, uint8 [grid, grid], in the exposure of the frame."""
        return self._exposed(self.number)

    @property
    def before(self) -> NDArray[np.uint8]:
        """What truly was to be seen when the frame was complete, likewise: the nearest target."""
        assert self.frame is not None
        clip = self.sparse.clip
        away = np.abs(clip.target_slice - clip.frame_slice[self.frame])
        return self._exposed(int(away.argmin()))

    def _exposed(self, number: int) -> NDArray[np.uint8]:
        target = np.asarray(self.sparse.clip.target[number], np.uint8)
        if self.exposures is None:
            return target
        steps = self.exposures.of(self.frame) - float(self.exposures.targets[number])
        return expose_again(target, steps)

    @property
    def age(self) -> int | None:
        """Age of the frame in slices; None without one."""
        if self.frame is None:
            return None
        clip = self.sparse.clip
        return int(clip.target_slice[self.number]) - int(clip.frame_slice[self.frame])


def remember_frames(sparse: SparseClip) -> list[FrameMemory]:
    """Return what a reconstructor remembers of the frames of a clip, after each of them."""
    clip = sparse.clip
    found: list[FrameMemory] = []
    recent: list[NDArray[np.float32]] = []
    since = np.zeros((2, *clip.frames.shape[1:]), np.float32)
    number = slices = 0
    for slice_ in range(int(clip.frame_slice[-1]) + 1 if len(clip.frames) else 0):
        counts = dense_counts(sparse, slice_).astype(np.float32)
        density = counts / np.float32(clip.pixels_per_cell)
        recent = [*recent[-(EXPOSED_SLICES - 1) :], density]
        since, slices = since + density, slices + 1
        if clip.frame_slice[number] != slice_:
            continue
        frame = clip.frames[number]
        if found:
            found.append(found[-1].add(frame, recent, since, slices))
        else:
            found.append(FrameMemory.start(frame, recent, ContrastThresholds()))
        since, slices, number = np.zeros_like(since), 0, number + 1
    return found


def fit_thresholds(sparse: SparseClip, frame: int) -> ContrastThresholds:
    """Return the thresholds that the frames of a clip tell, up to one of them."""
    return remember_frames(sparse)[frame].thresholds


def make_example_batch(
    examples: Sequence[ReconstructionExample], configuration: ReconstructionConfiguration
) -> tuple[Tensor, Tensor, Tensor]:
    """Return a batch.

    Returns:
        Conditions, float32 [B, channels, grid, grid]; targets, float32 [B, 1, grid, grid]; and
        bool [B, 1, grid, grid], the pixels that changed since the frame, all False without one.
    """
    c, count = configuration, len(examples)
    events = np.zeros((count, c.event_channels, c.grid, c.grid), np.float32)
    pictures, target, changed = [], [], []
    for b, example in enumerate(examples):
        clip, jitter = example.sparse.clip, example.jitter
        at = int(clip.target_slice[example.number])
        frame_at = None if example.frame is None else int(clip.frame_slice[example.frame])
        events[b, :-1], since, late = condition_events(
            example.sparse, at, frame_at, c, jitter, example.thresholds.delay
        )
        if example.rest is not None:
            events[b, :-1] = let_rest(
                events[b, :-1],
                example.rest.slices,
                example.rest.noise_hz,
                clip.pixels_per_cell,
                c,
                np.random.default_rng(example.rest.seed),
            )
        seen = None
        if example.frame is not None:
            off, on = jitter.gains().tolist()
            thresholds = replace(
                example.thresholds,
                on=example.thresholds.on / on,
                off=example.thresholds.off / off,
            )
            events[b, -1] = thresholds.log_change(since + late)
            frame = clip.frames[example.frame]
            average = example.average or FrameAverage.start(frame)
            average = replace(
                average,
                picture=jitter.warp_images(average.picture),
                deviation=jitter.warp_images(average.deviation),
            )
            seen = SeenFrames(
                jitter.warp_images(frame), average, example.age or 0, thresholds.log_change(late)
            )
        reference = example.reference.picture() if example.reference else None
        pictures.append(make_pictures(seen, events[b, -1], reference, c))
        target.append(jitter.warp_images(example.target))
        changed.append(jitter.warp_images(changed_since(example).astype(np.uint8)))
    parts = limit_events(events, c.gain), np.stack(pictures)
    condition = torch.from_numpy(np.concatenate(parts, 1))
    truth = torch.from_numpy(np.stack(target)[:, None]).float() / 255
    moved = torch.from_numpy(np.stack(changed)[:, None]).bool()
    return condition.contiguous(memory_format=torch.channels_last), truth, moved


def example_pictures(
    example: ReconstructionExample, network: ConditionalVae
) -> NDArray[np.float32]:
    """Return the pictures that an example is conditioned on, float32 [pictures, grid, grid]."""
    condition, _, _ = make_example_batch([example], network.configuration)
    return np.asarray(condition[0, -network.configuration.pictures :].numpy())


def changed_since(example: ReconstructionExample) -> NDArray[np.bool_]:
    """Return which pixels truly changed since the frame, bool [grid, grid]."""
    now = example.target.astype(np.int16)
    if example.frame is None:
        return np.zeros(now.shape, np.bool_)
    return np.asarray(np.abs(now - example.before) > CHANGED * 255, np.bool_)


class ExampleSampler:
    """Samples examples; knows which clips show the same person, and each clip's thresholds.

    Args:
        clips: of a split.
        configuration: of the network.
        training: how often which condition is sampled.
    """

    def __init__(
        self,
        clips: Sequence[SparseClip],
        configuration: ReconstructionConfiguration,
        training: ReconstructionTraining,
    ) -> None:
        self._clips, self._configuration, self._training = clips, configuration, training
        self._of_person: dict[tuple[int, str], list[int]] = {}
        for number, sparse in enumerate(clips):
            who = sparse.clip.identity, sparse.clip.skin
            self._of_person.setdefault(who, []).append(number)
        # Pictures of averages, and deviations, in half precision: those of all clips are kept.
        self._memories: dict[int, list[tuple[ContrastThresholds, NDArray[np.float16]]]] = {}
        self._exposures: dict[int, Exposures] = {}

    def sample(self, number: int, rng: np.random.Generator) -> ReconstructionExample:
        """Sample a target of a clip, what it is conditioned on, and an augmentation."""
        t, c = self._training, self._configuration
        sparse = self._clips[number]
        clip = sparse.clip
        target = int(rng.integers(len(clip.target)))
        jitter = t.augmentation.sample(rng)
        frame = None
        if rng.random() < t.frame_chance:
            frame = self._sample_frame(sparse, int(clip.target_slice[target]), rng)
        thresholds, average = ContrastThresholds(), None
        if frame is not None:
            known, half = self._remembered(number)[frame]
            average = FrameAverage(*half.astype(np.float32))
            if rng.random() < 0.9:
                thresholds = _disturb_thresholds(known, rng)
        reference, bend = None, 0.0
        if rng.random() < t.reference_chance:
            # While frames come, the reference is the best of them.
            if frame is not None and rng.random() < 0.5:
                reference = Reference(clip.frames[int(rng.integers(frame + 1))])
            elif rng.random() < t.other_light_chance:
                reference = self.sample_other_light(number, rng)
            else:
                reference = self.sample_same_light(number, rng)
                if sparse.references is None or rng.random() < t.bend_chance:
                    bend = t.bend * float(rng.random())
            if reference is not None:
                bent = replace(jitter, bend=bend, seed=int(rng.integers(2**31)))
                reference = replace(reference, jitter=_disturb_alignment(bent, rng))
        if number not in self._exposures:
            self._exposures[number] = measure_exposures(clip)
        exposures = self._exposures[number]
        rest = None
        if frame is None and c.lasting and rng.random() < t.rest_chance:
            rest = Rest.sample(rng, c.slices)
        return ReconstructionExample(
            sparse, target, frame, thresholds, reference, jitter, average, exposures, rest
        )

    def sample_same_light(self, number: int, rng: np.random.Generator) -> Reference | None:
        """Sample a reference in the light of a clip; a frame of it if none were made."""
        references = self._clips[number].references
        if references is None:
            references = self._clips[number].clip.frames
        if not len(references):
            return None
        return Reference(references[int(rng.integers(len(references)))])

    def sample_other_light(self, number: int, rng: np.random.Generator) -> Reference | None:
        """Sample a frame of another clip of the same person; None if there is none."""
        clip = self._clips[number].clip
        others = [n for n in self._of_person[clip.identity, clip.skin] if n != number]
        others = [n for n in others if len(self._clips[n].clip.frames)]
        if not others:
            return None
        frames = self._clips[others[int(rng.integers(len(others)))]].clip.frames
        return Reference(frames[int(rng.integers(len(frames)))])

    def _sample_frame(self, sparse: SparseClip, at: int, rng: np.random.Generator) -> int | None:
        newest = newest_frame(sparse, at)
        if newest is None:
            return None
        # Ages from one period of the camera to the whole clip, young ones more often.
        back = int(np.floor(np.exp(rng.uniform(0, np.log(newest + 2))))) - 1
        frame = newest - min(back, newest)
        age = at - int(sparse.clip.frame_slice[frame])
        return frame if age < self._configuration.frame_slices else None

    def _remembered(self, number: int) -> list[tuple[ContrastThresholds, NDArray[np.float16]]]:
        if number not in self._memories:
            self._memories[number] = [
                (
                    memory.thresholds,
                    np.stack([memory.average.picture, memory.average.deviation], dtype=np.float16),
                )
                for memory in remember_frames(self._clips[number])
            ]
        return self._memories[number]


def _disturb_thresholds(found: ContrastThresholds, rng: np.random.Generator) -> ContrastThresholds:
    both, ratio = np.exp(rng.normal(0, 0.05, 2)).tolist()
    return replace(found, on=found.on * both * ratio**0.5, off=found.off * both / ratio**0.5)


def _disturb_alignment(jitter: Jitter, rng: np.random.Generator) -> Jitter:
    """Return the augmentation of a reference, which a tracker aligned slightly otherwise."""
    rows, columns = rng.integers(-1, 2, 2).tolist()
    zoom, turn = rng.normal(0, (0.008, 0.008)).tolist()
    return replace(
        jitter,
        rows=jitter.rows + rows,
        columns=jitter.columns + columns,
        zoom=jitter.zoom * (1 + zoom),
        turn=jitter.turn + turn,
    )


def structural_similarity(truth: Tensor, image: Tensor) -> Tensor:
    """Return the mean structural similarity, by the convention of `metrics.ssim`.

    Args:
        truth: float32 [B, 1, H, W], 0 to 1.
        image: float32 [B, 1, H, W], 0 to 1.
    """
    window = torch.from_numpy(gaussian().astype(np.float32))

    def blur(x: Tensor) -> Tensor:
        return functional.conv2d(
            functional.conv2d(x, window.view(1, 1, -1, 1)), window.view(1, 1, 1, -1)
        )

    moments = torch.cat([truth, image, truth * truth, image * image, truth * image])
    mean_x, mean_y, xx, yy, xy = blur(moments).chunk(5)
    c1, c2 = 0.01**2, 0.03**2
    return (
        (2 * mean_x * mean_y + c1)
        * (2 * (xy - mean_x * mean_y) + c2)
        / ((mean_x**2 + mean_y**2 + c1) * (xx - mean_x**2 + yy - mean_y**2 + c2))
    ).mean()


def divergence(posterior: Gaussians, prior: Gaussians) -> Tensor:
    """Return the divergence of the posterior from the prior, nats per image, float32 [B]."""

    def one(mean_q: Tensor, log_q: Tensor, mean_p: Tensor, log_p: Tensor) -> Tensor:
        nats = log_p - log_q + (log_q.exp() + (mean_q - mean_p) ** 2) / log_p.exp() - 1
        return 0.5 * nats.flatten(1).sum(1)

    return one(posterior.mean, posterior.log_variance, prior.mean, prior.log_variance) + one(
        posterior.global_mean,
        posterior.global_log_variance,
        prior.global_mean,
        prior.global_log_variance,
    )


def train_reconstruction(
    training: Sequence[SparseClip],
    validation: Sequence[SparseClip],
    configuration: ReconstructionTraining | None = None,
    network: ReconstructionConfiguration | None = None,
    checkpoint: Path | None = None,
    resume: bool = False,
    report: Report | None = None,
    start: Mapping[str, Tensor] | ConditionalVae | None = None,
) -> Trained[ConditionalVae]:
    """Train on images with and without a frame and a reference.

    Half of each batch is decoded from a sample of the posterior, half from the prior's mean, which
    is what inference uses.

    Args:
        training: clips to learn from.
        validation: clips that choose the best epoch; never the test split.
        configuration: how to train.
        network: what to train.
        checkpoint: file written after every epoch.
        resume: go on from the checkpoint.
        report: called after every step and every epoch.
        start: tensors of an earlier training to go on from with a new schedule, with which
            layers that they do not fit start from random numbers; or a deployed network.

    Raises:
        MicroexprError: `resume`, and the checkpoint is missing or of another configuration.
    """
    c = configuration or ReconstructionTraining()
    runner.seed_torch(c)
    net = ConditionalVae(network)
    sampler = ExampleSampler(training, net.configuration, c)
    if isinstance(start, ConditionalVae):
        rng = np.random.default_rng(c.seed)
        chosen = rng.integers(len(training), size=_NORMALIZED_PICTURES)
        examples = [sampler.sample(int(number), rng) for number in chosen]
        start = start.trainable(make_example_batch(examples, start.configuration)[0]).state_dict()
    if start is not None:
        load_fitting(net, start)
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    fixed = validation_examples(validation, net.configuration, c)

    def losses(
        epoch: int, rng: np.random.Generator, order: Sequence[NDArray[np.int64]]
    ) -> Iterator[Tensor]:
        noise = torch.Generator().manual_seed(c.seed * 1000 + epoch)
        for step, chosen in enumerate(order):
            examples = [sampler.sample(int(i) // c.targets, rng) for i in chosen]
            kl_share = min(1.0, (epoch + step / len(order)) / max(c.kl_epochs, 1e-9))
            batch = make_example_batch(examples, net.configuration)
            yield _loss(net, batch, c, c.kl_weight * kl_share, noise)

    task = runner.TrainingTask(
        network=net,
        items=len(training) * c.targets,
        losses=losses,
        score=lambda now: -_validation_loss(now, fixed, c),
        identity={'network': to_settings(net.configuration), 'clips': fingerprint(training)},
    )
    return runner.run_training(task, c, checkpoint, resume, report)


def load_fitting(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Load those tensors into a network that it has in the same size; others stay as they are."""
    own = network.state_dict()
    fitting = {k: v for k, v in tensors.items() if k in own and own[k].shape == v.shape}
    network.load_state_dict({**own, **fitting})


def validation_examples(
    clips: Sequence[SparseClip],
    configuration: ReconstructionConfiguration,
    training: ReconstructionTraining,
    limit: int = 240,
) -> list[ReconstructionExample]:
    """Return a fixed set of examples in the shares of the training, without augmentation.

    Args:
        clips: of the validation split.
        configuration: of the network.
        training: how often which condition is sampled.
        limit: of the number of clips.
    """
    sampler, rng = ExampleSampler(clips, configuration, training), np.random.default_rng(0)
    examples = [sampler.sample(number, rng) for number in range(min(len(clips), limit))]
    return [
        replace(
            example,
            jitter=Jitter(),
            reference=example.reference and replace(example.reference, jitter=Jitter()),
        )
        for example in examples
    ]


def _loss(
    net: ConditionalVae,
    batch: tuple[Tensor, Tensor, Tensor],
    c: ReconstructionTraining,
    kl_weight: float,
    noise: torch.Generator,
) -> Tensor:
    condition, target, changed = batch
    if net.posterior is None:
        raise ValueError('a deployed network has no posterior to train')
    # Only the network: differences of the losses cancel in eight bits.
    with c.precision():
        features, prior = net.encode(condition)
        posterior = net.posterior(target, features[-1])
    prior, posterior = (Gaussians(*(v.float() for v in part)) for part in (prior, posterior))
    from_prior = torch.arange(len(target)) % 2 == 0
    drawn, expected = posterior.sample(noise), prior.means()
    latents = Latents(
        torch.where(from_prior.view(-1, 1, 1, 1), expected.local, drawn.local),
        torch.where(from_prior.view(-1, 1), expected.everywhere, drawn.everywhere),
    )
    with c.precision():
        decoded = net.decode(features, latents)
    picture = Picture(decoded.image.float(), decoded.scale.float())
    loss = picture_loss(picture, target, changed, c)
    if decoded.flows is not None:
        loss = loss + c.flow_weight * _flow_loss(
            decoded.flows, *true_flows(condition, target, net.configuration)
        )
    # Only what inference makes teaches the scale: from the posterior, errors are smaller.
    error = (picture.image - target).abs().detach()[from_prior]
    scale, weight = picture.scale[from_prior], _weigh(changed, c)[from_prior]
    surprise = (weight * (error / scale + scale.log())).sum() / weight.sum()
    loss = loss + c.scale_weight * surprise
    return loss + kl_weight * divergence(posterior, prior).mean()


def true_flows(
    condition: Tensor, target: Tensor, configuration: ReconstructionConfiguration
) -> tuple[Tensor, Tensor]:
    """Return where each part of the true pictures was in the pictures that are moved.

    By an optical flow (Kroeger et al., Fast Optical Flow using Dense Inverse Search, ECCV 2016).

    Args:
        condition: float32 [B, channels, grid, grid].
        target: float32 [B, 1, grid, grid].
        configuration: of the network.

    Returns:
        float32 [B, 2 * MOVED, grid / 4, grid / 4], as `Picture.flows`; and likewise 1 where there
        is such a picture.
    """
    pictures = condition[:, -configuration.pictures :].numpy()
    moved = (6 if configuration.averages else 1, 3), (2, 5)
    side = target.shape[-1] // 4
    flows = np.zeros((len(target), 2 * MOVED, side, side), np.float32)
    known = np.zeros_like(flows)
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    truths = np.rint(255 * target[:, 0].numpy()).astype(np.uint8)
    for b, truth in enumerate(truths):
        for source, (picture, is_there) in enumerate(moved):
            if not pictures[b, is_there, 0, 0]:
                continue
            before = np.rint(255 * pictures[b, picture]).astype(np.uint8)
            flow = search.calc(truth, before, None)  # type: ignore[call-overload]
            small = cv2.resize(flow, (side, side), interpolation=cv2.INTER_AREA)
            flows[b, 2 * source : 2 * source + 2] = np.moveaxis(small, 2, 0)
            known[b, 2 * source : 2 * source + 2] = 1
    return torch.from_numpy(flows), torch.from_numpy(known)


def _flow_loss(flows: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    # Of several cells, as between a reference in another light and now, the flow is hardly right.
    known = known * (truth.abs() < _FARTHEST_CELLS)
    error = functional.smooth_l1_loss(flows.float(), truth, reduction='none')
    return (known * error).sum() / known.sum().clamp(min=1)


def picture_loss(
    picture: Picture, target: Tensor, changed: Tensor, c: ReconstructionTraining
) -> Tensor:
    """Return how far pictures are from their targets, as training weighs it.

    Args:
        picture: whose scales are not looked at.
        target: float32 [B, 1, grid, grid].
        changed: bool [B, 1, grid, grid], pixels that changed since the frame.
        c: the weights.
    """
    error = (picture.image - target).abs()
    weight = _weigh(changed, c)
    painted = (weight * error).sum() / weight.sum()
    similar = structural_similarity(target, picture.image)
    return painted + c.ssim_weight * (1 - similar) + c.psnr_weight * _log_error(error, changed)


def _weigh(changed: Tensor, c: ReconstructionTraining) -> Tensor:
    return 1 + (c.changed_weight - 1) * changed.float()


def _log_error(error: Tensor, changed: Tensor) -> Tensor:
    """Return the mean logarithm of the squared error of pictures and of their changed pixels."""
    squared = error.square()
    count = changed.sum((1, 2, 3))
    of_changed = (squared * changed).sum((1, 2, 3)) / count.clamp(min=1)
    # Of a few pixels it would be noise; without any, the whole picture counts twice.
    everywhere = squared.mean((1, 2, 3))
    of_changed = torch.where(count >= _LEAST_CHANGED, of_changed, everywhere)
    logarithms = (torch.stack([everywhere, of_changed]) + _LEAST_SQUARE).log()
    return logarithms.mean()


@torch.inference_mode()
def _validation_loss(
    net: ConditionalVae, examples: Sequence[ReconstructionExample], c: ReconstructionTraining
) -> float:
    total = 0.0
    for first in range(0, len(examples), c.batch):
        part = examples[first : first + c.batch]
        condition, target, changed = make_example_batch(part, net.configuration)
        total += float(picture_loss(net(condition), target, changed, c)) * len(part)
    return total / len(examples)


@torch.inference_mode()
def predict_pictures(
    network: ConditionalVae, examples: Sequence[ReconstructionExample], batch: int = 16
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the pictures of the most probable latents and the scales of their errors.

    Returns:
        float32 [N, grid, grid] each, 0 to 1.
    """
    images, scales = [], []
    for first in range(0, len(examples), batch):
        condition, _, _ = make_example_batch(
            examples[first : first + batch], network.configuration
        )
        picture = network(condition)
        images.append(picture.image[:, 0].clamp(0, 1).numpy())
        scales.append(picture.scale[:, 0].numpy())
    return np.concatenate(images), np.concatenate(scales)
