"""The kinds of regions in which a network sees faces."""

from __future__ import annotations

from typing import Literal, TypeAlias

Boxes: TypeAlias = Literal['aligned', 'coarse']
"""Regions that landmarks align, or upright squares around the head."""
