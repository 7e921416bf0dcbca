"""What an event camera and a frame camera see: a moving board on one plane, points in depth."""

import cv2
import numpy as np

from microexpr_ros.alignment.camera_geometry import StereoGeometry
from microexpr_ros.alignment.head_pose import INTERPUPILLARY_M, Calibration
from microexpr_ros.events.events import Events, Frame
from microexpr_ros.landmarks import DEPTHS, EYE_DISTANCE, PLACES
from microexpr_ros.synthesis.sensors.video_sensor import VideoSensor

MS = 1_000_000
SENSOR = 120, 160
FRAME = 240, 320
HOMOGRAPHY = np.array([[1.7, 0.06, 22.0], [-0.05, 1.75, 14.0], [1e-4, -5e-5, 1.0]])
"""From pixels of the event sensor to those of the frame."""

STEP_NS = 10 * MS
PERIOD_NS = 40 * MS
"""Of the frames."""

STEREO = StereoGeometry(
    Calibration(
        np.array([[560.0, 0, 322], [0, 558, 237], [0, 0, 1]]),
        np.array([-0.25, 0.08, 0.001, -0.0005, 0.0]),
    ),
    Calibration(
        np.array([[1010.0, 0, 650], [0, 1012, 352], [0, 0, 1]]),
        np.array([0.08, -0.12, -0.0008, 0.001, 0.02]),
    ),
    cv2.Rodrigues(np.array([0.02, -0.09, 0.03]))[0],
    np.array([-0.06, 0.004, 0.01]),
    (480, 640),
    (720, 1280),
)
"""Cameras 6 cm apart and turned towards each other."""

FACE_M = INTERPUPILLARY_M * np.column_stack(
    [(PLACES - PLACES[:2].mean(axis=0)) / EYE_DISTANCE, -DEPTHS]
)
"""Landmarks of the mean face, to the subject's left, down and into the head."""


def see_points(points, turn, position, geometry=STEREO):
    """Return the pixels of both cameras that show points, projected by OpenCV alone.

    Args:
        points: float64 [N, 3], of an object, m.
        turn: float64 [3], rotation vector of the object before the event camera.
        position: float64 [3], of the object before the event camera, m.
        geometry: of the cameras.
    """
    seen = points @ cv2.Rodrigues(np.asarray(turn, np.float64))[0].T + position
    moves = [
        (geometry.event_camera, np.zeros(3), np.zeros(3)),
        (geometry.rgb_camera, cv2.Rodrigues(geometry.rotation)[0], geometry.translation),
    ]
    found = []
    for camera, rotation, translation in moves:
        project = cv2.fisheye.projectPoints if camera.is_fisheye else cv2.projectPoints
        model = camera.matrix, camera.distortion
        found.append(project(seen[:, None], rotation, translation, *model)[0].reshape(-1, 2) + 0.5)
    return found


def make_board(rng):
    """Return a checkerboard on a wall, float32, in which no place looks like another."""
    wall = cv2.resize(rng.uniform(70, 130, (24, 32)).astype(np.float32), (640, 480))
    squares = np.kron((np.indices((6, 8)).sum(axis=0) % 2), np.ones((28, 28))) * 150 + 50
    board = np.full((196, 252), 230, np.float32)
    board[14:-14, 14:-14] = squares
    return wall, board


def move(wall, board, t_ns):
    """Return the scene at a moment, as an ideal camera of 640 x 480 sees it."""
    t = t_ns / 1e9
    at = np.array([190 + 120 * np.sin(2.1 * t), 140 + 95 * np.sin(3.1 * t + 1)])
    turn = 0.25 * np.sin(1.3 * t)
    matrix = np.array([[np.cos(turn), -np.sin(turn), at[0]], [np.sin(turn), np.cos(turn), at[1]]])
    scene = wall.copy()
    cv2.warpAffine(board, matrix, (640, 480), dst=scene, borderMode=cv2.BORDER_TRANSPARENT)
    return scene


def film_board(seconds=4.0, homography=HOMOGRAPHY, seed=0):
    """Return events and frames of one board, on one clock.

    Frames show all of the scene, the event sensor the part that the homography gives.
    """
    rng = np.random.default_rng(seed)
    wall, board = make_board(rng)
    of_frame = np.diag([FRAME[1] / 640, FRAME[0] / 480, 1.0])
    # cv2 has pixel (0, 0) around its centre, here it reaches from 0 to 1.
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    to_scene = np.linalg.inv(of_frame) @ homography
    sensor, events, frames = VideoSensor(seed), [], []
    for t_ns in range(0, round(seconds * 1e9), STEP_NS):
        scene = move(wall, board, t_ns)
        # Both average over their larger pixels.
        seen = cv2.warpPerspective(
            cv2.GaussianBlur(scene, (0, 0), 1.2),
            np.linalg.inv(half) @ to_scene @ half,
            SENSOR[::-1],
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        )
        events.append(sensor.see(Frame(t_ns, seen.clip(0, 255).astype(np.uint8))))
        if t_ns % PERIOD_NS == 0:
            frame = cv2.resize(scene, FRAME[::-1], interpolation=cv2.INTER_AREA)
            noisy = frame + rng.normal(0, 2, frame.shape)
            frames.append(Frame(t_ns, noisy.clip(0, 255).astype(np.uint8)))
    return Events.concatenate(events), frames
