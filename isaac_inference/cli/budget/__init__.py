# SPDX-License-Identifier: Apache-2.0
"""`isaac-inference budget`: whether this machine keeps a latency budget with a model."""
