# SPDX-License-Identifier: Apache-2.0
"""Which links out of a folder are followed, and what is said of those that are not."""

from __future__ import annotations

import grp
import os
import pwd
import re
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest

from isaac_inference.store.trusted_link import RefusedLinkError, follow_links

OTHER = 4_000_000_001  # a user and a group that no machine has
ME = os.getuid()


@pytest.fixture
def cache(tmp_path):
    """A folder `snapshot` with the link `w` to `blobs/b2`, as caches of downloads have it, for this user alone."""
    for name in ('snapshot', 'blobs'):
        (tmp_path / name).mkdir(mode=0o755)
    write(tmp_path / 'blobs' / 'b2')
    (tmp_path / 'snapshot' / 'w').symlink_to('../blobs/b2')
    return tmp_path


def write(path):
    path.write_bytes(b'weights')
    path.chmod(0o644)
    return path


def follow(cache):
    return follow_links(cache / 'snapshot', 'w')


@pytest.fixture
def pretend(monkeypatch):
    """Pretend that a path has another owner or group, which only root could give it."""
    real = Path.lstat

    def change(path, *, uid=None, gid=None):
        before = Path.lstat

        def lstat(self):
            status = before(self)
            if self != path:
                return status
            fields = list(status)
            fields[stat.ST_UID] = status.st_uid if uid is None else uid
            fields[stat.ST_GID] = status.st_gid if gid is None else gid
            return os.stat_result(fields)

        monkeypatch.setattr(Path, 'lstat', lstat)

    yield change
    monkeypatch.setattr(Path, 'lstat', real)


def test_a_plain_file_is_itself_whoever_may_write_it(cache, pretend):
    plain = write(cache / 'snapshot' / 'plain')
    plain.chmod(0o666)
    pretend(plain, uid=OTHER)
    assert follow_links(cache / 'snapshot', 'plain') == plain


def test_a_link_out_of_the_folder_is_followed_to_its_end(cache):
    assert follow(cache) == cache / 'blobs' / 'b2'


def test_links_to_links_through_linked_folders(cache):
    (cache / 'also').symlink_to(cache / 'blobs')
    (cache / 'again').symlink_to('also/b2')
    (cache / 'snapshot' / 'sub').symlink_to('..')
    assert follow_links(cache / 'snapshot', 'sub/again') == cache / 'blobs' / 'b2'


def test_a_link_that_stays_in_the_folder_needs_no_check(cache, pretend):
    target = write(cache / 'snapshot' / 'x')
    target.chmod(0o666)
    link = cache / 'snapshot' / 'y'
    link.symlink_to('x')
    pretend(link, uid=OTHER)
    assert follow_links(cache / 'snapshot', 'y') == target


def test_what_root_owns_is_trusted(cache, pretend):
    for path in (cache / 'snapshot' / 'w', cache / 'blobs' / 'b2', cache / 'blobs'):
        pretend(path, uid=0)
    assert follow(cache) == cache / 'blobs' / 'b2'


@pytest.mark.parametrize(
    'what, kind',
    [('snapshot/w', 'link'), ('blobs/b2', 'file'), ('blobs', 'folder'), ('snapshot', 'folder'), ('.', 'folder')],
)
def test_what_another_user_owns_is_refused(cache, pretend, what, kind):
    path = cache / what
    pretend(path, uid=OTHER)
    expected = 'root' if ME == 0 else r'\S+ \(\d+\) or root'
    with pytest.raises(RefusedLinkError, match=rf'the {kind} {path} belongs to user {OTHER}, expected {expected}: '):
        follow(cache)


@pytest.mark.parametrize('what, kind', [('blobs/b2', 'file'), ('blobs', 'folder'), ('snapshot', 'folder')])
@pytest.mark.parametrize('mode, who, remedy', [(0o002, 'everybody', 'o-w'), (0o020, f'group {OTHER}', 'g-w')])
def test_what_others_can_write_is_refused(cache, pretend, what, kind, mode, who, remedy):
    path = cache / what
    path.chmod(path.stat().st_mode | mode)
    pretend(path, gid=OTHER)
    says = f'the {kind} {path} can be written by {who} (mode {stat.S_IMODE(path.stat().st_mode):o})'
    with pytest.raises(RefusedLinkError, match=rf'{re.escape(says)}: .*: chmod {remedy} {path}$'):
        follow(cache)


def test_a_folder_above_that_others_can_write_is_refused(cache):
    cache.chmod(0o777)
    with pytest.raises(RefusedLinkError, match=f'the folder {cache} can be written by everybody'):
        follow(cache)


def test_a_sticky_folder_is_safe_unless_another_user_owns_it(cache, pretend):
    (cache / 'blobs').chmod(0o1777)
    assert follow(cache) == cache / 'blobs' / 'b2'
    pretend(cache / 'blobs', uid=OTHER)
    with pytest.raises(RefusedLinkError, match='blobs belongs to user'):
        follow(cache)


@pytest.mark.parametrize(
    'members, own, followed', [([], True, True), (['ann'], True, True), (['eve'], True, False), ([], False, False)]
)
def test_the_group_of_one_user_is_that_user(cache, pretend, monkeypatch, members, own, followed):
    target = cache / 'blobs' / 'b2'
    target.chmod(0o664)
    pretend(target, gid=OTHER)
    user = SimpleNamespace(pw_name='ann', pw_gid=OTHER if own else OTHER + 1)
    monkeypatch.setattr(pwd, 'getpwuid', lambda uid: user)
    monkeypatch.setattr(grp, 'getgrgid', lambda gid: SimpleNamespace(gr_name='ann', gr_mem=members))
    if followed:
        assert follow(cache) == target
    else:
        with pytest.raises(RefusedLinkError, match=rf'can be written by group ann \({OTHER}\)'):
            follow(cache)


def test_a_link_to_nothing(cache):
    (cache / 'blobs' / 'b2').unlink()
    with pytest.raises(
        RefusedLinkError, match=f'the link {cache}/snapshot/w leads to {cache}/blobs/b2, which does not'
    ):
        follow(cache)


def test_links_in_a_circle(cache):
    (cache / 'blobs' / 'b2').unlink()
    (cache / 'blobs' / 'b2').symlink_to('../snapshot/w')
    with pytest.raises(RefusedLinkError, match='lead in a circle'):
        follow(cache)


@pytest.mark.parametrize('name', ['nope', 'no/folder', 'zero\0'])
def test_no_file_at_all(cache, name):
    with pytest.raises(FileNotFoundError):
        follow_links(cache / 'snapshot', name)
