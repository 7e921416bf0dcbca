"""Scenes measured once and kept on disk, from which training mixes clips that it never saw."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.atomic import write_json
from microexpr_ros.errors import MicroexprError
from microexpr_ros.jobs import run
from microexpr_ros.synthesis.appearance.basis import (
    AppearanceBasis,
    measure_basis,
    read_basis,
    write_basis,
)
from microexpr_ros.synthesis.dataset.recipe import GENERATOR, Recipe, check_recipe
from microexpr_ros.synthesis.dataset.take import CLIPS_PER_PERSON, sample_take
from microexpr_ros.synthesis.world.labels import reduce_landmarks
from microexpr_ros.synthesis.world.light import Light


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredScene:
    """A person in a light, seen by an event sensor, as a function of what moves.

    Attributes:
        basis: what it looks like.
        light: whose flicker it is seen in; its lamps are in the basis.
        sensor: model of the event sensor, a key of `event_sensor.SENSORS`.
        identity: number of the person.
        skin: name of the skin.
    """

    basis: AppearanceBasis
    light: Light
    sensor: str
    identity: int
    skin: str

    @property
    def landmarks(self) -> NDArray[np.float32]:
        """Where `microexpr_ros.landmarks.LANDMARKS` are at rest, float32 [5, 2], px."""
        return reduce_landmarks(self.basis.landmarks)


def measure_scenes(
    folder: Path,
    recipe: Recipe,
    scenes: int,
    workers: int | Executor = 1,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Measure scenes, each of another person, or go on with a folder that has some.

    Args:
        folder: of the measured scenes; it is made.
        recipe: decides them. Those of the split train show persons of that split alone.
        scenes: how many the folder should have.
        workers: processes of this machine, or an executor whose workers share its disk.
        progress: called with the scenes that are there and all scenes.

    Returns:
        How many were measured now.

    Raises:
        MicroexprError: an option is invalid, or the folder holds scenes of another recipe.
    """
    check_recipe(recipe)
    folder.mkdir(parents=True, exist_ok=True)
    # As JSON gives it back.
    described, path = json.loads(json.dumps(recipe.to_json(), default=str)), folder / 'recipe.json'
    if path.is_file():
        found = read_recipe(folder)
        if found != described:
            names = [name for name in described if found.get(name) != described[name]]
            raise MicroexprError(
                f'{folder} holds scenes of another recipe, which differs in {", ".join(names)}: '
                'choose another folder or delete it'
            )
    else:
        write_json(path, described)
    todo = {
        number: partial(_measure, folder, recipe, number)
        for number in range(scenes)
        if not _files(folder, number)[1].is_file()
    }
    done = scenes - len(todo)

    def report(number: int, result: None) -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, scenes)

    run(todo, workers, report)
    return len(todo)


def _measure(folder: Path, recipe: Recipe, number: int) -> None:
    take = sample_take(recipe, CLIPS_PER_PERSON * number)
    light, (basis, metadata) = take.scene.light, _files(folder, number)
    write_basis(basis, measure_basis(take.scene))
    # Written last: a scene without metadata is measured again.
    content = {
        'light': light.name,
        'flicker_hz': light.flicker_hz,
        'flicker_depth': light.flicker_depth,
        'flicker_phase': light.flicker_phase,
        'sensor': take.sensor.model,
        'identity': take.scene.person.identity.number,
        'skin': take.scene.person.skin_name,
    }
    write_json(metadata, content)


def list_scenes(folder: Path) -> list[int]:
    """Return the numbers of the scenes that a folder holds, ascending.

    Raises:
        MicroexprError: it holds none, or those of another version of the generator.
    """
    numbers = sorted(int(path.stem) for path in folder.glob('[0-9]*.json'))
    command = f'measure some with `microexpr synth --scenes 300 --out {folder}`'
    if not numbers:
        raise MicroexprError(f'{folder} has no measured scenes: {command}')
    generator = read_recipe(folder).get('generator')
    if generator != GENERATOR:
        raise MicroexprError(
            f'{folder} has scenes of generator {generator}, this version is {GENERATOR}: '
            f'delete it and {command}'
        )
    return numbers


def read_recipe(folder: Path) -> dict[str, Any]:
    """Return what decided the scenes of a folder.

    Raises:
        MicroexprError: it does not say.
    """
    return _read_json(folder / 'recipe.json')


def read_scene(folder: Path, number: int) -> MeasuredScene:
    """Read one scene of a folder.

    Raises:
        MicroexprError: it is missing or damaged.
    """
    basis, metadata = _files(folder, number)
    content = _read_json(metadata)
    try:
        return MeasuredScene(
            read_basis(basis),
            Light(
                content['light'],
                (),
                0.0,
                content['flicker_hz'],
                content['flicker_depth'],
                content['flicker_phase'],
            ),
            content['sensor'],
            content['identity'],
            content['skin'],
        )
    except (OSError, KeyError, ValueError) as error:
        raise MicroexprError(
            f'{basis} is damaged ({error}): delete {metadata.name} and measure it again'
        ) from error


def _files(folder: Path, number: int) -> tuple[Path, Path]:
    return folder / f'{number:06d}.npz', folder / f'{number:06d}.json'


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise MicroexprError(f'cannot read {path}: {error}') from error
    return content
