"""The channels that move a face: the two halves of each Action Unit, then where the eyes look."""

from __future__ import annotations

from typing import Final

from microexpr_ros import facs

UNITS: Final[dict[int, dict[str, float]]] = {
    1: {'browInnerUp*': 1.5},
    2: {'browOuterUp*': 1.2},
    4: {'browDown*': 1.0},
    5: {'eyeWide*': 1.2},
    6: {'cheekSquint*': 1.0, 'eyeSquint*': 0.25},
    7: {'eyeSquint*': 1.1},
    9: {'noseSneer*': 1.2, 'browDown*': 0.15},
    10: {'mouthUpperUp*': 1.1},
    12: {'mouthSmile*': 0.9},
    14: {'mouthDimple*': 1.0},
    15: {'mouthFrown*': 1.1},
    17: {'mouthShrugLower': 1.1, 'mouthShrugUpper': 0.25},
    18: {'mouthPucker': 1.2},
    20: {'mouthStretch*': 1.1},
    24: {'mouthPress*': 1.0, 'mouthRollLower': 0.2, 'mouthRollUpper': 0.2},
    25: {'mouthLowerDown*': 0.7, 'mouthUpperUp*': 0.3},
    26: {'jawOpen': 0.5},
    45: {'eyeBlink*': 1.0},
}
"""FACS code to face units and their weight at intensity 1 (level E).

A star stands for the side, Left or Right, so that a unit can act on one side only. Weights
other than 1 bring units that the artists made faint or strong to the excursion that FACS
describes at level E; side movements that the muscle always brings along are in the table too
(9 draws the brow down a little, 6 narrows the eye).
"""

PAIRED: Final = frozenset(
    code for code, parts in UNITS.items() if all(unit.endswith('*') for unit in parts)
)
"""Units that can act on one side only."""

GAZE: Final = (
    *('eyeLookInLeft', 'eyeLookOutLeft', 'eyeLookUpLeft', 'eyeLookDownLeft'),
    *('eyeLookInRight', 'eyeLookOutRight', 'eyeLookUpRight', 'eyeLookDownRight'),
)

CHANNELS: Final = 2 * len(facs.CODES) + len(GAZE)
"""Left and right half of each unit of facs.CODES, then GAZE."""
