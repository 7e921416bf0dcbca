"""A queue between two threads, bounded by the bytes in it."""

from __future__ import annotations

import threading
from collections import deque
from typing import Final, Generic, TypeVar

Item = TypeVar('Item')

_ITEM_BYTES: Final = 300
"""Memory that an item takes in addition to its own bytes."""


class ByteQueue(Generic[Item]):
    """First in, first out; an empty queue takes an item of any size.

    Args:
        max_bytes: most memory that its items take.

    Attributes:
        bytes: memory that its items take.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._items: deque[tuple[Item, int]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._items)

    @property
    def finished(self) -> bool:
        """Whether it is closed and empty."""
        return self._closed and not self._items

    def put(self, item: Item, size: int, wait: bool = False) -> bool:
        """Add an item.

        Args:
            item: The item.
            size: Its bytes.
            wait: Whether to wait for room.

        Returns:
            Whether it was taken: there was room, and the queue is open.
        """
        size += _ITEM_BYTES
        with self._changed:
            while self._items and self.bytes + size > self._max_bytes and not self._closed:
                if not wait:
                    return False
                self._changed.wait()
            if self._closed:
                return False
            self._items.append((item, size))
            self.bytes += size
            self._changed.notify_all()
            return True

    def wait_filled(self, timeout_s: float) -> None:
        """Wait until it is nearly full or closed, at most for a time."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed or self.bytes > 0.9 * self._max_bytes, timeout_s
            )

    def get(self, timeout_s: float | None = None) -> Item | None:
        """Take the oldest item.

        Args:
            timeout_s: Longest time to wait for it; None to wait until the queue is closed.

        Returns:
            The item; None if none came in time or the queue is finished.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._closed, timeout_s)
            if not self._items:
                return None
            item, size = self._items.popleft()
            self.bytes -= size
            self._changed.notify_all()
            return item

    def close(self) -> None:
        """Refuse further items; those in the queue can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
