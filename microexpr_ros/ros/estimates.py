"""Estimates and detected expressions to messages and back.

Apart from `conversions`, so that nodes without a network do not load its libraries.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hri_msgs.msg import FacialActionUnits

from microexpr_ros import facs
from microexpr_ros.errors import MicroexprError
from microexpr_ros.facs import ExpressionKind
from microexpr_ros.msg import ActionUnit, ActionUnitArray
from microexpr_ros.msg import MicroExpression as MicroExpressionMessage
from microexpr_ros.perception.classifier import ActionUnitEstimate, Status
from microexpr_ros.perception.spotting import MicroExpression
from microexpr_ros.ros.conversions import to_duration, to_ns, to_time


def estimate_to_message(
    estimate: ActionUnitEstimate, face_id: str, frame_id: str, model: str, latency_ns: int
) -> ActionUnitArray:
    """Return an estimate as a message, with the face and the coordinate frame of its slice."""
    message = ActionUnitArray(
        face_id=face_id,
        state=int(estimate.status),
        latency=to_duration(latency_ns),
        model=model,
        units=[
            ActionUnit(
                code=code,
                name=facs.NAMES[code],
                intensity=float(intensity),
                confidence=float(confidence),
                active=bool(active),
                left=float(left),
                right=float(right),
            )
            for code, intensity, confidence, active, (left, right) in zip(
                facs.CODES,
                estimate.intensity,
                estimate.confidence,
                estimate.active,
                estimate.sides,
                strict=True,
            )
        ],
    )
    message.header.stamp = to_time(estimate.end_ns)
    message.header.frame_id = frame_id
    return message


def message_to_estimate(message: ActionUnitArray) -> ActionUnitEstimate:
    """Return the estimate that a message carries.

    Raises:
        MicroexprError: its units or its status are not those of this version.
    """
    codes = tuple(unit.code for unit in message.units)
    if codes != facs.CODES or message.state not in set(Status):
        raise MicroexprError(
            f'ActionUnitArray with state {message.state} and units {codes}; '
            f'this version knows the units {facs.CODES}'
        )
    return ActionUnitEstimate(
        end_ns=to_ns(message.header.stamp),
        status=Status(message.state),
        sides=np.array([(unit.left, unit.right) for unit in message.units], np.float32),
        confidence=np.array([unit.confidence for unit in message.units], np.float32),
        active=np.array([unit.active for unit in message.units], np.bool_),
    )


def estimate_to_facs(estimate: ActionUnitEstimate, frame_id: str) -> FacialActionUnits:
    """Return an estimate as the message of ROS4HRI.

    Intensities are passed on as they are, 0 to 1, of the stronger side. The confidence is the
    probability that the unit's presence is decided rightly, and 0 for units that the network
    does not know.
    """
    message = FacialActionUnits()
    message.header.stamp = to_time(estimate.end_ns)
    message.header.frame_id = frame_id
    for values, given in (
        (message.intensity, estimate.intensity),
        (message.confidence, estimate.confidence),
    ):
        values[list(facs.CODES)] = given
    return message


def expression_to_message(
    expression: MicroExpression, frame_id: str, face_id: str, to_ros: Callable[[int], int] = int
) -> MicroExpressionMessage:
    """Return a detected expression as a message.

    Args:
        expression: how long it lasted is told by its own times.
        frame_id: of the event camera.
        face_id: whose it is.
        to_ros: maps its times to ROS time, where they are on another clock.
    """
    message = MicroExpressionMessage(
        face_id=face_id,
        codes=list(expression.codes),
        onset=to_time(to_ros(expression.onset_ns)),
        apex=to_time(to_ros(expression.apex_ns)),
        offset=to_time(to_ros(expression.offset_ns)),
        peak=expression.peak,
        confidence=expression.confidence,
        micro=expression.micro,
        kind=int(expression.kind),
    )
    message.header.stamp = message.apex
    message.header.frame_id = frame_id
    return message


def message_to_expression(message: MicroExpressionMessage) -> MicroExpression:
    """Return the expression that a message carries."""
    return MicroExpression(
        codes=tuple(message.codes),
        onset_ns=to_ns(message.onset),
        apex_ns=to_ns(message.apex),
        offset_ns=to_ns(message.offset),
        peak=message.peak,
        confidence=message.confidence,
        kind=ExpressionKind(message.kind),
    )
