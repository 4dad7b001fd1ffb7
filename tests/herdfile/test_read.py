"""Reading a herd file from disk."""

import os
from pathlib import Path

import pytest

from ctherd.errors import InvalidDeclaration
from ctherd.herdfile.parse import MAX_BYTES
from ctherd.herdfile.read import read_herd

GOOD = "version: 1\nrouters: [{name: edge, netns: q1, helpers: []}]\n"


def test_a_file_is_read_and_keeps_its_name(tmp_path: Path) -> None:
    """The herd knows where it came from."""
    path = tmp_path / "herd.yaml"
    path.write_text(GOOD)
    herd = read_herd(path)
    assert herd.source == str(path)
    assert [each.router for each in herd.documents] == ["edge"]


def test_a_link_to_a_file_is_followed(tmp_path: Path) -> None:
    """Configuration management links files into place."""
    (tmp_path / "real").write_text(GOOD)
    (tmp_path / "herd.yaml").symlink_to("real")
    assert len(read_herd(tmp_path / "herd.yaml").documents) == 1


def refusal(path: Path) -> str:
    with pytest.raises(InvalidDeclaration) as caught:
        read_herd(path)
    assert caught.value.where.startswith(str(path))
    return caught.value.what


def test_what_cannot_be_read_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    """Absent, a directory, a pipe that nobody writes to: never an empty herd, never a wait."""
    assert "No such file" in refusal(tmp_path / "absent")
    assert "Is a directory" in refusal(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert "not a regular file" in refusal(tmp_path / "pipe")
    assert "not a regular file" in refusal(Path("/dev/null"))


def test_faults_are_told_with_the_path_of_the_file(tmp_path: Path) -> None:
    """An editor can jump there."""
    path = tmp_path / "herd.yaml"
    path.write_text("version: 1\nrouters:\n")
    assert "null is not a list" in refusal(path)


def test_no_more_is_read_than_a_herd_file_may_have(tmp_path: Path) -> None:
    """A file of any size costs no more memory than the largest legal one."""
    path = tmp_path / "herd.yaml"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES * 1000)
    assert "larger than 16 MiB" in refusal(path)
