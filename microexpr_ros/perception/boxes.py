"""The kinds of regions in which a network sees faces."""

from __future__ import annotations

from typing import Literal, TypeAlias

Boxes: TypeAlias = Literal['followed', 'aligned', 'coarse']
"""Regions that landmarks align, shifted slice by slice so that the face stays in the middle;
regions that landmarks align and that rest while the face is near; or upright squares around the
head."""
