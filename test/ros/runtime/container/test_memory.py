# SPDX-License-Identifier: Apache-2.0
"""Freed image buffers stay with the process, unless the user has tuned malloc himself."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

# 20 times a 1080p image and its copy, in a thread as in a node; prints the page faults per round
_ROUNDS = """
import resource, threading
from isaac_inference.ros.runtime.container.memory import keep_freed_memory
{setting}
def rounds():
    for _ in range(20):
        image = bytearray(1920 * 1080 * 3)
        copy = bytes(image)
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def work():
    rounds()
    before = faults()
    rounds()
    print((faults() - before) // 20)
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""


def faults_per_round(setting: str, **environment: str) -> int:
    plain = {name: value for name, value in os.environ.items() if not name.startswith(('MALLOC_', 'GLIBC_'))}
    code = _ROUNDS.format(setting=setting)
    done = subprocess.run(
        [sys.executable, '-c', code], env={**plain, **environment}, capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='only glibc is tuned')
def test_an_image_costs_no_page_faults_once_memory_is_kept():
    assert faults_per_round('pass') > 100
    assert faults_per_round('keep_freed_memory()') < 20


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='only glibc is tuned')
def test_the_user_s_own_setting_stands():
    assert faults_per_round('keep_freed_memory()', MALLOC_TRIM_THRESHOLD_='131072') > 1000
