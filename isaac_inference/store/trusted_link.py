# SPDX-License-Identifier: Apache-2.0
"""Follows symbolic links that nobody but this user and root can make, change or redirect."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from dataclasses import dataclass, field
from pathlib import Path

from isaac_inference.errors import ConfigError

_MOST_LINKS = 40  # as Linux has it


class RefusedLinkError(ConfigError):
    """A link that leads nowhere, or that another user made or can redirect."""


@dataclass
class _Way:
    """What lies on the way to a file.

    Attributes:
        end: where it ends, without any link.
        folders: real folders in which a link or the end lies.
        links: the links, in the order in which they are met.
    """

    end: Path
    folders: list[Path] = field(default_factory=list)
    links: list[Path] = field(default_factory=list)


def follow_links(folder: Path, location: str) -> Path:
    """The real path of a file, which may lie behind links out of its folder.

    Whatever stays in the folder is as trustworthy as the folder. A link that leaves it is followed where only this
    user or root can have made it and nobody else can put another file in its place: the link, the file it leads to and
    every folder above both belong to them, the file is not writable for others, and neither is a folder, unless it is
    sticky as /tmp is. A group that holds nobody but its user, as Debian and Ubuntu give to each, counts as the user.

    Args:
        folder: where `location` starts.
        location: relative path in it, without '..'.

    Raises:
        FileNotFoundError: there is no such file, nor a link.
        RefusedLinkError: a link leads nowhere, in a circle, or may not be followed: which one, and why.
    """
    root = folder.resolve()
    way = _walk(root, location)
    if way.links and not way.end.is_relative_to(root):
        _check(way)
    return way.end


def _walk(root: Path, location: str) -> _Way:
    """The way to a file, one name at a time; `root` is real, and so is each folder that is reached."""
    way = _Way(root)
    todo = list(reversed(Path(location).parts))
    while todo:
        part = todo.pop()
        if part in ('/', '..'):
            way.end = Path('/') if part == '/' else way.end.parent
            continue
        item = way.end / part
        try:
            is_link = stat.S_ISLNK(item.lstat().st_mode)
        except (OSError, ValueError) as error:
            if not way.links:
                raise FileNotFoundError(str(item)) from error
            raise RefusedLinkError(
                f'the link {way.links[-1]} leads to {item}, which does not exist; download or copy it again'
            ) from error
        if not is_link:
            way.end = item
            continue
        way.folders.append(way.end)
        way.links.append(item)
        if len(way.links) > _MOST_LINKS:
            raise RefusedLinkError(
                f'the links {way.links[0]} and {way.links[-1]} lead in a circle; copy the file again'
            )
        todo.extend(reversed(Path(os.readlink(item)).parts))
    way.folders.append(way.end.parent)
    return way


def _check(way: _Way) -> None:
    """Raise RefusedLinkError for the first thing on a way that others made or can change."""
    for link in way.links:
        _check_owner(link, 'link')
    folders = dict.fromkeys(item for folder in way.folders for item in (folder, *folder.parents))
    for folder in folders:
        _check_owner(folder, 'folder')
        _check_writers(folder, 'folder')
    _check_owner(way.end, 'file')
    _check_writers(way.end, 'file')


def _check_owner(item: Path, kind: str) -> None:
    owner = item.lstat().st_uid
    if owner not in (os.getuid(), 0):
        raise RefusedLinkError(
            f'the {kind} {item} belongs to user {_user(owner)}, expected {_expected()}: a link is followed only where '
            'nobody else can redirect it'
        )


def _check_writers(item: Path, kind: str) -> None:
    status = item.lstat()
    if kind == 'folder' and status.st_mode & stat.S_ISVTX:  # there, each removes only what is their own
        return
    if status.st_mode & stat.S_IWOTH:
        who, remedy = 'everybody', 'o-w'
    elif status.st_mode & stat.S_IWGRP and not _is_private(status.st_gid, status.st_uid):
        who, remedy = f'group {_group(status.st_gid)}', 'g-w'
    else:
        return
    raise RefusedLinkError(
        f'the {kind} {item} can be written by {who} (mode {stat.S_IMODE(status.st_mode):o}): a link is followed only '
        f'where nobody else can redirect it; if that is not needed: chmod {remedy} {item}'
    )


def _is_private(gid: int, uid: int) -> bool:
    """True for a user's own group: it has the user's name, and nobody else is in it."""
    try:
        user, group = pwd.getpwuid(uid), grp.getgrgid(gid)
    except KeyError:
        return False
    return user.pw_gid == gid and user.pw_name == group.gr_name and set(group.gr_mem) <= {user.pw_name}


def _expected() -> str:
    me = os.getuid()
    return 'root' if me == 0 else f'{_user(me)} or root'


def _user(uid: int) -> str:
    try:
        return f'{pwd.getpwuid(uid).pw_name} ({uid})'
    except KeyError:
        return str(uid)


def _group(gid: int) -> str:
    try:
        return f'{grp.getgrgid(gid).gr_name} ({gid})'
    except KeyError:
        return str(gid)
