"""A made person: the head, how it moves, and how it looks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from microexpr_ros import facs
from microexpr_ros.synthesis.person import face, occlusion, skin
from microexpr_ros.synthesis.person.channels import CHANNELS
from microexpr_ros.synthesis.person.identity import Identity, sample_identity
from microexpr_ros.synthesis.person.rig import Rig, build_rig
from microexpr_ros.synthesis.person.texture import Texture, build_texture
from microexpr_ros.synthesis.person.wrinkles import Wrinkles, on_chart, sample_wrinkles


@dataclass(frozen=True, slots=True, eq=False)
class Person:
    """A person, ready to be rendered.

    Attributes:
        identity: The head at rest.
        rig: How the head moves.
        ambient: float32 [V], occlusion of the surroundings at rest, 0-1.
        skin_name: Name of the skin.
        wrinkles: The lines of the skin, and which units deepen them.
        relief: Those lines as a texture, see renderer.Surface.
        luma: Texture with one channel, linear luminance: all that event cameras see.
        colour: Texture with linear RGB.
    """

    identity: Identity
    rig: Rig
    ambient: NDArray[np.float32]
    skin_name: str
    wrinkles: Wrinkles
    relief: Texture
    luma: Texture
    colour: Texture


@lru_cache(maxsize=4)
def make_person(number: int, skin_number: int, photograph: Path | None = None) -> Person:
    """Build a person; about a second, the last few are cached."""
    model = face.load()
    identity = sample_identity(model, number)
    rig = build_rig(model, identity)
    painted = skin.paint(model, identity, skin_number, photograph)
    lines = sample_wrinkles(np.random.default_rng([number, 0xF01D]), model.vertices, identity.age)
    return Person(
        identity,
        rig,
        _occlusion(model, rig),
        painted.name,
        lines,
        build_texture(skin.on_atlas(on_chart(lines, skin.positions(model)))),
        build_texture((painted.atlas @ skin.LUMA)[..., None]),
        build_texture(painted.atlas),
    )


def _occlusion(model: face.FaceModel, rig: Rig) -> NDArray[np.float32]:
    """Return the share of the surroundings that vertices see, those of the mouth while open."""
    ambient = occlusion.ambient_occlusion(rig.rest, model.triangles, model.material)
    opened = np.zeros(CHANNELS, np.float32)
    for code in (25, 26):
        at = 2 * facs.CODES.index(code)
        opened[at : at + 2] = 1
    inner = occlusion.inside_mouth(model)
    ambient[inner] = occlusion.ambient_occlusion(
        rig.pose(opened), model.triangles, model.material
    )[inner]
    return ambient
