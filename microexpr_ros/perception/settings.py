"""Configurations as plain values for files, and back."""

from __future__ import annotations

from dataclasses import Field, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Final

_KEY: Final = 'key'
_BEFORE: Final = 'before'


def renamed_field(default: Any, key: str) -> Any:
    """Return a dataclass field that was renamed, so that existing files can still be read.

    Args:
        default: its default.
        key: its key in files: the field's earlier name.
    """
    return field(default=default, metadata={_KEY: key})


def added_field(default: Any, before: Any) -> Any:
    """Return a dataclass field that was added, so that existing files can still be read.

    Args:
        default: its default.
        before: its value in files that lack it: what was done before it was added.
    """
    return field(default=default, metadata={_BEFORE: before})


def values_before(kind: Any) -> dict[str, Any]:
    """Return what a file that lacks them stands for, by the key of each `added_field`."""
    return {
        key_of(item): item.metadata[_BEFORE] for item in fields(kind) if _BEFORE in item.metadata
    }


def key_of(item: Field[Any]) -> str:
    """Return the key of a dataclass field in files: its name, unless it was renamed."""
    return str(item.metadata.get(_KEY, item.name))


def to_settings(configuration: Any) -> dict[str, Any]:
    """Return a configuration as plain values by key.

    Args:
        configuration: a dataclass of plain values and of further dataclasses.
    """
    values = {key_of(item): getattr(configuration, item.name) for item in fields(configuration)}
    return {key: _plain(value) for key, value in values.items()}


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return to_settings(value)
    # Files are read elsewhere: where a folder was is nobody's concern there.
    return value.name if isinstance(value, Path) else value
