"""Files with secrets: private from the first byte, and never half written."""

import os
from pathlib import Path

import pytest

from ctherd.errors import ConfigurationError, NotFound
from ctherd.private_file import create_private, only_writer, read_private, replace_private


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.parametrize("umask", [0o000, 0o777])
def test_only_the_owner_may_read_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    """Made or replaced, the file has mode 0600 or less, and at no moment more."""
    path = tmp_path / "secret"
    before = os.umask(umask)
    try:
        create_private(path, b"one")
        assert mode(path) & 0o177 == 0
        replace_private(path, b"two")
        assert mode(path) & 0o177 == 0
    finally:
        os.umask(before)


def test_an_absent_file_is_not_an_empty_one() -> None:
    """Whoever makes a secret anew must know that there was none."""
    with pytest.raises(NotFound):
        read_private(Path("/nonexistent/secret"))


def test_creating_never_replaces(tmp_path: Path) -> None:
    """Two servers that start at once do not take each other's keys away."""
    path = tmp_path / "secret"
    create_private(path, b"one")
    with pytest.raises(FileExistsError):
        create_private(path, b"two")
    assert read_private(path) == b"one"
    assert [each.name for each in tmp_path.iterdir()] == ["secret"]


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o620, 0o610])
def test_a_file_that_others_may_use_is_refused(tmp_path: Path, bits: int) -> None:
    """A secret that was open to others is not used as if it were one."""
    path = tmp_path / "secret"
    create_private(path, b"one")
    path.chmod(bits)
    with pytest.raises(ConfigurationError, match="others may use") as caught:
        read_private(path)
    assert "chmod 600" in caught.value.cure


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    """Who can make links in the directory cannot choose what is read or overwritten."""
    target = tmp_path / "target"
    create_private(target, b"theirs")
    link = tmp_path / "secret"
    link.symlink_to(target)
    with pytest.raises(ConfigurationError):
        read_private(link)
    replace_private(link, b"ours")
    assert target.read_bytes() == b"theirs"


def test_a_reader_sees_old_or_new(tmp_path: Path) -> None:
    """Whoever opened the old file reads it to its end."""
    path = tmp_path / "secret"
    create_private(path, b"old" * 1000)
    with path.open("rb") as reader:
        replace_private(path, b"new")
        assert reader.read() == b"old" * 1000
    assert read_private(path) == b"new"


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    """What cannot be written does not replace what was."""
    path = tmp_path / "secret"
    create_private(path, b"old")
    with pytest.raises(ConfigurationError, match="cannot be used"):
        replace_private(tmp_path / "absent" / "secret", b"new")
    assert read_private(path) == b"old"


def test_writers_wait_for_each_other(tmp_path: Path) -> None:
    """While one changes files of a directory, another does not get the lock."""
    import fcntl

    with only_writer(tmp_path):
        fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with pytest.raises(BlockingIOError):
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        finally:
            os.close(fd)


@pytest.mark.root
def test_what_root_makes_belongs_to_the_owner_of_the_directory(tmp_path: Path) -> None:
    """A command of root leaves nothing that the server's own user cannot read."""
    somebody = 54321
    os.chown(tmp_path, somebody, somebody)
    path = tmp_path / "secret"
    create_private(path, b"one")
    replace_private(path, b"two")
    assert (path.stat().st_uid, path.stat().st_gid) == (somebody, somebody)
    assert read_private(path) == b"two"
    os.chown(path, somebody + 1, somebody)
    with pytest.raises(ConfigurationError, match="somebody else"):
        read_private(path)
