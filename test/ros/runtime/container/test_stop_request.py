# SPDX-License-Identifier: Apache-2.0
"""The wish to end: whoever makes it, whenever it comes, it is heard once and nobody is left waiting."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest
from support.waiting import LIMIT_S

from isaac_inference.ros.runtime.container.stop_request import StopRequest

# a thread that takes the process's signals while the main thread waits; `first` is what the main thread does before
SCRIPT = """
import os, signal, sys, threading, time
from isaac_inference.ros.runtime.container.stop_request import StopRequest
stop = StopRequest()
stop.take_signals()
{first}
stop.wait()
print('ended', flush=True)
"""
ELSEWHERE = """
def other():
    print('waiting', flush=True)
    sys.stdin.read()  # closed once the signal was sent
threading.Thread(target=other, daemon=True).start()
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGTERM])  # so that the other thread gets them
"""
BEFORE = "print('waiting', flush=True); sys.stdin.read()"


@pytest.fixture
def stop():
    made = StopRequest()
    yield made
    made.close()


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize('first', [ELSEWHERE, BEFORE], ids=['in another thread', 'before the wait'])
def test_a_signal_is_heard_wherever_and_whenever_it_arrives(number, first):
    script = [sys.executable, '-c', SCRIPT.format(first=first)]
    with subprocess.Popen(script, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout.readline() == 'waiting\n'
            process.send_signal(number)
            out, _ = process.communicate(timeout=LIMIT_S)
        finally:
            process.kill()
    assert (process.returncode, out) == (0, 'ended\n')


def test_the_handler_takes_no_lock_that_the_interrupted_may_hold(stop):
    """It does nothing at all: the interpreter itself writes the signal, before any Python code runs."""
    with stop.signals():
        handler = signal.getsignal(signal.SIGTERM)
        assert handler.__code__.co_names == ()
        os.kill(os.getpid(), signal.SIGTERM)
        stop.wait()


def test_a_thread_may_ask_too_and_everybody_who_waits_hears_it(stop):
    for _ in range(100_000):  # more than a pipe holds
        stop.request()
    stop.wait()
    stop.wait()


def test_other_signals_do_not_end_it(stop):
    asked = threading.Event()

    def ask():
        asked.set()
        stop.request()

    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    try:
        with stop.signals():
            os.kill(os.getpid(), signal.SIGUSR1)
            later = threading.Timer(0.1, ask)
            later.start()
            stop.wait()
            assert asked.is_set()
            later.join()
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_the_handlers_of_before_are_put_back(stop):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with stop.signals():
        assert signal.getsignal(signal.SIGINT) is not before[0]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    assert signal.set_wakeup_fd(-1) == -1
