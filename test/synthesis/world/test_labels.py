import cv2
import numpy as np
import pytest
from fake_clips import needs_face
from hypothesis import given
from hypothesis import strategies as st

from microexpr_ros import facs
from microexpr_ros.alignment.face_alignment import align
from microexpr_ros.landmarks import PLACES
from microexpr_ros.synthesis.dataset.truth_messages import camera_matrix
from microexpr_ros.synthesis.person import face
from microexpr_ros.synthesis.person.channels import CHANNELS
from microexpr_ros.synthesis.person.person import make_person
from microexpr_ros.synthesis.person.template import FACE_CENTRE
from microexpr_ros.synthesis.world import labels
from microexpr_ros.synthesis.world.light import ROOM_LIGHTS
from microexpr_ros.synthesis.world.motion import Motion, UnitActivation, Wave, single
from microexpr_ros.synthesis.world.motion_sampling import sample_clip
from microexpr_ros.synthesis.world.renderer import PinholeCamera
from microexpr_ros.synthesis.world.scene import build_scene

SECOND = 1_000_000_000
CAMERA = PinholeCamera(200, 160, 500.0, 8.0, (100, 80))


def motion_of(*activations, duration_ns=SECOND):
    rest = single(4, 0.0, duration_ns)
    return Motion(duration_ns, activations, (), rest.head, (), rest.camera)


@pytest.fixture(scope='module')
def scene():
    person = make_person(4_100_001, 4_100_001)
    rng = np.random.default_rng(0)
    light = ROOM_LIGHTS.sample(rng, 'bright')
    return build_scene(rng, person, light, CAMERA, np.array([0.0, 0.1, 0.0]), 0.3)


@needs_face
def test_landmarks_are_on_the_skin_and_mirror_each_other():
    model = face.load()
    skin = np.unique(model.triangles[model.material == face.Material.SKIN])
    assert len(set(labels.LANDMARKS)) == 68
    assert set(labels.LANDMARKS) <= set(skin.tolist())
    at = model.vertices[list(labels.LANDMARKS)]
    # iBUG's points from one side of the face to the other.
    for right, left in (
        *zip(range(8), range(16, 8, -1), strict=True),
        *zip(range(17, 22), range(26, 21, -1), strict=True),
        *((31, 35), (32, 34), (36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)),
        *((48, 54), (49, 53), (50, 52), (59, 55), (58, 56), (60, 64), (61, 63), (67, 65)),
    ):
        np.testing.assert_allclose(at[right] * [-1, 1, 1], at[left], atol=1e-3)
        assert at[right, 0] < 0
    middle = [8, 27, 28, 29, 30, 33, 51, 57, 62, 66]
    np.testing.assert_allclose(at[middle, 0], 0, atol=1e-3)
    # Down the face: brow, upper lid, lower lid, nose, upper lip, lower lip, chin.
    assert (np.diff(at[[19, 37, 41, 30, 51, 57, 8], 1]) < 0).all()


@needs_face
def test_landmarks_follow_the_mesh_that_is_drawn(scene):
    motion = motion_of(UnitActivation(26, 0, SECOND // 2, SECOND, 2 * SECOND, 1.0))
    truth = labels.label(scene, motion)
    assert truth.landmarks.shape == (1001, 68, 2)
    jaw = truth.landmarks[:, 8, 1]
    assert jaw[500] - jaw[0] > 5
    assert np.abs(truth.landmarks[500, 27] - truth.landmarks[0, 27]).max() < 0.5
    # The box is what they span.
    np.testing.assert_allclose(truth.box[:, :2], truth.landmarks.min(axis=1))
    np.testing.assert_allclose(truth.box[:, :2] + truth.box[:, 2:], truth.landmarks.max(axis=1))


@needs_face
def test_a_lid_lies_where_the_picture_changes_when_it_closes(scene):
    """The picture, rendered apart from the labels, darkens or brightens between the lids."""
    blink = single(45, 1.0, SECOND)
    times = np.array([0, SECOND])
    before, after = (scene.radiance(instant) for instant in blink.instants(times))
    changed = np.abs(after - before) > 0.1 * before.max()
    rows, columns = np.nonzero(changed)
    eyes = labels.label(scene, blink).landmarks[0, 36:48]
    for eye in (eyes[:6], eyes[6:]):
        low, high = eye.min(axis=0) - 3, eye.max(axis=0) + 3
        inside = (columns >= low[0]) & (columns < high[0]) & (rows >= low[1]) & (rows < high[1])
        assert inside.sum() > 10
    near = [np.hypot(columns - x, rows - y) for x, y in eyes]
    assert np.min(near, axis=0).max() < 8


@needs_face
def test_a_shake_of_the_camera_moves_the_landmarks(scene):
    channels, pose = np.zeros((2, CHANNELS), np.float32), np.zeros((2, 6))
    shake = np.array([[0, 0], [0.02, -0.01]])
    first, second = labels.project(scene, channels, pose, shake)
    np.testing.assert_allclose(second - first, np.tile([4.0, -2.0], (68, 1)), atol=1e-3)


@needs_face
def test_the_head_that_a_solver_finds_in_the_landmarks_is_the_one_of_the_labels(scene):
    """OpenCV knows the 3D points at rest and the camera's matrix, and nothing else of ours."""
    rng = np.random.default_rng(1)
    waves = [Wave(np.array([a]), np.array([0.7]), rng.uniform(0, 6, 1)) for a in
             (0.1, 0.15, 0.08, 0.2, 0.3, 0.4)]  # fmt: skip
    still = motion_of()
    truth = labels.label(scene, Motion(SECOND, (), (), tuple(waves), (), still.camera))
    rig, chosen = scene.person.rig, np.array(labels.LANDMARKS)
    chosen, stiff = chosen[rig.neck[chosen] == 1], rig.neck[chosen] == 1
    joint = np.array(FACE_CENTRE) - [0, 0.92, 0.9]
    points = (rig.rest[chosen] - joint).astype(np.float64)
    # OpenCV's camera looks along z, with y down.
    flip = np.diag([1.0, -1.0, -1.0])
    matrix = camera_matrix(CAMERA)
    for n in (0, 300, 900):
        pixels = truth.landmarks[n, stiff].astype(np.float64) - 0.5
        found, turn, place = cv2.solvePnP(points, pixels, matrix, None)
        assert found
        x, y, z = truth.pose[n, :3]
        (rx, _), (ry, _), (rz, _) = (
            cv2.Rodrigues(angle * axis) for angle, axis in zip((x, y, z), np.eye(3), strict=True)
        )
        np.testing.assert_allclose(flip @ cv2.Rodrigues(turn)[0], ry @ rx @ rz, atol=2e-3)
        # From the camera, 0.8 m in front of the face's centre.
        where = flip @ place[:, 0] * 0.1 + [0, 0.092, 0.09 + 0.8]
        np.testing.assert_allclose(where, truth.pose[n, 3:], atol=2e-3)


@needs_face
def test_units_and_pose_are_those_of_the_motion(scene):
    motion = motion_of(UnitActivation(12, 0, SECOND // 2, SECOND, 2 * SECOND, 0.3, 1.0, 0.25))
    truth = labels.label(scene, motion)
    unit = facs.CODES.index(12)
    np.testing.assert_array_equal(np.diff(truth.t_ns), 1_000_000)
    assert truth.intensity[-1, unit] == pytest.approx([0.3, 0.075])
    assert truth.intensity.shape == (1001, 18, 2)
    assert truth.intensity.sum() == pytest.approx(truth.intensity[:, unit].sum())
    np.testing.assert_allclose(truth.pose[0], [0, 0.1, 0, 0, 0, 0])


def test_units_that_begin_together_are_one_movement():
    both = (
        UnitActivation(6, 100, 300, 400, 500, 0.2),
        UnitActivation(12, 20_000_100, 30_000_000, 1, 2 * 10**8, 0.3),
    )
    late = UnitActivation(45, 10**9, 11 * 10**8, 12 * 10**8, 17 * 10**8, 1.0)
    first, second = labels.movements(motion_of(late, *both))
    assert first.codes == (6, 12)
    assert (first.onset_ns, first.apex_ns, first.offset_ns) == (100, 30_000_000, 2 * 10**8)
    assert first.peak == 0.3
    assert first.micro
    assert second.codes == (45,)
    assert not second.micro
    assert labels.movements(motion_of()) == []


@given(seed=st.integers(0, 10**6))
def test_every_unit_that_moves_is_in_a_movement(seed):
    motion = sample_clip(np.random.default_rng(seed), SECOND)
    moves = labels.movements(motion)
    assert {c for move in moves for c in move.codes} == {
        activation.code for activation in motion.activations
    }
    assert all(move.onset_ns <= move.apex_ns <= move.offset_ns for move in moves)
    if motion.dominant:
        assert any(
            motion.dominant in move.codes and move.onset_ns <= motion.onset_ns for move in moves
        )


@needs_face
def test_the_landmarks_of_a_face_follow_the_head_and_no_expression(scene):
    smile = UnitActivation(12, 0, SECOND // 4, SECOND // 2, SECOND, 0.9)
    times = np.array([0, SECOND // 4])
    still = labels.face_landmarks(scene, motion_of(smile), times)
    assert still.shape == (2, 5, 2)
    np.testing.assert_array_equal(still[0], still[1])
    # The subject's right is on the left of the picture; eyes, nose, mouth from above.
    right, left, nose, right_corner, left_corner = still[0]
    assert right[0] < right_corner[0] < nose[0] < left_corner[0] < left[0]
    assert max(right[1], left[1]) < nose[1] < min(right_corner[1], left_corner[1])
    motion = motion_of(smile)
    shift = Wave(np.array([0.1]), np.array([1.0]), np.zeros(1))
    moving = Motion(
        SECOND, (smile,), (), (*motion.head[:3], shift, *motion.head[4:]), (), motion.camera
    )
    moved = labels.face_landmarks(scene, moving, times)
    assert (moved[1, :, 0] - still[1, :, 0] > 4).all()
    assert np.ptp(moved[1] - still[1], axis=0).max() < 1


@needs_face
def test_faces_are_aligned_with_the_brows_and_the_chin_inside():
    for number in range(4_100_010, 4_100_014):
        person = make_person(number, number)
        rng = np.random.default_rng(number)
        scene_ = build_scene(
            rng, person, ROOM_LIGHTS.sample(rng, 'bright'), CAMERA, np.zeros(3), 0.3
        )
        rest = np.zeros((1, CHANNELS), np.float32)
        points = labels.project(scene_, rest, np.zeros((1, 6)), np.zeros((1, 2)))[0]
        region = align(labels.reduce_landmarks(points))
        shares = region.to_shares(points)
        np.testing.assert_allclose(
            region.to_shares(labels.reduce_landmarks(points)), PLACES, atol=0.04
        )
        brows, chin = shares[17:27, 1].min(), shares[8, 1]
        assert 0.13 < brows < 0.25
        assert 0.83 < chin < 0.97
