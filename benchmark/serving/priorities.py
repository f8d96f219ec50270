# SPDX-License-Identifier: Apache-2.0
"""A safety model beside two that take all they get, on two CPU cores (support/rivals.py says how).

The safety model has frames of 10 Hz. Threads: as many as there are cores for each model, and one for each. p99 is from
a frame's sending to its result; throughput is that of both others together. The process is bound to two cores.
"""

from __future__ import annotations

import os

from benchmark.support.common import Options, Result
from benchmark.support.rivals import measure, report
from benchmark.support.ros import ros

TITLE = 'A safety model beside two that saturate'
RATE_HZ, CORES = 10.0, 2
LATE_ASKED, KEPT_ASKED = 1.5, 0.3


def run(options: Options) -> Result:
    """With all cores for each model, and with one."""
    result = Result('priorities', TITLE)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    with ros():
        for threads in (CORES, 1):
            parameters = {'backend': 'onnxruntime', 'onnxruntime__threads': threads}
            ways = measure(options, options.model_path(), RATE_HZ, parameters)
            what = f'{CORES} cores, {threads} thread{"s" * (threads > 1)} each'
            report(result, what, ways, LATE_ASKED, KEPT_ASKED)
    return result
