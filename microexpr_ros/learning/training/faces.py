"""Training of the networks of the face tracker."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from microexpr_ros.errors import MicroexprError
from microexpr_ros.learning.data.face_samples import FaceSamples, concatenate, sample_moments
from microexpr_ros.learning.training import runner
from microexpr_ros.learning.training.runner import Optimization, Report, Trained
from microexpr_ros.perception.faces.configuration import FaceConfiguration
from microexpr_ros.perception.faces.inference import FaceInference, RunNetwork
from microexpr_ros.perception.faces.network import FaceNetworks
from microexpr_ros.perception.settings import to_settings
from microexpr_ros.synthesis.dataset.face_takes import FaceTake


@dataclass(frozen=True, slots=True)
class FaceTraining(Optimization):
    """How the networks are trained.

    Attributes:
        moments: moments of a take in an epoch.
        crops: crops of each moment.
    """

    epochs: int = 6
    batch: int = 4
    learning_rate: float = 3e-3
    warm_up: float = 0.15
    moments: int = 10
    crops: int = 5


def train_faces(
    training: Sequence[FaceTake],
    validation: Sequence[FaceTake],
    configuration: FaceTraining,
    network: FaceConfiguration,
    checkpoint: Path | None = None,
    resume: bool = False,
    report: Report | None = None,
    start: Mapping[str, Tensor] | None = None,
) -> Trained[FaceNetworks]:
    """Train both networks side by side; the epoch is chosen by the loss on the validation takes.

    Args:
        training: takes to learn from.
        validation: takes of other persons.
        configuration: how to train.
        network: what to train.
        checkpoint: file written after every epoch.
        resume: go on from the checkpoint.
        report: called after every step and every epoch.
        start: state to start from; None for random numbers.

    Raises:
        MicroexprError: `start` is of networks of another shape; `resume`, and the checkpoint is
            missing or of another configuration.
    """
    c = configuration
    runner.seed_torch(c)
    networks = FaceNetworks(network)
    if start is not None:
        try:
            networks.load_state_dict(start)
        except RuntimeError as error:
            raise MicroexprError(
                'the networks to start from have another shape: give the configuration '
                f'(`network`) that they were trained with ({" ".join(str(error).split())[:200]})'
            ) from error
    rng = np.random.default_rng([c.seed, 1])
    held_out = concatenate(
        [sample_moments(take, rng, 4, 4, network.crop, False) for take in validation]
    )

    def losses(
        epoch: int, rng: np.random.Generator, order: Sequence[NDArray[np.int64]]
    ) -> Iterator[Tensor]:
        inference = _as_inference(networks)
        for chosen in order:
            networks.eval()
            samples = concatenate(
                [
                    sample_moments(
                        training[n], rng, c.moments, c.crops, network.crop, inference=inference
                    )
                    for n in chosen.tolist()
                ]
            )
            networks.train()
            yield sum(face_losses(networks, samples, c.precision()).values(), torch.zeros(()))

    def score(trained: FaceNetworks) -> float:
        with torch.inference_mode():
            return -float(sum(face_losses(trained, held_out).values()))

    identity = {'takes': len(training), 'network': to_settings(network)}
    task = runner.TrainingTask(networks, len(training), losses, score, identity)
    return runner.run_training(task, c, checkpoint, resume, report)


def _as_inference(networks: FaceNetworks) -> FaceInference:
    """Return networks in training as they are used: always with their newest weights."""

    def runs(network: nn.Module) -> RunNetwork:
        def run(array: NDArray[np.float32]) -> list[NDArray[np.float32]]:
            with torch.inference_mode():
                return [network(torch.from_numpy(array)).numpy()]

        return run

    return FaceInference(
        runs(networks.detector), runs(networks.refiner), networks.configuration.crop, 'in training'
    )


def face_losses(
    networks: FaceNetworks,
    samples: FaceSamples,
    precision: AbstractContextManager[object] | None = None,
) -> dict[str, Tensor]:
    """Return the losses of both networks by name.

    Args:
        networks: to train.
        samples: to learn from.
        precision: context in which the networks, but not the losses, compute.
    """
    with precision or nullcontext():
        found = networks.detector(torch.from_numpy(samples.pooled)).float()
        refined = networks.refiner(torch.from_numpy(samples.crops)).float()
    places = torch.from_numpy(samples.places)
    is_face = torch.from_numpy(samples.is_face)
    landmarks = torch.from_numpy(samples.landmarks)
    known, face = is_face >= 0, is_face > 0
    out = {
        'places': _focal_loss(found[:, 0], places[:, 0]),
        'is_face': functional.binary_cross_entropy_with_logits(refined[known, 15], is_face[known]),
    }
    weight = places[:, 5]
    off = functional.smooth_l1_loss(found[:, 1:], places[:, 1:5], reduction='none', beta=0.2)
    scale = torch.tensor([0.3, 0.3, 2.0, 1.0])[:, None, None]
    out['boxes'] = (scale * off * weight[:, None]).sum() / weight.sum().clamp(min=1)
    if face.any():
        out['landmarks'] = landmark_loss(refined[face], landmarks[face])
    return out


def landmark_loss(refined: Tensor, landmarks: Tensor) -> Tensor:
    """Return the mean negative logarithm of the likelihood of landmarks.

    Distances of a landmark are taken to fall off exponentially, which forgives outliers; sigma
    is the standard deviation along one axis.
    """
    away = refined[:, :10].reshape(-1, 5, 2) - landmarks
    distance = (away.square().sum(dim=2) + 1e-6).sqrt()
    log_sigma = refined[:, 10:15].clamp(-5, 2)
    return (2 * log_sigma + 3**0.5 * distance * torch.exp(-log_sigma)).mean()


def _focal_loss(logit: Tensor, target: Tensor) -> Tensor:
    """Return the penalty-reduced focal loss of CornerNet (Law and Deng, ECCV 2018)."""
    p = torch.sigmoid(logit)
    hit = target == 1
    found = (1 - p).square() * functional.logsigmoid(logit)
    missed = (1 - target) ** 4 * p.square() * functional.logsigmoid(-logit)
    return -(found[hit].sum() + missed[~hit].sum()) / max(len(logit), 1)
