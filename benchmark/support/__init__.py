# SPDX-License-Identifier: Apache-2.0
"""What benchmarks share: options, figures, plots, the report, the machine."""
