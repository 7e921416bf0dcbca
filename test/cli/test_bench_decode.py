from __future__ import annotations

import json
import sys
from importlib.util import find_spec

import numpy as np
import pytest
from command_line import invoke

from microexpr_ros.cli.bench import decode
from microexpr_ros.cli.bench.streams import make_streams
from microexpr_ros.events import codecs

FILES = (
    *('evt2', 'evt2.1', 'evt3', 'evt4', 'dat', 'metavision', 'dsec', 'npz', 'rosbag2', 'ros1'),
    *(['aedat4'] if find_spec('dv_processing') else []),
)


def run(*options):
    arguments = ('--events', 1600, '--rounds', 1, *options)
    result = invoke(decode.app, *arguments, env={'MICROEXPR_TEST_DATA': ''})
    assert result.exit_code == 0, result.output
    return result


def test_every_codec_is_measured_and_exact():
    report = json.loads(run('--json').stdout)
    rows = [row for row in report['rows'] if row['implementation'] == 'microexpr']
    names = codecs.ENCODINGS
    assert {row['codec'] for row in rows} == {
        'histogram',
        *names,
        *(f'{name} encode' for name in names),
        *(f'{name} file' for name in FILES),
    }
    assert all(row['agrees'] and row['mev_per_s'] > 0 for row in rows)
    limits = [row for row in report['rows'] if row['implementation'] == 'memory']
    assert [row['codec'] for row in limits] == [row['codec'] for row in rows]
    assert {row['of_limit'] for row in limits} == {1.0}
    assert report['machine']['cores'] >= 1


def test_a_peer_that_is_not_there_is_named_with_its_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, 'evt3', None)
    report = json.loads(run('--json').stdout)
    assert 'pip install evt3' in report['peers']['evt3']
    assert 'evt3' not in {row['implementation'] for row in report['rows']}
    assert 'pip install evt3' in ' '.join(run().stdout.split())


@pytest.mark.parametrize('name', ['rows of 8', 'edges and noise', 'full vectors'])
def test_streams_have_vectors(name):
    stream = next(stream for stream in make_streams(None, 3200) if stream.name == name)
    words = np.frombuffer(b''.join(stream.packets), '<u2')
    assert np.count_nonzero(words >> 13 == 2) > len(stream.events) / 40
    assert len(stream) == pytest.approx(3200, rel=0.3)
