"""Whatever somebody says in the server's name, on the wire or in its store: nothing changes."""

import base64
import errno
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ctherd.errors import JournalError
from ctherd.model.assignment import Assignment, AssignmentId
from ctherd.model.status import State
from ctherd.testing.memory_store import MemoryStore
from tests.agent.statements import NEXT, SIGNER, STRANGER, gone, manifest, wanted
from tests.follow.agents import ScriptedAgent, ScriptedHost
from tests.follow.conftest import becomes
from tests.follow.liar import Liar, document, in_sync
from tests.follow.server import Listening, Server, new_signer, pin
from tests.reconcile.machine import FTP, TFTP

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def following(liar: Liar, directory: Path, **options: Any) -> AsyncIterator[ScriptedAgent]:
    """The host *here*, which believes the liar once and has ftp in q1."""
    host = ScriptedHost("here", directory / "here", "q1", "q2")
    keys = {"version": 1, "signing": SIGNER.key, "keys": {SIGNER.key: _raw(SIGNER.public)}}
    (directory / "pin").write_text(json.dumps(keys))
    async with host.agent(liar.listening.url, directory / "pin", **options) as agent:
        assert await becomes(lambda: liar.heard)
        liar.say(
            document("r1/q1", wanted("r1", "q1", FTP, version=(1, 5))),
            in_sync(manifest(7, {"r1/q1": (1, 5)})),
        )
        assert await becomes(lambda: agent.ports("q1") == {21})
        yield agent


def _raw(public: bytes) -> str:
    return base64.b64encode(public).decode()


def payload_of_another() -> Any:
    signed = wanted("r1", "q1", FTP, version=(1, 6))
    return signed._replace(payload=signed.payload.replace('"port":21', '"port":22'))


@pytest.mark.parametrize(
    ("envelope", "words"),
    [
        (payload_of_another(), "does not fit"),
        (wanted("r1", "q1", TFTP, version=(1, 6), signer=STRANGER), "not among those trusted"),
        (wanted("r1", "q1", TFTP, version=(1, 4)), "older"),
        (gone("r1", "q1", version=(1, 4)), "older"),
        (wanted("r1", "q1", TFTP, version=(1, 6), host="there"), "host there"),
        (wanted("r1", "q1", TFTP, version=(1, 6), project="red"), "project"),
        (manifest(8, {}), "no document"),
    ],
)
async def test_lies_on_the_wire_are_refused_and_reported(
    tmp_path: Path, envelope: Any, words: str
) -> None:
    """Tampered, unknown key, replayed, another host's, another project's: reported, no effect."""
    async with Liar().serve() as liar, following(liar, tmp_path) as agent:
        liar.say(document("r1/q1", envelope, 8))
        assert await becomes(lambda: liar.last("refused"))
        (refused,) = liar.last("refused")
        assert (refused["router"], refused["netns"]) == ("r1", "q1")
        assert words in refused["reason"]
        assert agent.ports("q1") == {21}


@pytest.mark.parametrize(
    "envelope", [None, 1, [], {}, {"payload": "", "key": "", "signature": ""}, "x" * 1000]
)
async def test_what_is_no_envelope_is_refused(tmp_path: Path, envelope: Any) -> None:
    """Unsigned words are nothing."""
    async with Liar().serve() as liar, following(liar, tmp_path) as agent:
        liar.say({"type": "document", "revision": 8, "document": "r1/q1", "envelope": envelope})
        assert await becomes(lambda: liar.last("refused"))
        assert agent.ports("q1") == {21}


@pytest.mark.parametrize("noise", [b"not json\n", b"[]\n", b'{"type":"document"\n', b"\xff\n"])
async def test_noise_ends_the_stream_and_nothing_else(tmp_path: Path, noise: bytes) -> None:
    """What is no message is not guessed at: the host asks again from where it was."""
    async with Liar().serve() as liar, following(liar, tmp_path) as agent:
        liar.say(noise)
        assert await becomes(lambda: len(liar.asked) == 2 and liar.heard)
        assert liar.asked[1] == {"epoch": "1", "since": "7"}
        assert agent.ports("q1") == {21}
        liar.say(document("r1/q1", wanted("r1", "q1", FTP, TFTP, version=(1, 6)), 8))
        assert await becomes(lambda: agent.ports("q1") == {21, 69})


async def test_what_is_omitted_is_kept_until_the_operator_gives_it_up(tmp_path: Path) -> None:
    """A manifest without a document is no tombstone."""
    async with Liar().serve() as liar, following(liar, tmp_path) as agent:
        liar.say(in_sync(manifest(8, {})))
        assert await becomes(lambda: liar.kept == [("r1", "q1")])
        assert agent.ports("q1") == {21}
        answer = agent.source.answer({"operation": "confirm"})
        assert answer == {"message": "given up: r1/q1"}
        assert await becomes(lambda: agent.ports("q1") == set())


async def test_nothing_is_removed_before_everything_was_heard(tmp_path: Path) -> None:
    """An agent whose cache is lost adds what it hears, and keeps what it finds, until in sync.

    What no document explains is kept even then; a tombstone explains it.
    """
    async with Liar().serve() as liar:
        async with following(liar, tmp_path) as agent:
            liar.say(document("r2/q2", wanted("r2", "q2", FTP), 8))
            assert await becomes(lambda: agent.ports("q2") == {21})
            host = agent.host
        (host.directory / "documents.sqlite").unlink()
        liar.hang_up()
        assert await becomes(lambda: not liar.heard)
        async with host.agent(liar.listening.url, tmp_path / "pin") as agent:
            assert await becomes(lambda: liar.heard)
            assert liar.asked[-1] == {}
            liar.say(document("r1/q1", wanted("r1", "q1", TFTP, version=(1, 6)), 9))
            assert await becomes(lambda: agent.ports("q1") == {21, 69})
            liar.say(in_sync(manifest(9, {"r1/q1": (1, 6)})))
            assert await becomes(lambda: agent.ports("q1") == {69})
            assert await becomes(lambda: liar.kept == [("r2", "q2")])
            assert agent.ports("q2") == {21}
            liar.say(document("r2/q2", gone("r2", "q2"), 10))
            assert await becomes(lambda: agent.ports("q2") == set())
            assert await becomes(lambda: liar.last("withdrawn"))


async def test_a_tombstone_that_is_obeyed_is_acknowledged(tmp_path: Path) -> None:
    """It is acknowledged when the kernel has nothing of the router any more, not before."""
    async with Liar().serve() as liar, following(liar, tmp_path) as agent:
        liar.say(document("r1/q1", gone("r1", "q1", version=(1, 6)), 8))
        assert await becomes(lambda: liar.last("withdrawn"))
        assert agent.ports("q1") == set()
        assert liar.last("withdrawn") == [{"router": "r1", "netns": "q1", "version": [1, 6]}]


async def test_a_tombstone_that_could_not_be_obeyed_is_not_acknowledged(tmp_path: Path) -> None:
    """The kernel refuses for a while: nobody is told that the router is gone before it is."""
    async with Liar().serve() as liar, following(liar, tmp_path) as agent:
        agent.host.kernel.netns("q1").fail_next("send", errno.ENOBUFS)
        liar.say(
            document("r1/q1", gone("r1", "q1", version=(1, 6)), 8),
            document("r2/q2", wanted("r2", "q2", FTP), 9),
        )
        assert await becomes(lambda: ("r2", "q2") in reported(liar, "routers"))
        assert agent.ports("q1") == {21}
        assert liar.last("withdrawn") == []
        agent.look_everywhere()
        assert await becomes(lambda: ("r1", "q1") in reported(liar, "withdrawn"))
        assert agent.ports("q1") == set()


def reported(liar: Liar, part: str) -> list[tuple[str, str]]:
    return [(each["router"], each["netns"]) for each in liar.last(part)]


async def test_keys_are_rotated_under_running_hosts(tmp_path: Path) -> None:
    """A document of the next key is refused until a trusted key says that it may sign."""
    async with Liar().serve() as liar, following(liar, tmp_path) as agent:
        newer = document("r1/q1", wanted("r1", "q1", TFTP, version=(1, 6), signer=NEXT), 8)
        liar.say(newer)
        assert await becomes(lambda: liar.last("refused"))
        keys = {"version": 2, "signing": NEXT.key, "keys": {NEXT.key: _raw(NEXT.public)}}
        liar.say({"type": "keys", "envelope": SIGNER.sign({"kind": "keys", **keys}).as_plain()})
        liar.say(newer)
        assert await becomes(lambda: agent.ports("q1") == {69})


# -- in the server's store -------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["edit", "replay", "unsigned", "of another host", "nonsense"])
async def test_lies_in_the_store_are_refused_and_shown(tmp_path: Path, how: str) -> None:
    """Who edits the server's store changes no kernel; the host says so, and the API shows it."""
    listening = Listening()
    host = ScriptedHost("a", tmp_path / "a", "q1")
    other = ScriptedHost("b", tmp_path / "b", "q1")
    async with (
        Server(MemoryStore(), new_signer()) as server,
        listening.serve(server),
        host.agent(listening.url, pin(server, tmp_path / "pin")) as agent,
        other.agent(listening.url, tmp_path / "pin"),
    ):
        assert await becomes(lambda: server.feed.watching == 2)
        await server.declare("r1", [("a", "q1")], FTP)
        await server.declare("r2", [("b", "q1")], TFTP)
        old = server.mirror.get("doc/a/r1/q1")
        foreign = server.mirror.get("doc/b/r2/q1")
        assert old is not None and foreign is not None
        router = await server.change("r1", FTP, TFTP)
        assert await server.board.settled(router.id, router.serial, 10)
        current = server.mirror.get("doc/a/r1/q1")
        assert current is not None
        lies = {
            "edit": current.value.replace(b"tftp", b"sane"),
            "replay": old.value,
            "unsigned": json.dumps({"payload": json.loads(current.value)["payload"]}).encode(),
            "of another host": foreign.value,
            "nonsense": b"\xff\n{",
        }
        await server.put("doc/a/r1/q1", lies[how])
        assert await becomes(lambda: server.hosts.show(host.name)["refused"])
        (refused,) = server.hosts.show(host.name)["refused"]
        assert refused["router"] == "r1" and refused["reason"]
        status = server.board.of(router)[FTP.id]
        assert status.state is State.ERROR
        assert refused["reason"] not in str(status)  # which a tenant reads, and this names hosts
        assert agent.ports("q1") == {21, 69}
        watch = await server.feed.join(host.name, None)
        server.feed.leave(watch)
        last = json.loads(b"".join(watch.beginning).splitlines()[-1])
        # The server states nothing that it did not seal; a replay it cannot tell.
        listed = json.loads(last["manifest"]["payload"])["documents"]
        assert list(listed) == (["r1/q1"] if how == "replay" else [])


async def test_what_a_host_could_not_write_down_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk: nothing is enforced that a restart would not know; it is asked for again."""
    async with Liar().serve() as liar, following(liar, tmp_path) as agent:

        def full(*_: object, **__: object) -> None:
            raise JournalError("no space left on device")

        with monkeypatch.context() as patched:
            patched.setattr(agent.belief._cache, "keep", full)
            liar.say(document("r1/q1", wanted("r1", "q1", FTP, TFTP, version=(1, 6)), 8))
            assert await becomes(lambda: len(liar.asked) == 2 and liar.heard)
            assert agent.ports("q1") == {21}
        assert liar.asked[1] == {}
        liar.say(document("r1/q1", wanted("r1", "q1", FTP, TFTP, version=(1, 6)), 8))
        assert await becomes(lambda: agent.ports("q1") == {21, 69})


async def test_large_reports_are_sent_in_parts(tmp_path: Path) -> None:
    """No report has more than a server reads at once."""
    async with Liar().serve() as liar, following(liar, tmp_path) as agent:
        names = [f"n{number}" for number in range(30)]
        for name in names:
            agent.host.kernel.create(name)
        many = [
            Assignment(AssignmentId(f"tcp/{port}"), "ftp", FTP.protocol, port)
            for port in range(1000, 1100)
        ]
        liar.say(*(document(f"r/{name}", wanted("r", name, *many), 8) for name in names))
        assert await becomes(lambda: {each["netns"] for each in liar.last("routers")} >= set(names))
        sizes = [
            sum(len(each["assignments"]) for each in report["routers"]) for report in liar.reports
        ]
        assert max(sizes) <= 1000


@pytest.mark.parametrize("name", ["r1/q1\nERROR all is lost", "x" * 10_000, 7, None])
async def test_no_hint_writes_into_the_log(
    tmp_path: Path, name: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """What nobody signed stands in no line of the log that it could break or fill."""
    async with Liar().serve() as liar, following(liar, tmp_path) as agent:
        liar.say({"type": "document", "document": name, "envelope": None})
        assert await becomes(lambda: agent.belief.refused)
        newer = document("r1/q1", wanted("r1", "q1", FTP, TFTP, version=(1, 6)))
        liar.say({**newer, "request": name})
        assert await becomes(lambda: agent.ports("q1") == {21, 69})
    assert "all is lost" not in caplog.text
    assert max(map(len, caplog.text.splitlines())) < 1000
