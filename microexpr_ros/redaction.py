"""Which topics show no picture of a person: what remains when a recording is redacted.

It is a list of what is kept. A topic that is not on it is left out, so that one which is new or
unknown never slips in. Name and type must both fit: under the name of a result there may be an
image.
"""

from __future__ import annotations

import re
from typing import Final

ACTION_UNITS: Final = 'microexpr_ros/msg/ActionUnitArray'

KEPT: Final = {
    'au_predictions': ACTION_UNITS,
    'au_predictions/raw': ACTION_UNITS,
    'micro_expressions': 'microexpr_ros/msg/MicroExpression',
    'humans/faces/tracked': 'hri_msgs/msg/IdsList',
    'humans/faces/ID/facs': 'hri_msgs/msg/FacialActionUnits',
    'diagnostics': 'diagnostic_msgs/msg/DiagnosticArray',
}
"""Name of a topic, in any namespace, and its type. ID is the id of a face."""

NAMED: Final = tuple(name for name in KEPT if 'ID' not in name)
"""The names on the list that are known in advance."""

_PATTERNS: Final = {
    re.compile(rf'(/?|.*/){name.replace("ID", "[^/]+")}'): kind for name, kind in KEPT.items()
}


def is_kept(topic: str, type_name: str | None = None) -> bool:
    """Return whether a topic shows no picture of a person.

    Args:
        topic: Its name.
        type_name: Its type, such as pkg/msg/Name; None if it is not known yet: then the name
            decides, and the type must be looked at before a message is kept.

    Example:
        >>> is_kept('/robot/au_predictions', 'microexpr_ros/msg/ActionUnitArray')
        True
        >>> is_kept('/robot/au_predictions', 'sensor_msgs/msg/Image')
        False
        >>> is_kept('/humans/faces/f0001/cropped')
        False
    """
    kinds = {kind for pattern, kind in _PATTERNS.items() if pattern.fullmatch(topic)}
    return bool(kinds) and (type_name is None or type_name in kinds)
