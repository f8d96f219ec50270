# SPDX-License-Identifier: Apache-2.0
"""The one owner of a GPU: context, streams, memory pool, kernels, graphs and timers; uses PyCUDA, knows no model.

`device.gpu()` gives the shared owner of a device, `availability.why_no_gpu()` says why there is none. Of what else lies
here, `array.DeviceArray` can be imported where PyCUDA is missing, so that others can ask what they were handed.
"""
