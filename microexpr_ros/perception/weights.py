"""Weights files: tensors, with configuration, thresholds and calibration in the header."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from safetensors import SafetensorError, safe_open

from microexpr_ros import facs
from microexpr_ros.atomic import atomic_target
from microexpr_ros.errors import MicroexprError
from microexpr_ros.perception.settings import key_of, values_before

if TYPE_CHECKING:
    from torch import Tensor

Configuration = TypeVar('Configuration')

Kind = Literal['au', 'reconstruction', 'face', 'baseline', 'picture_baseline']

FORMAT: Final = 'microexpr_ros/2'

_HEADER: Final = 'microexpr_ros'
_SHIPPED: Final = Path(__file__).parent / 'weights'


@dataclass(frozen=True, slots=True)
class Weights:
    """What a weights file holds.

    Attributes:
        name: name of the network.
        hash: first 8 hexadecimal digits of the SHA-256 of the file.
        settings: configuration, thresholds and calibration, JSON values by section.
        tensors: by the names of the network's own state dictionary.
    """

    name: str
    hash: str
    settings: Mapping[str, Any]
    tensors: Mapping[str, Tensor]

    @property
    def model(self) -> str:
        """Name and hash, as published with the estimates."""
        return f'{self.name}@{self.hash}'

    def configuration(self, kind: type[Configuration]) -> Configuration:
        """Return the network's configuration, which `settings.to_settings` wrote.

        Args:
            kind: its dataclass.

        Raises:
            MicroexprError: a setting is missing or unknown, as in weights of another version.
        """
        own = {**values_before(kind), **self.settings['configuration']}
        names = {key_of(item): item.name for item in fields(kind)}  # type: ignore[arg-type]
        if set(names) != set(own):
            differing = ', '.join(sorted(set(names) ^ set(own)))
            raise MicroexprError(
                f'{self.model} has weights of another version, which differ in {differing}: '
                'train them again'
            )
        # JSON knows no tuples.
        values = {k: tuple(v) if isinstance(v, list) else v for k, v in own.items()}
        return kind(**{names[key]: value for key, value in values.items()})


def shipped(kind: Kind) -> Path:
    """Return the path of the weights that come with the package."""
    return _SHIPPED / f'{kind}.safetensors'


def save(
    path: Path,
    kind: Kind,
    name: str,
    settings: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
) -> None:
    """Write a weights file; a file that is already there is replaced in one step.

    Args:
        path: file to write; its folder is made.
        kind: which network the weights are for.
        name: name of the network.
        settings: JSON values by section.
        tensors: by the names of the network's state dictionary.
    """
    # Imported here, as it loads torch, which reading a header does not need.
    from safetensors.torch import save_file

    header = {
        'format': FORMAT,
        'kind': kind,
        'name': name,
        'units': facs.CODES,
        'settings': settings,
    }
    # One entry: safetensors writes several in varying order, and the hash would vary too.
    metadata = {_HEADER: json.dumps(header, sort_keys=True)}
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_target(path, replace=True) as hidden:
        save_file({key: value.contiguous() for key, value in tensors.items()}, hidden, metadata)
        # safetensors lets only the owner read what it writes.
        hidden.chmod(0o644)


def load(path: Path, kind: Kind, with_tensors: bool = True) -> Weights:
    """Read a weights file.

    Args:
        path: a file of `save`.
        kind: which network the weights are for.
        with_tensors: False to leave out the tensors, without loading torch, if an export is run.

    Raises:
        MicroexprError: there is no such file, it was not written by this package, it is for
            another network, or its units are not those of `facs.CODES`.
    """
    if not path.is_file():
        raise MicroexprError(
            f'no weights at {path}: give another file, or train with `{_trained_by(kind)}`'
        )
    try:
        with safe_open(path, framework='pt' if with_tensors else 'np') as file:
            header = json.loads((file.metadata() or {}).get(_HEADER, '{}'))
            names = file.keys() if with_tensors else ()
            tensors = {name: file.get_tensor(name) for name in names}
    except SafetensorError as error:
        raise MicroexprError(f'{path} is not a safetensors file ({error})') from error
    if header.get('format') != FORMAT:
        raise MicroexprError(
            f'{path} has format {header.get("format")!r}, expected {FORMAT!r}: '
            'it was not written by this version of microexpr_ros'
        )
    if header['kind'] != kind:
        raise MicroexprError(f'{path} holds {header["kind"]!r} weights, expected {kind!r}')
    units = tuple(header['units'])
    if units != facs.CODES:
        raise MicroexprError(
            f'{path} was trained for Action Units {units}, this version reads {facs.CODES}: '
            f'train again with `{_trained_by(kind)}`'
        )
    return Weights(
        name=header['name'],
        hash=hashlib.sha256(path.read_bytes()).hexdigest()[:8],
        settings=header['settings'],
        tensors=tensors,
    )


def _trained_by(kind: Kind) -> str:
    named = {
        'baseline': 'au --model ...',
        'picture_baseline': 'reconstruction --model ...',
    }
    return f'microexpr train {named.get(kind, kind)}'
