"""Facial micro-expressions for robots, read with event cameras.

The floors of the house, each knowing only those below it: `bags`, `events`, `alignment`,
`perception` and `synthesis`, `learning`, `ros`, `cli`.
"""

from pkgutil import extend_path

# Run from the repository root, the source tree would hide the installed package and with
# it the generated messages; both are parts of one package.
__path__ = extend_path(__path__, __name__)

__version__ = '0.1.0'
