# SPDX-License-Identifier: Apache-2.0
"""`isaac-inference calibrate-card`: finds out on pictures what a model's file does not say of its images."""
