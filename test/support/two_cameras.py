"""What an event camera and a frame camera see: a moving board on one plane, points in depth."""

from functools import cache

import cv2
import numpy as np

from microexpr_ros.alignment.camera_geometry import StereoGeometry
from microexpr_ros.alignment.head_pose import INTERPUPILLARY_M, Calibration
from microexpr_ros.alignment.stereo_measurement import Checkerboard
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


SMALL = StereoGeometry(
    Calibration(
        np.array([[212.0, 0, 118], [0, 210, 92], [0, 0, 1]]),
        np.array([-0.2, 0.05, 0.001, -0.0005, 0.0]),
    ),
    Calibration(
        np.array([[405.0, 0, 236], [0, 407, 183], [0, 0, 1]]),
        np.array([0.06, -0.08, -0.0008, 0.001, 0.0]),
    ),
    cv2.Rodrigues(np.array([0.02, -0.06, 0.03]))[0],
    np.array([-0.05, 0.004, 0.008]),
    (180, 240),
    (360, 480),
)
"""Cameras of low resolution, 5 cm apart, that are quick to film with."""

BOARD = Checkerboard(7, 5, 0.03)
TEXELS = 20
"""Columns and rows of a picture of the board per square."""


def swing_board(t_ns):
    """Return where the board is before the event camera: rotation vector, and position in m."""
    t = t_ns / 1e9
    turn = np.array([0.3 * np.sin(1.7 * t), 0.35 * np.sin(1.1 * t + 1), 0.25 * np.sin(1.3 * t)])
    middle = np.array([0.1 * np.sin(2.3 * t), 0.06 * np.sin(3.3 * t + 1), 0.6])
    middle[2] += 0.1 * np.sin(0.9 * t)
    own = BOARD.corners().mean(axis=0)
    return turn, middle - cv2.Rodrigues(turn)[0] @ own


@cache
def film_stereo(seconds=1.6, seed=0):
    """Return events and frames of a board that swings in front of the SMALL cameras, in depth."""
    rng = np.random.default_rng(seed)
    squares = np.indices((BOARD.rows + 1, BOARD.columns + 1)).sum(axis=0) % 2
    texture = np.pad(np.kron(squares, np.ones((TEXELS, TEXELS))) * 170 + 30, TEXELS // 2, 'edge')
    texture = cv2.copyMakeBorder(
        texture.astype(np.float32), TEXELS, TEXELS, TEXELS, TEXELS, cv2.BORDER_CONSTANT, value=220
    )
    cameras = [
        (SMALL.event_camera, SMALL.sensor, np.eye(3), np.zeros(3)),
        (SMALL.rgb_camera, SMALL.frame, SMALL.rotation, SMALL.translation),
    ]
    views = [
        (_directions(camera, size), size, rotation, translation)
        for camera, size, rotation, translation in cameras
    ]
    walls = [
        cv2.resize(rng.uniform(80, 120, (9, 12)).astype(np.float32), size[::-1])
        for _, size, _, _ in views
    ]
    sensor, events, frames = VideoSensor(seed), [], []
    for t_ns in range(0, round(seconds * 1e9), STEP_NS):
        turn, position = swing_board(t_ns)
        pictures = [
            _render(texture, wall, turn, position, *view)
            for wall, view in zip(walls, views[: 1 + (t_ns % PERIOD_NS == 0)], strict=False)
        ]
        seen = pictures[0].clip(0, 255).astype(np.uint8)
        events.append(sensor.see(Frame(t_ns, seen)))
        if len(pictures) > 1:
            noisy = pictures[1] + rng.normal(0, 2, pictures[1].shape)
            frames.append(Frame(t_ns, noisy.clip(0, 255).astype(np.uint8)))
    return Events.concatenate(events), frames


def _directions(camera, size):
    """Return where each of 2 x 2 points of each pixel looks, float32 [2 rows, 2 columns, 2]."""
    rows, columns = size
    down, right = np.mgrid[0 : 2 * rows, 0 : 2 * columns] / 2 - 0.25
    pixels = np.stack([right.ravel(), down.ravel()], axis=1)
    undistorted = cv2.undistortPoints(pixels[:, None], camera.matrix, camera.distortion)
    return undistorted.reshape(2 * rows, 2 * columns, 2).astype(np.float32)


def _render(texture, wall, turn, position, directions, size, rotation, translation):
    """Return a picture of the board before a wall, float32, averaged over each pixel."""
    axes = rotation @ cv2.Rodrigues(turn)[0]
    origin = rotation @ position + translation
    # Rays meet the plane of the board at its x and y in m, from its first inner corner.
    to_board = np.linalg.inv(np.column_stack([axes[:, 0], axes[:, 1], origin]))
    texel = TEXELS / BOARD.square_m
    shift = 2.5 * TEXELS - 0.5
    to_texels = np.array([[texel, 0, shift], [0, texel, shift], [0, 0, 1]]) @ to_board
    texels = cv2.perspectiveTransform(directions, to_texels)
    seen = cv2.remap(texture, texels, None, cv2.INTER_LINEAR, borderValue=-1000)
    picture = np.where(seen < 0, cv2.resize(wall, seen.shape[::-1]), seen)
    return cv2.resize(picture.astype(np.float32), size[::-1], interpolation=cv2.INTER_AREA)
