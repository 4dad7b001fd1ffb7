"""Which server is meant, and who gets to see a token."""

from pathlib import Path

import pytest

from ctherd.client.access import Access, Asked, find_access
from ctherd.errors import ConfigurationError
from ctherd.private_file import create_private

LOCAL = "http://127.0.0.1:9696"


@pytest.fixture
def server_dir(tmp_path: Path) -> Path:
    """A state directory as `ctherd up` leaves it."""
    (tmp_path / "url").write_text(LOCAL + "\n")
    create_private(tmp_path / "admin-token", b"local-secret\n")
    return tmp_path


def found(server_dir: Path, url: str | None = None, **environment: str) -> Access:
    return find_access(Asked(url), environment, server_dir)


def test_the_server_of_up_is_found_with_its_token(server_dir: Path) -> None:
    """On the host of `ctherd up` nothing has to be said."""
    assert found(server_dir) == Access(LOCAL, "local-secret")


def test_the_local_token_goes_to_the_local_server_alone(server_dir: Path) -> None:
    """Whoever names another server does not hand it the token of this one."""
    assert found(server_dir, "http://other:9696").token == ""
    assert found(server_dir, "https://127.0.0.1:9696").token == ""
    assert found(server_dir, LOCAL + "/").token == "local-secret"


def test_options_win_over_the_environment_and_that_over_up(server_dir: Path) -> None:
    """What is said most explicitly counts."""
    variables = {"CTHERD_SERVER": "http://env:1", "CTHERD_TOKEN": "from-env"}
    assert found(server_dir, **variables) == Access("http://env:1", "from-env")
    assert found(server_dir, "http://option:1", **variables).url == "http://option:1"
    mine = server_dir / "mine"
    create_private(mine, b"from-file")
    assert find_access(Asked(None, mine), variables, server_dir).token == "from-file"


def test_without_any_server_the_cure_is_told(tmp_path: Path) -> None:
    """Nobody guesses an address."""
    with pytest.raises(ConfigurationError, match="CTHERD_SERVER"):
        found(tmp_path)
    with pytest.raises(ConfigurationError, match="is no URL"):
        found(tmp_path, "localhost:9696")


def test_a_token_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    """A secret that is none is not sent as if it were."""
    path = tmp_path / "token"
    create_private(path, b"secret")
    path.chmod(0o644)
    with pytest.raises(ConfigurationError, match="others may use"):
        find_access(Asked("http://x", path), {}, tmp_path)
    with pytest.raises(ConfigurationError, match="no token"):
        find_access(Asked("http://x", tmp_path / "absent"), {}, tmp_path)
