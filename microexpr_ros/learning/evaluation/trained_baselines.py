"""Whatever turns clips into intensities, behind one interface: what a report compares."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from microexpr_ros.errors import MicroexprError
from microexpr_ros.learning.data.clips import SparseClip
from microexpr_ros.learning.models import blendshapes
from microexpr_ros.learning.models.networks import Network, build
from microexpr_ros.learning.training.action_units import Control, predict
from microexpr_ros.learning.training.configuration import Method
from microexpr_ros.perception import weights
from microexpr_ros.perception.presence import Presence
from microexpr_ros.perception.settings import to_settings
from microexpr_ros.perception.spiking.network import SpikingConfiguration

SHIPPED: Final = ('au', 'reconstruction')
"""Files that a folder of trained networks holds beside the baselines."""


@dataclass(frozen=True, slots=True)
class IntensityEstimator:
    """Something that turns clips into intensities.

    Attributes:
        name: events, rgb, fusion, twin, linear, memoryless, time-shuffled or mediapipe.
        predict: clips to traces, float32 [T, 18] each, at the end of every slice. What sees
            frames needs clips that were read with images.
        presence: thresholds chosen on the validation split.
    """

    name: str
    predict: Callable[[Sequence[SparseClip]], list[NDArray[np.float32]]]
    presence: Presence


def baseline_name(model: Method, control: Control) -> str:
    """Return what a trained network is called: by its control, if it is one."""
    return model if control == 'none' else control


def write_baseline(
    folder: Path,
    model: Method,
    presence: Presence,
    network: Network | None = None,
    training: Mapping[str, Any] | None = None,
    scale: Presence | None = None,
) -> Path:
    """Write what is only compared, and return its file.

    Args:
        folder: where `read_baselines` will look.
        model: which method it is.
        presence: thresholds chosen on the validation split.
        network: as it was trained; None for a method without one.
        training: how it was trained, of `runner.settings`.
        scale: makes probabilities of values that have no common scale; its thresholds are not
            used, those of `presence` are of the probabilities.
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
        'torch': torch.__version__,
    }
    tensors = network.state_dict() if network else {}
    weights.save(path, 'baseline', name, values, tensors)
    return path


def read_baselines(folder: Path) -> dict[str, IntensityEstimator]:
    """Return what was trained into a folder to be compared, by name.

    Raises:
        MicroexprError: there is no such folder, or a file is damaged or of another version.
    """
    if not folder.is_dir():
        raise MicroexprError(
            f'no folder {folder}: train baselines into it with `microexpr train au --model`'
        )
    found = [
        _read(path) for path in sorted(folder.glob('*.safetensors')) if path.stem not in SHIPPED
    ]
    return {estimator.name: estimator for estimator in found}


def _scaled(clips: Sequence[SparseClip], scale: Presence) -> list[NDArray[np.float32]]:
    return [scale.probability(trace) for trace in blendshapes.predict(clips)]


def _read(path: Path) -> IntensityEstimator:
    file = weights.load(path, 'baseline')
    settings = file.settings
    try:
        presence = Presence.from_settings(settings['presence'])
        if settings['model'] == 'mediapipe':
            scale = Presence.from_settings(settings['scale'])
            return IntensityEstimator(file.name, lambda clips: _scaled(clips, scale), presence)
        network = build(settings['model'], file.configuration(SpikingConfiguration))
        network.load_state_dict(dict(file.tensors))
        control: Control = settings['control']
    except MicroexprError as error:
        raise MicroexprError(f'{path}: {error}') from error
    except (KeyError, ValueError, RuntimeError) as error:
        reason = ' '.join(str(error).split())
        raise MicroexprError(f'{path} is damaged ({reason}): train it again') from error
    network.eval()
    return IntensityEstimator(file.name, lambda clips: predict(network, clips, control), presence)
