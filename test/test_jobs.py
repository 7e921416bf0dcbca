import operator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microexpr_ros.errors import MicroexprError
from microexpr_ros.jobs import Share, run


@given(of=st.integers(1, 20), work=st.integers(0, 200))
def test_shares_are_disjoint_complete_and_even(of, work):
    parts = [[n for n in range(work) if Share(part, of).has(n)] for part in range(1, of + 1)]
    assert sorted(chain.from_iterable(parts)) == list(range(work))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize('text', ['', '3', '0/3', '4/3', '1/0', '-1/3', '1/3/5', 'a/b', '1.0/2'])
def test_what_is_no_share_is_refused(text):
    with pytest.raises(MicroexprError, match=f'--shard {text!r}'):
        Share.parse(text)


@pytest.mark.parametrize('workers', [1, 2])
def test_every_result_is_reported_once(workers):
    results = {}
    tasks = {n: partial(operator.mul, n, n) for n in range(5)}
    run(tasks, workers, results.__setitem__)
    assert results == {n: n * n for n in range(5)}


@pytest.mark.parametrize('workers', [1, 2])
def test_a_task_that_fails_ends_the_run(workers):
    tasks = {0: partial(operator.truediv, 1, 0), 1: partial(operator.truediv, 1, 1)}
    with pytest.raises(ZeroDivisionError):
        run(tasks, workers, lambda *_: None)


@pytest.mark.parametrize('workers', [1, 2, ThreadPoolExecutor(2)], ids=['here', 'pool', 'given'])
def test_failures_are_reported_where_that_is_asked_for(workers):
    results, failures = {}, {}
    tasks = {n: partial(operator.truediv, 6, n) for n in range(4)}
    run(tasks, workers, results.__setitem__, failures.__setitem__)
    assert results == {1: 6, 2: 3, 3: 2}
    assert isinstance(failures.pop(0), ZeroDivisionError)
    assert not failures


@pytest.mark.parametrize('workers', [1, ThreadPoolExecutor(2)], ids=['here', 'given'])
def test_a_result_may_lead_to_further_tasks(workers):
    found = []

    def report(key, result):
        found.append((key, result))
        return {key + 10: partial(operator.neg, result)} if key < 20 else None

    run({1: partial(int, 7), 2: partial(int, 8)}, workers, report)
    assert sorted(found) == [(1, 7), (2, 8), (11, -7), (12, -8), (21, 7), (22, 8)]
