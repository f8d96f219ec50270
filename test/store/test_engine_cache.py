# SPDX-License-Identifier: Apache-2.0
"""The engine cache: what is found again, what is refused, and what several processes do at once."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import textwrap

import pytest
from support.waiting import LIMIT_S, wait_until

from isaac_inference.errors import ConfigError, EngineError
from isaac_inference.store.engine_cache import EngineCache, EngineKey

KEY = EngineKey(
    model='cups',
    model_sha256='ab' * 32,
    precision='fp16',
    shapes={'images': ((1, 3, 64, 96), (1, 3, 64, 96), (4, 3, 64, 96))},
    options={'optimization_level': 3, 'tactic_sources': []},
    tensorrt='8.6.0',
    gpu='NVIDIA H200',
    compute_capability='9.0',
)
PLAN = b'ftrt' + bytes(range(256)) * 8

# a process that wants the engine of KEY and builds it by sleeping; writes a line for each build and each wait
WORKER = """
import sys, time
sys.path[:0] = {path!r}
from test_engine_cache import KEY, PLAN
from isaac_inference.store.engine_cache import EngineCache
root, log, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
def say(text):
    with open(log, 'a') as file:
        file.write(text + '\\n')
def make():
    say('build')
    time.sleep(seconds)
    return PLAN, {{'build_s': seconds}}
entry = EngineCache(root).obtain(KEY, make, on_wait=lambda holder: say('wait ' + holder))
assert entry.read() == PLAN
say('have')
"""


@pytest.fixture
def cache(tmp_path):
    return EngineCache(tmp_path)


def worker(tmp_path, seconds):
    """Another process that wants the engine."""
    code = WORKER.format(path=[os.path.dirname(__file__), os.path.dirname(os.path.dirname(__file__))])
    command = [sys.executable, '-c', textwrap.dedent(code), str(tmp_path), str(tmp_path / 'log'), str(seconds)]
    return subprocess.Popen(command)


def log(tmp_path):
    path = tmp_path / 'log'
    return path.read_text().split('\n')[:-1] if path.exists() else []


def test_an_engine_is_found_again_with_its_facts(cache):
    assert cache.find(KEY) is None
    stored = cache.store(KEY, PLAN, {'build_s': 61.5, 'agreement': 0.999})
    found = EngineCache(cache.folder.parent).find(KEY)
    assert found == stored
    assert found.read() == PLAN
    facts = json.loads((cache.folder / f'{KEY.digest}.json').read_text())
    assert facts['model'] == 'cups' and facts['build_s'] == 61.5 and facts['bytes'] == len(PLAN)
    assert facts['key']['shapes'] == {'images': [[1, 3, 64, 96], [1, 3, 64, 96], [4, 3, 64, 96]]}
    assert [entry.digest for entry in cache.entries()] == [KEY.digest]
    assert {oct(path.stat().st_mode & 0o777) for path in cache.folder.iterdir()} == {'0o600'}


@pytest.mark.parametrize(
    'change',
    [
        {'model_sha256': 'cd' * 32},
        {'precision': 'model'},
        {'shapes': {'images': ((1, 3, 64, 96),) * 3}},
        {'shapes': {'input': KEY.shapes['images']}},
        {'options': {'optimization_level': 5, 'tactic_sources': []}},
        {'options': {'optimization_level': 3, 'tactic_sources': ['CUDNN']}},
        {'tensorrt': '10.13.3.9'},
        {'gpu': 'Orin'},
        {'compute_capability': '8.7'},
    ],
)
def test_an_engine_of_anything_else_is_not_found(cache, change):
    cache.store(KEY, PLAN)
    assert cache.find(dataclasses.replace(KEY, **change)) is None
    assert cache.find(KEY) is not None


def test_every_field_of_the_key_but_the_name_is_in_it():
    assert set(KEY.facts()) == {item.name for item in dataclasses.fields(KEY)} - {'model'} | {'format'}
    assert dataclasses.replace(KEY, model='mugs').digest == KEY.digest


def test_a_new_engine_takes_the_place_of_the_old_one(cache):
    old = cache.store(KEY, PLAN)
    (cache.folder / f'.{KEY.digest}-0123.engine.x.tmp').write_bytes(b'left by a killed writer')
    new = cache.store(KEY, PLAN + b'2')
    assert cache.find(KEY) == new
    assert sorted(path.name for path in cache.folder.iterdir()) == sorted([new.path.name, f'{KEY.digest}.json'])
    with pytest.raises(EngineError, match='gone; configure again'):
        old.read()


@pytest.mark.parametrize(
    ('plan', 'reason'),
    [
        (b'', 'is empty, expected 2052'),
        (PLAN[:1000], 'has 1000 bytes, expected 2052'),
        (PLAN + b'x', 'has 2053 bytes'),
        (PLAN[:-1] + b'x', 'altered since it was built'),
        (None, 'is gone'),
    ],
)
def test_a_damaged_engine_is_told_and_built_anew(cache, caplog, plan, reason):
    entry = cache.store(KEY, PLAN)
    if plan is None:
        entry.path.unlink()
    else:
        entry.path.write_bytes(plan)
    with pytest.raises(EngineError, match=reason) as caught:
        entry.read()  # swapped while it is in use
    assert str(entry.path) in str(caught.value)
    assert cache.find(KEY) is None
    assert reason in caplog.text
    assert cache.obtain(KEY, lambda: (PLAN, {})).read() == PLAN


@pytest.mark.parametrize('facts', ['', '{', '[]', '{"plan": "../../evil.engine"}', '{"plan": 3}'])
def test_damaged_facts_are_told(cache, caplog, facts):
    cache.store(KEY, PLAN)
    (cache.folder / f'{KEY.digest}.json').write_text(facts)
    assert cache.find(KEY) is None
    assert 'not a valid description of an engine' in caplog.text


def test_a_plan_outside_of_the_folder_is_not_an_engine(cache, caplog):
    entry = cache.store(KEY, PLAN)
    path = cache.folder / f'{KEY.digest}.json'
    path.write_text(json.dumps({**entry.metadata, 'plan': f'../{entry.path.name}'}))
    entry.path.rename(cache.folder.parent / entry.path.name)
    assert cache.find(KEY) is None
    assert 'the plan' in caplog.text


@pytest.mark.parametrize('which', ['plan', 'facts'])
def test_a_file_that_others_may_write_is_refused(cache, which):
    entry = cache.store(KEY, PLAN)
    path = entry.path if which == 'plan' else cache.folder / f'{KEY.digest}.json'
    path.chmod(0o620)
    with pytest.raises(EngineError, match=r'others may write to it \(mode 620\).*remove it'):
        cache.find(KEY)


def test_a_file_of_somebody_else_is_refused(cache, monkeypatch):
    cache.store(KEY, PLAN)
    real = os.getuid()
    monkeypatch.setattr(os, 'getuid', lambda: real + 1)
    with pytest.raises(EngineError, match=f'belongs to user {real}, expected {real + 1}'):
        cache.find(KEY)
    with pytest.raises(ConfigError, match='belongs to user'):
        EngineCache(cache.folder.parent)


def test_links_are_not_followed(cache, tmp_path):
    entry = cache.store(KEY, PLAN)
    entry.path.rename(tmp_path / 'elsewhere')
    entry.path.symlink_to(tmp_path / 'elsewhere')
    with pytest.raises(EngineError, match='a link'):
        cache.find(KEY)


def test_a_pipe_is_refused_without_waiting_for_a_writer(cache):
    entry = cache.store(KEY, PLAN)
    entry.path.unlink()
    os.mkfifo(entry.path, 0o600)
    with pytest.raises(EngineError, match='not a plain file'):
        cache.find(KEY)


def test_nothing_is_kept_of_a_build_that_fails(cache):
    def fail():
        raise EngineError('no kernel')

    with pytest.raises(EngineError, match='no kernel'):
        cache.obtain(KEY, fail)
    with pytest.raises(EngineError, match='is empty'):
        cache.store(KEY, b'')
    assert cache.entries() == []
    assert cache.obtain(KEY, lambda: (PLAN, {})).read() == PLAN


def test_an_engine_that_is_not_accepted_is_built_again(cache):
    cache.store(KEY, PLAN)
    entry = cache.obtain(KEY, lambda: (PLAN + b'2', {'new': 1}), accept=lambda found: 'new' in found.metadata)
    assert entry.read() == PLAN + b'2'


def test_a_full_disk_is_told(cache, monkeypatch):
    monkeypatch.setattr(os, 'fsync', lambda _: (_ for _ in ()).throw(OSError(28, 'No space left on device')))
    with pytest.raises(EngineError, match='No space left on device.*make room'):
        cache.store(KEY, PLAN)
    assert list(cache.folder.iterdir()) == []


def test_removed_engines_are_gone(cache):
    cache.remove(cache.store(KEY, PLAN))
    assert cache.find(KEY) is None and list(cache.folder.iterdir()) == []
    with pytest.raises(EngineError, match='no engine'):
        cache.entry(KEY.digest)


def test_two_processes_build_once(tmp_path):
    workers = [worker(tmp_path, 0.7) for _ in range(2)]
    assert [process.wait(LIMIT_S) for process in workers] == [0, 0]
    lines = log(tmp_path)
    assert lines.count('build') == 1 and lines.count('have') == 2
    builder = {f'wait process {process.pid}' for process in workers}
    assert [line for line in lines if line.startswith('wait')] == [] or builder & set(lines)


def test_a_killed_builder_blocks_nobody_and_leaves_no_engine(tmp_path, cache):
    first = worker(tmp_path, 600)
    wait_until(lambda: log(tmp_path) == ['build'])
    first.send_signal(signal.SIGKILL)
    first.wait(LIMIT_S)
    assert cache.find(KEY) is None
    second = worker(tmp_path, 0)
    assert second.wait(LIMIT_S) == 0
    assert log(tmp_path) == ['build', 'build', 'have']


def test_a_waiting_build_can_be_cancelled_and_says_who_builds(cache):
    said = []
    with (
        cache.lock(KEY),
        pytest.raises(EngineError, match='cancelled while waiting'),
        cache.lock(KEY, said.append, cancelled=lambda: True),
    ):
        pass
    assert said == [f'process {os.getpid()}']


def test_readers_never_see_half_an_engine(tmp_path, cache):
    code = f"""
import sys
sys.path[:0] = {[os.path.dirname(__file__), os.path.dirname(os.path.dirname(__file__))]!r}
from test_engine_cache import KEY, PLAN
from isaac_inference.store.engine_cache import EngineCache
cache = EngineCache(sys.argv[1])
for count in range(60):
    with cache.lock(KEY):
        cache.store(KEY, PLAN * (1 + count % 3))
"""
    cache.store(KEY, PLAN)
    writer = subprocess.Popen([sys.executable, '-c', code, str(tmp_path)])
    reads = 0
    while writer.poll() is None:
        entry, problem = cache._read_entry(KEY.digest)
        assert entry is not None, problem
        try:
            plan = entry.read()
        except EngineError as error:
            assert 'is gone' in str(error)  # replaced between our two reads, never half of it
        else:
            assert plan in (PLAN, PLAN * 2, PLAN * 3)
            reads += 1
    assert writer.returncode == 0 and reads
