"""From clips to a weights file: training, calibration, export."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from microexpr_ros.learning import reconstruction_training, training
from microexpr_ros.learning.calibration import fit_activity, fit_presence
from microexpr_ros.learning.datasets import Recording
from microexpr_ros.learning.evaluation import score_peaks, validation_score
from microexpr_ros.learning.training import Progress, TrainingConfiguration, predict
from microexpr_ros.perception import weights
from microexpr_ros.perception.action_units import ActionUnitClassifier
from microexpr_ros.perception.export import write_beside
from microexpr_ros.perception.reconstruction import ReconstructionConfiguration, Reconstructor
from microexpr_ros.perception.spiking import SpikingConfiguration

Report = Callable[[Progress], None]


def make_action_units(
    training_clips: Sequence[Recording],
    validation_clips: Sequence[Recording],
    out: Path,
    configuration: TrainingConfiguration,
    network: SpikingConfiguration | None = None,
    resume: bool = False,
    report: Report | None = None,
) -> dict[str, Any]:
    """Train a classifier, choose its thresholds on the validation split, write its weights.

    Args:
        training_clips: to learn from.
        validation_clips: to choose the epoch, the thresholds and the calibration.
        out: folder for the checkpoint and `au.safetensors`.
        configuration: how to train.
        network: what to train.
        resume: go on from the checkpoint.
        report: called after every step.

    Returns:
        What was trained and its validation scores; these are optimistic, as the thresholds were
        chosen on the same clips.
    """
    trained = training.train(
        training_clips,
        validation_clips,
        validation_score,
        configuration,
        network,
        out / 'au.checkpoint',
        resume,
        report,
    )
    deployed = trained.network.deployed()
    traces = predict(deployed, validation_clips)
    presence = fit_presence(traces, validation_clips)
    activity = fit_activity(validation_clips)
    classifier = ActionUnitClassifier(deployed, presence, activity)
    path = out / 'au.safetensors'
    values = {
        **classifier.to_settings(),
        'training': training.settings(configuration, trained),
        'torch': torch.__version__,
    }
    weights.save(path, 'au', 'spiking-s', values, deployed.state_dict())
    write_beside(path, 'au')
    return {
        'weights': str(path),
        'model': weights.load(path, 'au').model,
        'best_epoch': trained.epoch,
        'validation': score_peaks(traces, validation_clips, presence),
        'history': list(trained.history),
    }


def make_reconstruction(
    training_clips: Sequence[Recording],
    validation_clips: Sequence[Recording],
    out: Path,
    configuration: reconstruction_training.ReconstructionTraining,
    network: ReconstructionConfiguration | None = None,
    resume: bool = False,
    report: Report | None = None,
) -> dict[str, Any]:
    """Train a reconstructor and write its weights; arguments as of `make_action_units`."""
    trained = reconstruction_training.train_reconstruction(
        training_clips,
        validation_clips,
        configuration,
        network,
        out / 'reconstruction.checkpoint',
        resume,
        report,
    )
    deployed = trained.network.deployed()
    path = out / 'reconstruction.safetensors'
    values = {
        **Reconstructor(deployed).to_settings(),
        'training': reconstruction_training.settings(configuration, trained),
        'torch': torch.__version__,
    }
    tensors = {key: value.contiguous() for key, value in deployed.state_dict().items()}
    weights.save(path, 'reconstruction', f'cvae-w{deployed.configuration.width}', values, tensors)
    write_beside(path, 'reconstruction')
    return {
        'weights': str(path),
        'model': weights.load(path, 'reconstruction').model,
        'best_epoch': trained.epoch,
        'validation_loss': -trained.score,
        'history': list(trained.history),
    }
