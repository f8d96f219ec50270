# SPDX-License-Identifier: Apache-2.0
"""Which recording a path means, and of what format it is: its first bytes say so, not its name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

from isaac_inference.errors import ConfigError
from isaac_inference.pictures import IMAGE_SUFFIXES
from isaac_inference.ros.recording.storage.base import Storage
from isaac_inference.ros.recording.storage.library_bag import LibraryBag
from isaac_inference.ros.recording.storage.mcap_file import McapFile
from isaac_inference.ros.recording.storage.mcap_records import MAGIC
from isaac_inference.ros.recording.storage.split_bag import SplitBag

SUFFIXES = ('.mcap', '.db3', '.bag')
_METADATA = 'metadata.yaml'
_SQLITE, _ROS1, _ZSTD = b'SQLite format 3\0', b'#ROSBAG V', b'\x28\xb5\x2f\xfd'
_FORMATS = 'an MCAP file, an SQLite bag (.db3), a ROS 1 bag (.bag), or the folder of a bag'


def is_recording(path: Path) -> bool:
    """Whether a path means a recording: a file by its name; a folder that has one, and no pictures."""
    if not path.is_dir():
        return path.suffix.lower() in SUFFIXES or _is_compressed(path)
    suffixes = {item.suffix.lower() for item in path.iterdir()}
    return not suffixes.isdisjoint(SUFFIXES) and suffixes.isdisjoint(IMAGE_SUFFIXES) or bool(_metadata(path))


def open_storage(path: str | os.PathLike[str]) -> Storage:
    """The recording that `path` means: a file, or the folder of a bag.

    Raises:
        ConfigError: there is none, there are several, or it can't be read.
    """
    given = Path(path).expanduser()
    if given.is_dir():
        return _folder(given)
    if not given.is_file():
        raise ConfigError(f'{given}: no such file; give {_FORMATS}')
    return _file(given)


def _file(path: Path) -> Storage:
    try:
        with open(path, 'rb') as file:
            begin = file.read(len(_SQLITE))
    except OSError as error:
        raise ConfigError(f'{path}: cannot be read ({error.strerror or error})') from error
    if begin.startswith(MAGIC):
        return McapFile(path)
    if begin == _SQLITE:
        if path.suffix != '.db3':
            raise ConfigError(f'{path}: an SQLite file; if it is one of rosbag2, name it *.db3')
        return LibraryBag(path)
    if begin.startswith(_ROS1):
        return LibraryBag(path, is_ros1=True)
    if begin.startswith(_ZSTD) or path.suffix == '.zstd':
        raise ConfigError(
            f'{path}: compressed as a whole; give the folder of the bag with its {_METADATA}, or unpack the file with '
            '"zstd -d" first'
        )
    fact = 'is empty' if not begin else f'is no recording, it begins with {begin!r}'
    raise ConfigError(f'{path}: {fact}; give {_FORMATS}')


def _folder(folder: Path) -> Storage:
    about = _metadata(folder)
    if about:
        files = [folder / Path(str(name)).name for name in about.get('relative_file_paths') or ()]
        if missing := [file.name for file in files if not file.is_file()]:
            raise ConfigError(f'{folder}: {_METADATA} names {", ".join(missing)}, which is not there; copy it too')
        if str(about.get('compression_mode') or 'none').lower() != 'none':
            return LibraryBag(folder)
    else:
        files = sorted(item for item in folder.iterdir() if item.suffix.lower() in SUFFIXES or _is_compressed(item))
        if len(files) > 1:
            others = ', '.join(file.name for file in files)
            raise ConfigError(
                f'{folder}: several recordings, and no {_METADATA} that makes them one; name one: {others}'
            )
    if not files:
        raise ConfigError(f'{folder}: no recording in it, expected files ending in {", ".join(SUFFIXES)}')
    parts = [_file(file) for file in files]
    return parts[0] if len(parts) == 1 else SplitBag(folder, parts)


def _metadata(folder: Path) -> dict[str, Any]:
    """What rosbag2 says of a folder; {} where it has not said anything, or nothing that can be read."""
    try:
        content = yaml.safe_load((folder / _METADATA).read_text(encoding='utf-8'))
        found = content['rosbag2_bagfile_information']
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


def _is_compressed(path: Path) -> bool:
    return path.suffix == '.zstd' and Path(path.stem).suffix.lower() in SUFFIXES
