"""Node `au_classifier`: aligned slices in, Action Units and micro-expressions out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
from std_srvs.srv import Trigger

from microexpr_ros.msg import ActionUnitArray, AlignedEvents, MicroExpression
from microexpr_ros.perception.action_units import ActionUnitClassifier, ActionUnitEstimate, Status
from microexpr_ros.perception.spotting import Spotter, SpottingConfiguration
from microexpr_ros.ros import qos
from microexpr_ros.ros.diagnostics import Diagnosis
from microexpr_ros.ros.estimates import estimate_to_message, expression_to_message
from microexpr_ros.ros.lifecycle import MicroexprNode, NodeParameters, run
from microexpr_ros.ros.parameters import parameter
from microexpr_ros.ros.slices import SliceInput


@dataclass(frozen=True)
class ClassifierParameters(NodeParameters):
    """Parameters of the classifier."""

    weights: str = parameter('', 'weights file of the network; empty: the shipped one')
    stale_after_s: float = parameter(
        0.5,
        'silence of the synchronizer after which the estimates are called STALE, in s',
        minimum=0.05,
        maximum=60.0,
    )


class ActionUnitClassifierNode(MicroexprNode):
    """Step the spiking network once per slice, in order."""

    name = 'au_classifier'
    Parameters: ClassVar[type[NodeParameters]] = ClassifierParameters

    def configure(self) -> None:
        """Load the network."""
        path = self.parameters.weights
        self._classifier = ActionUnitClassifier.load(Path(path) if path else None)
        self._classifier.warm_up()
        self._spotter = Spotter(self._classifier.presence, SpottingConfiguration())
        self._units = self.advertise(ActionUnitArray, 'au_predictions', qos.RESULTS)
        self._expressions = self.advertise(MicroExpression, 'micro_expressions', qos.RESULTS)
        reset = self.create_service(Trigger, '~/reset', self._on_reset)
        self._unconfigure.append(lambda: self.destroy_service(reset))

    def activate(self) -> None:
        """Begin with a face at rest."""
        self._forget()
        self._last: tuple[ActionUnitEstimate, AlignedEvents] | None = None
        self._input, self._found = SliceInput(), 0
        self.listen(
            (AlignedEvents, 'aligned_events', self._on_slice, qos.SLICES),
            silent=self._on_silence,
            silence_ns=round(self.parameters.stale_after_s * 1e9),
        )

    def _forget(self) -> None:
        self._state = self._classifier.initial_state()
        self._spotting = self._spotter.initial_state()

    def _on_reset(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        if self._active:
            with self.listener.lock:
                self._forget()
        response.success = self._active
        response.message = 'state cleared' if self._active else 'the node is not active'
        return response

    def _on_slice(self, message: AlignedEvents, _: int) -> None:
        aligned, another_face = self._input.take(message)
        if another_face:
            self._forget()
        estimate, self._state = self._classifier.step(aligned.slice, self._state)
        found, self._spotting = self._spotter.step(
            estimate.end_ns, estimate.intensity, estimate.status, self._spotting
        )
        latency_ns = self._input.latency_ns(aligned)
        self._units.publish(
            estimate_to_message(estimate, message, self._classifier.model, latency_ns)
        )
        for expression in found:
            self._found += 1
            self._expressions.publish(
                expression_to_message(expression, message.header.frame_id, message.face_id)
            )
        self._input.done.add()
        self._last = estimate, message

    def _on_silence(self) -> None:
        if self._last is None:
            return
        estimate, message = self._last
        nothing = np.zeros_like(estimate.confidence)
        stale = replace(estimate, status=Status.STALE, confidence=nothing)
        self._units.publish(estimate_to_message(stale, message, self._classifier.model, 0))

    def diagnose(self) -> Diagnosis:
        """Tell the rate, the latency and what was found."""
        return self._input.diagnose(
            {
                'micro_expressions': self._found,
                'state': self._last[0].status.name if self._last else 'NO_FACE',
                'model': self._classifier.model,
            }
        )


def main() -> None:
    """Run the node."""
    run(ActionUnitClassifierNode)


if __name__ == '__main__':
    main()
