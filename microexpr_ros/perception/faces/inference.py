"""The networks of the face tracker as they are deployed: without torch, on one thread."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.region import AlignedRegion
from microexpr_ros.landmarks import EYE_DISTANCE, PLACES
from microexpr_ros.perception import weights
from microexpr_ros.perception.faces.configuration import FaceConfiguration
from microexpr_ros.perception.faces.traces import EventTraces
from microexpr_ros.perception.runtime import Runtime

PLACE: Final = 8
"""Cells of the sensor's grid along a place of the detector's map."""

RunNetwork: TypeAlias = Callable[[NDArray[np.float32]], Sequence[NDArray[np.float32]]]
"""Runs a network once, as `Runtime` does: an array in, its outputs out."""


@dataclass(frozen=True, slots=True, eq=False)
class Refined:
    """What the refiner says of a crop.

    Attributes:
        landmarks: float64 [5, 2], in cells of the sensor's grid.
        sigma: float64 [5], one sigma of their errors along an axis, in distances between the
            eyes.
        probability: that it is a face.
    """

    landmarks: NDArray[np.float64]
    sigma: NDArray[np.float64]
    probability: float


class FaceInference:
    """Detector and refiner, run on the traces of events.

    Args:
        detector: runs the detector.
        refiner: runs the refiner.
        crop: rows and columns of what the refiner sees.
        model: name and hash of the weights.
    """

    def __init__(self, detector: RunNetwork, refiner: RunNetwork, crop: int, model: str) -> None:
        self._detector = detector
        self._refiner = refiner
        self._crop = crop
        self._read_from: tuple[Path | None] | None = None
        self.model = model

    def __deepcopy__(self, _: dict[int, Any]) -> FaceInference:
        """Return itself: it holds no state."""
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Be pickled as where it was read from, as the runtime cannot be.

        Raises:
            TypeError: it was not read from a file.
        """
        if self._read_from is None:
            raise TypeError('networks that were not read from a file cannot be pickled')
        return FaceInference.load, self._read_from

    @classmethod
    def load(cls, path: Path | None = None) -> FaceInference:
        """Read the exported networks beside a weights file; the package's own without a path.

        Raises:
            MicroexprError: a file is missing, damaged, or made from other weights.
        """
        given, path = path, path or weights.shipped('face')
        file = weights.load(path, 'face', with_tensors=False)
        networks = []
        for name in ('detector', 'refiner'):
            exported = path.with_suffix(f'.{name}.onnx')
            if not exported.is_file():
                raise MicroexprError(
                    f'no {exported.name} beside {path}: export the weights again, or train them '
                    'with `microexpr train face`'
                )
            network = Runtime(exported.read_bytes())
            if network.source != file.hash:
                raise MicroexprError(
                    f'{exported} was exported from other weights than {path.name}; export the '
                    'weights again'
                )
            networks.append(network)
        crop = file.configuration(FaceConfiguration).crop
        found = cls(networks[0], networks[1], crop, file.model)
        found._read_from = (given,)
        return found

    def warm_up(self) -> None:
        """Run everything once, so that the first slices need not wait for it."""
        traces = EventTraces(480, 640)
        # A lamp that flickers is noticed after ten slices, and taken away from then on.
        for _ in range(11):
            traces.update(np.full((2, *traces.shape), 100, np.uint8), 0.01)
        self.detect(traces, 0.5, 1)
        self.refine(traces, AlignedRegion(80.0, 60.0, 40.0))

    def detect(
        self, traces: EventTraces, threshold: float, most: int
    ) -> list[tuple[float, AlignedRegion]]:
        """Return where faces may be, likeliest first: probability, and region in cells.

        Args:
            traces: of the whole sensor.
            threshold: least probability.
            most: faces to return at most.
        """
        (found,) = self._detector(traces.pooled()[None])
        logit, column, row, size, roll = found[0]
        padded = np.pad(logit, 1, constant_values=-np.inf)
        rows, columns = logit.shape
        around = np.max(
            [padded[r : r + rows, c : c + columns] for r in range(3) for c in range(3)], axis=0
        )
        peaks = np.argwhere((logit >= around) & (logit > math.log(threshold / (1 - threshold))))
        best = sorted(peaks.tolist(), key=lambda at: -float(logit[at[0], at[1]]))[:most]
        return [
            (
                1 / (1 + math.exp(-float(logit[r, c]))),
                AlignedRegion(
                    PLACE * (c + 0.5 + float(column[r, c])),
                    PLACE * (r + 0.5 + float(row[r, c])),
                    4 * PLACE * math.exp(min(float(size[r, c]), 2.5)),
                    float(roll[r, c]),
                ),
            )
            for r, c in best
        ]

    def refine(self, traces: EventTraces, region: AlignedRegion) -> Refined:
        """Return the landmarks of a face whose region is known roughly, in cells."""
        (found,) = self._refiner(traces.crop(region, self._crop)[None])
        values = found[0].astype(np.float64)
        shares = PLACES + values[:10].reshape(5, 2) * EYE_DISTANCE
        return Refined(
            region.to_pixels(shares),
            np.exp(np.clip(values[10:15], -5, 2)),
            float(1 / (1 + np.exp(-np.clip(values[15], -30, 30)))),
        )
