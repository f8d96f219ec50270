# SPDX-License-Identifier: Apache-2.0
"""The single owner of a GPU: context, streams, memory pool, kernels, graphs and timers; uses PyCUDA, knows no model.

`device.gpu()` gives the shared owner of a device, `availability.why_no_gpu()` says why there is none. Apart
from that, `array.DeviceArray` can be imported without PyCUDA, so that other code can check what it was given.
"""
