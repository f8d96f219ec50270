# SPDX-License-Identifier: Apache-2.0
"""TensorRT's log: levels, repetitions, errors for messages, and nothing raised into TensorRT."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest

from isaac_inference.engines.tensorrt.logger import TrtLog, is_out_of_memory, make_logger, said


def test_levels_and_repetitions(caplog):
    log = TrtLog()
    with caplog.at_level(logging.DEBUG, 'isaac_inference.tensorrt'):
        for severity in ('VERBOSE', 'INFO', 'WARNING', 'WARNING', 'ERROR', 'ERROR', 'INTERNAL_ERROR'):
            log.write(severity, f'{severity}\n  text')
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ('DEBUG', 'INFO text'),
        ('WARNING', 'WARNING text'),
        ('ERROR', 'ERROR text'),
        ('ERROR', 'ERROR text'),
        ('ERROR', 'INTERNAL_ERROR text'),
    ]


def test_collected_errors_are_the_collector_s_to_report(caplog):
    log = TrtLog()
    with caplog.at_level(logging.INFO, 'isaac_inference.tensorrt'), log.collect() as outer:
        with log.collect() as inner:
            log.write('ERROR', 'first')
        log.write('ERROR', 'second')
        assert caplog.records == []
    log.write('ERROR', 'third')
    assert (inner, outer) == (['first'], ['first', 'second'])
    assert [record.getMessage() for record in caplog.records] == ['third']


def test_the_end_of_a_message():
    assert said([]) == ''
    assert said(['a', 'b', 'a', 'c', 'd', 'e']) == '; TensorRT said: a | b | c | d'


@pytest.mark.parametrize(
    ('error', 'expected'),
    [
        ('1: [defaultAllocator.cpp::allocate::20] Error Code 1: Cuda Runtime (out of memory)', True),
        ('2: [virtualMemoryBuffer.cpp::resizePhysical] Error Code 2: OutOfMemory (no further information)', True),
        ('10: Could not find any implementation for node conv', False),
    ],
)
def test_used_up_memory_is_recognised(error, expected):
    assert is_out_of_memory(['something else', error]) is expected


def test_nothing_is_raised_into_tensorrt():
    class Broken(TrtLog):
        def write(self, severity, message):
            raise {'ERROR': ValueError, 'INFO': KeyboardInterrupt}[severity](message)

    log = Broken()
    logger = make_logger(SimpleNamespace(ILogger=object), log)
    logger.log(SimpleNamespace(name='ERROR'), 'x')
    assert (log.lost, log.interrupted) == (1, False)
    logger.log(SimpleNamespace(name='INFO'), 'x')
    assert log.interrupted
