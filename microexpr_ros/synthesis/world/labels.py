"""Ground truth of a take: units, head, face box and landmarks at 1 kHz."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby
from typing import Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros import facs
from microexpr_ros.synthesis.person.channels import CHANNELS
from microexpr_ros.synthesis.person.rig import place_head
from microexpr_ros.synthesis.world import renderer
from microexpr_ros.synthesis.world.motion import TOGETHER_NS, Motion, UnitActivation
from microexpr_ros.synthesis.world.scene import Scene

RATE_HZ: Final = 1000

LANDMARKS: Final = (
    *(1733, 1728, 1750, 736, 894, 1484, 1839, 1837, 1770),
    *(4067, 4069, 3727, 3156, 3016, 3985, 3964, 3969),
    *(1806, 1804, 229, 223, 208, 2543, 2557, 2562, 4036, 4038),
    *(133, 131, 201, 1599, 358, 332, 317, 2654, 2679),
    *(1090, 1081, 1099, 1104, 1096, 1094, 3356, 3351, 3333, 3342, 3346, 3348),
    *(1521, 410, 450, 455, 2770, 2730, 3764, 2726, 2801, 492, 486, 406),
    *(527, 1904, 537, 4130, 2832, 2840, 540, 535),
)
"""Vertices of `face.load()` that stand for the 68 points of iBUG 300-W (Sagonas et al., 300
Faces in-the-Wild Challenge, ICCVW 2013) in their order: jaw from the subject's right ear to the
left (17), right and left brow (5 + 5), bridge and base of the nose (4 + 5), right and left eye
(6 + 6), outer and inner lips (12 + 8). They stick to the skin: those of the jaw do not slide
along the outline as the head turns."""


@dataclass(frozen=True, slots=True)
class Labels:
    """What is true at each millisecond of a take.

    Attributes:
        t_ns: int64 [T], from 0 to the end of the take, on the event sensor's clock.
        intensity: float32 [T, 18, 2], units of facs.CODES, subject's left and right side, 0-1.
        pose: float64 [T, 6], against a head that looks straight into the camera: rotation about
            x, y and z in rad (R = Ry Rx Rz) around the neck's joint, and the joint's
            translation in m; x to the subject's left, y up, z towards the camera. At rest the
            joint is 92 mm below and 90 mm behind the point that the camera looks at.
        box: float32 [T, 4], column, row, width and height of what the landmarks span, px.
        landmarks: float32 [T, 68, 2], column and row of LANDMARKS, px; the first pixel reaches
            from 0 to 1.
    """

    t_ns: NDArray[np.int64]
    intensity: NDArray[np.float32]
    pose: NDArray[np.float64]
    box: NDArray[np.float32]
    landmarks: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Movement:
    """Units that begin to move together.

    Attributes:
        codes: FACS codes, sorted.
        onset_ns: first sign of movement.
        apex_ns: when the strongest unit is at its height.
        offset_ns: when all are back at rest.
        peak: intensity of the strongest unit, 0-1.
        kind: expression, blink or syllable of speech.
        dominant: the strongest unit; 45 only where nothing but the lids moves.
    """

    codes: tuple[int, ...]
    onset_ns: int
    apex_ns: int
    offset_ns: int
    peak: float
    kind: facs.ExpressionKind
    dominant: int

    @property
    def micro(self) -> bool:
        """Whether it is as short as a micro-expression."""
        return facs.is_micro(self.offset_ns - self.onset_ns)


def label(scene: Scene, motion: Motion) -> Labels:
    """Return the ground truth of a take."""
    t_ns = np.arange(0, motion.duration_ns + 1, 10**9 // RATE_HZ, dtype=np.int64)
    channels, pose = motion.channels(t_ns), motion.pose(t_ns)
    landmarks = project(scene, channels, pose, motion.shake(t_ns))
    low, high = landmarks.min(axis=1), landmarks.max(axis=1)
    metres = 0.1 * pose[:, 3:]
    return Labels(
        t_ns,
        motion.sides(t_ns),
        np.concatenate([scene.turn + pose[:, :3], metres], axis=1),
        np.concatenate([low, high - low], axis=1),
        landmarks,
    )


def project(
    scene: Scene,
    channels: NDArray[np.float32],
    pose: NDArray[np.float64],
    shake: NDArray[np.float64],
) -> NDArray[np.float32]:
    """Return where the landmarks are in the picture, float32 [T, 68, 2], px.

    Args:
        scene: Person and camera.
        channels: float32 [T, C], values of the rig's channels.
        pose: float64 [T, 6], rotation (rad) and translation (dm) from rest.
        shake: float64 [T, 2], by which the camera's shaking moves the picture, of its width.
    """
    rig, chosen = scene.person.rig, np.array(LANDMARKS)
    basis = rig.basis.reshape(len(rig.basis), -1, 3)[:, chosen].reshape(len(rig.basis), -1)
    few = replace(rig, rest=rig.rest[chosen], basis=basis, neck=rig.neck[chosen])
    shake_px = (shake * scene.camera.width).astype(np.float32)
    return np.stack(
        [
            renderer.project(
                place_head(few.pose(values), few, scene.turn, at),
                scene.camera,
                moved_px,
            )[:, :2]
            for values, at, moved_px in zip(channels, pose, shake_px, strict=True)
        ]
    )


def face_landmarks(scene: Scene, motion: Motion, t_ns: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return where `microexpr_ros.landmarks.LANDMARKS` are, float32 [T, 5, 2], px.

    Args:
        scene: Person and camera.
        motion: What moves; expressions do not move these landmarks.
        t_ns: int64 [T], times since the motion began.
    """
    rest = np.zeros((len(t_ns), CHANNELS), np.float32)
    return reduce_landmarks(project(scene, rest, motion.pose(t_ns), motion.shake(t_ns)))


def reduce_landmarks(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return `microexpr_ros.landmarks.LANDMARKS` of the 68 points.

    Args:
        points: float32 [..., 68, 2], of a face without expression, in the order of LANDMARKS.

    Returns:
        float32 [..., 5, 2].
    """
    groups = slice(36, 42), slice(42, 48), slice(31, 36), slice(48, 49), slice(54, 55)
    return np.stack([points[..., group, :].mean(axis=-2) for group in groups], axis=-2)


def movements(motion: Motion) -> list[Movement]:
    """Return what moves in a take, in order of onsets: expressions, blinks and syllables."""
    activations = sorted(motion.activations, key=lambda activation: activation.onset_ns)
    onsets = np.array([activation.onset_ns for activation in activations], np.int64)
    group = np.cumsum(np.diff(onsets, prepend=onsets[:1]) > TOGETHER_NS)
    numbered = zip(group.tolist(), activations, strict=True)
    return [
        _together([activation for _, activation in members], 'talk' in motion.distractors)
        for _, members in groupby(numbered, key=lambda pair: pair[0])
    ]


def _together(activations: list[UnitActivation], talks: bool) -> Movement:
    strongest = max(activations, key=lambda activation: activation.amplitude)
    codes = {activation.code for activation in activations}
    kind = facs.ExpressionKind.EXPRESSION
    if codes == {facs.BLINK}:
        kind = facs.ExpressionKind.BLINK
    elif talks and codes <= facs.SPEECH and codes & facs.OPENING:
        # Nobody who talks shows an expression of the mouth: see `sample_clip`.
        kind = facs.ExpressionKind.SPEECH
    return Movement(
        tuple(sorted(codes)),
        min(activation.onset_ns for activation in activations),
        strongest.apex_ns,
        max(activation.offset_ns for activation in activations),
        strongest.amplitude,
        kind,
        max(activations, key=lambda one: (one.code != facs.BLINK, one.amplitude)).code,
    )
