# SPDX-License-Identifier: Apache-2.0
"""How many CPUs there are for this process."""

from __future__ import annotations

import math
import os
from pathlib import Path

_CPU_QUOTA = Path('/sys/fs/cgroup/cpu.max')


def usable_cpus() -> int:
    """CPUs that this process may use: its affinity, and the quota of its container where there is one."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
    try:
        quota, period = _CPU_QUOTA.read_text().split()
        if quota != 'max':
            count = min(count, max(1, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):
        pass
    return count
