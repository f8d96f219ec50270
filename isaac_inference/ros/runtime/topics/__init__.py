# SPDX-License-Identifier: Apache-2.0
"""Topics: hand-over in the process, DDS for others, mailboxes, QoS, and messages paired by stamp."""

from isaac_inference.ros.runtime.topics.qos import LATCHED, RELIABLE, RESULTS, QosParameters, Reliability
from isaac_inference.ros.runtime.topics.type_adapter import TypeAdapter, plain

__all__ = ['LATCHED', 'RELIABLE', 'RESULTS', 'QosParameters', 'Reliability', 'TypeAdapter', 'plain']
