"""Fleets on this machine, on a cluster of two worker processes, and in a store of S3."""

import json
import os
import signal
import threading
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest
from fleet_recordings import SENSOR, write_recording

from microexpr_ros.analysis.parts import PART_NS
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.region import Region
from microexpr_ros.fleet import store, tasks
from microexpr_ros.fleet.fleet import analyze_fleet, read_status
from microexpr_ros.fleet.store import Store, fetched, find_recordings, hide_secrets
from microexpr_ros.fleet.tasks import Done, Job, Long, Settings, analyze_on, analyze_source
from microexpr_ros.perception.classifier import ActionUnitClassifier

REASON = 'requirements/fleet.txt and requirements/parquet.txt'
fsspec = pytest.importorskip('fsspec', reason=REASON)
for module in ('distributed', 'pyarrow'):
    pytest.importorskip(module, reason=REASON)

SHORT_NS = 100_000_000


@pytest.fixture(scope='module')
def settings():
    model = ActionUnitClassifier.load().model
    return Settings(model, sensor=SENSOR, time_unit='us', region=Region(0, 0, 48, 48))


@pytest.fixture
def recordings(tmp_path):
    for number in range(4):
        write_recording(tmp_path / f'{number}.npy', number)
    return find_recordings([f'{tmp_path}/*.npy'])


def contents(out):
    return {path.name: path.read_bytes() for path in Path(out).glob('*.parquet')}


def test_what_exists_is_skipped_and_what_changed_is_not(recordings, settings, tmp_path):
    out = str(tmp_path / 'out')
    seen = []
    status = analyze_fleet(recordings, out, settings, progress=lambda *n: seen.append(n))
    assert (status.done, status.failed, status.to_come) == (4, {}, 0)
    assert seen == [(n, 4) for n in range(5)]
    assert len(contents(out)) == 4
    seen.clear()
    analyze_fleet(recordings, out, settings, progress=lambda *n: seen.append(n))
    assert seen == [(4, 4)]
    write_recording(tmp_path / '0.npy', 9)
    changed = find_recordings([f'{tmp_path}/*.npy'])
    analyze_fleet(changed, out, settings)
    assert len(contents(out)) == 5


def test_a_file_of_a_folder_that_changes_makes_it_another_recording(s3, tmp_path):
    folder = tmp_path / 'bag'
    folder.mkdir()
    marks = {}
    for content in (b'one', b'two'):
        (folder / 'events.mcap').write_bytes(content)
        os.utime(folder / 'events.mcap', (1, len(marks)))
        s3.pipe_file('fleet/bags/bag/events.mcap', content)
        for address in (str(folder), 's3://fleet/bags/bag'):
            [source] = find_recordings([address])
            marks.setdefault(source.address, set()).add(source.mark)
    assert [len(of_one) for of_one in marks.values()] == [2, 2]


def test_a_result_is_named_by_content_and_network_not_by_the_recording(settings, tmp_path):
    for name in ('one', 'two'):
        write_recording(tmp_path / f'{name}.npy')
    found = find_recordings([f'{tmp_path}/*.npy'])
    out = str(tmp_path / 'out')
    assert analyze_fleet(found, out, settings).done == 2
    assert len(contents(out)) == 1
    assert settings.key != replace(settings, model='another').key
    assert settings.key != replace(settings, faces=2).key
    assert settings.key == replace(settings, retries=7).key


def test_parts_of_a_long_recording_become_the_result_of_the_whole(settings, tmp_path, monkeypatch):
    write_recording(tmp_path / 'long.npy', seconds=0.45)
    found = find_recordings([str(tmp_path / 'long.npy')])
    monkeypatch.setattr(tasks, 'PARTS_OF_A_TASK', 2)
    for name, part_ns in (('cut', SHORT_NS), ('whole', PART_NS)):
        status = analyze_fleet(found, str(tmp_path / name), replace(settings, part_ns=part_ns))
        assert status.done == 1
    [cut], [whole] = (contents(tmp_path / name).values() for name in ('cut', 'whole'))
    assert cut == whole
    assert not Store(str(tmp_path / 'cut')).names('parts')


def test_a_network_that_a_worker_lacks_is_a_failure_with_its_reason(
    recordings, settings, tmp_path
):
    out = str(tmp_path / 'out')
    status = analyze_fleet(recordings[:1], out, replace(settings, model='other@0'))
    [(address, reason)] = status.failed.items()
    assert address == recordings[0].address
    assert 'other@0' in reason
    assert read_status(out) == status


@pytest.fixture
def memory(monkeypatch):
    """A store in the memory of this process, which is asked again without a pause."""
    monkeypatch.setattr(store, '_PAUSE_S', 0.0)
    files = fsspec.filesystem('memory')
    yield files
    files.rm('/', recursive=True)


def stutter(monkeypatch, files, method, error):
    """Let a method of a store fail the first two times; return the list of its calls."""
    original, calls = getattr(files, method), []

    def fail_first(*arguments, **options):
        calls.append(arguments)
        if len(calls) < 3:
            raise error
        return original(*arguments, **options)

    monkeypatch.setattr(files, method, fail_first)
    return calls


def test_a_store_that_does_not_answer_is_asked_again(memory, settings, tmp_path, monkeypatch):
    for number in range(2):
        write_recording(tmp_path / f'{number}.npy', number)
        memory.put(str(tmp_path / f'{number}.npy'), f'/{number}.npy')
    recordings = find_recordings(['memory:///*.npy'])
    calls = stutter(monkeypatch, memory, 'get_file', ConnectionError('no answer'))
    assert analyze_fleet(recordings[:1], str(tmp_path / 'out'), settings).done == 1
    calls.clear()
    none = replace(settings, retries=1)
    status = analyze_fleet(recordings[1:2], str(tmp_path / 'two'), none)
    [(address, reason)] = status.failed.items()
    assert address == recordings[1].address
    assert reason.startswith(f'cannot use {address} (no answer): ')


def test_a_bag_in_a_store_is_fetched_as_a_folder(s3):
    for name in ('bag_0.mcap', 'bag_1.mcap', 'metadata.yaml'):
        s3.pipe_file(f'fleet/split/bag/{name}', name.encode())
    [source] = find_recordings(['s3://fleet/split/*'])
    assert source.address == 's3://fleet/split/bag'
    with fetched(source.address) as path:
        assert path.name == 'bag'
        assert {one.name: one.read_text() for one in path.iterdir()} == {
            name: name for name in ('bag_0.mcap', 'bag_1.mcap', 'metadata.yaml')
        }
    assert not path.exists()


def test_what_a_store_does_not_take_is_given_again(memory, monkeypatch):
    # Libraries of stores raise errors of their own, which are no OSError.
    calls = stutter(monkeypatch, memory, 'pipe_file', RuntimeError('busy'))
    with pytest.raises(MicroexprError, match=r'memory://out/result \(busy\)'):
        Store('memory://out', retries=1).write('result', b'1')
    Store('memory://out', retries=1).write('result', b'1')
    assert len(calls) == 3
    assert Store('memory://out').read('result') == b'1'


def test_a_file_that_a_store_does_not_have_is_asked_for_once(memory, monkeypatch):
    calls = stutter(monkeypatch, memory, 'cat_file', FileNotFoundError('none'))
    with pytest.raises(MicroexprError, match='none'):
        Store('memory://out', retries=5).read('result')
    assert len(calls) == 1


def test_a_worker_that_dies_when_the_result_is_there_is_followed_by_another(
    settings, tmp_path, monkeypatch
):
    write_recording(tmp_path / 'long.npy', seconds=0.45)
    [source] = find_recordings([str(tmp_path / 'long.npy')])
    monkeypatch.setattr(tasks, 'PARTS_OF_A_TASK', 1)
    job = Job(source, replace(settings, part_ns=2 * SHORT_NS), str(tmp_path / 'out'))
    steps = [analyze_source(job)]
    while isinstance(steps[-1], Long):
        steps.append(analyze_on(job, steps[-1].result, steps[-1].next))
    last = steps[-2]
    assert analyze_on(job, last.result, last.next) == steps[-1] == Done(last.result)
    assert not job.store.names('parts')


def test_of_two_long_recordings_with_one_content_the_later_takes_the_result(
    settings, tmp_path, monkeypatch
):
    for name in ('one.npy', 'two.npy'):
        write_recording(tmp_path / name, seconds=0.45)
    monkeypatch.setattr(tasks, 'PARTS_OF_A_TASK', 1)
    short = replace(settings, part_ns=2 * SHORT_NS)
    sources = find_recordings([f'{tmp_path}/*.npy'])
    one, two = (Job(source, short, str(tmp_path / 'out')) for source in sources)
    begun = analyze_source(one)
    step = analyze_on(one, begun.result, begun.next)
    analyze_part = tasks.analyze_part

    def finish_two_first(*arguments, **options):
        monkeypatch.setattr(tasks, 'analyze_part', analyze_part)
        other = analyze_source(two)
        while isinstance(other, Long):
            other = analyze_on(two, other.result, other.next)
        return analyze_part(*arguments, **options)

    monkeypatch.setattr(tasks, 'analyze_part', finish_two_first)
    assert analyze_on(one, step.result, step.next) == Done(step.result)
    assert not one.store.names('parts')


@pytest.fixture
def site(tmp_path):
    """The address of a server that gives the files of `tmp_path`."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f'http://127.0.0.1:{server.server_port}'
        server.shutdown()


def test_a_signed_url_is_fetched_under_the_name_of_its_file(site, tmp_path):
    (tmp_path / 'face.raw').write_bytes(b'events')
    [source] = find_recordings([f'{site}/face.raw?signature=a/b'])
    with fetched(source.address) as path:
        assert (path.name, path.read_bytes()) == ('face.raw', b'events')


def test_what_gives_access_is_kept_out_of_results_and_errors(settings, site, tmp_path):
    (tmp_path / 'face.raw').write_bytes(b'no events')
    url = f'{site}/face.raw?part=1&X-Amz-Signature=3f9c'
    status = analyze_fleet(find_recordings([url]), str(tmp_path / 'out'), settings)
    with pytest.raises(MicroexprError) as gone:
        find_recordings([url.replace('face', 'gone')])
    assert list(status.failed) == [url.replace('3f9c', '...')]
    written = [one.read_bytes() for one in (tmp_path / 'out').rglob('*') if one.is_file()]
    assert any(b'face.raw?part=1' in one for one in written)
    assert not any(b'3f9c' in one for one in (*written, str(gone.value).encode()))


@pytest.mark.parametrize(
    ('url', 'shown'),
    [
        ('s3://lab/face.raw', 's3://lab/face.raw'),
        ('https://me:word@lab/face.raw?part=2', 'https://me:...@lab/face.raw?part=2'),
        ('https://lab/f.raw?sv=1&sig=a%2Fb&se=2', 'https://lab/f.raw?sv=1&sig=...&se=2'),
        ('https://lab/f.raw?X-Goog-Credential=me&access_token=b',
         'https://lab/f.raw?X-Goog-Credential=...&access_token=...'),
    ],
)  # fmt: skip
def test_signatures_tokens_and_passwords_are_hidden(url, shown):
    assert hide_secrets(url) == shown


def test_a_recording_that_is_called_like_a_pattern_is_found(tmp_path):
    for name in ('[1].npy', '1.npy'):
        write_recording(tmp_path / name)
    [source] = find_recordings([str(tmp_path / '[1].npy')])
    assert source.address == str(tmp_path / '[1].npy')


def test_what_names_no_recording_and_no_fleet_is_refused(tmp_path):
    with pytest.raises(MicroexprError, match='names no recording'):
        find_recordings([f'{tmp_path}/*.raw'])
    with pytest.raises(MicroexprError, match=r'no fleet\.json'):
        read_status(str(tmp_path))


@pytest.mark.slow
def test_here_and_on_a_cluster_the_bytes_are_the_same(recordings, settings, tmp_path, cluster):
    # More parts than one task analyzes.
    short = replace(settings, part_ns=15_000_000)
    analyze_fleet(recordings, str(tmp_path / 'here'), short)
    analyze_fleet(recordings, str(tmp_path / 'pool'), short, workers=2)
    analyze_fleet(recordings, str(tmp_path / 'cluster'), short, cluster.executor)
    here, pool, clustered = (contents(tmp_path / name) for name in ('here', 'pool', 'cluster'))
    assert len(here) == 4
    assert here == pool == clustered


@pytest.mark.slow
def test_one_damaged_among_fifty_in_s3_with_a_worker_killed(settings, tmp_path, s3, cluster):
    for number in range(50):
        path = tmp_path / f'{number:02d}.npy'
        write_recording(path, number)
        s3.put(str(path), f'fleet/day/{number:02d}.npy')
    s3.pipe_file('fleet/day/17.npy', b'not an array')
    found = find_recordings(['s3://fleet/**/*.npy'])
    killed = []

    def kill_one(through, _):
        if through >= 5 and not killed:
            workers = cluster.client.run(os.getpid)
            killed.append(next(iter(workers.values())))
            os.kill(killed[0], signal.SIGKILL)

    status = analyze_fleet(found, 's3://fleet/au', settings, cluster.executor, kill_one)
    assert killed
    assert (status.recordings, status.done) == (50, 49)
    [(address, reason)] = status.failed.items()
    assert address == 's3://fleet/day/17.npy'
    assert address in reason
    assert read_status('s3://fleet/au') == status
    results = {name for name in Store('s3://fleet/au').names() if name.endswith('.parquet')}
    assert len(results) == 49
    alone = tmp_path / 'alone'
    analyze_fleet(find_recordings([str(tmp_path / '00.npy')]), str(alone), settings)
    [(name, content)] = contents(alone).items()
    assert Store('s3://fleet/au').read(name) == content
    listening = {
        connection.laddr.ip
        for process in (psutil.Process(), *psutil.Process().children(recursive=True))
        for connection in process.net_connections()
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {'127.0.0.1'}
    plan = json.loads(Store('s3://fleet/au').read('fleet.json'))
    assert plan['model'] == settings.model
