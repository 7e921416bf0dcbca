"""Clips that are quick to make: a blob that moves where the unit is."""

import numpy as np

from microexpr_ros.facs import CODES
from microexpr_ros.landmarks import PLACES
from microexpr_ros.synthesis.dataset.clip import Clip


def make_clip(number, slices=40, code=None):
    """Return a clip whose dominant unit, if any, makes events at a place of its own."""
    rng = np.random.default_rng(number)
    code = (0, 4, 12)[number % 3] if code is None else code
    counts = rng.poisson(0.002, (slices, 2, 128, 128)).astype(np.uint8)
    intensity = np.zeros((slices, 18), np.float32)
    if code:
        unit = CODES.index(code)
        row, column = 24 + 20 * (unit % 5), 24 + 20 * (unit // 5)
        intensity[:, unit] = 0.4 * np.clip(1 - np.abs(np.arange(slices) - 20) / 10, 0, 1)
        where = slice(row, row + 16), slice(column, column + 16)
        counts[10:20, 1][(slice(None), *where)] += rng.poisson(0.3, (10, 16, 16)).astype(np.uint8)
        counts[20:30, 0][(slice(None), *where)] += rng.poisson(0.3, (10, 16, 16)).astype(np.uint8)
    face = (np.indices((128, 128)).sum(0) // 2 + 8 * (number % 4)).astype(np.uint8)
    target_slice = np.arange(3, slices, 4, dtype=np.int32)
    target = np.repeat(face[None], len(target_slice), 0)
    if code:
        level = intensity[target_slice].max(1)
        target[:, 40:60, 40:60] += (60 * level).astype(np.uint8)[:, None, None]
    frame_slice = np.arange(2, slices, 3, dtype=np.int32)
    noise = rng.integers(0, 4, (len(frame_slice), 128, 128)).astype(np.uint8)
    return Clip(
        counts=counts,
        pixels_per_cell=4.0,
        sides=np.repeat(intensity[..., None], 2, 2),
        landmarks=np.tile(np.float32(128 * PLACES), (slices, 1, 1)),
        frames=face + noise,
        frame_slice=frame_slice,
        target=target,
        target_slice=target_slice,
        dominant=code,
        onset_ns=100_000_000 if code else 0,
        apex_ns=200_000_000 if code else 0,
        offset_ns=300_000_000 if code else 0,
        amplitude=0.4 if code else 0.0,
        identity=number // 4,
        skin='plain',
        light='bright',
        sensor='vga',
        seed=0,
        index=number,
        distractors=('sway',) if number % 2 else (),
    )


def write_data_set(root, splits, clips=6):
    """Write a data set of such clips as the synthesis does."""
    import json

    from microexpr_ros.synthesis.dataset.clip import ARRAYS
    from microexpr_ros.synthesis.dataset.index import VERSION

    for split in splits:
        folder = root / split
        folder.mkdir(parents=True)
        made = [make_clip(number) for number in range(clips)]
        content = {f'{c.index:06d}-{name}': getattr(c, name) for c in made for name in ARRAYS}
        np.savez_compressed(folder / 'shard-00000.npz', allow_pickle=False, **content)
        entries = [{**c.metadata.to_json(), 'shard': 'shard-00000.npz'} for c in made]
        index = {'version': VERSION, 'recipe': {}, 'complete': True, 'clips': entries}
        (folder / 'index.json').write_text(json.dumps(index))
