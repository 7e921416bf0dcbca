"""A store of S3, and a cluster of two worker processes, on this machine."""

import pytest

from microexpr_ros.jobs.cluster import local_cluster

REASON = 'an extra: requirements/fleet.txt and requirements/parquet.txt'


@pytest.fixture(scope='module')
def s3():
    """A store of S3 on the loopback, with the bucket `fleet`."""
    server = pytest.importorskip('moto.server', reason='moto[server] is in requirements/dev.txt')
    s3fs = pytest.importorskip('s3fs', reason=REASON)
    patch = pytest.MonkeyPatch()
    started = server.ThreadedMotoServer(ip_address='127.0.0.1', port=0, verbose=False)
    started.start()
    _, port = started.get_host_and_port()
    patch.setenv('AWS_ENDPOINT_URL', f'http://127.0.0.1:{port}')
    for name in ('AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY'):
        patch.setenv(name, 'test')
    patch.setenv('AWS_DEFAULT_REGION', 'us-east-1')
    s3fs.S3FileSystem.clear_instance_cache()
    files = s3fs.S3FileSystem()
    # The server's buckets are those of this process, also of the module before.
    files.makedirs('fleet', exist_ok=True)
    yield files
    started.stop()
    patch.undo()


@pytest.fixture(scope='module')
def cluster(s3):
    pytest.importorskip('distributed', reason=REASON)
    with local_cluster(2) as started:
        yield started
