"""Training runs, each described by one YAML file."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import yaml  # type: ignore[import-untyped]

from microexpr_ros.errors import MicroexprError
from microexpr_ros.learning.models.networks import Model
from microexpr_ros.learning.training.action_units import TrainingConfiguration
from microexpr_ros.learning.training.faces import FaceTraining
from microexpr_ros.learning.training.reconstruction import ReconstructionTraining
from microexpr_ros.perception.faces.configuration import FaceConfiguration
from microexpr_ros.perception.reconstruction.configuration import ReconstructionConfiguration
from microexpr_ros.perception.settings import key_of
from microexpr_ros.perception.spiking.configuration import SpikingConfiguration

Configuration = TypeVar('Configuration')

Method = Literal[Model, 'mediapipe']
"""Methods that are compared; for mediapipe only thresholds are fitted."""


@dataclass(frozen=True, slots=True)
class ActionUnitRun:
    """A run of `microexpr train au`.

    Attributes:
        data: data set with the splits train and val.
        out: folder for checkpoint, logs and weights.
        model: method to train.
        training: how to train.
        network: what to train.
        persons: train on the first so many persons only, 0 for all; for a learning curve.
        start: checkpoint of another run to go on from with a new schedule, such as the one with
            graded neurons before the one with spikes, or weights of the model events, such as
            those of the package, to which layers that add their input may be added; none to start
            from random numbers.
    """

    data: Path
    out: Path
    model: Method = 'events'
    training: TrainingConfiguration = field(default_factory=TrainingConfiguration)
    network: SpikingConfiguration = field(default_factory=SpikingConfiguration)
    persons: int = 0
    start: Path | None = None


@dataclass(frozen=True, slots=True)
class ReconstructionRun:
    """A run of `microexpr train reconstruction`; as `ActionUnitRun`.

    Attributes:
        model: the autoencoder, or a network that it is compared with.
        start: checkpoint of an earlier run to go on from with a new schedule; layers that its
            network does not have, or has in another size, start from random numbers. Or, for the
            autoencoder, a weights file (.safetensors) of the same network, to which blocks may be
            added.
    """

    data: Path
    out: Path
    model: Literal['cvae', 'unet', 'recurrent'] = 'cvae'
    start: Path | None = None
    training: ReconstructionTraining = field(default_factory=ReconstructionTraining)
    network: ReconstructionConfiguration = field(default_factory=ReconstructionConfiguration)


@dataclass(frozen=True, slots=True)
class FaceRun:
    """A run of `microexpr train face`.

    Attributes:
        data: folder for takes of the whole sensor; those that are missing are made.
        out: folder for checkpoint, logs and weights.
        takes: takes to learn from.
        nobody: further takes to learn from, in which nobody is.
        validation_takes: takes to choose the epoch by.
        start: weights file to go on from with a new schedule; none to start from random ones.
        training: how to train.
        network: what to train.
    """

    data: Path
    out: Path
    takes: int = 1200
    nobody: int = 0
    validation_takes: int = 32
    start: Path | None = None
    training: FaceTraining = field(default_factory=FaceTraining)
    network: FaceConfiguration = field(default_factory=FaceConfiguration)

    def __post_init__(self) -> None:
        if min(self.takes, self.validation_takes) < 1:
            raise ValueError(
                f'takes {self.takes} and validation_takes {self.validation_takes}: both must be '
                'at least 1'
            )
        if self.nobody < 0:
            raise ValueError(f'nobody {self.nobody} must be at least 0')


def read_run(
    kind: type[Configuration], path: Path | None, overrides: Mapping[str, Any]
) -> Configuration:
    """Read a run; values that are in neither the file nor the overrides have their defaults.

    Args:
        kind: `ActionUnitRun` or `ReconstructionRun`.
        path: YAML file of the kind's fields; None for an empty one.
        overrides: values that replace those of the file, by keys such as `training.epochs`;
            None keeps the file's.

    Raises:
        MicroexprError: the file cannot be read, or a key or a value is invalid.
    """
    content: Any = {}
    if path is not None:
        try:
            content = yaml.safe_load(path.read_text()) or {}
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            reason = ' '.join(str(error).split())
            raise MicroexprError(f'cannot read the run {path}: {reason}') from error
    if not isinstance(content, dict):
        raise MicroexprError(f'{path} holds no keys: expected some of {_names(kind)}')
    for key, value in overrides.items():
        if value is not None:
            section, _, name = key.rpartition('.')
            if not section:
                content[name] = value
            elif isinstance(within := content.get(section) or {}, dict):
                content[section] = {**within, name: value}
    return from_plain_values(kind, content, str(path) if path is not None else 'the command line')


def from_plain_values(kind: type[Configuration], content: Any, where: str) -> Configuration:
    """Return a dataclass from the plain values of a YAML file.

    Args:
        kind: a dataclass; its fields may be dataclasses.
        content: values by the names of the fields, or by their earlier names.
        where: name of the content in error messages.

    Raises:
        MicroexprError: a key is unknown or missing, or a value is invalid.
    """
    assert is_dataclass(kind)
    if not isinstance(content, Mapping):
        raise MicroexprError(f'{where} is {content!r}: expected some of {_names(kind)}')
    content = _by_name(kind, content, where)
    if unknown := [str(key) for key in content if key not in _names(kind)]:
        raise MicroexprError(
            f'{where} has the unknown key {", ".join(unknown)}: expected some of {_names(kind)}'
        )
    hints = get_type_hints(kind)
    values = {}
    for item in fields(kind):
        name = item.name
        if name in content:
            values[name] = _value(hints[name], content[name], f'{name} in {where}')
        elif item.default is MISSING and item.default_factory is MISSING:
            raise MicroexprError(f'{where} lacks {name}: add it, or give --{name}')
    try:
        return kind(**values)
    except ValueError as error:
        raise MicroexprError(f'{where}: {error}') from error


def _names(kind: Any) -> list[str]:
    return [item.name for item in fields(kind)]


def _by_name(kind: Any, content: Mapping[Any, Any], where: str) -> dict[Any, Any]:
    """Return values by the names of fields, given by these or by their earlier ones."""
    earlier = {key_of(item): item.name for item in fields(kind)}
    for key, name in earlier.items():
        if key != name and key in content and name in content:
            raise MicroexprError(f'{where} has {name} and {key}, its earlier name: remove one')
    return {earlier.get(key, key): value for key, value in content.items()}


def _value(hint: Any, value: Any, where: str) -> Any:
    if is_dataclass(hint):
        return from_plain_values(hint, {} if value is None else value, where)  # type: ignore[arg-type]
    choices = get_args(hint)
    if get_origin(hint) is UnionType:
        # One type or none, as nothing else is used here.
        (kind,) = (choice for choice in choices if choice is not NoneType)
        return None if value is None else _value(kind, value, where)
    if get_origin(hint) is Literal:
        if value in choices:
            return value
        raise MicroexprError(f'{where} is {value!r}: expected one of {", ".join(choices)}')
    if get_origin(hint) is tuple:
        open_ended = choices[-1] is Ellipsis
        if isinstance(value, list | tuple) and (open_ended or len(value) == len(choices)):
            kinds = choices[:1] * len(value) if open_ended else choices
            return tuple(_value(*pair, where) for pair in zip(kinds, value, strict=True))
    elif hint is float:
        # YAML 1.1 reads 3e-3 as text.
        with contextlib.suppress(TypeError, ValueError):
            return float(value)
    elif hint is Path and isinstance(value, str | Path):
        return Path(value)
    elif type(value) is hint:
        return value
    name = str(hint) if choices else hint.__name__
    raise MicroexprError(f'{where} is {value!r}: expected a value of type {name}')
