# SPDX-License-Identifier: Apache-2.0
"""A node as a process: it ends cleanly on signals, and says why when it can't begin."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from support.waiting import LIMIT_S

from isaac_inference.ros.runtime.resources import DDS_PROFILE_VARIABLES, dds_profile_variable

INT, TERM = signal.SIGINT, signal.SIGTERM
SCRIPT = """
import os, sys, time
import rclpy
from isaac_inference.errors import ConfigError
from isaac_inference.ros.runtime.node import PipelineNode
from isaac_inference.ros.runtime.container.process import node_main

class Probe(PipelineNode):
    def __init__(self, node_name='probe', **kwargs):
        if 'refuse' in sys.argv:
            raise ConfigError('there is nothing to do')
        super().__init__(node_name, **kwargs)

    def on_start(self):
        if 'profile' in sys.argv:
            print(*(name for name in os.environ if name.endswith('_DEFAULT_PROFILES_FILE')), flush=True)
        print('active', flush=True)
        if 'shutdown' in sys.argv:
            self.create_timer(0.01, rclpy.shutdown)

    def on_stop(self):
        print('stopping', flush=True)
        time.sleep(0.2 if 'slow' in sys.argv else 0.0)

    def on_teardown(self):
        print('freed, context is', 'good' if self.context.ok() else 'gone', flush=True)

node_main(Probe)()
"""


@pytest.fixture
def start() -> Iterator[object]:
    """Starts the script with words as arguments; killed at the end."""
    started: list[subprocess.Popen[str]] = []

    def run(*words: str) -> subprocess.Popen[str]:
        started.append(
            subprocess.Popen(
                [sys.executable, '-c', SCRIPT, *words], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
        )
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.wait()


def wait_for(process, line):
    for text in process.stdout:
        if text.strip() == line:
            return
    pytest.fail(f'the process ended without saying {line!r}: {process.stderr.read()}')


def test_a_process_of_this_package_has_the_profile_for_large_images(start, monkeypatch):
    """However it is started: launch_ros gives a user's own Node() action no environment of ours."""
    for name in DDS_PROFILE_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    process = start('profile')
    assert process.stdout.readline() == f'{dds_profile_variable()}\n'
    process.send_signal(TERM)
    _, err = process.communicate(timeout=LIMIT_S)
    assert 'Fast DDS profile' not in err


@pytest.mark.parametrize('number', [INT, TERM])
def test_a_signal_ends_it_cleanly(start, number):
    process = start()
    wait_for(process, 'active')
    process.send_signal(number)
    out, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0, err
    assert out.splitlines() == ['stopping', 'freed, context is good']
    assert 'Traceback' not in err


def test_a_second_signal_does_not_break_the_clean_end(start):
    process = start('slow')
    wait_for(process, 'active')
    process.send_signal(INT)
    wait_for(process, 'stopping')
    for number in (INT, INT, TERM):
        process.send_signal(number)
        time.sleep(0.02)
    out, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0, err
    assert out.splitlines() == ['freed, context is good']
    assert 'Traceback' not in err


def test_it_ends_when_its_context_does(start):
    process = start('shutdown')
    out, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0, err
    assert out.splitlines()[:2] == ['active', 'stopping']
    assert 'Traceback' not in err


def test_a_node_that_refuses_to_be_made_says_why_in_one_line(start):
    process = start('refuse')
    out, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 1
    assert err.splitlines() == ['error: there is nothing to do']
    assert out == ''
