"""Checkpoints, from which a training resumes as if it had not been interrupted."""

from __future__ import annotations

import json
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
        MicroexprError: there is no such file, or it is from another training.
    """
    if not path.is_file():
        raise MicroexprError(
            f'no checkpoint at {path}: leave out --resume to start from the beginning'
        )
    # Only tensors and plain values are read: a checkpoint cannot run code.
    content = torch.load(path, weights_only=True)
    if content['identity'] != json.dumps(identity, sort_keys=True):
        raise MicroexprError(
            f'{path} is from a training with other settings or data: '
            'give the same ones, or leave out --resume to start from the beginning'
        )
    for name, part in parts.items():
        part.load_state_dict(content['parts'][name])
    return content['history'], content['best']


def read_best(path: Path) -> dict[str, Tensor]:
    """Return the tensors of the best network of a training.

    Raises:
        MicroexprError: there is no such file, or its training did not score an epoch.
    """
    if not path.is_file():
        raise MicroexprError(f'no checkpoint at {path}: give one of a training, or none')
    best: dict[str, Tensor] = torch.load(path, weights_only=True)['best']
    if not best:
        raise MicroexprError(f'{path} has no network yet: let its training score an epoch')
    return best
