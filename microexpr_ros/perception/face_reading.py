"""Reading one face: its Action Units, and the movements in them, slice by slice."""

from __future__ import annotations

from dataclasses import dataclass

from microexpr_ros.alignment.slices import Slice
from microexpr_ros.perception.classifier import (
    ActionUnitClassifier,
    ActionUnitEstimate,
    ActionUnitState,
)
from microexpr_ros.perception.spotting import MicroExpression, Spotter, SpottingState


@dataclass(frozen=True, slots=True)
class FaceState:
    """What classifier and spotter remember of one face."""

    units: ActionUnitState
    spotting: SpottingState


class FaceReader:
    """Hold what classifier and spotter remember of one face.

    For each slice call `estimate`, then `spot`.

    Args:
        classifier: steps the network.
        state: of a face that was read before; None for a new one.
    """

    def __init__(self, classifier: ActionUnitClassifier, state: FaceState | None = None) -> None:
        self.classifier = classifier
        self._spotter = Spotter(classifier.presence)
        self._state = state.units if state else classifier.initial_state()
        self._spotting = state.spotting if state else self._spotter.initial_state()

    @property
    def state(self) -> FaceState:
        """What is remembered now; later slices do not change it."""
        return FaceState(self._state, self._spotting)

    def estimate(self, slice_: Slice) -> ActionUnitEstimate:
        """Return the units at the end of the next slice.

        Raises:
            MicroexprError: the slice has another length or grid than the network.
        """
        estimate, self._state = self.classifier.step(slice_, self._state)
        return estimate

    def spot(self, slice_: Slice, estimate: ActionUnitEstimate) -> tuple[MicroExpression, ...]:
        """Return the expressions that ended with a slice.

        Args:
            slice_: the slice. Expressions have times on the clock that slices are counted by, so
                that they last as long as on the sensor, whatever the rate of stamps is.
            estimate: of this slice; it may be relative to a neutral face.
        """
        found, self._spotting = self._spotter.step(
            slice_.clock_end_ns,
            estimate.intensity,
            estimate.status,
            self._spotting,
            estimate.sides,
            estimate.evidence,
        )
        return found

    def restart_spotting(self) -> tuple[MicroExpression, ...]:
        """Return the expressions that were held back, and forget those that go on."""
        held = self._spotter.finish(self._spotting)
        self._spotting = self._spotter.initial_state()
        return held

    def restart(self) -> tuple[MicroExpression, ...]:
        """Begin with a face that was not seen before; return what was held back of the last."""
        self._state = self.classifier.initial_state()
        return self.restart_spotting()
