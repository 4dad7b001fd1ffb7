"""Elements of an object map: what a key may point at, and how it changes."""

import errno

import pytest

from tests.testing import raw
from tests.testing.contract.peer import (
    World,
    del_elements,
    errors,
    generations,
    new_elements,
    planted,
)
from tests.testing.raw import CREATE, EXCL, element, key, nft

FTP = key(6, 21)


def test_elements_are_read_back(world: World) -> None:
    """A dump names the object of every key."""
    peer = planted(world)
    peer.do(new_elements(element(FTP, "ftp"), element(key(6, 6667), "irc")))
    assert peer.elements("t", "m") == {(FTP, None): "ftp", (key(6, 6667), None): "irc"}


def test_the_kernel_does_not_check_what_a_key_means(world: World) -> None:
    """A udp key may point at a tcp object."""
    peer = planted(world)
    peer.do(new_elements(element(key(17, 21), "ftp")))
    assert peer.elements("t", "m") == {(key(17, 21), None): "ftp"}


def test_readding_an_element_changes_nothing(world: World) -> None:
    """With the same object it is success and no generation; twice in one message, too."""
    peer = planted(world)
    peer.do(new_elements(element(FTP, "ftp"), element(FTP, "ftp")))
    with generations(peer, begun=0):
        assert peer.errno(new_elements(element(FTP, "ftp"))) == 0
    exclusive = nft(raw.NEWELEM, raw.elements("t", "m", element(FTP, "ftp")), flags=CREATE | EXCL)
    assert peer.errno(exclusive) == errno.EEXIST


def test_the_object_of_an_element_is_for_life(world: World) -> None:
    """Another object is EEXIST; delete and add in one batch is the way."""
    peer = planted(world)
    peer.do(new_elements(element(FTP, "ftp")))
    assert peer.errno(new_elements(element(FTP, "irc"))) == errno.EEXIST
    with generations(peer, begun=1):
        peer.do(del_elements(element(FTP)), new_elements(element(FTP, "irc")))
    assert peer.elements("t", "m") == {(FTP, None): "irc"}


@pytest.mark.parametrize(
    ("packed", "code"),
    [
        (element(FTP, "no"), errno.ENOENT),
        (element(FTP), errno.EINVAL),
        (element(FTP[:4], "ftp"), errno.EINVAL),
        (element(FTP, "ftp", key_end=FTP), errno.EINVAL),
    ],
    ids=["no such object", "no object", "short key", "a range"],
)
def test_what_an_element_cannot_be(world: World, packed: bytes, code: int) -> None:
    """An object that exists, a key of the map's length, and no range where there are none."""
    assert planted(world).errno(new_elements(packed)) == code


def test_the_offset_tells_the_element(world: World) -> None:
    """Of many elements in one message the first bad one is pointed at; nothing is applied."""
    peer = planted(world)
    good, bad = element(key(6, 1), "ftp"), element(key(6, 2), "no")
    (answer,) = peer.commit(new_elements(good, bad, element(key(6, 3), "worse"), seq=9))
    assert errors([answer]) == [(9, "ENOENT")]
    message = new_elements(good, bad, element(key(6, 3), "worse"), seq=9)
    assert answer.offset is not None
    assert message[answer.offset :].startswith(bad)
    assert peer.elements("t", "m") == {}


def test_an_element_message_needs_elements(world: World) -> None:
    """An empty addition is EINVAL; an empty deletion is a flush."""
    peer = planted(world)
    assert peer.errno(new_elements()) == errno.EINVAL
    peer.do(new_elements(element(FTP, "ftp"), element(key(6, 1), "irc")))
    peer.do(del_elements())
    assert peer.elements("t", "m") == {}


def test_deleting_what_is_absent_is_enoent(world: World) -> None:
    """The batch fails as a whole; DESTROY does not mind."""
    peer = planted(world)
    peer.do(new_elements(element(FTP, "ftp")))
    answers = peer.commit(del_elements(element(FTP)), del_elements(element(key(6, 9)), seq=8))
    assert errors(answers) == [(8, "ENOENT")]
    assert peer.elements("t", "m") == {(FTP, None): "ftp"}
    assert peer.errno(nft(30, raw.elements("t", "m", element(key(6, 9))))) == 0


def test_a_deletion_does_not_look_at_the_object(world: World) -> None:
    """A deletion that names another object deletes all the same."""
    peer = planted(world)
    peer.do(new_elements(element(FTP, "ftp")))
    peer.do(del_elements(element(FTP, "irc")))
    assert peer.elements("t", "m") == {}


def test_single_elements_are_read(world: World) -> None:
    """Listed keys are answered one message each, without MULTI."""
    peer = planted(world)
    peer.do(new_elements(element(FTP, "ftp")))
    answer = peer.get(raw.GETELEM, raw.elements("t", "m", element(FTP)))
    assert not answer.flags & raw.MULTI
    absent = nft(raw.GETELEM, raw.elements("t", "m", element(key(6, 9))), seq=3)
    assert errors(peer.ask(absent)) == [(3, "ENOENT")]


def test_a_size_is_a_limit(world: World) -> None:
    """One element too many is ENFILE."""
    peer = planted(world)
    small = raw.object_map("t", "small") + raw.nest(9, raw.be32(1, 2))
    peer.do(nft(raw.NEWSET, small, flags=CREATE))
    two = [element(key(6, port), "ftp") for port in (1, 2)]
    peer.do(new_elements(*two, name="small"))
    third = new_elements(element(key(6, 3), "ftp"), name="small")
    assert peer.errno(third) == errno.ENFILE
