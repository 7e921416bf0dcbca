"""Facial micro-expressions for robots, read with event cameras.

The floors of the house, each knowing only those below it: `bags`, `events`, `alignment`,
`perception` and `synthesis`, `analysis`, `learning` and `view`, `ros`, `cli`.
"""

from __future__ import annotations

from pkgutil import extend_path
from typing import TYPE_CHECKING

from microexpr_ros.lazy import load_lazily

if TYPE_CHECKING:
    from microexpr_ros.analysis import analyze as analyze

# Run from the repository root, the source tree would hide the installed package and with
# it the generated messages; both are parts of one package.
__path__ = extend_path(__path__, __name__)

__version__ = '0.1.0'

# Networks take a while to load.
__getattr__ = load_lazily(__name__, {'analyze': 'analysis'})
