"""A cluster of two worker processes, on this machine."""

from functools import partial

import psutil
import pytest
from dying_tasks import die_always, die_once

from microexpr_ros.errors import MicroexprError
from microexpr_ros.jobs import run
from microexpr_ros.jobs.cluster import connect, local_cluster, require_safe

pytest.importorskip('distributed', reason='Dask is an extra: requirements/fleet.txt')


@pytest.fixture(scope='module')
def cluster():
    with local_cluster(2, memory='2GB') as started:
        yield started


@pytest.mark.slow
def test_what_a_killed_worker_had_is_done_by_another(cluster, tmp_path):
    results = {}
    tasks = {n: partial(die_once, tmp_path, n) for n in range(12)}
    run(tasks, cluster.executor, results.__setitem__)
    assert (tmp_path / 'killed').exists()
    assert results == {n: n * n for n in range(12)}


@pytest.mark.slow
def test_a_task_that_kills_every_worker_is_a_failure():
    results, failures = {}, {}
    with local_cluster(1) as cluster:
        run({0: die_always}, cluster.executor, results.__setitem__, failures.__setitem__)
        assert 'workers died' in str(failures[0])
        run({1: partial(pow, 2, 3)}, cluster.executor, results.__setitem__)
    assert results == {1: 8}


@pytest.mark.slow
def test_nothing_listens_off_the_loopback(cluster):
    # The one that was killed is replaced after a while.
    cluster.client.wait_for_workers(2, timeout=120)
    this = psutil.Process()
    processes = [this, *this.children(recursive=True)]
    listening = [
        connection.laddr.ip
        for process in processes
        for connection in process.net_connections()
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(listening) >= 3
    assert set(listening) == {'127.0.0.1'}


@pytest.mark.slow
def test_a_running_cluster_takes_tasks_and_keeps_to_its_memory(cluster):
    with connect(cluster.client.scheduler.address) as connected:
        results = {}
        run({2: partial(pow, 2, 5)}, connected.executor, results.__setitem__)
        assert results == {2: 32}
        assert connected.dashboard.startswith('http://127.0.0.1:')
        workers = connected.client.scheduler_info(n_workers=-1)['workers'].values()
    assert {worker['memory_limit'] for worker in workers} == {2_000_000_000}


@pytest.mark.parametrize(
    'address', ['tcp://10.0.0.1:8786', 'tcp://head:8786', 'tcp://0.0.0.0:8786', 'tcp://[::]:1']
)
def test_tasks_leave_the_machine_only_encrypted(address):
    with pytest.raises(MicroexprError, match='without encryption'):
        require_safe(address)


@pytest.mark.parametrize('address', ['tcp://127.0.0.1:1', 'tcp://localhost:1', 'tcp://[::1]:1'])
def test_the_loopback_needs_no_encryption(address):
    require_safe(address)


@pytest.mark.parametrize(
    'address', ['', 'head:8786', 'ws://head:1', 'tcp://', 'tls://head', 'x:/']
)
def test_what_is_no_address_is_refused(address):
    with pytest.raises(MicroexprError, match='not the address'):
        require_safe(address)


def test_encryption_needs_certificates(tmp_path):
    with pytest.raises(MicroexprError, match='--certificates'), connect('tls://head:8786'):
        pass
    with pytest.raises(MicroexprError, match=r'ca\.pem'), connect('tls://head:8786', tmp_path):
        pass


def test_without_workers_or_memory_nothing_starts():
    with pytest.raises(MicroexprError, match='--workers 0'), local_cluster(0):
        pass
    with pytest.raises(MicroexprError, match='no amount of memory'), local_cluster(1, 'much'):
        pass


@pytest.mark.slow
def test_a_scheduler_with_tls_takes_tasks_of_those_who_have_its_certificates(tmp_path):
    pytest.importorskip('cryptography', reason='comes with moto[server], requirements/dev.txt')
    from certificates import write_certificates
    from distributed import LocalCluster
    from distributed.security import Security

    own, other = tmp_path / 'own', tmp_path / 'other'
    for folder in (own, other):
        write_certificates(folder)
    files = {'ca_file': 'ca.pem'}
    for role in ('scheduler', 'worker', 'client'):
        files |= {f'{role}_cert': 'cert.pem', f'{role}_key': 'key.pem'}
    security = Security(
        require_encryption=True,
        **{f'tls_{key}': str(own / name) for key, name in files.items()},
    )
    with LocalCluster(
        n_workers=1,
        processes=False,
        protocol='tls',
        host='127.0.0.1',
        dashboard_address=None,
        worker_dashboard_address='127.0.0.1:0',
        security=security,
    ) as started:
        assert started.scheduler_address.startswith('tls://')
        with connect(started.scheduler_address, own) as connected:
            results = {}
            run({3: partial(pow, 3, 3)}, connected.executor, results.__setitem__)
            assert results == {3: 27}
        with (
            pytest.raises(MicroexprError, match='does not answer'),
            connect(started.scheduler_address, other),
        ):
            pass
