# SPDX-License-Identifier: Apache-2.0
"""Topics: hand-over in the process, DDS for others, mailboxes, QoS, and messages paired by stamp."""
