"""Configurations as plain values for files, and back."""

from __future__ import annotations

from dataclasses import Field, field, fields, is_dataclass
from typing import Any, Final

_KEY: Final = 'key'


def renamed_field(default: Any, key: str) -> Any:
    """Return a dataclass field that was renamed, so that existing files can still be read.

    Args:
        default: its default.
        key: its key in files: the field's earlier name.
    """
    return field(default=default, metadata={_KEY: key})


def key_of(item: Field[Any]) -> str:
    """Return the key of a dataclass field in files: its name, unless it was renamed."""
    return str(item.metadata.get(_KEY, item.name))


def to_settings(configuration: Any) -> dict[str, Any]:
    """Return a configuration as plain values by key.

    Args:
        configuration: a dataclass of plain values and of further dataclasses.
    """
    values = {key_of(item): getattr(configuration, item.name) for item in fields(configuration)}
    return {k: to_settings(v) if is_dataclass(v) else v for k, v in values.items()}
