"""Public names of a package that are loaded when they are first asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def load_lazily(package: str, modules: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the `__getattr__` of a package whose modules are heavy (PEP 562).

    Args:
        package: name of the package.
        modules: public name to the module that defines it, relative to the package.

    Example:
        >>> load = load_lazily('os', {'join': 'path'})
        >>> load('join')('a', 'b')
        'a/b'
    """

    def load(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f'module {package!r} has no attribute {name!r}')
        return getattr(import_module(f'{package}.{modules[name]}'), name)

    return load
