"""Quality of service in bags: what publishers offered, and profiles that match it."""

from __future__ import annotations

from collections.abc import Sequence

from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)

from microexpr_ros.ros.conversions import SECOND_NS


def to_recorded(profile: QoSProfile) -> Qos:
    """Return a profile as bags store it; the numbers of the policies are the same."""
    return Qos(
        QosHistory(int(profile.history)),
        profile.depth,
        QosReliability(int(profile.reliability)),
        QosDurability(int(profile.durability)),
        _to_time(profile.deadline),
        _to_time(profile.lifespan),
        QosLiveliness(int(profile.liveliness)),
        _to_time(profile.liveliness_lease_duration),
        profile.avoid_ros_namespace_conventions,
    )


def _to_time(duration: Duration) -> QosTime:
    return QosTime(*divmod(duration.nanoseconds, SECOND_NS))


def adapt_request(offers: Sequence[QoSProfile], depth: int) -> QoSProfile:
    """Return a profile for a subscription that matches all publishers.

    It requests the most that all of them offer. If they are reliable and keep their messages for
    late subscribers, it keeps all messages, because those kept may arrive in one burst.

    Args:
        offers: profiles of the publishers.
        depth: messages to hold, unless all are kept.
    """
    reliable = all(offer.reliability == ReliabilityPolicy.RELIABLE for offer in offers)
    kept = all(offer.durability == DurabilityPolicy.TRANSIENT_LOCAL for offer in offers)
    profile = _profile(reliable, kept, depth)
    if reliable and kept:
        profile.history = HistoryPolicy.KEEP_ALL
    return profile


def adapt_offer(recorded: Sequence[Qos], default: QoSProfile) -> QoSProfile:
    """Return a profile for playing that matches every subscriber of the recorded publishers.

    Args:
        recorded: profiles of the recorded publishers.
        default: returned if there are none; its depth is the minimum.
    """
    if not recorded:
        return default
    reliable = any(offer.reliability is QosReliability.RELIABLE for offer in recorded)
    kept = any(offer.durability is QosDurability.TRANSIENT_LOCAL for offer in recorded)
    return _profile(reliable, kept, max(default.depth, *(offer.depth for offer in recorded)))


def _profile(reliable: bool, kept: bool, depth: int) -> QoSProfile:
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if kept else DurabilityPolicy.VOLATILE,
    )
