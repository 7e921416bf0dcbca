"""Node `au_classifier`: aligned slices in, Action Units and micro-expressions out."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
from std_srvs.srv import Trigger

from microexpr_ros.alignment.slices import missed_slices
from microexpr_ros.msg import ActionUnitArray, AlignedEvents, MicroExpression
from microexpr_ros.perception.action_units import ActionUnitClassifier, ActionUnitEstimate, Status
from microexpr_ros.perception.spotting import Spotter, SpottingConfiguration
from microexpr_ros.ros import qos
from microexpr_ros.ros.conversions import (
    message_to_aligned,
)
from microexpr_ros.ros.diagnostics import OK, WARN, Diagnosis, Latency, Rate
from microexpr_ros.ros.estimates import estimate_to_message, expression_to_message
from microexpr_ros.ros.lifecycle import MicroexprNode, NodeParameters, run
from microexpr_ros.ros.parameters import parameter

OLD_NS = 10_000_000_000
"""An arrival longer ago than this is no latency."""


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
        self._slices, self._found, self._latency = Rate(), 0, Latency()
        self._missed = self._told = 0
        self.listen(
            (AlignedEvents, 'aligned_events', self._on_slice, qos.SLICES),
            silent=self._on_silence,
            silence_ns=round(self.parameters.stale_after_s * 1e9),
        )

    def _forget(self) -> None:
        self._state = self._classifier.initial_state()
        self._spotting = self._spotter.initial_state()
        self._face = ''

    def _on_reset(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        if self._active:
            with self.listener.lock:
                self._forget()
        response.success = self._active
        response.message = 'state cleared' if self._active else 'the node is not active'
        return response

    def _on_slice(self, message: AlignedEvents, _: int) -> None:
        aligned = message_to_aligned(message)
        if self._last is not None and message.face_id == self._face:
            self._missed += missed_slices(aligned.slice, self._last[0].end_ns)
        if message.face_id != self._face:
            self._forget()
            self._face = message.face_id
        estimate, self._state = self._classifier.step(aligned.slice, self._state)
        found, self._spotting = self._spotter.step(
            estimate.end_ns, estimate.intensity, estimate.status, self._spotting
        )
        latency_ns = 0
        if aligned.newest_arrival_ns:
            latency_ns = time.time_ns() - aligned.newest_arrival_ns
            if 0 <= latency_ns < OLD_NS:
                self._latency.add(latency_ns)
            else:
                latency_ns = 0  # Slices of a bag, or of a host with another clock.
        self._units.publish(
            estimate_to_message(estimate, message, self._classifier.model, latency_ns)
        )
        for expression in found:
            self._found += 1
            self._expressions.publish(
                expression_to_message(expression, message.header.frame_id, message.face_id)
            )
        self._slices.add()
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
        lagging, self._told = self._missed > self._told, self._missed
        return Diagnosis(
            WARN if lagging or self._last is None else OK,
            'slices were missed: the machine is too slow'
            if lagging
            else ('waiting for slices' if self._last is None else 'running'),
            {
                'slices_hz': round(self._slices.hz(), 1),
                'slices': self._slices.total,
                'missed_slices': self._missed,
                'micro_expressions': self._found,
                'state': self._last[0].status.name if self._last else 'NO_FACE',
                'model': self._classifier.model,
                **self._latency.values(),
            },
        )


def main() -> None:
    """Run the node."""
    run(ActionUnitClassifierNode)


if __name__ == '__main__':
    main()
