"""Where the numbers of a report come from: command, data and their limits."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from microexpr_ros.synthesis.dataset.card import LIMITS
from microexpr_ros.synthesis.dataset.index import INDEX, read_index


def describe_provenance(
    arguments: Sequence[str], root: Path, parts: Iterable[str], limits: Sequence[str] = ()
) -> dict[str, Any]:
    """Return where the numbers of a report come from, as JSON.

    Args:
        arguments: of `microexpr`, as they were typed.
        root: folder of the data.
        parts: folders in it that were scored; those that do not exist are left out.
        limits: of the numbers, beside those of all synthetic data.

    Returns:
        `command`; `data`, the recipe (seed, generator, ...) of each part; and `limits`.
    """
    found = {part: _read_recipe(root, part) for part in parts}
    return {
        'command': shlex.join(['microexpr', *arguments]),
        'data': {part: recipe for part, recipe in found.items() if recipe is not None},
        'limits': [LIMITS, *limits],
    }


def _read_recipe(root: Path, part: str) -> Mapping[str, Any] | None:
    if (root / part / INDEX).is_file():
        return read_index(root, part).recipe
    own = root / part / 'recipe.json'
    return json.loads(own.read_text()) if own.is_file() else None
