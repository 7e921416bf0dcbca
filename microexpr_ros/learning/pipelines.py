"""From clips to a weights file: training, calibration, export."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from microexpr_ros.errors import MicroexprError
from microexpr_ros.learning.data.clips import SparseClip
from microexpr_ros.learning.evaluation import score_clips
from microexpr_ros.learning.evaluation.trained_baselines import baseline_name, write_baseline
from microexpr_ros.learning.models import blendshapes
from microexpr_ros.learning.training import action_units as training
from microexpr_ros.learning.training import reconstruction as reconstruction_training
from microexpr_ros.learning.training.calibration import fit_activity, fit_presence
from microexpr_ros.learning.training.configuration import ActionUnitRun, ReconstructionRun
from microexpr_ros.learning.training.runner import Report, training_settings
from microexpr_ros.perception import weights
from microexpr_ros.perception.classifier import ActionUnitClassifier
from microexpr_ros.perception.export import write_export
from microexpr_ros.perception.reconstruction.reconstructor import Reconstructor
from microexpr_ros.perception.spiking.network import SpikingNetwork


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
    trained = training.train(
        seen,
        validation_clips,
        c,
        run.network,
        run.out / f'{name}.checkpoint',
        resume,
        report,
        run.model,
    )
    network, deployed = trained.network, None
    if name == 'events' and isinstance(network, SpikingNetwork):
        network = deployed = network.deployed()
    predicted = training.predict(network, validation_clips, c.control)
    presence = fit_presence(predicted, validation_clips)
    persons = len({clip.clip.identity for clip in seen})
    described = {**training_settings(c, trained), 'clips': len(seen), 'persons': persons}
    if deployed is None:
        path = write_baseline(run.out, run.model, presence, network, described)
        model = weights.load(path, 'baseline').model
    else:
        path = run.out / 'au.safetensors'
        classifier = ActionUnitClassifier(deployed, presence, fit_activity(validation_clips))
        values = {**classifier.to_settings(), 'training': described, 'torch': torch.__version__}
        weights.save(path, 'au', 'spiking-s', values, deployed.state_dict())
        write_export(path, 'au')
        model = weights.load(path, 'au').model
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


def _of_persons(clips: Sequence[SparseClip], persons: int) -> Sequence[SparseClip]:
    if persons <= 0:
        return clips
    first = set(sorted({clip.clip.identity for clip in clips})[:persons])
    return [clip for clip in clips if clip.clip.identity in first]


def _choose_thresholds(clips: Sequence[SparseClip], out: Path) -> dict[str, Any]:
    found = blendshapes.predict(clips)
    # Blendshapes have different ranges; their probabilities are comparable.
    scale = fit_presence(found, clips)
    predicted = [scale.probability(scores) for scores in found]
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
    """Train a reconstructor and write its weights; arguments as of `make_action_units`."""
    trained = reconstruction_training.train_reconstruction(
        training_clips,
        validation_clips,
        run.training,
        run.network,
        run.out / 'reconstruction.checkpoint',
        resume,
        report,
    )
    deployed = trained.network.deployed()
    path = run.out / 'reconstruction.safetensors'
    intervals = reconstruction_training.fit_intervals(deployed, validation_clips, run.training)
    values = {
        **Reconstructor(deployed, intervals=intervals).to_settings(),
        'training': training_settings(run.training, trained),
        'torch': torch.__version__,
    }
    tensors = {key: value.contiguous() for key, value in deployed.state_dict().items()}
    weights.save(path, 'reconstruction', f'cvae-w{deployed.configuration.width}', values, tensors)
    write_export(path, 'reconstruction')
    return {
        'weights': str(path),
        'model': weights.load(path, 'reconstruction').model,
        'best_epoch': trained.epoch,
        'validation_loss': -trained.score,
        'history': list(trained.history),
    }
