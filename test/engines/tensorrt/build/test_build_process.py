# SPDX-License-Identifier: Apache-2.0
"""Builds in a process of their own: real processes, with a build that sleeps, fails or crashes in place of TensorRT."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from support.onnx_models import write_model
from support.waiting import LIMIT_S, wait_until

from isaac_inference.engines.tensorrt.build.process import BackgroundBuild
from isaac_inference.engines.tensorrt.settings import TensorRtSettings
from isaac_inference.errors import ConfigError, DeviceError, EngineError
from isaac_inference.models import read_card
from isaac_inference.store.engine_cache import EngineCache, EngineKey

CHILD = """
import os, signal, subprocess, sys, time
from isaac_inference.engines.tensorrt.build.process import serve
from isaac_inference.engines.preparation import BuildProgress
from isaac_inference.errors import ConfigError, DeviceMemoryError, EngineError
from isaac_inference.store.engine_cache import EngineCache, EngineKey

def build(card, settings, progress):
    progress(BuildProgress('building', 0.25, 1.0, f'{{card.name}} level {{settings.level}}'))
    key = EngineKey(card.name, card.sha256, 'model', {{}}, {{}}, '8.6.0', 'GPU', '9.0')
    {body}
    return EngineCache(settings.cache_dir).store(key, b'plan')

sys.exit(serve(build))
"""


@pytest.fixture
def start(tmp_path):
    """Starts a build whose child does `body`; ends it at the end."""
    card = read_card(write_model(tmp_path / 'cups.onnx'))
    started = []

    def begin(body='pass'):
        script = tmp_path / 'child.py'
        script.write_text(CHILD.format(body=body))
        settings = TensorRtSettings(preset='best', cache_dir=str(tmp_path))
        started.append(BackgroundBuild(card, settings, command=[sys.executable, str(script)]))
        return started[-1]

    yield begin
    for build in started:
        build.cancel()


def is_alive(pid):
    try:
        with open(f'/proc/{pid}/stat') as file:
            return file.read().rpartition(')')[2].split()[0] != 'Z'
    except FileNotFoundError:
        return False


def test_an_engine_is_built_and_found(start, tmp_path):
    build = start('print("printed by native code"); os.write(1, b"and this\\n")')
    assert build.wait(LIMIT_S)
    entry = build.result()
    assert entry.read() == b'plan' and entry.path.parent == tmp_path / 'engines'
    assert build.poll().phase == 'finished'


def test_progress_is_told_without_waiting(start):
    build = start('time.sleep(600)')
    assert build.poll().phase == 'building'  # before the child has said anything
    wait_until(lambda: build.poll().fraction == 0.25)
    assert build.poll().message == 'cups level 5'
    assert not build.done
    with pytest.raises(EngineError, match='still being built'):
        build.result()


def test_a_cancelled_build_leaves_no_process_and_no_engine(start, tmp_path):
    helper = tmp_path / 'helper'
    build = start(
        f'p = subprocess.Popen(["sleep", "600"]); open({str(helper)!r}, "w").write(str(p.pid)); time.sleep(600)'
    )
    wait_until(lambda: helper.exists() and helper.read_text() != '')
    build.cancel()
    assert build.done and build.poll().phase == 'failed'
    with pytest.raises(EngineError, match='cancelled'):
        build.result()
    wait_until(lambda: not is_alive(build.pid) and not is_alive(int(helper.read_text())))
    assert EngineCache(tmp_path).entries() == []


def test_a_child_that_ignores_the_request_to_end_is_killed(start):
    build = start('signal.signal(signal.SIGTERM, signal.SIG_IGN); progress(BuildProgress("checking", None, 1.0, "")); '
                  'time.sleep(600)')  # fmt: skip
    wait_until(lambda: build.poll().phase == 'checking')
    build.cancel()
    assert build.done and not is_alive(build.pid)


@pytest.mark.parametrize(
    ('raised', 'error', 'message'),
    [
        ('raise ConfigError("dla_core: none here")', ConfigError, '^dla_core: none here$'),
        ('raise EngineError("no kernel")', EngineError, '^no kernel$'),
        ('raise DeviceMemoryError("building", 2**21, 2**20)', DeviceError, 'needs 2.0 MiB'),
    ],
)
def test_an_error_comes_back_as_it_was(start, raised, error, message):
    build = start(raised)
    assert build.wait(LIMIT_S)
    with pytest.raises(error, match=message):
        build.result()
    assert build.poll().phase == 'failed'


@pytest.mark.parametrize(
    ('crash', 'message'),
    [
        ('os.write(2, b"tactic 7 crashed\\n"); os.kill(os.getpid(), signal.SIGSEGV)', 'SIGSEGV.*tactic 7 crashed'),
        ('os.kill(os.getpid(), signal.SIGKILL)', 'SIGKILL; the machine may be out of memory'),
        ('os._exit(3)', 'exit code 3'),
        ('raise ValueError("a bug")', 'exit code 1.*ValueError: a bug'),
    ],
)
def test_a_crash_is_an_error_that_says_how(start, crash, message):
    build = start(crash)
    assert build.wait(LIMIT_S)
    with pytest.raises(EngineError, match=message):
        build.result()


def test_a_child_that_can_not_be_started(tmp_path):
    card = read_card(write_model(tmp_path / 'cups.onnx'))
    with pytest.raises(EngineError, match='could not be started'):
        BackgroundBuild(card, TensorRtSettings(), command=[str(tmp_path / 'nothing')])


def test_the_child_ends_with_its_parent(tmp_path):
    model, script = write_model(tmp_path / 'cups.onnx'), tmp_path / 'child.py'
    script.write_text(CHILD.format(body='time.sleep(600)'))
    parent = f"""
import sys, time
from isaac_inference.engines.tensorrt.build.process import BackgroundBuild
from isaac_inference.engines.tensorrt.settings import TensorRtSettings
from isaac_inference.models import read_card
build = BackgroundBuild(read_card({str(model)!r}), TensorRtSettings(), command=[sys.executable, {str(script)!r}])
while build.poll().fraction is None:
    time.sleep(0.01)
print(build.pid, flush=True)
time.sleep(600)
"""
    process = subprocess.Popen([sys.executable, '-c', parent], stdout=subprocess.PIPE, text=True)
    child = int(process.stdout.readline())
    assert is_alive(child)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    wait_until(lambda: not is_alive(child))


def test_the_real_child_tells_what_is_missing(tmp_path):
    card = read_card(write_model(tmp_path / 'cups.onnx'))
    build = BackgroundBuild(card, TensorRtSettings(cache_dir=str(tmp_path), device=99))
    assert build.wait(LIMIT_S)
    with pytest.raises((ConfigError, EngineError)) as caught:
        build.result()
    assert 'Traceback' not in str(caught.value)
    assert os.listdir(tmp_path / 'engines') == []


def test_the_entry_is_the_child_s(start, tmp_path):
    other = EngineKey('mugs', 'cd' * 32, 'model', {}, {}, '8.6.0', 'GPU', '9.0')
    EngineCache(tmp_path).store(other, b'other')
    build = start()
    assert build.wait(LIMIT_S) and build.result().metadata['model'] == 'cups'
