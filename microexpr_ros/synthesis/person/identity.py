"""Who somebody is: the shape of the head at rest, its hair, and how far each unit moves."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros import facs
from microexpr_ros.synthesis.person import hair
from microexpr_ros.synthesis.person.face import FaceModel, Material
from microexpr_ros.synthesis.person.hair import Hair

_EYES_Y: Final = 7.284
_EYES_Z: Final = 1.245


@dataclass(frozen=True, slots=True)
class Identity:
    """One person's head at rest and how it moves.

    Attributes:
        number: The person; the same number is the same person everywhere.
        vertices: float32 [V, 3], the head at rest, dm, eyes where the template has them.
        mobility: float32 [18], how far this person moves each unit of facs.CODES at
            intensity 1, about 1.
        male: 0 (female) to 1 (male).
        age: 0 (young adult) to 1 (old).
        ancestry: Shares of African, Asian and Caucasian shapes; their sum is 1.
        hair: What is on the head; its volume is in `vertices`.
    """

    number: int
    vertices: NDArray[np.float32]
    mobility: NDArray[np.float32]
    male: float
    age: float
    ancestry: tuple[float, float, float]
    hair: Hair


def sample_identity(model: FaceModel, number: int) -> Identity:
    """Sample the person of a number: sex, age, ancestry, local shapes, asymmetry, mobility."""
    rng = np.random.default_rng([number, 0xFACE])
    male = float(np.clip(rng.beta(0.35, 0.35), 0, 1))
    age = float(rng.beta(1.1, 1.8))
    african, asian, caucasian = rng.dirichlet([0.4, 0.4, 0.4])
    heavy = float(np.clip(rng.normal(0, 0.45), -1, 1))

    shape = np.zeros_like(model.vertices)
    sexes = {'male': male, 'female': 1 - male}
    ages = {'young': 1 - age, 'old': age}
    races = {'african': african, 'asian': asian, 'caucasian': caucasian}
    weights = {
        'minweight': max(-heavy, 0.0),
        'averageweight': 1 - abs(heavy),
        'maxweight': max(heavy, 0.0),
    }
    for (sex, s), (years, a), (race, r) in product(sexes.items(), ages.items(), races.items()):
        shape += np.float32(s * a * r) * model.macros[f'{race}-{sex}-{years}']
    for (sex, s), (years, a), (mass, w) in product(sexes.items(), ages.items(), weights.items()):
        shape += (
            np.float32(s * a * w) * model.macros[f'universal-{sex}-{years}-averagemuscle-{mass}']
        )
    for less, more in model.details:
        amount = np.float32(np.clip(rng.normal(0, 0.22), -0.6, 0.6))
        shape += abs(amount) * (more if amount > 0 else less)
    for target in model.asymmetries:
        shape += np.float32(max(rng.normal(0, 0.12), 0.0)) * target

    vertices = model.vertices + shape
    eyes = model.material == Material.EYE
    centre = vertices[np.unique(model.triangles[eyes])].mean(axis=0)
    vertices -= centre - np.array([0, _EYES_Y, _EYES_Z], np.float32)
    mobility = np.clip(rng.normal(1, 0.15, len(facs.CODES)), 0.65, 1.35)
    worn = hair.sample_hair(rng, male, age)
    skin = np.unique(model.triangles[model.material == Material.SKIN])
    vertices[skin] += hair.stand_off(worn, model.vertices[skin])
    return Identity(
        number,
        vertices.astype(np.float32),
        mobility.astype(np.float32),
        male,
        age,
        (float(african), float(asian), float(caucasian)),
        worn,
    )
