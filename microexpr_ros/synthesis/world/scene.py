"""One synthetic person in one light, as a camera sees them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from microexpr_ros.synthesis.person import face
from microexpr_ros.synthesis.person.person import Person
from microexpr_ros.synthesis.person.rig import place_head, rotation
from microexpr_ros.synthesis.person.template import FACE_HEIGHT
from microexpr_ros.synthesis.world import renderer
from microexpr_ros.synthesis.world.light import Light
from microexpr_ros.synthesis.world.motion import Instant
from microexpr_ros.synthesis.world.renderer import PinholeCamera, Surface

_DISTANCE: Final = 8.0
"""From a camera of a whole sensor to the face, dm."""


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A person and a light in front of a camera.

    Attributes:
        person: Who.
        light: How they are lit.
        camera: From where they are seen.
        surface: Occlusion and mip levels.
        turn: float64 [3], rotation of the head at rest about x, y, z, rad.
        background: float32 [height, width, 1], radiance behind the head, lux.
        blur_px: standard deviation of the lens's blur.
    """

    person: Person
    light: Light
    camera: PinholeCamera
    surface: Surface
    turn: NDArray[np.float64]
    background: NDArray[np.float32]
    blur_px: float

    def radiance(self, instant: Instant, colour: bool = False) -> NDArray[np.float32]:
        """Render an instant, without the light's flicker.

        Args:
            instant: What moves. The lamps are where they are at its time.
            colour: Whether to render RGB.

        Returns:
            float32 [height, width] or [height, width, 3], lux.
        """
        person, light = self.person, self.light.at(instant.t_ns)
        head = renderer.Head(
            place_head(person.rig.pose(instant.channels), person.rig, self.turn, instant.pose),
            person.wrinkles.weight(instant.channels),
            rotation(self.turn + instant.pose[:3]),
        )
        texture = person.colour if colour else person.luma
        background = np.repeat(self.background, 3, axis=2) if colour else self.background
        picture = renderer.render(
            self.surface,
            texture,
            head,
            (instant.shake * self.camera.width).astype(np.float32),
            self.camera,
            light.lamps,
            light.ambient_lux,
            background,
        )
        if self.blur_px > 0.1:
            picture = np.asarray(
                cv2.GaussianBlur(picture, (0, 0), self.blur_px), np.float32
            ).reshape(picture.shape)
        return picture if colour else picture[..., 0]


def sample_region_scene(
    rng: np.random.Generator, person: Person, light: Light, sides_px: tuple[int, int]
) -> Scene:
    """Sample the scene of a face region, as a coarse face box would cut it from the sensor.

    The face (chin to hairline) fills 66 to 100 % of the box, off centre by up to 7 %.

    Args:
        rng: Random numbers.
        person: Who is seen.
        light: How they are lit.
        sides_px: Smallest and largest side of the box, px.
    """
    low, high = sides_px
    side = np.exp(rng.uniform(np.log(low), np.log(high)))
    width, height = (int(side * f) for f in rng.uniform(0.94, 1.06, 2))
    fill = rng.uniform(0.66, 1.0)
    offset = rng.uniform(-0.07, 0.07, 2) * (width, height)
    distance = float(rng.uniform(4.5, 11.0))
    camera = PinholeCamera(
        width,
        height,
        height * fill / FACE_HEIGHT * distance,
        distance,
        (width / 2 + float(offset[0]), height / 2 + float(offset[1])),
    )
    turn = np.clip(rng.normal(0, 1, 3), -2, 2) * np.deg2rad([5, 8, 3])
    return build_scene(rng, person, light, camera, turn, float(rng.uniform(0, 0.6)))


def build_scene(
    rng: np.random.Generator,
    person: Person,
    light: Light,
    camera: PinholeCamera,
    turn: NDArray[np.float64],
    blur_px: float,
) -> Scene:
    """Place a person in front of a sampled background and measure what casts shadows on it."""
    rest = place_head(person.rig.rest, person.rig, turn, np.zeros(6))
    surface = renderer.prepare(
        face.load(), rest, person.ambient, light.lamps, camera, person.relief
    )
    cells = rng.integers(3, 9)
    pattern = rng.random((cells, cells)).astype(np.float32)
    smooth = cv2.resize(pattern, (camera.width, camera.height), interpolation=cv2.INTER_CUBIC)
    level = rng.uniform(*light.behind) * light.on_face_lux
    contrast = rng.uniform(0, 0.9)
    background = level * np.maximum(1 - contrast + contrast * smooth, 0.05)
    return Scene(
        person, light, camera, surface, turn, background[..., None].astype(np.float32), blur_px
    )


def sample_full_scene(
    rng: np.random.Generator, person: Person, light: Light, width: int, height: int
) -> Scene:
    """Sample the scene of a whole sensor: a head that looks nearly straight into the camera."""
    turn = np.clip(rng.normal(0, 1, 3), -2, 2) * np.deg2rad([2, 4, 1.5])
    return build_scene(rng, person, light, full_camera(width, height), turn, 0.4)


def full_camera(width: int, height: int) -> PinholeCamera:
    """Return a camera in which the face takes most of the height and the bust ends below it."""
    focal_px = _face_px(height) / FACE_HEIGHT * _DISTANCE
    return PinholeCamera(width, height, focal_px, _DISTANCE, (width / 2, 0.56 * height))


def sample_full_camera(rng: np.random.Generator, width: int, height: int) -> PinholeCamera:
    """Sample a camera that sees a face somewhat off its middle, 45 to 64 % of its height."""
    face_px = height * float(rng.uniform(0.45, 0.64))
    column, row = rng.uniform((0.4, 0.52), (0.6, 0.58)) * (width, height)
    focal_px = face_px / FACE_HEIGHT * _DISTANCE
    return PinholeCamera(width, height, focal_px, _DISTANCE, (float(column), float(row)))


def face_region(camera: PinholeCamera) -> tuple[int, int, int, int]:
    """Return (x, y, width, height) of the face in the picture of a `full_camera`, px."""
    column, row = camera.centre
    side = int(_face_px(camera.height) / 0.8)
    return int(column) - side // 2, int(row) - side // 2, side, side


def _face_px(height: int) -> float:
    return 0.64 * height
