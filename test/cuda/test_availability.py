# SPDX-License-Identifier: Apache-2.0
"""Why there is no GPU: each reason from a driver library that answers so, and what to do about it."""

from __future__ import annotations

import pytest
from support.cuda.driver_stub import build_driver

from isaac_inference.cuda import availability
from isaac_inference.cuda.availability import why_no_driver, why_no_gpu


def test_a_missing_library_says_install_the_driver():
    reason = why_no_driver('libcuda-that-nobody-has.so.1')
    assert 'libcuda-that-nobody-has.so.1 is not found' in reason
    assert '--gpus all' in reason and '--runtime nvidia' in reason


@pytest.mark.parametrize(
    ('codes', 'words'),
    [
        ({'version': 11030}, ['too old', 'CUDA 11.3', '11.4']),
        ({'version': 11030, 'init': 35}, ['too old', 'CUDA 11.3']),
        ({'init': 100}, ['error 100', 'finds no GPU', '--gpus all']),
        ({'init': 35}, ['error 35', 'reboot']),
        ({'init': 803}, ['error 803', 'different versions']),
        ({'init': 999}, ['error 999', 'nvidia-smi']),
        ({'count': 0}, ['no GPU', 'CUDA_VISIBLE_DEVICES']),
    ],
)
def test_each_reason_is_told(tmp_path, codes, words):
    reason = why_no_driver(str(build_driver(tmp_path, **codes)))
    assert all(word in reason for word in words), reason


def test_hidden_devices_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '-1')
    assert "CUDA_VISIBLE_DEVICES is '-1'" in why_no_driver(str(build_driver(tmp_path, count=0)))


def test_a_driver_with_a_device_is_fine(tmp_path):
    assert why_no_driver(str(build_driver(tmp_path, version=11040))) == ''


def test_without_pycuda_the_package_to_install_is_named(monkeypatch):
    monkeypatch.setitem(__import__('sys').modules, 'pycuda', None)
    monkeypatch.setattr(availability, 'why_no_driver', lambda: '')
    why_no_gpu.cache_clear()
    try:
        reason = why_no_gpu()
    finally:
        why_no_gpu.cache_clear()
    assert 'PyCUDA' in reason and 'pip install' in reason


def test_the_driver_comes_before_pycuda(monkeypatch):
    monkeypatch.setattr(availability, 'why_no_driver', lambda: 'no driver here')
    why_no_gpu.cache_clear()
    try:
        assert why_no_gpu() == 'no driver here'
    finally:
        why_no_gpu.cache_clear()
