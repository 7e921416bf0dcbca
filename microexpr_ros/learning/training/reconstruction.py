"""Training of the conditional variational autoencoder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from microexpr_ros.learning.data.augmentation import Augmentation, Jitter
from microexpr_ros.learning.data.clips import SparseClip, condition_events, fingerprint
from microexpr_ros.learning.metrics import gaussian
from microexpr_ros.learning.models.baselines import newest_frame
from microexpr_ros.learning.training import runner
from microexpr_ros.learning.training.runner import Optimization, Report, Trained
from microexpr_ros.perception.reconstruction.configuration import ReconstructionConfiguration
from microexpr_ros.perception.reconstruction.network import ConditionalVae, compress
from microexpr_ros.perception.settings import to_settings


@dataclass(frozen=True, slots=True)
class ReconstructionTraining(Optimization):
    """How the autoencoder is trained.

    Attributes:
        targets: targets sampled from each clip in an epoch.
        ssim_weight: weight of 1 - SSIM beside the mean absolute error.
        kl_weight: weight of the divergence after `kl_epochs`.
        kl_epochs: epochs in which the weight grows linearly from 0.
        free_bits: divergence per latent value without a penalty, nats (Kingma et al., 2016).
        frame_chance: share of targets that are given a frame.
        old_frame_chance: share of those whose frame is not the newest one.
        augmentation: ranges of random changes.
    """

    batch: int = 16
    learning_rate: float = 2e-3
    warm_up: float = 0.1
    targets: int = 4
    ssim_weight: float = 0.3
    kl_weight: float = 1e-4
    kl_epochs: int = 3
    free_bits: float = 0.02
    frame_chance: float = 0.5
    old_frame_chance: float = 0.3
    augmentation: Augmentation = field(
        default_factory=lambda: Augmentation(
            shift=6,
            zoom=0.0,
            stretch=1.0,
            turn=0.0,
            shear=0.0,
            bend=0.0,
            gain=1.5,
            balance=1.0,
            drop=0.3,
            flip=0.0,
            late=0.0,
            noise=0.0,
        )
    )


@dataclass(frozen=True, slots=True)
class ReconstructionExample:
    """One image to reconstruct.

    Attributes:
        sparse: its clip.
        number: of the target in the clip.
        frame: number of the frame to condition on, None for none.
        jitter: an augmentation.
    """

    sparse: SparseClip
    number: int
    frame: int | None
    jitter: Jitter = field(default_factory=Jitter)


def make_example_batch(
    examples: Sequence[ReconstructionExample], configuration: ReconstructionConfiguration
) -> tuple[Tensor, Tensor]:
    """Return conditions, float32 [B, channels, grid, grid], and targets, [B, 1, grid, grid]."""
    c = configuration
    condition = np.zeros((len(examples), c.channels, c.grid, c.grid), np.float32)
    target = np.zeros((len(examples), 1, c.grid, c.grid), np.float32)
    for b, example in enumerate(examples):
        clip, jitter = example.sparse.clip, example.jitter
        at = int(clip.target_slice[example.number])
        frame_at = None
        if example.frame is not None:
            frame_at = int(clip.frame_slice[example.frame])
            condition[b, -2] = jitter.warp_images(clip.frames[example.frame]) / np.float32(255)
            condition[b, -1] = 1
        condition[b, :-2] = condition_events(example.sparse, at, frame_at, c, jitter)
        target[b, 0] = jitter.warp_images(clip.target[example.number]) / np.float32(255)
    result = torch.from_numpy(condition)
    result[:, :-2] = compress(result[:, :-2], c.gain)
    return (
        result.contiguous(memory_format=torch.channels_last),
        torch.from_numpy(target),
    )


def sample_example(
    sparse: SparseClip,
    configuration: ReconstructionConfiguration,
    training: ReconstructionTraining,
    rng: np.random.Generator,
) -> ReconstructionExample:
    """Sample a target of a clip, a frame or none, and an augmentation."""
    clip = sparse.clip
    number = int(rng.integers(len(clip.target)))
    at = int(clip.target_slice[number])
    frame = newest_frame(sparse, at)
    if rng.random() >= training.frame_chance:
        frame = None
    if frame is not None and rng.random() < training.old_frame_chance:
        frame = int(rng.integers(max(0, frame - 4), frame + 1))
    if frame is not None and at - int(clip.frame_slice[frame]) >= configuration.frame_slices:
        frame = None
    return ReconstructionExample(sparse, number, frame, training.augmentation.sample(rng))


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


def divergence(posterior: tuple[Tensor, Tensor], prior: tuple[Tensor, Tensor]) -> Tensor:
    """Return the divergence of the posterior from the prior, nats per latent value.

    Args:
        posterior: mean and log variance, each [B, latent, h, w].
        prior: likewise.
    """
    (mean_q, log_q), (mean_p, log_p) = posterior, prior
    return 0.5 * (log_p - log_q + (log_q.exp() + (mean_q - mean_p) ** 2) / log_p.exp() - 1)


def train_reconstruction(
    training: Sequence[SparseClip],
    validation: Sequence[SparseClip],
    configuration: ReconstructionTraining | None = None,
    network: ReconstructionConfiguration | None = None,
    checkpoint: Path | None = None,
    resume: bool = False,
    report: Report | None = None,
) -> Trained[ConditionalVae]:
    """Train on images with and without a frame.

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

    Raises:
        MicroexprError: `resume`, and the checkpoint is missing or of another configuration.
    """
    c = configuration or ReconstructionTraining()
    runner.seed_torch(c)
    net = ConditionalVae(network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    fixed = validation_examples(validation, net.configuration)

    def losses(
        epoch: int, rng: np.random.Generator, order: Sequence[NDArray[np.int64]]
    ) -> Iterator[Tensor]:
        noise = torch.Generator().manual_seed(c.seed * 1000 + epoch)
        for step, chosen in enumerate(order):
            examples = [
                sample_example(training[i // c.targets], net.configuration, c, rng) for i in chosen
            ]
            condition, target = make_example_batch(examples, net.configuration)
            kl_share = min(1.0, (epoch + step / len(order)) / max(c.kl_epochs, 1e-9))
            yield _loss(net, condition, target, c, c.kl_weight * kl_share, noise)

    task = runner.TrainingTask(
        network=net,
        items=len(training) * c.targets,
        losses=losses,
        score=lambda now: -_validation_loss(now, fixed, c),
        identity={'network': to_settings(net.configuration), 'clips': fingerprint(training)},
    )
    return runner.run_training(task, c, checkpoint, resume, report)


def validation_examples(
    clips: Sequence[SparseClip], configuration: ReconstructionConfiguration, limit: int = 200
) -> list[ReconstructionExample]:
    """Return a fixed set of examples, half of them with the newest frame."""
    examples = []
    for i, sparse in enumerate(clips[:limit]):
        clip = sparse.clip
        number = len(clip.target) // 3 + i % max(len(clip.target) // 2, 1)
        frame = newest_frame(sparse, int(clip.target_slice[number])) if i % 2 else None
        if frame is not None:
            age = int(clip.target_slice[number]) - int(clip.frame_slice[frame])
            frame = frame if age < configuration.frame_slices else None
        examples.append(ReconstructionExample(sparse, number, frame))
    return examples


def _loss(
    net: ConditionalVae,
    condition: Tensor,
    target: Tensor,
    c: ReconstructionTraining,
    kl_weight: float,
    noise: torch.Generator,
) -> Tensor:
    features, mean_p, log_p = net.encode(condition)
    if net.posterior is None:
        raise ValueError('a deployed network has no posterior to train')
    mean_q, log_q = net.posterior(target, features[-1])
    epsilon = torch.randn(mean_q.shape, generator=noise)
    latent = mean_q + (0.5 * log_q).exp() * epsilon
    from_prior = torch.arange(len(latent)).view(-1, 1, 1, 1) % 2 == 0
    image = net.decode(features, torch.where(from_prior, mean_p, latent))
    kl = divergence((mean_q, log_q), (mean_p, log_p)).mean(0)
    painted = functional.l1_loss(image, target)
    similar = structural_similarity(target, image)
    return painted + c.ssim_weight * (1 - similar) + kl_weight * kl.clamp(min=c.free_bits).sum()


@torch.inference_mode()
def _validation_loss(
    net: ConditionalVae, examples: Sequence[ReconstructionExample], c: ReconstructionTraining
) -> float:
    total = 0.0
    for first in range(0, len(examples), c.batch):
        part = examples[first : first + c.batch]
        condition, target = make_example_batch(part, net.configuration)
        image = net(condition)
        similar = structural_similarity(target, image)
        loss = functional.l1_loss(image, target) + c.ssim_weight * (1 - similar)
        total += float(loss) * len(part)
    return total / len(examples)


@torch.inference_mode()
def predict_images(
    network: ConditionalVae, examples: Sequence[ReconstructionExample], batch: int = 16
) -> NDArray[np.uint8]:
    """Return the images of the prior's mean, uint8 [N, grid, grid]."""
    out = []
    for first in range(0, len(examples), batch):
        condition, _ = make_example_batch(examples[first : first + batch], network.configuration)
        out.append(torch.round(network(condition)[:, 0] * 255).to(torch.uint8).numpy())
    return np.concatenate(out)
