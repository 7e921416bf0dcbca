"""Estimates and detected expressions to messages and back.

Apart from `conversions`, so that nodes without a network do not load its libraries.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from hri_msgs.msg import FacialActionUnits
from numpy.typing import NDArray
from rclpy.serialization import serialize_message

from microexpr_ros import facs
from microexpr_ros.errors import MicroexprError
from microexpr_ros.facs import ExpressionKind
from microexpr_ros.msg import ActionUnit, ActionUnitArray
from microexpr_ros.msg import MicroExpression as MicroExpressionMessage
from microexpr_ros.perception.classifier import ActionUnitEstimate, Status
from microexpr_ros.perception.spotting import MicroExpression
from microexpr_ros.ros.conversions import SECOND_NS, to_duration, to_ns, to_time


@dataclass(frozen=True, slots=True)
class FaceEstimate:
    """An estimate on its way from the classifier to another node.

    Attributes:
        estimate: the estimate.
        face_id: whose it is.
        latency_ns: as of ActionUnitArray, 0 if it is unknown.
    """

    estimate: ActionUnitEstimate
    face_id: str
    latency_ns: int


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


class EstimateSerializer:
    """Serializes estimates as ActionUnitArray, ten times as fast as by messages.

    A message has an object for each of 18 units, and most of its bytes are names. Here the bytes
    of one message are kept, and only the numbers are written anew while the texts are the same.
    """

    def __init__(self) -> None:
        self._texts: tuple[str, str, str] | None = None

    def serialize(
        self,
        estimate: ActionUnitEstimate,
        face_id: str,
        frame_id: str,
        model: str,
        latency_ns: int,
    ) -> bytes:
        """Return the CDR of what `estimate_to_message` returns."""
        texts = face_id, frame_id, model
        if texts != self._texts:
            self._lay_out(serialize_message(estimate_to_message(estimate, *texts, latency_ns)))
            self._texts = texts
        self._words[1:3] = divmod(estimate.end_ns, SECOND_NS)
        self._words[self._latency : self._latency + 2] = divmod(latency_ns, SECOND_NS)
        self._bytes[self._state] = estimate.status
        floats = self._words.view(np.float32)
        floats[self._units] = estimate.intensity
        floats[self._units + 1] = estimate.confidence
        self._bytes[4 * (self._units + 2)] = estimate.active
        floats[self._units + 3] = estimate.sides[:, 0]
        floats[self._units + 4] = estimate.sides[:, 1]
        return self._bytes[: self._size].tobytes()

    def _lay_out(self, cdr: bytes) -> None:
        """Keep the bytes of a message, and find the places of its numbers in them.

        CDR aligns numbers to their size, here 4 bytes, and begins with 4 bytes of its own; the
        stamp follows. A text has its length before it.
        """
        self._size = len(cdr)
        self._bytes = np.zeros(_align(self._size), np.uint8)
        self._bytes[: self._size] = np.frombuffer(cdr, np.uint8)
        self._words = self._bytes.view(np.int32)
        frame_id_at = 12
        face_id_at = self._find_end_of_text(frame_id_at)
        self._state = self._find_end_of_text(face_id_at)
        # The state, the number of units, and then of each unit its code and its name.
        at = _align(self._state + 1) + 4
        units = []
        for _ in facs.CODES:
            at = _align(self._find_end_of_text(at + 1))
            units.append(at // 4)
            at += 5 * 4
        self._units: NDArray[np.int64] = np.array(units)
        self._latency = at // 4

    def _find_end_of_text(self, at: int) -> int:
        at = _align(at)
        return at + 4 + int(self._words[at // 4])


def _align(at: int) -> int:
    return -(-at // 4) * 4


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
    """Return the expression that a message carries.

    Raises:
        MicroexprError: its kind is not one of this version.
    """
    if message.kind not in set(ExpressionKind):
        raise MicroexprError(
            f'MicroExpression of kind {message.kind}; this version knows '
            f'{", ".join(map(str, map(int, ExpressionKind)))}'
        )
    return MicroExpression(
        codes=tuple(message.codes),
        onset_ns=to_ns(message.onset),
        apex_ns=to_ns(message.apex),
        offset_ns=to_ns(message.offset),
        peak=message.peak,
        confidence=message.confidence,
        kind=ExpressionKind(message.kind),
    )
