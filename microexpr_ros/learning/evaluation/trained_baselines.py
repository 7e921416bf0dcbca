"""Trained baselines: written by the training, read to be scored beside the network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from microexpr_ros.errors import MicroexprError
from microexpr_ros.learning.data.clips import SparseClip, in_boxes
from microexpr_ros.learning.models import blendshapes
from microexpr_ros.learning.models.networks import Network, build
from microexpr_ros.learning.prediction import Prediction
from microexpr_ros.learning.training.action_units import Control, predict
from microexpr_ros.learning.training.configuration import Method
from microexpr_ros.perception import weights
from microexpr_ros.perception.boxes import Boxes
from microexpr_ros.perception.classifier import read_boxes
from microexpr_ros.perception.presence import Presence
from microexpr_ros.perception.settings import to_settings
from microexpr_ros.perception.spiking.configuration import SpikingConfiguration

NODE_WEIGHTS: Final = ('au', 'reconstruction')
"""Files in the same folder that are no baselines: the nodes run them."""


@dataclass(frozen=True, slots=True)
class IntensityEstimator:
    """A method that estimates intensities in whole clips.

    Attributes:
        name: events, rgb, fusion, twin, linear, memoryless, time-shuffled or mediapipe.
        predict: returns what it says of each clip. A method that sees frames needs clips that
            were read with images.
        presence: thresholds chosen on the validation split.
    """

    name: str
    predict: Callable[[Sequence[SparseClip]], list[Prediction]]
    presence: Presence


def baseline_name(model: Method, control: Control) -> str:
    """Return the name of a trained baseline: that of the control, if it is one, or the model's."""
    return model if control == 'none' else control


def write_baseline(
    folder: Path,
    model: Method,
    presence: Presence,
    network: Network | None = None,
    training: Mapping[str, Any] | None = None,
    scale: Presence | None = None,
    boxes: Boxes = 'coarse',
) -> Path:
    """Write a baseline, and return its file.

    Args:
        folder: where `read_baselines` will look.
        model: the kind of method.
        presence: thresholds chosen on the validation split.
        network: the trained network; None for a method without one.
        training: settings of its training, of `runner.training_settings`.
        scale: turns values without a common scale into probabilities, which the thresholds of
            `presence` are then for; its own thresholds are not used.
        boxes: regions in which it was trained to see faces.
    """
    control: Control = training['control'] if training else 'none'
    name = baseline_name(model, control)
    path = folder / f'{name}.safetensors'
    values = {
        'model': model,
        'control': control,
        'configuration': to_settings(network.configuration) if network else {},
        'presence': presence.to_settings(),
        'scale': scale.to_settings() if scale else {},
        'training': training or {},
        'boxes': boxes,
        'torch': torch.__version__,
    }
    tensors = network.state_dict() if network else {}
    weights.save(path, 'baseline', name, values, tensors)
    return path


def read_baselines(folder: Path) -> dict[str, IntensityEstimator]:
    """Return the baselines in a folder, by name.

    Raises:
        MicroexprError: there is no such folder, or a file is damaged or of another version.
    """
    if not folder.is_dir():
        raise MicroexprError(
            f'no folder {folder}: train baselines into it with `microexpr train au --model`'
        )
    found = [
        _read(path)
        for path in sorted(folder.glob('*.safetensors'))
        if path.stem not in NODE_WEIGHTS
    ]
    return {estimator.name: estimator for estimator in found}


def _blendshape_probabilities(clips: Sequence[SparseClip], scale: Presence) -> list[Prediction]:
    return [Prediction(scale.probability(scores)) for scores in blendshapes.predict(clips)]


def _read(path: Path) -> IntensityEstimator:
    file = weights.load(path, 'baseline')
    settings = file.settings
    try:
        presence = Presence.from_settings(settings['presence'])
        if settings['model'] == 'mediapipe':
            scale = Presence.from_settings(settings['scale'])
            return IntensityEstimator(
                file.name, lambda clips: _blendshape_probabilities(clips, scale), presence
            )
        network = build(settings['model'], file.configuration(SpikingConfiguration))
        network.load_state_dict(dict(file.tensors))
        control: Control = settings['control']
    except MicroexprError as error:
        raise MicroexprError(f'{path}: {error}') from error
    except (KeyError, ValueError, RuntimeError) as error:
        reason = ' '.join(str(error).split())
        raise MicroexprError(f'{path} is damaged ({reason}): train it again') from error
    network.eval()
    boxes = read_boxes(file)
    return IntensityEstimator(
        file.name, lambda clips: predict(network, in_boxes(clips, boxes), control), presence
    )
