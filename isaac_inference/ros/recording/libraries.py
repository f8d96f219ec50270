# SPDX-License-Identifier: Apache-2.0
"""The libraries that know the formats of recordings, imported only when one is opened."""

from __future__ import annotations

import importlib
from typing import Any

from isaac_inference.errors import ConfigError


def mcap_module(name: str) -> Any:
    """A module of the library for MCAP, e.g. 'mcap.writer'.

    Raises:
        ConfigError: it isn't installed.
    """
    return _module(name, 'recordings need the Python package mcap')


def rosbags_module(name: str) -> Any:
    """A module of the library for the other formats of ROS, e.g. 'rosbags.rosbag1'.

    Raises:
        ConfigError: it isn't installed.
    """
    return _module(name, 'ROS 1 bags, SQLite bags and compressed bags need the Python package rosbags')


def _module(name: str, need: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(
            f'{need}, which is not installed here ({error}); pip install {name.partition(".")[0]}'
        ) from error
