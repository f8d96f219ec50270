# SPDX-License-Identifier: Apache-2.0
"""Messages of ROS 1 as those of ROS 2: their bytes, and the text of their definition."""

from __future__ import annotations

import re
from typing import Any

from isaac_inference.errors import ConfigError
from isaac_inference.ros.recording.libraries import rosbags_module

_HEADER = 'std_msgs/msg/Header'
_RENAMED = {'tf/msg/tfMessage': 'tf2_msgs/msg/TFMessage'}  # the same fields
_CAPITAL = re.compile(r'^(\S+) ([A-Z]\w*)$', re.MULTILINE)  # a field such as K of CameraInfo; constants have a '='


class Ros1Type:
    """One message type as a file defines it.

    Args:
        type_name: such as 'sensor_msgs/msg/Image'.
        definition: the text that the file has, all nested types included.

    Raises:
        ConfigError: the text cannot be read.
    """

    def __init__(self, type_name: str, definition: str) -> None:
        typesys = rosbags_module('rosbags.typesys')
        self._source = type_name
        self.name = _RENAMED.get(type_name, type_name)
        try:
            types = typesys.get_types_from_msg(definition, type_name)
            # its sequence number is read over, as ROS 2 has none
            types[_HEADER] = typesys.get_typestore(typesys.Stores.ROS2_FOXY).fielddefs[_HEADER]
            self._store: Any = typesys.get_typestore(typesys.Stores.EMPTY)
            self._store.register(types)
            text, _ = self._store.generate_msgdef(type_name, ros_version=2)
        except Exception as error:  # the library's parser raises several kinds
            raise ConfigError(f'its ROS 1 definition of {type_name} cannot be read ({error})') from error
        self.definition = _CAPITAL.sub(lambda found: f'{found[1]} {found[2].lower()}', text)

    def to_cdr(self, data: bytes) -> bytes:
        """A message's bytes in ROS 2."""
        return bytes(self._store.ros1_to_cdr(data, self._source))
