"""The relative pose of two calibrated cameras, from a checkerboard that moves in front of both.

Frames show the corners of the board, events do not. But how the light changed from one frame to
the next, both show: where the board is then, the frame's picture of change is laid over that of
the events, and takes the corners with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from microexpr_ros.alignment.camera_geometry import StereoGeometry
from microexpr_ros.alignment.geometry_measurement import (
    FEWEST,
    Change,
    cells_to_pixels,
    find_shift,
    level,
    root_mean_square,
    warp,
)
from microexpr_ros.alignment.head_pose import Calibration
from microexpr_ros.errors import MicroexprError

LEAST_CORRELATION: Final = 0.5
"""Correlation of frames with events on the board below which a moment is left out."""

ROUNDS: Final = 3
"""Times that the corners are looked up in the events, each from a better pose."""

_ROUGH: Final = 0.03
"""Corners that differ by more from the pose that most agree with, as of a camera of focal length
1, are left out in the first round; later those of moments with more than this times the median."""
_OUTLIER: Final = 3.0
_FAR: Final = 10
"""A pose that has the board so many pictures away is wrong."""

_STEPS: Final = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 60, 1e-4)


@dataclass(frozen=True, slots=True)
class Checkerboard:
    """A checkerboard.

    Attributes:
        columns: inner corners in a row.
        rows: rows of inner corners.
        square_m: side of its squares.
    """

    columns: int
    rows: int
    square_m: float

    def corners(self) -> NDArray[np.float64]:
        """Return the inner corners, row by row, float64 [N, 3], m; the board lies at z = 0."""
        return self._places(*np.mgrid[0 : self.rows, 0 : self.columns].reshape(2, -1))

    def outline(self) -> NDArray[np.float64]:
        """Return the corners of all squares together, float64 [4, 3], m."""
        rows, columns = np.array([(-1, -1), (-1, 1), (1, 1), (1, -1)]).T
        middle_row, middle_column = (self.rows - 1) / 2, (self.columns - 1) / 2
        return self._places(
            middle_row + rows * (middle_row + 1), middle_column + columns * (middle_column + 1)
        )

    def _places(
        self, rows: NDArray[np.floating], columns: NDArray[np.floating]
    ) -> NDArray[np.float64]:
        return self.square_m * np.column_stack([columns, rows, np.zeros(len(rows))])


def find_corners(grey: NDArray[np.uint8], board: Checkerboard) -> NDArray[np.float64] | None:
    """Return where a frame shows the inner corners of a board, float64 [N, 2], px; None: nowhere.

    Pixel (x, y) reaches from x to x + 1.

    Args:
        grey: uint8 [rows, columns].
        board: whose corners are looked for.
    """
    found, corners = cv2.findChessboardCornersSB(grey, (board.columns, board.rows))
    return np.asarray(corners, np.float64).reshape(-1, 2) + 0.5 if found else None


@dataclass(frozen=True, slots=True, eq=False)
class BoardChange:
    """How the light changed while the board moved.

    Attributes:
        change: from one frame to another.
        corners: float64 [N, 2], of the board in the frame, half-way from one to the other, px.
    """

    change: Change
    corners: NDArray[np.float64]

    @classmethod
    def between(
        cls, change: Change, first: NDArray[np.float64], last: NDArray[np.float64]
    ) -> BoardChange:
        """Return a change with the corners in its first and its last frame."""
        # A board that looks the same upside down may be numbered from its other end.
        if np.linalg.norm(first - last) > np.linalg.norm(first - last[::-1]):
            last = last[::-1]
        return cls(change, (first + last) / 2)


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """The corners of the board as both cameras see them at one moment.

    Attributes:
        on_sensor: float64 [N, 2], px of the event sensor.
        in_frame: float64 [N, 2], px of the frame.
    """

    on_sensor: NDArray[np.float64]
    in_frame: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredStereo:
    """A geometry, and how well it fits.

    Attributes:
        geometry: of the cameras.
        correlation: of the changes that frames and events show on the board, 1 at best.
        points: float64 [N, 2], where the events show the corners, px of the sensor.
        residuals: float64 [N, 2], from there to where the frame's corners should be seen.
        moments: that it was measured from.
    """

    geometry: StereoGeometry
    correlation: float
    points: NDArray[np.float64]
    residuals: NDArray[np.float64]
    moments: int

    @property
    def residual_px(self) -> float:
        """Root mean square of the residuals, px of the event sensor."""
        return root_mean_square(self.residuals)


def fit_stereo(
    board: Checkerboard, sights: Sequence[Sight], geometry: StereoGeometry
) -> tuple[StereoGeometry, list[NDArray[np.float64]]]:
    """Return the geometry that fits what both cameras see best, and what remains on the sensor.

    Args:
        board: that is seen.
        sights: of it.
        geometry: with the calibrations, which stay as they are.

    Returns:
        The geometry, and of each sight from where the sensor shows the corners to where those of
        the frame should be seen, float64 [N, 2], px of the event sensor.
    """
    # Pictures without distortion, of which any lens may be the origin; errors are in px.
    on_sensor = [_straighten(geometry.event_camera, one.on_sensor) for one in sights]
    in_frame = [_straighten(geometry.rgb_camera, one.in_frame) for one in sights]
    straight = np.zeros(5)
    _, _, _, _, _, rotation, translation, *_ = cv2.stereoCalibrate(
        [board.corners().astype(np.float32)] * len(sights),
        on_sensor,
        in_frame,
        _focal_lengths(geometry.event_camera),
        straight,
        _focal_lengths(geometry.rgb_camera),
        straight,
        (1, 1),
        flags=cv2.CALIB_FIX_INTRINSIC,
    )
    fitted = replace(
        geometry,
        rotation=np.asarray(rotation, np.float64),
        translation=np.asarray(translation, np.float64).ravel(),
    )
    return fitted, [
        _see(fitted, _place_board(board, geometry.rgb_camera, one.in_frame)) - one.on_sensor
        for one in sights
    ]


def measure_stereo(
    changes: Sequence[BoardChange],
    board: Checkerboard,
    calibrations: tuple[Calibration, Calibration],
    sensor: tuple[int, int],
    frame: tuple[int, int],
) -> MeasuredStereo:
    """Return the relative pose of two calibrated cameras.

    The cameras must be upright against each other within some 10 degrees.

    Args:
        changes: at moments at which the board moves.
        board: that moves.
        calibrations: of the event camera and of the RGB camera, which stay as they are.
        sensor: rows and columns of the event sensor.
        frame: rows and columns of the frames.

    Raises:
        MicroexprError: the board is seen too rarely, or not by both cameras.
    """
    if len(changes) < FEWEST:
        raise MicroexprError(
            f'frames show a checkerboard of {board.columns}x{board.rows} inner corners at only '
            f'{len(changes)} moments, {FEWEST} are needed: move it slowly, all of it in the '
            'picture, or correct --board'
        )
    views = [_View(one, board, calibrations[1]) for one in changes]
    geometry = StereoGeometry(*calibrations, np.eye(3), np.zeros(3), sensor, frame)
    matches = [_look_up(view, geometry, True) for view in views]
    geometry = _fit_roughly(views, matches, geometry)
    kept: list[int] = []
    for _ in range(ROUNDS):
        matches = [_look_up(view, geometry, False) for view in views]
        kept = _agreeing(views, matches, geometry)
        sights = [Sight(matches[at].corners, views[at].corners) for at in kept]
        geometry, residuals = fit_stereo(board, sights, geometry)
    return MeasuredStereo(
        geometry,
        float(np.mean([matches[at].correlation for at in kept])),
        np.concatenate([sight.on_sensor for sight in sights]),
        np.concatenate(residuals),
        len(kept),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Match:
    """Where the events show the corners of the board.

    Attributes:
        corners: float64 [N, 2], px of the event sensor.
        correlation: of the changes there; 0 where they do not agree.
    """

    corners: NDArray[np.float64]
    correlation: float


class _View:
    """One moment: what changes, and where the board is before the RGB camera.

    Attributes:
        events: float32 [rows, columns], the change that the events show, without outliers.
        frame: the same of the frames.
        corners: float64 [N, 2], in the frame, px.
        places: float64 [N, 3], the corners in the optical frame of the RGB camera, m.
        outline: float64 [4, 3], of the board, in the same frame.
    """

    def __init__(self, given: BoardChange, board: Checkerboard, camera: Calibration) -> None:
        self.events, self.frame = level(given.change.events), level(given.change.frame)
        self.corners = given.corners
        self.places = _place_board(board, camera, given.corners)
        self.outline = _place_board(board, camera, given.corners, board.outline())


def _place_board(
    board: Checkerboard,
    camera: Calibration,
    corners: NDArray[np.float64],
    points: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Return points of a board before a camera that sees its corners, float64 [N, 3], m.

    Args:
        board: that is seen.
        camera: that sees it.
        corners: float64 [N, 2], px.
        points: float64 [M, 3], of the board, m; the corners by default.
    """
    model = board.corners()
    _, turn, position = cv2.solvePnP(model, _undistort(camera, corners), np.eye(3), None)
    wanted = model if points is None else points
    return np.asarray(wanted @ cv2.Rodrigues(turn)[0].T + position.ravel(), np.float64)


def _undistort(camera: Calibration, points: NDArray[np.float64]) -> NDArray[np.float64]:
    return camera.undistort(points - 0.5)


def _focal_lengths(camera: Calibration) -> NDArray[np.float64]:
    """Return the matrix of a camera whose optical axis is at pixel 0."""
    return np.diag([camera.matrix[0, 0], camera.matrix[1, 1], 1.0])


def _straighten(camera: Calibration, points: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the pixels where a camera without distortion sees the same, [N, 2], from its axis."""
    focal_lengths = _focal_lengths(camera).diagonal()[:2]
    return np.asarray(_undistort(camera, points) * focal_lengths, np.float32)


def _see(geometry: StereoGeometry, places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return where points before the RGB camera are on the event sensor, float64 [N, 2], px."""
    points = (places - geometry.translation) @ geometry.rotation
    return geometry.event_camera.project(points) + 0.5


def _look_up(view: _View, geometry: StereoGeometry, is_first: bool) -> _Match:
    """Return where the events show the corners of the board.

    Args:
        view: a moment.
        geometry: as far as it is known.
        is_first: whether the corners may be anywhere; else they are near where the geometry has
            them.
    """
    assert geometry.sensor is not None
    assert geometry.frame is not None
    to_px = cells_to_pixels(geometry.sensor).diagonal()[:2]
    expected = _see(geometry, view.places) / to_px
    outline = _see(geometry, view.outline) / to_px
    in_frame = view.corners / cells_to_pixels(geometry.frame).diagonal()[:2]
    shift = np.zeros(2)
    if is_first:
        shift = _search(view, expected, outline, in_frame)
    found = _lay_over(view, expected + shift, outline + shift, in_frame)
    if found is None:
        return _Match(expected, 0.0)
    return replace(found, corners=found.corners * to_px)


def _draw_board(
    view: _View,
    expected: NDArray[np.float64],
    outline: NDArray[np.float64],
    in_frame: NDArray[np.float64],
    shape: tuple[int, int],
) -> tuple[NDArray[np.float32], NDArray[np.uint8]] | None:
    """Return the change of the frame as the events should show it, and where the board is."""
    matrix, _ = cv2.findHomography(expected, in_frame)
    if matrix is None:
        return None
    mask = np.zeros(shape, np.uint8)
    cv2.fillConvexPoly(mask, np.rint(outline - 0.5).astype(np.int32), 1)
    (drawn,) = warp(view.frame[None], np.asarray(matrix, np.float64), (1, *shape))
    return drawn * mask, mask


def _search(
    view: _View,
    expected: NDArray[np.float64],
    outline: NDArray[np.float64],
    in_frame: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return how far the events show the board from where it is expected, whole cells."""
    rows, columns = view.events.shape
    margin = np.array([columns // 2, rows // 2])
    drawn = _draw_board(
        view, expected + margin, outline + margin, in_frame, (2 * rows, 2 * columns)
    )
    if drawn is None:
        return np.zeros(2)
    _, right, down = find_shift(view.events[None], drawn[0][None])
    return np.asarray(np.add(margin, (right, down)), np.float64)


def _lay_over(
    view: _View,
    expected: NDArray[np.float64],
    outline: NDArray[np.float64],
    in_frame: NDArray[np.float64],
) -> _Match | None:
    """Return the corners where the changes agree best, in cells; None: nowhere."""
    rows, columns = view.events.shape
    if not (np.abs(outline) < _FAR * max(rows, columns)).all():
        return None
    drawn = _draw_board(view, expected, outline, in_frame, (rows, columns))
    if drawn is None or not drawn[1].any():
        return None
    picture, mask = drawn
    try:
        # Evangelidis and Psarakis, Parametric image alignment using enhanced correlation
        # coefficient maximization, PAMI 2008.
        correlation, matrix = cv2.findTransformECC(
            picture,
            view.events,
            np.eye(2, 3, dtype=np.float32),
            cv2.MOTION_AFFINE,
            _STEPS,
            mask,
            1,
        )
    except cv2.error:
        # Raised where they agree nowhere near.
        return None
    corners = np.column_stack([expected - 0.5, np.ones(len(expected))]) @ matrix.T + 0.5
    return _Match(np.asarray(corners, np.float64), float(correlation))


def _fit_roughly(
    views: Sequence[_View], matches: Sequence[_Match], geometry: StereoGeometry
) -> StereoGeometry:
    """Return the geometry that most moments agree with; a board has many places that look alike.

    Raises:
        MicroexprError: the moments are too few.
    """
    good = _require_enough(
        [at for at, match in enumerate(matches) if match.correlation > LEAST_CORRELATION]
    )
    found, turn, position, _ = cv2.solvePnPRansac(
        np.concatenate([views[at].places for at in good]),
        np.concatenate([_undistort(geometry.event_camera, matches[at].corners) for at in good]),
        np.eye(3),
        None,
        iterationsCount=500,
        reprojectionError=_ROUGH,
    )
    _require_enough(good if found else [])
    rotation = np.asarray(cv2.Rodrigues(turn)[0], np.float64).T
    return replace(geometry, rotation=rotation, translation=-rotation @ position.ravel())


def _agreeing(
    views: Sequence[_View], matches: Sequence[_Match], geometry: StereoGeometry
) -> list[int]:
    """Return the moments at which the events show the board where the geometry has it, roughly.

    Raises:
        MicroexprError: they are too few.
    """
    away = np.array(
        [
            np.linalg.norm(_see(geometry, view.places) - match.corners, axis=1).mean()
            if match.correlation > LEAST_CORRELATION
            else np.inf
            for view, match in zip(views, matches, strict=True)
        ]
    )
    seen = away[np.isfinite(away)]
    limit = _OUTLIER * float(np.median(seen)) if len(seen) else 0.0
    return _require_enough(np.flatnonzero(away <= limit).tolist())


def _require_enough(moments: list[int]) -> list[int]:
    if len(moments) < FEWEST:
        raise MicroexprError(
            f'frames and events show the checkerboard alike at only {len(moments)} moments, '
            f'{FEWEST} are needed: move it where both cameras see all of it, with the light '
            'steady; calibrations and --board must be right'
        )
    return moments
