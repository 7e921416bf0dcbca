"""Node `au_classifier`: aligned slices in, Action Units and micro-expressions out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from std_srvs.srv import Trigger

from microexpr_ros.facs import CODES
from microexpr_ros.msg import ActionUnitArray, AlignedEvents, MicroExpression
from microexpr_ros.perception.classifier import ActionUnitClassifier, ActionUnitEstimate, Status
from microexpr_ros.perception.spotting import Spotter
from microexpr_ros.ros import qos
from microexpr_ros.ros.diagnostics import Diagnosis
from microexpr_ros.ros.estimates import estimate_to_message, expression_to_message
from microexpr_ros.ros.lifecycle import MicroexprNode, NodeParameters, run
from microexpr_ros.ros.neutral import NeutralFace
from microexpr_ros.ros.parameters import parameter
from microexpr_ros.ros.slices import SliceInput

INACTIVE = 'the node is not active'


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
    neutral_s: float = parameter(
        3.0,
        'how long ~/calibrate_neutral looks at a neutral face, in s of the sensor',
        minimum=0.1,
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
        self._spotter = Spotter(self._classifier.presence)
        self._units = self.advertise(ActionUnitArray, 'au_predictions', qos.RESULTS)
        self._raw = self.advertise(ActionUnitArray, 'au_predictions/raw', qos.RESULTS)
        self._expressions = self.advertise(MicroExpression, 'micro_expressions', qos.RESULTS)
        slices = round(self.parameters.neutral_s * 1e9 / self._classifier.slice_ns)
        self._face = NeutralFace(self._classifier.presence, slices, self._wake)
        self._serve('~/reset', self._reset)
        self._serve('~/clear_neutral', self._clear_neutral)
        # Apart from the others, which must be heard while a measurement goes on.
        group = MutuallyExclusiveCallbackGroup()
        service = self.create_service(
            Trigger, '~/calibrate_neutral', self._on_calibrate, callback_group=group
        )
        self._unconfigure.append(lambda: self.destroy_service(service))

    def activate(self) -> None:
        """Begin with a face at rest."""
        self._teardown.append(lambda: self._face.give_up('the node was deactivated'))
        self._meet_another_face()
        # The last slice, and its estimates: relative to the neutral face, and raw.
        self._last: tuple[AlignedEvents, ActionUnitEstimate, ActionUnitEstimate] | None = None
        self._input, self._found = SliceInput(), 0
        self.listen(
            (AlignedEvents, 'aligned_events', self._on_slice, qos.SLICES),
            silent=self._on_silence,
            silence_ns=round(self.parameters.stale_after_s * 1e9),
        )

    def _serve(self, name: str, action: Callable[[], str]) -> None:
        def on_request(_: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
            response.success, response.message = self._active, INACTIVE
            if self._active:
                with self.listener.lock:
                    response.message = action()
            return response

        service = self.create_service(Trigger, name, on_request)
        self._unconfigure.append(lambda: self.destroy_service(service))

    async def _on_calibrate(
        self, _: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        response.success, response.message = False, INACTIVE
        if self._active:
            with self.listener.lock:
                answer = self._face.ask()
            response.success, response.message = await answer
        return response

    def _wake(self) -> None:
        if self.executor is not None:
            self.executor.wake()

    def _reset(self) -> str:
        self._state = self._classifier.initial_state()
        self._spotting = self._spotter.initial_state()
        self._face.rest()
        return 'state cleared'

    def _clear_neutral(self) -> str:
        # Movements that go on would jump.
        self._spotting = self._spotter.initial_state()
        self._face.forget()
        return 'neutral face forgotten'

    def _meet_another_face(self) -> None:
        self._reset()
        self._face.forget()
        self._face.give_up('the face was lost, or another one came')

    def _on_slice(self, message: AlignedEvents, _: int) -> None:
        aligned, another_face = self._input.take(message)
        if another_face:
            self._meet_another_face()
        raw, self._state = self._classifier.step(aligned.slice, self._state)
        estimate, changed = self._face.take(raw)
        if changed:
            self._spotting = self._spotter.initial_state()
        found, self._spotting = self._spotter.step(
            estimate.end_ns, estimate.intensity, estimate.status, self._spotting
        )
        self._publish(message, estimate, raw, self._input.latency_ns(aligned))
        for expression in found:
            self._found += 1
            self._expressions.publish(
                expression_to_message(expression, message.header.frame_id, message.face_id)
            )
        self._input.done.add()
        self._last = message, estimate, raw

    def _publish(
        self,
        source: AlignedEvents,
        estimate: ActionUnitEstimate,
        raw: ActionUnitEstimate,
        latency_ns: int,
    ) -> None:
        model = self._classifier.model
        for publisher, shown in ((self._units, estimate), (self._raw, raw)):
            # A message of 18 units takes longer to make than to send.
            if publisher.get_subscription_count():
                publisher.publish(estimate_to_message(shown, source, model, latency_ns))

    def _on_silence(self) -> None:
        self._face.give_up('no slices come: does the synchronizer run?')
        if self._last is None:
            return
        source, *estimates = self._last
        nothing = np.zeros(len(CODES), np.float32)
        stale = [replace(e, status=Status.STALE, confidence=nothing) for e in estimates]
        self._publish(source, *stale, 0)

    def diagnose(self) -> Diagnosis:
        """Tell the rate, the latency and what was found."""
        return self._input.diagnose(
            {
                'micro_expressions': self._found,
                'state': self._last[1].status.name if self._last else 'NO_FACE',
                'neutral': str(self._face.neutral),
                'model': self._classifier.model,
            }
        )


def main() -> None:
    """Run the node."""
    run(ActionUnitClassifierNode)


if __name__ == '__main__':
    main()
