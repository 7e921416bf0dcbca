"""A synthetic person: the shape of the face, its skin, hair and wrinkles.

The names are loaded when they are first asked for, as most need the renderer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from microexpr_ros.lazy import load_lazily

if TYPE_CHECKING:
    from microexpr_ros.synthesis.person.face import FaceModel as FaceModel
    from microexpr_ros.synthesis.person.face import Material as Material
    from microexpr_ros.synthesis.person.identity import Identity as Identity
    from microexpr_ros.synthesis.person.identity import sample_identity as sample_identity
    from microexpr_ros.synthesis.person.person import Person as Person
    from microexpr_ros.synthesis.person.person import make_person as make_person
    from microexpr_ros.synthesis.person.ranges import FIRST_PERSON as FIRST_PERSON
    from microexpr_ros.synthesis.person.ranges import PERSONS as PERSONS
    from microexpr_ros.synthesis.person.rig import Rig as Rig
    from microexpr_ros.synthesis.person.rig import build_rig as build_rig

_MODULES: Final = {
    'FaceModel': 'face',
    'Material': 'face',
    'Identity': 'identity',
    'sample_identity': 'identity',
    'Person': 'person',
    'make_person': 'person',
    'FIRST_PERSON': 'ranges',
    'PERSONS': 'ranges',
    'Rig': 'rig',
    'build_rig': 'rig',
}

__all__ = list(_MODULES)

__getattr__ = load_lazily(__name__, _MODULES)
