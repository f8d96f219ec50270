# SPDX-License-Identifier: Apache-2.0
"""Message types by name: the class, and the text that describes the byte layout to other programs.

The text is what MCAP calls `ros2msg`: the type's .msg file, then each nested type under a line of `=`
and a line `MSG: package/Name`.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ament_index_python.packages import get_package_share_directory

from isaac_inference.errors import ConfigError

Fields = tuple[tuple[str, str], ...]  # (type, name) in wire order

_SEPARATOR = '=' * 80
_TYPE_NAME = re.compile(r'([a-z][a-z0-9_]*)/(?:msg/)?([A-Z][A-Za-z0-9]*)')
_FIELD = re.compile(r'([A-Za-z][\w/]*)(<=\d+)?(\[(?:<=)?\d*\])?\s+([a-z]\w*)(?:\s|$)')
_IDL_SEQUENCE = re.compile(r'sequence<(.+?)(?:, *(\d+))?>$')
_IDL_ARRAY = re.compile(r'(.+)(\[\d+\])$')
_IDL_STRING = re.compile(r'(w?string)<(\d+)>$')
_FROM_IDL = {'boolean': 'bool', 'octet': 'byte', 'float': 'float32', 'double': 'float64'}
_SAME_BYTES = {'byte': 'uint8', 'char': 'uint8'}
_PRIMITIVES = {
    'bool', 'byte', 'char', 'float32', 'float64', 'string', 'wstring',
    *(f'{sign}int{bits}' for sign in ('', 'u') for bits in (8, 16, 32, 64)),
}  # fmt: skip


class UnknownTypeError(ConfigError):
    """A message type that isn't installed here; `package` is the package that provides it."""

    def __init__(self, package: str, message: str) -> None:
        super().__init__(message)
        self.package = package


def split_type(type_name: str) -> tuple[str, str]:
    """('sensor_msgs', 'Image') from 'sensor_msgs/msg/Image' or 'sensor_msgs/Image'.

    Raises:
        ConfigError: it isn't the name of a message type, such as a service or action.
    """
    found = _TYPE_NAME.fullmatch(type_name)
    if not found:
        raise ConfigError(f'type {type_name!r}: expected the name of a message type such as sensor_msgs/msg/Image')
    return found[1], found[2]


def message_class(type_name: str) -> type:
    """The installed Python class of a message type.

    Raises:
        UnknownTypeError: its package isn't installed, or has no such message.
        ConfigError: it isn't the name of a message type.
    """
    package, name = split_type(type_name)
    try:
        module = importlib.import_module(f'{package}.msg')
    except ImportError as error:
        raise UnknownTypeError(
            package,
            f'{type_name}: the message package {package} is not installed here ({error}); install it '
            f'(apt install ros-$ROS_DISTRO-{package.replace("_", "-")}, or build and source it)',
        ) from error
    found = getattr(module, name, None)
    if not isinstance(found, type):
        raise UnknownTypeError(
            package, f'{type_name}: the installed {package} has no such message; is it a different release?'
        )
    return found


def type_name_of(message_type: type) -> str:
    """The class's type name, such as 'sensor_msgs/msg/Image'."""
    return f'{message_type.__module__.split(".")[0]}/msg/{message_type.__name__}'


def message_definition(type_name: str) -> str:
    """The full text of a type and of all types in it; each appears once, in the order encountered.

    Raises:
        UnknownTypeError: neither the .msg file nor the class of one of them is installed.
    """
    root = '/'.join(split_type(type_name))
    texts: dict[str, str] = {}
    waiting = [root]
    while waiting:
        short = waiting.pop(0)
        if short in texts:
            continue
        package, name = short.split('/')
        texts[short] = _own_text(package, name)
        waiting += [part for part, _ in _element_types(parse_fields(texts[short], package)) if part not in texts]
    parts = [texts.pop(root), *(f'{_SEPARATOR}\nMSG: {short}\n{text}' for short, text in texts.items())]
    return '\n'.join(part.rstrip('\n') for part in parts) + '\n'


def parse_fields(text: str, package: str) -> Fields:
    """The fields of one .msg text with full type names; comments, constants and default values are left out."""
    fields = []
    for line in text.splitlines():
        found = _FIELD.match(line.split('#')[0].strip())
        if found:
            element = found[1]
            if element not in _PRIMITIVES:
                element = '/'.join(split_type(element if '/' in element else f'{package}/{element}'))
            fields.append((f'{element}{found[2] or ""}{found[3] or ""}', found[4]))
    return tuple(fields)


def layout(definition: str, type_name: str) -> dict[str, Fields]:
    """Short type name to fields, for the type and all in it. Two equal layouts have the same bytes on the wire.

    Raises:
        ConfigError: the text isn't a definition in the format of `message_definition`.
    """
    package, name = split_type(type_name)
    found: dict[str, Fields] = {}
    for part in re.split(r'^={80}\n', definition.replace('\r\n', '\n'), flags=re.MULTILINE):
        if part.startswith('MSG:'):
            head, _, part = part.partition('\n')
            package, name = split_type(head.removeprefix('MSG:').strip())
        fields = parse_fields(part, package)
        found[f'{package}/{name}'] = tuple((_same_bytes(kind), field) for kind, field in fields)
    return found


def difference(recorded: Mapping[str, Fields], installed: Mapping[str, Fields]) -> str:
    """The first type whose fields differ, in words; '' if both are the same. A type that one lacks is skipped."""
    for name, fields in recorded.items():
        if name in installed and installed[name] != fields:
            return f'{name} was recorded as ({_in_words(fields)}), but ({_in_words(installed[name])}) is installed'
    return ''


def _own_text(package: str, name: str) -> str:
    """The type's .msg file; if no file is installed, the fields of the class, without comments."""
    try:
        return Path(get_package_share_directory(package), 'msg', f'{name}.msg').read_text(encoding='utf-8')
    except (LookupError, OSError, ValueError):  # no such package, no file, no AMENT_PREFIX_PATH
        return fields_as_text(message_class(f'{package}/msg/{name}'))


def fields_as_text(message_type: Any) -> str:
    """A .msg text from a message class: its fields, without comments, constants and default values."""
    fields = message_type.get_fields_and_field_types()
    return ''.join(f'{_from_idl(kind)} {name}\n' for name, kind in fields.items())


def _from_idl(kind: str) -> str:
    """'float64[<=5]' from 'sequence<double, 5>'."""
    if found := _IDL_SEQUENCE.match(kind):
        return f'{_from_idl(found[1])}[{f"<={found[2]}" if found[2] else ""}]'
    if found := _IDL_ARRAY.match(kind):
        return f'{_from_idl(found[1])}{found[2]}'
    if found := _IDL_STRING.match(kind):
        return f'{found[1]}<={found[2]}'
    return _FROM_IDL.get(kind, kind)


def _element_types(fields: Fields) -> list[tuple[str, str]]:
    """(package/Name, field) of the fields that are messages, or arrays of them."""
    bare = [(re.split(r'[\[<]', kind)[0], name) for kind, name in fields]
    return [(kind, name) for kind, name in bare if kind not in _PRIMITIVES]


def _same_bytes(kind: str) -> str:
    element = re.split(r'[\[<]', kind)[0]
    return _SAME_BYTES.get(element, element) + kind[len(element) :]


def _in_words(fields: Fields) -> str:
    return ', '.join(f'{kind} {name}' for kind, name in fields)
