"""Tiny recordings, each with events of its own."""

import numpy as np

SENSOR = (64, 48)


def write_recording(path, seed=0, seconds=0.2):
    random = np.random.default_rng(seed)
    count = int(seconds * 5000)
    table = np.zeros(count, [('t', 'i8'), ('x', 'u2'), ('y', 'u2'), ('p', '?')])
    table['t'] = np.sort(random.integers(0, int(seconds * 1e6), count))
    table['x'] = random.integers(0, SENSOR[0], count)
    table['y'] = random.integers(0, SENSOR[1], count)
    table['p'] = random.integers(0, 2, count)
    np.save(path, table)
