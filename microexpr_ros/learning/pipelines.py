"""From clips to a weights file: training, calibration, export."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import torch

from microexpr_ros.errors import MicroexprError
from microexpr_ros.learning.data.clips import SparseClip, in_boxes
from microexpr_ros.learning.data.fresh import mix_excerpts
from microexpr_ros.learning.evaluation import score_clips
from microexpr_ros.learning.evaluation.trained_baselines import baseline_name, write_baseline
from microexpr_ros.learning.models import blendshapes
from microexpr_ros.learning.models.picture_networks import PictureModel
from microexpr_ros.learning.prediction import Prediction
from microexpr_ros.learning.training import action_units as training
from microexpr_ros.learning.training import faces as face_training
from microexpr_ros.learning.training import reconstruction as reconstruction_training
from microexpr_ros.learning.training.calibration import fit_activity, fit_presence
from microexpr_ros.learning.training.checkpoint import read_best, read_identity
from microexpr_ros.learning.training.configuration import (
    ActionUnitRun,
    FaceRun,
    ReconstructionRun,
)
from microexpr_ros.learning.training.intervals import fit_intervals
from microexpr_ros.learning.training.picture_baselines import (
    train_picture_baseline,
    write_picture_baseline,
)
from microexpr_ros.learning.training.reconstruction import ReconstructionTraining
from microexpr_ros.learning.training.runner import Report, training_settings
from microexpr_ros.perception import weights
from microexpr_ros.perception.classifier import ActionUnitClassifier
from microexpr_ros.perception.export import write_export, write_face_exports
from microexpr_ros.perception.nir_export import write_nir
from microexpr_ros.perception.reconstruction.configuration import ReconstructionConfiguration
from microexpr_ros.perception.reconstruction.network import ConditionalVae
from microexpr_ros.perception.reconstruction.reconstructor import Reconstructor
from microexpr_ros.perception.settings import to_settings
from microexpr_ros.perception.spiking.configuration import SpikingConfiguration
from microexpr_ros.perception.spiking.network import SpikingNetwork
from microexpr_ros.synthesis.dataset.face_takes import (
    FaceRecipe,
    generate_face_takes,
    read_face_take,
)


def make_action_units(
    training_clips: Sequence[SparseClip],
    validation_clips: Sequence[SparseClip],
    run: ActionUnitRun,
    resume: bool = False,
    report: Report | None = None,
) -> dict[str, Any]:
    """Train a network, choose its thresholds on the validation split, write its weights.

    The spiking network on events is written to `au.safetensors`, which the nodes run; every
    other model, and a control, to a file of its own name for `read_baselines`.

    Args:
        training_clips: to learn from; the model mediapipe needs none.
        validation_clips: to choose the epoch, the thresholds and the calibration.
        run: what to train, and how.
        resume: go on from the checkpoint.
        report: called after every step and every epoch.

    Returns:
        What was trained and its validation scores; these are optimistic, as the thresholds were
        chosen on the same clips.

    Raises:
        MicroexprError: a control of another model than events, persons or resume for the model
            mediapipe, or as of `training.train`.
    """
    c = run.training
    if run.model != 'events' and c.control != 'none':
        raise MicroexprError(
            f'control {c.control!r} of the model {run.model!r}: controls are of the model events'
        )
    if run.model == 'mediapipe':
        if run.persons or resume:
            raise MicroexprError(
                'the model mediapipe is not trained: leave out persons and resume'
            )
        return _choose_thresholds(validation_clips, run.out)
    name = baseline_name(run.model, c.control)
    seen = _of_persons(training_clips, run.persons)
    validation_clips = in_boxes([*validation_clips, *_validation_excerpts(run)], c.boxes)
    trained = training.train(
        seen,
        validation_clips,
        c,
        run.network,
        run.out / f'{name}.checkpoint',
        resume,
        report,
        run.model,
        _read_units_start(run.start, run.model, run.network) if run.start else None,
    )
    network, deployed = trained.network, None
    if name == 'events' and isinstance(network, SpikingNetwork):
        network = deployed = network.deployed()
    predicted = training.predict(network, validation_clips, c.control)
    presence = fit_presence(predicted, validation_clips)
    persons = len({clip.clip.identity for clip in seen})
    described = {**training_settings(c, trained), 'clips': len(seen), 'persons': persons}
    if deployed is None:
        path = write_baseline(run.out, run.model, presence, network, described, boxes=c.boxes)
        model = weights.load(path, 'baseline').model
    else:
        path = run.out / 'au.safetensors'
        activity = fit_activity(validation_clips)
        classifier = ActionUnitClassifier(deployed, presence, activity, boxes=c.boxes)
        model = write_classifier(path, classifier, described)
    return {
        'weights': str(path),
        'model': model,
        'clips': len(seen),
        'persons': persons,
        'best_epoch': trained.epoch,
        'validation_score': trained.score,
        'validation': asdict(score_clips(predicted, validation_clips, presence)),
        'history': list(trained.history),
    }


def _read_units_start(
    path: Path, model: str, wanted: SpikingConfiguration
) -> Mapping[str, torch.Tensor] | SpikingNetwork:
    """Read what a training of Action Units goes on from.

    Raises:
        MicroexprError: as of `read_best` and `weights.load`, weights for another model, or rates
            with a limit where they had none, or the other way round.
    """
    start: Mapping[str, torch.Tensor] | SpikingNetwork
    if is_weights := path.suffix == '.safetensors':
        if model != 'events':
            raise MicroexprError(
                f'start {path} are weights, which the model events alone goes on from: start '
                f'{model} from a checkpoint'
            )
        start = ActionUnitClassifier.from_weights(weights.load(path, 'au')).network
        neurons = start.configuration.neurons
    else:
        start, neurons = read_best(path), read_identity(path)['network']['neurons']
    has_limit = neurons != 'rectified'
    if has_limit != (wanted.neurons != 'rectified') and (has_limit or not is_weights):
        raise MicroexprError(
            f'start {path} has {neurons} neurons, which {wanted.neurons} ones do not go on from: '
            'only the weights (.safetensors) of rectified neurons start other ones'
        )
    return start


def write_classifier(
    path: Path, classifier: ActionUnitClassifier, described: Mapping[str, Any]
) -> str:
    """Write a classifier's weights and their exports, and return the model's name and hash.

    Args:
        path: of the weights.
        classifier: with a deployed network.
        described: how it was trained, JSON values.
    """
    network = classifier.network
    values = {**classifier.to_settings(), 'training': described, 'torch': torch.__version__}
    weights.save(path, 'au', name_network(network.configuration), values, network.state_dict())
    write_export(path, 'au')
    if network.configuration.spikes:
        write_nir(path)
    return weights.load(path, 'au').model


def name_network(configuration: SpikingConfiguration) -> str:
    """Return the name that is published with a network's estimates."""
    return 'spiking-m' if configuration.spikes else 'analog-m'


def _validation_excerpts(run: ActionUnitRun) -> Sequence[SparseClip]:
    fresh = run.training.fresh
    if fresh.validation is None:
        return ()
    return mix_excerpts(fresh.validation, fresh.validation_excerpts, run.training.seed)


def _of_persons(clips: Sequence[SparseClip], persons: int) -> Sequence[SparseClip]:
    if persons <= 0:
        return clips
    first = set(sorted({clip.clip.identity for clip in clips})[:persons])
    return [clip for clip in clips if clip.clip.identity in first]


def _choose_thresholds(clips: Sequence[SparseClip], out: Path) -> dict[str, Any]:
    found = blendshapes.predict(clips)
    # Blendshapes have different ranges; their probabilities are comparable.
    scale = fit_presence([Prediction(scores) for scores in found], clips)
    predicted = [Prediction(scale.probability(scores)) for scores in found]
    presence = fit_presence(predicted, clips)
    path = write_baseline(out, 'mediapipe', presence, scale=scale)
    return {'weights': str(path), 'validation': asdict(score_clips(predicted, clips, presence))}


def make_reconstruction(
    training_clips: Sequence[SparseClip],
    validation_clips: Sequence[SparseClip],
    run: ReconstructionRun,
    resume: bool = False,
    report: Report | None = None,
) -> dict[str, Any]:
    """Train a reconstructor and write its weights; arguments as of `make_action_units`.

    A network that it is compared with is written to a file of its own name, for
    `read_picture_baselines`.

    Raises:
        MicroexprError: `start` cannot be read, or as of `train_reconstruction`.
    """
    training_clips = in_boxes(training_clips, 'aligned')
    validation_clips = in_boxes(validation_clips, 'aligned')
    if run.model != 'cvae':
        return _make_picture_baseline(
            run.model, training_clips, validation_clips, run, resume, report
        )
    trained = reconstruction_training.train_reconstruction(
        training_clips,
        validation_clips,
        run.training,
        run.network,
        run.out / 'reconstruction.checkpoint',
        resume,
        report,
        _read_start(run.start, run.network) if run.start else None,
    )
    deployed = trained.network.deployed()
    path = _write_reconstructor(
        run.out,
        f'cvae-w{deployed.configuration.width}',
        Reconstructor(deployed, intervals=fit_intervals(deployed, validation_clips, run.training)),
        {'training': training_settings(run.training, trained), 'torch': torch.__version__},
    )
    return {
        'weights': str(path),
        'model': weights.load(path, 'reconstruction').model,
        'best_epoch': trained.epoch,
        'validation_loss': -trained.score,
        'history': list(trained.history),
    }


def _read_start(
    path: Path, configuration: ReconstructionConfiguration
) -> Mapping[str, torch.Tensor] | ConditionalVae:
    """Read what a training of a reconstructor goes on from.

    Raises:
        MicroexprError: as of `read_best` and `weights.load`, or it is of another network.
    """
    if path.suffix != '.safetensors':
        return read_best(path)
    network = Reconstructor.from_weights(weights.load(path, 'reconstruction')).network
    own = network.configuration
    # Blocks that are added change nothing at first.
    grown = replace(own, blocks=max(own.blocks, configuration.blocks))
    if grown != configuration:
        differing = ', '.join(
            item.name
            for item in fields(configuration)
            if getattr(grown, item.name) != getattr(configuration, item.name)
        )
        raise MicroexprError(
            f'start {path} has another network, which differs in {differing}: say the same under '
            'network, or start from a checkpoint'
        )
    return network


def fit_intervals_again(
    file: weights.Weights, clips: Sequence[SparseClip], fitted_to: str, out: Path
) -> dict[str, Any]:
    """Write the weights of a reconstructor once more, with intervals fitted to clips.

    Args:
        file: weights of a reconstructor.
        clips: of persons that it did not learn from.
        fitted_to: which clips these are; kept in the file.
        out: folder for the weights.
    """
    reconstructor = Reconstructor.from_weights(file)
    clips = in_boxes(clips, 'aligned')
    intervals = fit_intervals(reconstructor.network, clips, ReconstructionTraining())
    reconstructor = Reconstructor(reconstructor.network, intervals=intervals)
    kept = {key: file.settings[key] for key in ('training', 'torch') if key in file.settings}
    path = _write_reconstructor(
        out, file.name, reconstructor, {**kept, 'intervals_fitted_to': fitted_to}
    )
    return {
        'weights': str(path),
        'model': weights.load(path, 'reconstruction').model,
        'clips': len(clips),
        'persons': len({sparse.clip.identity for sparse in clips}),
        'intervals': to_settings(intervals),
    }


def _write_reconstructor(
    folder: Path, name: str, reconstructor: Reconstructor, described: Mapping[str, Any]
) -> Path:
    """Write the weights of a reconstructor and their export, and return the weights' file."""
    path = folder / 'reconstruction.safetensors'
    tensors = dict(reconstructor.network.state_dict())
    settings = {**reconstructor.to_settings(), **described}
    weights.save(path, 'reconstruction', name, settings, tensors)
    write_export(path, 'reconstruction')
    return path


def _make_picture_baseline(
    model: PictureModel,
    training_clips: Sequence[SparseClip],
    validation_clips: Sequence[SparseClip],
    run: ReconstructionRun,
    resume: bool,
    report: Report | None,
) -> dict[str, Any]:
    trained = train_picture_baseline(
        model,
        training_clips,
        validation_clips,
        run.training,
        run.network,
        run.out / f'{model}.checkpoint',
        resume,
        report,
        read_best(run.start) if run.start else None,
    )
    described = training_settings(run.training, trained)
    path = write_picture_baseline(run.out, model, trained.network, run.network, described)
    return {
        'weights': str(path),
        'parameters': sum(part.numel() for part in trained.network.parameters()),
        'best_epoch': trained.epoch,
        'validation_loss': -trained.score,
        'history': list(trained.history),
    }


def make_faces(
    run: FaceRun,
    resume: bool = False,
    report: Report | None = None,
    made: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Train the networks of the face tracker and write their weights.

    Args:
        run: what to train, and how.
        resume: go on from the checkpoint.
        report: called after every step and every epoch.
        made: called with the takes to learn from that are there and all of them.
    """
    paths = generate_face_takes(run.data, FaceRecipe('train'), run.takes, progress=made)
    if run.nobody:
        paths += generate_face_takes(run.data, FaceRecipe('train', faces=False), run.nobody)
    held_out = generate_face_takes(run.data, FaceRecipe('val'), run.validation_takes)
    trained = face_training.train_faces(
        [read_face_take(path) for path in paths],
        [read_face_take(path) for path in held_out],
        run.training,
        run.network,
        run.out / 'face.checkpoint',
        resume,
        report,
        dict(weights.load(run.start, 'face').tensors) if run.start else None,
    )
    path = run.out / 'face.safetensors'
    values = {
        'configuration': to_settings(trained.network.configuration),
        'training': {
            **training_settings(run.training, trained),
            'takes': run.takes,
            'nobody': run.nobody,
        },
        'torch': torch.__version__,
    }
    weights.save(path, 'face', 'face-tracker', values, trained.network.state_dict())
    exports = write_face_exports(path)
    return {
        'weights': str(path),
        'exports': [str(export) for export in exports],
        'model': weights.load(path, 'face', with_tensors=False).model,
        'best_epoch': trained.epoch,
        'validation_loss': -trained.score,
        'history': list(trained.history),
    }
