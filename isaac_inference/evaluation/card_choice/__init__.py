# SPDX-License-Identifier: Apache-2.0
"""Which of several cards is right for a model, measured on pictures: what a file does not say of its images."""
