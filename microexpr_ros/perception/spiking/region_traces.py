"""Counts of a slice to the input of the spiking network, one slice at a time, without torch.

What `SpikingNetwork.encode` and `update_traces` do to sequences, in one pass over the grid.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.events.kernel import Integer, end_faint, kernel, read_only
from microexpr_ros.perception.spiking.configuration import SpikingConfiguration


class RegionTraces:
    """Leaky traces of the events, compressed.

    Args:
        configuration: of the network.

    Attributes:
        shape: of the network's input, [1, 2 N, h, w].
    """

    def __init__(self, configuration: SpikingConfiguration) -> None:
        self._configuration = c = configuration
        self._decays = np.array(c.decays(), np.float32)
        side = c.grid // c.pool
        self.shape = (1, 2 * len(self._decays), side, side)

    def initial(self) -> NDArray[np.float32]:
        """Return the traces of no events, float32 [1, N, 2, h, w]."""
        return np.zeros(self.shape, np.float32).reshape(1, -1, 2, *self.shape[2:])

    def update(
        self, counts: NDArray[np.uint8], pixels_per_cell: float, traces: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Add one slice.

        Args:
            counts: uint8 [2, grid, grid], events per cell, OFF then ON.
            pixels_per_cell: sensor pixels per cell.
            traces: of the slice before, float32 [1, N, 2, h, w]; left as they are.

        Returns:
            The network's input, float32 [1, 2 N, h, w], and the new traces.
        """
        c = self._configuration
        after = np.empty_like(traces)
        compressed = np.empty(self.shape, np.float32)
        _update(
            read_only(counts),
            np.float32(c.pool**2) * np.float32(pixels_per_cell),
            self._decays,
            np.float32(c.semi_saturation),
            np.float32(c.adaptation),
            c.signed_traces,
            read_only(traces[0]),
            after[0],
            compressed[0],
        )
        return compressed, after


@kernel
def _update(
    counts: NDArray[np.uint8],
    pixels: np.float32,
    decays: NDArray[np.float32],
    semi_saturation: np.float32,
    adaptation: np.float32,
    signed: bool,
    traces: NDArray[np.float32],
    after: NDArray[np.float32],
    compressed: NDArray[np.float32],
) -> None:
    trace_count, _, rows, columns = traces.shape
    encoded = np.empty((2, rows, columns), np.float32)
    for p in range(2):
        for r in range(rows):
            _pool(counts[p], r, counts.shape[1] // rows, encoded[p, r])
            for c in range(columns):
                encoded[p, r, c] /= pixels
    sizes = np.empty((2, columns), np.float32)
    for n in range(trace_count):
        decay = decays[n]
        # By column, so that many are added up at once.
        sizes[:] = 0
        for r in range(rows):
            for c in range(columns):
                off = end_faint(traces[n, 0, r, c] * decay + encoded[0, r, c])
                on = end_faint(traces[n, 1, r, c] * decay + encoded[1, r, c])
                after[n, 0, r, c], after[n, 1, r, c] = off, on
                first, second = (on - off, on + off) if signed else (off, on)
                compressed[2 * n, r, c], compressed[2 * n + 1, r, c] = first, second
                sizes[0, c] += abs(first)
                sizes[1, c] += second
        for p in range(2):
            half = semi_saturation + adaptation * (sizes[p].sum() / np.float32(rows * columns))
            values = compressed[2 * n + p].reshape(-1)
            for i in range(values.size):
                values[i] /= abs(values[i]) + half


@kernel
def _pool(
    counts: NDArray[np.uint8], row: Integer, pool: Integer, pooled: NDArray[np.float32]
) -> None:
    """Sum the cells of a row of blocks."""
    if pool == 2:
        upper, lower = counts[2 * row], counts[2 * row + 1]
        for c in range(pooled.size):
            pooled[c] = (
                np.uint16(upper[2 * c])
                + np.uint16(upper[2 * c + 1])
                + np.uint16(lower[2 * c])
                + np.uint16(lower[2 * c + 1])
            )
        return
    pooled[:] = 0
    for i in range(pool):
        for j in range(pool):
            for c in range(pooled.size):
                pooled[c] += counts[row * pool + i, c * pool + j]
