"""Quality of service profiles of all topics."""

from __future__ import annotations

from typing import Final

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

EVENTS: Final = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=1000,
    reliability=ReliabilityPolicy.BEST_EFFORT,
    durability=DurabilityPolicy.VOLATILE,
)
"""Event packets, as the ROS event-camera drivers send them; deep, because events are not frames
that a newer one replaces."""

FRAMES: Final = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=5,
    reliability=ReliabilityPolicy.BEST_EFFORT,
    durability=DurabilityPolicy.VOLATILE,
)
"""Camera images: only the newest matter."""

SLICES: Final = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=1200,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.VOLATILE,
)
"""Aligned slices: the networks keep state, so none may be missing. The queue holds those of the
longest pause that is filled, 10 s, which come all at once, and 2 s more."""

RESULTS: Final = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=100,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.VOLATILE,
)
"""Results of this package: reliable, which matches every subscriber."""

LATCHED: Final = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
"""What holds until it changes: the newest is kept for those who subscribe later."""
