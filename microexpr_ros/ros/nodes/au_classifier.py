"""Node `au_classifier`: aligned slices in, Action Units and micro-expressions out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from hri_msgs.msg import FacialActionUnits
from rclpy.task import Future
from sensor_msgs.msg import Image

from microexpr_ros.facs import CODES, ExpressionKind
from microexpr_ros.msg import ActionUnitArray, MicroExpression
from microexpr_ros.perception import spotting
from microexpr_ros.perception.classifier import ActionUnitClassifier, ActionUnitEstimate, Status
from microexpr_ros.perception.face_reading import FaceReader
from microexpr_ros.ros import hri, qos, topics
from microexpr_ros.ros.conversions import pixels_to_image
from microexpr_ros.ros.diagnostics import Diagnosis
from microexpr_ros.ros.estimates import (
    EstimateSerializer,
    FaceEstimate,
    estimate_to_facs,
    expression_to_message,
)
from microexpr_ros.ros.lifecycle import Answer, MicroexprNode, NodeParameters
from microexpr_ros.ros.neutral import NeutralFace
from microexpr_ros.ros.output import Output
from microexpr_ros.ros.parameters import parameter
from microexpr_ros.ros.process import run_node
from microexpr_ros.ros.slices import FaceSlice, SliceInput, subscribe_slices


@dataclass(frozen=True)
class ClassifierParameters(NodeParameters):
    """Parameters of the classifier."""

    weights: str = parameter('', 'weights file of the network; empty: the shipped one')
    stale_after_s: float = parameter(
        0.5,
        'repeat the last estimate as STALE when no slice has come for this long, in s',
        minimum=0.05,
        maximum=60.0,
    )
    neutral_s: float = parameter(
        3.0,
        'how long ~/calibrate_neutral measures a neutral face, in s of sensor time',
        minimum=0.1,
        maximum=60.0,
    )
    hri: bool = parameter(True, hri.DESCRIPTION)


class ActionUnitClassifierNode(MicroexprNode[ClassifierParameters]):
    """Step the spiking network once per slice, in order."""

    name = 'au_classifier'
    Parameters = ClassifierParameters

    def configure(self) -> None:
        """Load the network."""
        path = self.parameters.weights
        self._classifier = ActionUnitClassifier.load(Path(path) if path else None)
        self._classifier.warm_up()
        self._thresholds = self._classifier.presence.threshold.tolist()
        self._reader = FaceReader(self._classifier)
        self._units = Output(self, ActionUnitArray, topics.ACTION_UNITS, qos.RESULTS)
        self._raw = Output(self, ActionUnitArray, topics.ACTION_UNITS_RAW, qos.RESULTS)
        self._serializer = EstimateSerializer()
        self._expressions = self.advertise(MicroExpression, topics.MICRO_EXPRESSIONS, qos.RESULTS)
        slices = round(self.parameters.neutral_s * 1e9 / self._classifier.slice_ns)
        self._face = NeutralFace(self._classifier.presence, slices, self._wake_executor)
        self.service('~/reset', self._on_reset)
        self.service('~/clear_neutral', self._on_clear_neutral)
        self.service('~/calibrate_neutral', self._on_calibrate_neutral)

    def activate(self) -> None:
        """Begin with a face at rest."""
        self.on_teardown(lambda: self._face.cancel_measurement('the node was deactivated'))
        kinds = {hri.FACS: FacialActionUnits, hri.CROPPED: Image} if self.parameters.hri else {}
        self._face_topics = hri.FaceTopics(self, kinds, lists_faces=self.parameters.hri)
        # The last slice, and its estimates: relative to the neutral face, and raw.
        self._last: tuple[FaceSlice, ActionUnitEstimate, ActionUnitEstimate] | None = None
        self._input, self._is_stale = SliceInput(), False
        for output in (self._units, self._raw):
            self.on_teardown(output.end)
        self._found = dict.fromkeys(ExpressionKind, 0)
        self._begin_face()
        subscribe_slices(
            self,
            self._on_slice,
            on_silence=self._on_silence,
            silence_ns=round(self.parameters.stale_after_s * 1e9),
        )

    def _on_reset(self) -> Answer:
        with self.subscription_thread.lock:
            self._reset()
        return True, 'state cleared'

    def _on_clear_neutral(self) -> Answer:
        with self.subscription_thread.lock:
            # The intensity of a movement that is going on would jump.
            self._publish_held(self._reader.restart_spotting())
            self._face.clear_neutral()
        return True, 'neutral face forgotten'

    def _on_calibrate_neutral(self) -> Future:
        with self.subscription_thread.lock:
            return self._face.start_measurement()

    def _wake_executor(self) -> None:
        if self.executor is not None:
            self.executor.wake()

    def _reset(self) -> None:
        self._publish_held(self._reader.restart())
        self._face.deactivate_units()

    def _begin_face(self) -> None:
        self._reset()
        self._face.clear_neutral()
        self._face.cancel_measurement('the face was lost, or another one came')

    def _on_slice(self, given: FaceSlice) -> None:
        if given.face_id != self._input.face:
            self._begin_face()
        aligned, _ = self._input.take(given)
        raw = self._reader.estimate(aligned.slice)
        estimate, changed = self._face.take(raw)
        if changed:
            self._publish_held(self._reader.restart_spotting())
        found = self._reader.spot(aligned.slice, estimate)
        self._publish(given, (estimate, raw), self._input.latency_ns(aligned))
        self._publish_expressions(given, found)
        self._publish_face(given, estimate)
        self._input.done.add()
        self._last, self._is_stale = (given, estimate, raw), False

    def _publish(
        self,
        source: FaceSlice,
        estimates: Sequence[ActionUnitEstimate],
        latency_ns: int,
    ) -> None:
        for output, estimate in zip((self._units, self._raw), estimates, strict=True):
            serialize = partial(
                self._serializer.serialize,
                estimate,
                source.face_id,
                source.frame_id,
                self._classifier.model,
                latency_ns,
            )
            output.send(FaceEstimate(estimate, source.face_id, latency_ns), serialize)

    def _publish_expressions(
        self, source: FaceSlice, found: Sequence[spotting.MicroExpression]
    ) -> None:
        for expression in found:
            self._found[expression.kind] += 1
            self._expressions.publish(
                expression_to_message(
                    expression, source.frame_id, source.face_id, self._input.to_ros
                )
            )

    def _publish_face(self, source: FaceSlice, estimate: ActionUnitEstimate) -> None:
        slice_ = source.aligned.slice
        self._face_topics.follow(source.face_id, slice_.end_ns, source.frame_id)
        self._face_topics.publish(hri.FACS, lambda: estimate_to_facs(estimate, source.frame_id))
        if slice_.frame is not None:
            image = partial(pixels_to_image, slice_.frame, slice_.frame_stamp_ns, source.frame_id)
            self._face_topics.publish(hri.CROPPED, image)

    def _publish_held(self, held: Sequence[spotting.MicroExpression]) -> None:
        if self._last is not None:
            self._publish_expressions(self._last[0], held)

    def _on_silence(self) -> None:
        self._face.cancel_measurement('no slices come: does the synchronizer run?')
        if self._last is None:
            return
        self._is_stale = True
        source, *estimates = self._last
        nothing = np.zeros(len(CODES), np.float32)
        stale = [replace(e, status=Status.STALE, confidence=nothing) for e in estimates]
        self._publish(source, stale, latency_ns=0)
        self._face_topics.follow('', source.aligned.slice.end_ns, source.frame_id)

    def diagnose(self) -> Diagnosis:
        """Return the rate, the latency and what was found."""
        status = self._last[1].status if self._last else Status.NO_FACE
        return self._input.diagnose(
            {
                'micro_expressions': self._found[ExpressionKind.EXPRESSION],
                'blinks': self._found[ExpressionKind.BLINK],
                'speech': self._found[ExpressionKind.SPEECH],
                'state': (Status.STALE if self._is_stale else status).name,
                'neutral': str(self._face.neutral),
                'thresholds': ' '.join(f'{limit:.4f}' for limit in self._thresholds),
                'model': self._classifier.model,
            }
        )


def main() -> None:
    """Run the node."""
    run_node(ActionUnitClassifierNode)


if __name__ == '__main__':
    main()
