# SPDX-License-Identifier: Apache-2.0
"""Files that the package ships beside its code: config/, launch/, rviz/."""

from __future__ import annotations

import contextlib
import inspect
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from rclpy.utilities import get_rmw_implementation_identifier

from isaac_inference.errors import ConfigError

PACKAGE = 'isaac_inference'
DDS_PROFILE = 'config/fastdds_large_images.xml'
_saying = threading.Lock()
_has_said_dds_profile = False
DDS_PROFILE_VARIABLES = ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE')


def shared_file(name: str) -> Path:
    """A shipped file, e.g. 'config/perception.yaml', from the installed package or the source tree.

    Raises:
        ConfigError: it is in neither.
    """
    folders = [Path(__file__).resolve().parents[3]]
    with contextlib.suppress(PackageNotFoundError, OSError):  # OSError: AMENT_PREFIX_PATH is not set
        folders.insert(0, Path(get_package_share_directory(PACKAGE)))
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    raise ConfigError(f'{name}: not found in {", ".join(map(str, folders))}; reinstall the package')


def budgets_folder() -> Path:
    """Where the shipped latency budgets are.

    Raises:
        ConfigError: nowhere.
    """
    return shared_file('config/budgets/manipulation.yaml').parent


def dds_profile_variable() -> str:
    """The one of `DDS_PROFILE_VARIABLES` that the installed Fast DDS reads: the first up to Jazzy, the second from
    Kilted on; if both are set, Fast DDS 3 loads the profile twice and complains.
    """
    prefixes = os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep)
    is_fast_dds_3 = any(Path(prefix, 'share', 'fastdds').is_dir() for prefix in prefixes if prefix)
    return DDS_PROFILE_VARIABLES[is_fast_dds_3]


def large_message_advice() -> str:
    """How messages of megabytes get through from one process to another, as the imperative part of a sentence."""
    middleware = get_rmw_implementation_identifier()
    if 'fastrtps' not in middleware:
        return f'set up {middleware} for large messages, in whoever publishes them and in this process'
    try:
        profile = str(shared_file(DDS_PROFILE))
    except ConfigError:  # an incomplete installation must not stop whoever asks
        profile = f'<this package>/{DDS_PROFILE}'
    # the publisher's profile decides, whatever the subscription's process has
    return f'start whoever publishes them with {dds_profile_variable()}={profile} in the environment'


def dds_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The variable that makes Fast DDS handle large images; none if the user has set a profile."""
    if any(environment.get(name) for name in DDS_PROFILE_VARIABLES):
        return {}
    return {dds_profile_variable(): str(shared_file(DDS_PROFILE))}


def prepare_logging() -> None:
    """Have the first line in the log cost as little as the others.

    rclpy looks up where each line comes from, in a table of all modules by their files, and the first look makes that
    table: 50 to 150 ms in which no frame gets on. Later ones add what was imported since.
    """
    inspect.getframeinfo(inspect.currentframe())  # type: ignore[arg-type]


def say_dds_profile(logger: Any) -> None:
    """Log once in a process which profile Fast DDS has, and how to give it one where it has none: a process that is not
    of this package, and has taken up a node of it, can't be given one any more.
    """
    global _has_said_dds_profile
    with _saying:
        if _has_said_dds_profile:
            return
        _has_said_dds_profile = True
    given = next((os.environ[name] for name in DDS_PROFILE_VARIABLES if os.environ.get(name)), '')
    if given:
        logger.debug(f'profile of Fast DDS: {given}')
    elif 'fastrtps' in get_rmw_implementation_identifier():
        (name, profile), *_ = dds_environment({}).items()
        logger.warning(
            'this process has no Fast DDS profile for large messages: most images and tensors that it publishes to '
            f'other processes will be lost; before you start it: export {name}={profile} (and where the camera driver '
            "starts: it is the publisher's profile that counts)"
        )
