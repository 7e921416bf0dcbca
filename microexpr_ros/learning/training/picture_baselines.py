"""Training of the networks that the reconstruction is compared with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from microexpr_ros.errors import MicroexprError
from microexpr_ros.learning.data.clips import SparseClip, dense_counts, fingerprint
from microexpr_ros.learning.models.picture_networks import (
    WINDOW_SLICES,
    PictureModel,
    PlainUnet,
    RecurrentPainter,
)
from microexpr_ros.learning.training import runner
from microexpr_ros.learning.training.reconstruction import (
    ExampleSampler,
    ReconstructionExample,
    ReconstructionTraining,
    load_fitting,
    make_example_batch,
    picture_loss,
    validation_examples,
)
from microexpr_ros.learning.training.runner import Report, Trained
from microexpr_ros.perception import weights
from microexpr_ros.perception.reconstruction.configuration import ReconstructionConfiguration
from microexpr_ros.perception.reconstruction.network import Picture
from microexpr_ros.perception.reconstruction.reconstructor import compress
from microexpr_ros.perception.settings import to_settings

SEQUENCE_WINDOWS: Final = 10
"""Windows of a sequence that the recurrent network is trained on."""

_UNSCORED_WINDOWS: Final = 3
"""First windows of a sequence, in which there was too little to see."""


@dataclass(frozen=True, slots=True)
class PictureBaseline:
    """A trained network that the reconstruction is compared with.

    Attributes:
        name: as in the report.
        network: in evaluation mode.
        configuration: of the autoencoder that it is compared with.
    """

    name: str
    network: PlainUnet | RecurrentPainter
    configuration: ReconstructionConfiguration

    @torch.inference_mode()
    def predict(self, examples: Sequence[ReconstructionExample]) -> list[NDArray[np.float32]]:
        """Return a picture of each example, float32 [grid, grid], 0 to 1."""
        if isinstance(self.network, RecurrentPainter):
            return _paint_sequences(self.network, examples, self.configuration.gain)
        pictures = []
        for example in examples:
            condition, _, _ = make_example_batch([example], self.configuration)
            pictures.append(self.network(condition).image[0, 0].numpy())
        return pictures


def train_picture_baseline(
    model: PictureModel,
    training: Sequence[SparseClip],
    validation: Sequence[SparseClip],
    configuration: ReconstructionTraining,
    network: ReconstructionConfiguration,
    checkpoint: Path | None = None,
    resume: bool = False,
    report: Report | None = None,
    start: Mapping[str, Tensor] | None = None,
) -> Trained[nn.Module]:
    """Train a network by the loss of the autoencoder, without latent variables.

    Args:
        model: which.
        training: clips to learn from.
        validation: clips that choose the best epoch; never the test split.
        configuration: how to train.
        network: the autoencoder's.
        checkpoint: file written after every epoch.
        resume: go on from the checkpoint.
        report: called after every step and every epoch.
        start: as tensors of `train_reconstruction`.

    Raises:
        MicroexprError: as of `runner.run_training`.
    """
    c = configuration
    runner.seed_torch(c)
    net: PlainUnet | RecurrentPainter
    if model == 'unet':
        net = PlainUnet(network)
        fixed = validation_examples(validation, network, c)
    else:
        net = RecurrentPainter()
        fixed = [ReconstructionExample(s, len(s.clip.target) - 1, None) for s in validation]
    if start is not None:
        load_fitting(net, start)
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    sampler = ExampleSampler(training, network, c)

    def losses(
        epoch: int, rng: np.random.Generator, order: Sequence[NDArray[np.int64]]
    ) -> Iterator[Tensor]:
        for chosen in order:
            numbers = [int(i) // c.targets for i in chosen]
            if isinstance(net, RecurrentPainter):
                yield _sequence_loss(net, [training[n] for n in numbers], rng, network.gain, c)
                continue
            examples = [sampler.sample(number, rng) for number in numbers]
            condition, target, changed = make_example_batch(examples, network)
            with c.precision():
                painted = net(condition)
            yield _loss(painted, target, changed, c)

    def score(now: nn.Module) -> float:
        assert isinstance(now, PlainUnet | RecurrentPainter)
        made = PictureBaseline(model, now, network).predict(fixed)
        total = 0.0
        for example, picture in zip(fixed, made, strict=True):
            _, target, changed = make_example_batch([example], network)
            image = torch.from_numpy(picture)[None, None]
            total += float(picture_loss(Picture(image, image), target, changed, c))
        return -total / len(fixed)

    task: runner.TrainingTask[nn.Module] = runner.TrainingTask(
        network=net,
        items=len(training) * c.targets,
        losses=losses,
        score=score,
        identity={
            'model': model,
            'network': to_settings(network),
            'clips': fingerprint(training),
        },
    )
    return runner.run_training(task, c, checkpoint, resume, report)


def write_picture_baseline(
    folder: Path,
    model: PictureModel,
    network: nn.Module,
    configuration: ReconstructionConfiguration,
    described: Mapping[str, Any],
) -> Path:
    """Write a trained baseline, and return its file.

    Args:
        folder: where `read_picture_baselines` will look.
        model: which.
        network: trained.
        configuration: the autoencoder's.
        described: how it was trained, JSON values.
    """
    path = folder / f'{model}.safetensors'
    values = {
        'model': model,
        'configuration': to_settings(configuration),
        'training': described,
        'torch': torch.__version__,
    }
    tensors = {name: value.contiguous() for name, value in network.state_dict().items()}
    weights.save(path, 'picture_baseline', model, values, tensors)
    return path


def read_picture_baselines(folder: Path) -> list[PictureBaseline]:
    """Read the baselines of a folder.

    Raises:
        MicroexprError: there are none, or a file cannot be read.
    """
    paths = [path for model in _NAMES if (path := folder / f'{model}.safetensors').is_file()]
    if not paths:
        raise MicroexprError(
            f'{folder} has no baselines: make them with `microexpr train reconstruction --model '
            f'unet|recurrent --out {folder}`'
        )
    found = []
    for path in paths:
        file = weights.load(path, 'picture_baseline')
        configuration = file.configuration(ReconstructionConfiguration)
        is_unet = file.settings['model'] == 'unet'
        network = PlainUnet(configuration) if is_unet else RecurrentPainter()
        try:
            network.load_state_dict(dict(file.tensors))
        except RuntimeError as error:
            raise MicroexprError(
                f'{path} holds a network of another shape, of an earlier version: train it again'
            ) from error
        name = _NAMES[file.settings['model']]
        found.append(PictureBaseline(name, network.eval(), configuration))
    return found


_NAMES: Final = {'unet': 'plain U-Net', 'recurrent': 'recurrent network, events alone'}
"""Names of the models in reports."""


def _loss(painted: Picture, target: Tensor, changed: Tensor, c: ReconstructionTraining) -> Tensor:
    picture = Picture(painted.image.float(), painted.scale.float())
    error = (picture.image - target).abs().detach()
    surprise = (error / picture.scale + picture.scale.log()).mean()
    return picture_loss(picture, target, changed, c) + c.scale_weight * surprise


def _sequence_loss(
    net: RecurrentPainter,
    clips: Sequence[SparseClip],
    rng: np.random.Generator,
    gain: float,
    c: ReconstructionTraining,
) -> Tensor:
    windows = min(SEQUENCE_WINDOWS, *(len(sparse.clip.target) for sparse in clips))
    events, targets = [], []
    for sparse in clips:
        first = int(rng.integers(len(sparse.clip.target) - windows + 1))
        factor = np.float32(c.augmentation.gain ** rng.uniform(-1, 1))
        side = -1 if rng.random() < 0.5 else 1
        seen = [window_events(sparse, first + k) for k in range(windows)]
        events.append(np.ascontiguousarray(factor * np.stack(seen)[..., ::side]))
        shown = sparse.clip.target[first : first + windows, :, ::side]
        targets.append(np.ascontiguousarray(shown))
    inputs = torch.from_numpy(compress(np.stack(events, 1), gain))
    truth = torch.from_numpy(np.stack(targets, 1)[:, :, None]).float() / 255
    state = net.initial_state(len(clips), inputs.shape[-1])
    losses = []
    for number, (window, target) in enumerate(zip(inputs, truth, strict=True)):
        with c.precision():
            painted, state = net(window.contiguous(memory_format=torch.channels_last), state)
        if number >= min(_UNSCORED_WINDOWS, windows - 1):
            losses.append(_loss(painted, target, torch.zeros_like(target).bool(), c))
    return torch.stack(losses).mean()


def window_events(sparse: SparseClip, number: int) -> NDArray[np.float32]:
    """Return the events of the window that ends at a target, float32 [WINDOW_SLICES, grid, grid].

    ON less OFF per sensor pixel, slice by slice.
    """
    end = int(sparse.clip.target_slice[number]) + 1
    signed = []
    for slice_ in range(end - WINDOW_SLICES, end):
        off, on = dense_counts(sparse, slice_).astype(np.float32)
        signed.append((on - off) / np.float32(sparse.clip.pixels_per_cell))
    return np.stack(signed)


def _paint_sequences(
    net: RecurrentPainter, examples: Sequence[ReconstructionExample], gain: float
) -> list[NDArray[np.float32]]:
    """Paint the targets of examples from all events of their clips up to then."""
    wanted: dict[int, list[int]] = {}
    for place, example in enumerate(examples):
        wanted.setdefault(id(example.sparse), []).append(place)
    pictures: list[NDArray[np.float32]] = [np.zeros((0, 0), np.float32)] * len(examples)
    for places in wanted.values():
        sparse = examples[places[0]].sparse
        grid = sparse.clip.target.shape[-1]
        state = net.initial_state(1, grid)
        for number in range(max(examples[place].number for place in places) + 1):
            window = torch.from_numpy(compress(window_events(sparse, number), gain))[None]
            painted, state = net(window, state)
            for place in places:
                if examples[place].number == number:
                    pictures[place] = painted.image[0, 0].numpy()
    return pictures
