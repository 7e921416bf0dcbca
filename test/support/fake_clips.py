"""Clips of random numbers, which are quick to make, and hashes to compare data sets by."""

import hashlib
import importlib.util
from dataclasses import asdict, replace

import numpy as np
import pytest

from microexpr_ros.landmarks import PLACES
from microexpr_ros.synthesis.dataset import generate
from microexpr_ros.synthesis.dataset.clip import Clip, TakeMetadata
from microexpr_ros.synthesis.dataset.recipe import Recipe

CLIPS = 28
"""Clips of `write_lean_clips`: two whole shards and a short one."""

needs_face = pytest.mark.skipif(
    importlib.util.find_spec('anny') is None, reason='the face model (anny) is not installed'
)


def fake_metadata(recipe, index):
    return TakeMetadata(
        dominant=12,
        onset_ns=1,
        apex_ns=2,
        offset_ns=3,
        amplitude=0.25,
        identity=index // 6,
        skin='procedural-1',
        light='dim',
        sensor='vga',
        seed=recipe.seed,
        index=index,
        distractors=('sway', 'blink'),
    )


def fake_clip(recipe, index):
    rng = np.random.default_rng([recipe.seed, index])
    slices = int(rng.integers(3, 6))
    return Clip(
        **asdict(fake_metadata(recipe, index)),
        pixels_per_cell=1.5,
        counts=rng.integers(0, 3, (slices, 2, 128, 128), np.uint8),
        sides=rng.random((slices, 18, 2), np.float32),
        landmarks=np.tile(np.float32(128 * PLACES), (slices, 1, 1)),
        frames=rng.integers(0, 255, (2, 128, 128), np.uint8),
        frame_slice=np.array([0, 2], np.int32),
        target=rng.integers(0, 255, (1, 128, 128), np.uint8),
        target_slice=np.array([2], np.int32),
    )


def lean_clip(recipe, index):
    """A clip that is quick to write: nearly all of it is zero."""
    clip = fake_clip(recipe, index)
    counts = np.zeros_like(clip.counts)
    counts[:, 1, :9, :9] = clip.counts[:, 1, :9, :9]
    return replace(clip, counts=counts, frames=np.zeros_like(clip.frames))


def replace_clips(patch, make_clip=lean_clip):
    """Let data sets be made of such clips; return the list that the number of each is added to."""
    numbers = []

    def make(recipe, index):
        numbers.append(index)
        return make_clip(recipe, index)

    patch.setattr(generate, 'make_clip', make)
    return numbers


def write_lean_clips(root):
    """Write the split train of a data set."""
    with pytest.MonkeyPatch.context() as patch:
        replace_clips(patch)
        generate.generate_clips(root, Recipe(), CLIPS)


def digest(folder):
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
    }
