# SPDX-License-Identifier: Apache-2.0
"""What tests share: benches, stand-ins, builders of inputs, and waiting."""
