# SPDX-License-Identifier: Apache-2.0
"""The `mcap` library, imported only when a recording is opened."""

from __future__ import annotations

import importlib
from typing import Any

from isaac_inference.errors import ConfigError


def mcap_module(name: str) -> Any:
    """A module of the library, e.g. 'mcap.writer'.

    Raises:
        ConfigError: it isn't installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(
            f'recordings need the Python package mcap, which is not installed here ({error}); pip install mcap'
        ) from error
