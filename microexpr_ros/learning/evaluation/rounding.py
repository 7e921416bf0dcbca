"""Results with as many digits as they are worth, and as JSON can hold them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, Final, TypeVar

DECIMALS: Final = 4
"""Decimal places of every number of a result."""

Result = TypeVar('Result')


def rounded(result: Result) -> Result:
    """Return a result with all numbers rounded to `DECIMALS`; others, and nan, stay.

    Args:
        result: a number, or dataclasses, mappings and sequences of them.

    Example:
        >>> rounded({'share': 2 / 3, 'n': 3})
        {'share': 0.6667, 'n': 3}
    """
    return _rounded(result)  # type: ignore[no-any-return]


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(float(value), DECIMALS)
    if isinstance(value, Mapping):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(_rounded, value))
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: _rounded(getattr(value, f.name)) for f in fields(value)})
    return value


def json_values(result: Any) -> Any:
    """Return a result that JSON can hold: rounded, with None for numbers that are not finite.

    Args:
        result: as of `rounded`; a dataclass becomes a dictionary of its fields.

    Example:
        >>> json_values({'share': 2 / 3, 'delay_ms': math.nan})
        {'share': 0.6667, 'delay_ms': None}
    """
    return _json_values(rounded(result))


def _json_values(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _json_values(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_json_values(inner) for inner in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _json_values(getattr(value, f.name)) for f in fields(value)}
    return value
