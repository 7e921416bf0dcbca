"""Whose slices come: several of one end, one for each face in view."""

from __future__ import annotations

from typing import Generic, TypeVar

from microexpr_ros.alignment.slices import Slice, follows

Key = TypeVar('Key', int, str)


class FacesInView(Generic[Key]):
    """Follow which faces the slices show, to know when to forget one.

    The slices of one end belong together. A face is lost when they come without one of it; those
    right after a gap may be incomplete, and prove nothing.

    Args:
        nobody: what stands for a slice without a face.

    Attributes:
        faces: those in view, or nobody; a face that was in view stays until it is lost.
    """

    def __init__(self, nobody: Key) -> None:
        self.faces: list[Key] = []
        self._nobody: Key = nobody
        self._shown: list[Key] = []
        self._end_ns: int | None = None
        self._is_after_gap = False

    @property
    def nearest(self) -> Key:
        """The nearest face of the last slice, which comes first; nobody before any."""
        return self._shown[0] if self._shown else self._nobody

    def take(self, face: Key, slice_: Slice) -> list[Key]:
        """Take in whose slice comes next; return the faces that were lost before it."""
        lost: list[Key] = []
        end_ns = slice_.clock_end_ns
        if end_ns != self._end_ns or face in self._shown:
            if not self._is_after_gap:
                lost = [one for one in self.faces if one not in self._shown]
            self._is_after_gap = self._end_ns is not None and not follows(slice_, self._end_ns)
            self._shown, self._end_ns = [], end_ns
        self._shown.append(face)
        # Where there is nobody, no face can follow.
        is_nobody = face == self._nobody
        lost += [
            one for one in self.faces if (one == self._nobody) != is_nobody and one not in lost
        ]
        self.faces = [one for one in self.faces if one not in lost]
        if face not in self.faces:
            self.faces.append(face)
        return lost
