"""Node `au_classifier`: aligned slices in, Action Units and micro-expressions out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from hri_msgs.msg import FacialActionUnits
from sensor_msgs.msg import Image

from microexpr_ros.alignment.faces_in_view import FacesInView
from microexpr_ros.facs import CODES, ExpressionKind
from microexpr_ros.msg import ActionUnitArray, MicroExpression
from microexpr_ros.perception import spotting
from microexpr_ros.perception.classifier import ActionUnitClassifier, ActionUnitEstimate, Status
from microexpr_ros.perception.face_reading import FaceReader
from microexpr_ros.perception.neutral import Neutral
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

NO_SLICES = 'no slices come: does the synchronizer run?'


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


class _Face:
    """What the node remembers of one face.

    Args:
        classifier: steps the network.
        neutral: the face's neutral face.

    Attributes:
        reader: reads its units and movements.
        neutral: what its estimates are relative to.
        serializer: of its estimates.
        last: its last slice, and the estimates of it: relative to the neutral face, and raw.
    """

    def __init__(self, classifier: ActionUnitClassifier, neutral: NeutralFace) -> None:
        self.reader = FaceReader(classifier)
        self.neutral = neutral
        self.serializer = EstimateSerializer()
        self.last: tuple[FaceSlice, ActionUnitEstimate, ActionUnitEstimate] | None = None


class ActionUnitClassifierNode(MicroexprNode[ClassifierParameters]):
    """Step the spiking network once per slice of each face, in order."""

    name = 'au_classifier'
    Parameters = ClassifierParameters

    def configure(self) -> None:
        """Load the network."""
        path = self.parameters.weights
        self._classifier = ActionUnitClassifier.load(Path(path) if path else None)
        self._classifier.warm_up()
        self._thresholds = self._classifier.presence.threshold.tolist()
        self._units = Output(self, ActionUnitArray, topics.ACTION_UNITS, qos.RESULTS)
        self._raw = Output(self, ActionUnitArray, topics.ACTION_UNITS_RAW, qos.RESULTS)
        self._expressions = self.advertise(MicroExpression, topics.MICRO_EXPRESSIONS, qos.RESULTS)
        self._faces: dict[str, _Face] = {}
        self.service('~/reset', self._on_reset)
        self.service('~/clear_neutral', self._on_clear_neutral)
        self.service('~/calibrate_neutral', self._on_calibrate_neutral)

    def activate(self) -> None:
        """Begin without a face."""
        self.on_teardown(lambda: self._cancel_measurements('the node was deactivated'))
        kinds = {hri.FACS: FacialActionUnits, hri.CROPPED: Image} if self.parameters.hri else {}
        self._face_topics = hri.FaceTopics(self, kinds, lists_faces=self.parameters.hri)
        self._input, self._is_stale = SliceInput(), False
        self._faces, self._in_view = {}, FacesInView('')
        for output in (self._units, self._raw):
            self.on_teardown(output.end)
        self._found = dict.fromkeys(ExpressionKind, 0)
        subscribe_slices(
            self,
            self._on_slice,
            on_silence=self._on_silence,
            silence_ns=round(self.parameters.stale_after_s * 1e9),
        )

    def _on_reset(self) -> Answer:
        with self.subscription_thread.lock:
            for face in self._faces.values():
                self._publish_held(face, face.reader.restart())
                face.neutral.deactivate_units()
        return True, 'state cleared'

    def _on_clear_neutral(self) -> Answer:
        with self.subscription_thread.lock:
            for face in self._faces.values():
                # The intensity of a movement that is going on would jump.
                self._publish_held(face, face.reader.restart_spotting())
                face.neutral.clear_neutral()
        return True, 'neutral face forgotten'

    async def _on_calibrate_neutral(self) -> Answer:
        with self.subscription_thread.lock:
            measured = {
                name: face.neutral.start_measurement() for name, face in self._faces.items()
            }
        answers: dict[str, Answer] = {name: await future for name, future in measured.items()}
        if len(answers) == 1:
            [answer] = answers.values()
            return answer
        texts = [f'{name}: {text}' for name, (_, text) in answers.items()]
        is_done = bool(answers) and all(success for success, _ in answers.values())
        return is_done, '; '.join(texts) or NO_SLICES

    def _wake_executor(self) -> None:
        if self.executor is not None:
            self.executor.wake()

    def _cancel_measurements(self, reason: str) -> None:
        for face in self._faces.values():
            face.neutral.cancel_measurement(reason)

    def _make_face(self) -> _Face:
        slices = round(self.parameters.neutral_s * 1e9 / self._classifier.slice_ns)
        neutral = NeutralFace(self._classifier.presence, slices, self._wake_executor)
        return _Face(self._classifier, neutral)

    def _lose(self, name: str) -> None:
        face = self._faces.pop(name)
        self._publish_held(face, face.reader.restart_spotting())
        face.neutral.cancel_measurement('the face was lost, or another one came')

    def _on_slice(self, given: FaceSlice) -> None:
        aligned = self._input.take(given)
        for lost in self._in_view.take(given.face_id, aligned.slice):
            self._lose(lost)
        face = self._faces.get(given.face_id) or self._make_face()
        self._faces[given.face_id] = face
        raw = face.reader.estimate(aligned.slice)
        estimate, changed = face.neutral.take(raw)
        if changed:
            self._publish_held(face, face.reader.restart_spotting())
        found = face.reader.spot(aligned.slice, estimate)
        face.last, self._is_stale = (given, estimate, raw), False
        self._publish(face, (estimate, raw), self._input.latency_ns(aligned))
        self._publish_expressions(given, found)
        self._publish_face(given, estimate)
        self._input.done.add()

    def _publish(
        self,
        face: _Face,
        estimates: Sequence[ActionUnitEstimate],
        latency_ns: int,
    ) -> None:
        assert face.last is not None
        source = face.last[0]
        for output, estimate in zip((self._units, self._raw), estimates, strict=True):
            serialize = partial(
                face.serializer.serialize,
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
        self._face_topics.follow(self._in_view.faces, slice_.end_ns, source.frame_id)
        self._face_topics.publish(
            source.face_id, hri.FACS, lambda: estimate_to_facs(estimate, source.frame_id)
        )
        if slice_.frame is not None:
            image = partial(pixels_to_image, slice_.frame, slice_.frame_stamp_ns, source.frame_id)
            self._face_topics.publish(source.face_id, hri.CROPPED, image)

    def _publish_held(self, face: _Face, held: Sequence[spotting.MicroExpression]) -> None:
        if face.last is not None:
            self._publish_expressions(face.last[0], held)

    def _on_silence(self) -> None:
        self._cancel_measurements(NO_SLICES)
        nothing = np.zeros(len(CODES), np.float32)
        self._is_stale = bool(self._faces)
        for face in self._faces.values():
            if face.last is None:
                continue
            source, *estimates = face.last
            stale = [replace(e, status=Status.STALE, confidence=nothing) for e in estimates]
            self._publish(face, stale, latency_ns=0)
            self._face_topics.follow((), source.aligned.slice.end_ns, source.frame_id)

    def diagnose(self) -> Diagnosis:
        """Return rate, latency, what was found, and the state of the nearest face."""
        nearest = self._faces.get(self._in_view.nearest)
        status = nearest.last[1].status if nearest and nearest.last else Status.NO_FACE
        return self._input.diagnose(
            {
                'micro_expressions': self._found[ExpressionKind.EXPRESSION],
                'blinks': self._found[ExpressionKind.BLINK],
                'speech': self._found[ExpressionKind.SPEECH],
                'state': (Status.STALE if self._is_stale else status).name,
                'faces': sum(1 for name in self._faces if name),
                'neutral': str(nearest.neutral.neutral if nearest else Neutral.unknown()),
                'thresholds': ' '.join(f'{limit:.4f}' for limit in self._thresholds),
                'model': self._classifier.model,
            }
        )


def main() -> None:
    """Run the node."""
    run_node(ActionUnitClassifierNode)


if __name__ == '__main__':
    main()
