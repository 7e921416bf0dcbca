"""Checkpoints, from which a training resumes as if it had not been interrupted."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from microexpr_ros.atomic import atomic_target
from microexpr_ros.errors import MicroexprError


def write_checkpoint(
    path: Path,
    identity: Mapping[str, Any],
    parts: Mapping[str, Any],
    history: list[dict[str, float]],
    best: dict[str, Tensor],
) -> None:
    """Write a checkpoint; the one before is replaced in one step.

    Args:
        path: file to write.
        identity: JSON values that must be equal to resume.
        parts: objects with a `state_dict`, by name.
        history: one entry per epoch.
        best: state of the best network so far.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        'identity': json.dumps(identity, sort_keys=True),
        'parts': {name: part.state_dict() for name, part in parts.items()},
        'history': history,
        'best': best,
    }
    with atomic_target(path, replace=True) as hidden:
        torch.save(content, hidden)


def read_checkpoint(
    path: Path, identity: Mapping[str, Any], parts: Mapping[str, Any]
) -> tuple[list[dict[str, float]], dict[str, Tensor]]:
    """Load a checkpoint's state into the parts.

    Returns:
        The history and the state of the best network.

    Raises:
        MicroexprError: there is no such file, it is no checkpoint, or it is from another training.
    """
    if not path.is_file():
        raise MicroexprError(
            f'no checkpoint at {path}: leave out --resume to start from the beginning'
        )
    content = _load(path)
    if content['identity'] != json.dumps(identity, sort_keys=True):
        raise MicroexprError(
            f'{path} is from a training with other settings or data: '
            'give the same ones, or leave out --resume to start from the beginning'
        )
    for name, part in parts.items():
        part.load_state_dict(content['parts'][name])
    return content['history'], content['best']


def read_best(path: Path) -> dict[str, Tensor]:
    """Return the state of the best network of a finished training.

    Raises:
        MicroexprError: there is no such file, it is no checkpoint, or no epoch was scored yet.
    """
    best: dict[str, Tensor] = _load_finished(path)['best']
    return best


def read_identity(path: Path) -> dict[str, Any]:
    """Return what a finished training was of, JSON values; errors as of `read_best`."""
    identity: dict[str, Any] = json.loads(_load_finished(path)['identity'])
    return identity


def _load_finished(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise MicroexprError(f'no checkpoint at {path}: train the run that it is of first')
    content = _load(path)
    if not content['best']:
        raise MicroexprError(f'{path} has no scored epoch yet: let that training finish first')
    return content


def _load(path: Path) -> dict[str, Any]:
    # Only tensors and plain values are read: a checkpoint cannot run code.
    content = torch.load(path, weights_only=True) if zipfile.is_zipfile(path) else {}
    if 'best' not in content:
        raise MicroexprError(f'{path} is no checkpoint of a training')
    return dict(content)
