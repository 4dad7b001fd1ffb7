"""``ctherd demo``: the whole story on this very kernel, with real transfers and the real command.

Each step says what it shows, does it, and checks it; the first check that does not come out ends
the demo with an error. What an outsider would do is done with ``nft``; what a user would do, with
``ctherd up`` and HTTP. Nothing here knows how ctherd does it.
"""

import os
import socket
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, TextIO

from ctherd.demo import extras, kernel, witness
from ctherd.demo.command_line import CTHERD, CommandLine
from ctherd.demo.lab import Lab
from ctherd.demo.rest import Rest
from ctherd.demo.story import Story
from ctherd.demo.transfers import (
    FTP_ACTIVE_V4,
    FTP_PASSIVE_V4,
    TFTP_V4,
    WAYS,
    Attempt,
    Loop,
    Way,
)
from ctherd.demo.witness import Table, Watch
from ctherd.errors import CtherdError, PrivilegeMissing
from ctherd.model.catalog import Helper, Protocol, by_name
from ctherd.process import Child, Completed

_FTP: Final = {"helper": "ftp", "protocol": "tcp", "port": 21}
_TFTP: Final = {"helper": "tftp", "protocol": "udp", "port": 69}
_IMPOSSIBLE: Final = {"helper": "amanda", "protocol": "tcp", "port": 10080}

_ROUTERS: Final = "/v2.0/routers"
_WAIT_S: Final = 10

_ROUND: Final = 20
"""Transfers that are waited for before, while and after the agent is dead."""


class StepFailed(CtherdError):
    """A step of the demo did not come out as it must."""

    code: ClassVar[str] = "demo"


def run_demo(out: TextIO, ctherd: Sequence[str] = CTHERD) -> int:
    """Tell and check the whole story; return 0 if every step came out, else 1.

    Whatever happens, the namespaces and the files of the demo are gone afterwards.
    """
    story = Story(out)
    started_s = time.monotonic()
    try:
        _require()
        with tempfile.TemporaryDirectory(prefix="ctherd-demo-") as directory:
            command = CommandLine(story, Path(directory), ctherd)
            try:
                _tell(story, command)
            except CtherdError:
                story.quote_log(command.log)
                raise
    except CtherdError as error:
        story.failed(error)
        return 1
    story.end(f"Every step came out, in {time.monotonic() - started_s:.0f} s. Nothing is left.")
    return 0


def _require() -> None:
    if os.geteuid() != 0:
        raise PrivilegeMissing("the demo builds network namespaces, so it needs root", cure="sudo")
    extras.require()


def _tell(story: Story, command: CommandLine) -> None:
    story.step("A client, a NAT router and a server, in namespaces of their own")
    started_s = time.monotonic()
    with Lab.open() as lab:
        names = ", ".join(station.name for station in lab.net.stations)
        story.outcome(f"{names}: up in {(time.monotonic() - started_s) * 1000:.0f} ms")
        story.say("The server serves FTP and TFTP. The router masquerades IPv4, and lets in only")
        story.say("what belongs to a connection that the client opened.")
        demo = Demo(story, command, lab)
        for step in demo.steps:
            step()


@dataclass(frozen=True, slots=True)
class Demo:
    """The steps, each of which builds on what the ones before it left in the router."""

    story: Story
    command: CommandLine
    lab: Lab

    @property
    def steps(self) -> tuple[Callable[[], None], ...]:
        """All steps, in order."""
        return (
            self.nothing_works,
            self.declare,
            self.others_are_refused,
            self.others_are_repaired,
            self.the_impossible_is_refused,
            self.one_is_isolated,
            self.killed_without_a_gap,
            self.withdraw,
        )

    # -- the steps -------------------------------------------------------------------------------

    def nothing_works(self) -> None:
        """Show that no way works without a helper."""
        self.story.step("Without helpers, no transfer works")
        self._all_fail(WAYS)

    def declare(self) -> None:
        """Show that every way works once it is declared over HTTP, and how soon."""
        self.story.step("Start ctherd without any set-up, and declare two helpers over HTTP")
        self.command.configure()
        with self._up() as up, self._rest() as rest:
            placements = [{"host": socket.gethostname(), "netns": self.lab.net.router.name}]
            router = {"name": "edge", "placements": placements}
            rest.ask("POST", _ROUTERS, {"router": router}, expect=201)
            with Watch.of(self.lab.net.router) as watch:
                answer = rest.ask("POST", self._helpers(rest), _body(_FTP), expect=201)
                came = watch.next()
            self._check(came.added, "the table did not come")
            self.story.outcome(
                f"Answered after {answer.took_ms:.1f} ms; in the kernel, as nft monitor saw it, "
                f"{(came.time_s - answer.asked_s) * 1000:.1f} ms after it was asked"
            )
            self._declare(rest, _TFTP, "active")
            self.command.run("show", "--server", self._url())
            self._all_work(WAYS)
            self.command.end(up)

    def others_are_refused(self) -> None:
        """Show that the kernel refuses everybody else while an agent owns the table."""
        self.story.step("An agent guards the table: whoever edits it is refused by the kernel")
        with self._up() as agent:
            before = self._table()
            self._is_refused("delete", "element", "inet", "ctherd", "assign", "{ tcp . 21 }")
            self._is_refused("delete", "table", "inet", "ctherd")
            self._nft("flush", "ruleset")
            self._check(self._table() == before, "the table is not what it was before the flush")
            self.story.outcome("The flush took the router's own rules, and passed over the table")
            self.lab.net.install_firewall()
            self.story.say("(The router's own firewall is loaded again.)")
            self._all_work(WAYS)
            self.command.end(agent)

    def others_are_repaired(self) -> None:
        """Show that without ownership the same flush hits, and is repaired at once."""
        self.story.step("The same without ownership: the flush hits, and is repaired")
        with self._up("--no-own-table") as agent:
            before = self._table().lines
            gap_ms = self._flush_and_wait()
            self._check(self._table().lines == before, "the table is not what it was before")
            self.story.outcome(f"Flushed, and repaired in {gap_ms:.1f} ms (as nft monitor saw it)")
            self.lab.net.install_firewall()
            self.story.say("(The router's own firewall is loaded again.)")
            self._all_work(WAYS)
            self.command.end(agent)

    def the_impossible_is_refused(self) -> None:
        """Show that what no kernel can do is refused before anything is touched."""
        self.story.step("What no kernel can do is refused with the reason; nothing is touched")
        with self._up() as up, self._rest() as rest:
            before = self._table()
            refusal = rest.ask("POST", self._helpers(rest), _body(_IMPOSSIBLE), expect=400)
            words = str(refusal.body["NeutronError"]["message"])
            self._check("udp" in words, f"the refusal does not say what is possible: {words}")
            self._check(self._table() == before, "the table changed although it was refused")
            self.story.outcome("Refused; the table is as it was")
            self.command.end(up)

    def one_is_isolated(self) -> None:
        """Show that one helper that may not or cannot be leaves its neighbours alone."""
        refused = kernel.refused_helper()
        if refused is None:
            self.story.step("One helper is denied by local policy; its neighbours stay")
            self.story.say("(This kernel has every helper of the catalog, so it refuses none:")
            self.story.say("what denies here is the policy of this machine.)")
            refused = by_name("sip"), Protocol.UDP
            self.story.quote(self.command.configure(kill=["sip"]).read_text(encoding="utf-8"))
        else:
            self.story.step("One helper is refused by this kernel; its neighbours stay")
        self._isolate(*refused)

    def killed_without_a_gap(self) -> None:
        """Show that transfers and table survive the agent's death and return."""
        self.story.step("The agent is killed and restarted, while transfers go on")
        self.command.configure()
        router = self.lab.net.router
        with (
            self._up() as first,
            Watch.of(router) as watch,
            self.lab.loop(FTP_PASSIVE_V4) as passive,
            self.lab.loop(FTP_ACTIVE_V4) as active,
        ):
            before = self._table()
            loops = (passive, active)
            attempts = _follow(loops)
            first.kill()
            self.story.say(f"$ kill -9 {first.pid}")
            attempts += _follow(loops)
            with self._up() as second:
                attempts += _follow(loops)
                for loop in loops:
                    attempts += loop.finish()
                self._check_attempts(attempts)
                self._check(not watch.so_far(router), "the table came or went meanwhile")
                self._check(self._table() == before, "the table is another one than before")
                self.story.outcome(
                    f"{len(attempts)} transfers before, while and after the agent was dead: all "
                    "succeeded"
                )
                self.story.outcome("The table was never absent, and is the same one")
                self._is_refused("delete", "table", "inet", "ctherd")
                self.command.end(second)

    def withdraw(self) -> None:
        """Show that a router which is deleted leaves nothing in the kernel."""
        self.story.step("Withdraw: a router that is deleted leaves nothing behind")
        with self._up() as up, self._rest() as rest:
            path = f"{_ROUTERS}/{self._router(rest)}?wait={_WAIT_S}"
            rest.ask("DELETE", path, expect=204)
            ruleset = self.lab.net.router.run(["nft", "list", "ruleset"]).stdout
            self._check("ctherd" not in ruleset, f"something of ctherd is left: {ruleset}")
            self.story.outcome("nft list ruleset shows no trace of ctherd in the router")
            self._all_fail(WAYS)
            self.command.end(up)

    # -- what the steps are made of --------------------------------------------------------------

    def _isolate(self, helper: Helper, protocol: Protocol) -> None:
        entry = {
            "helper": helper.name,
            "protocol": protocol.value,
            "port": helper.usual_ports[0],
        }
        with self._up() as up, self._rest() as rest:
            made = self._declare(rest, entry, "denied", "error")
            listing = "\n".join(self._table().lines)
            self._check(helper.name not in listing, f"{helper.name} is in the table: {listing}")
            self.story.outcome(f"{helper.name} is not in the table")
            self._all_work((FTP_ACTIVE_V4, FTP_PASSIVE_V4, TFTP_V4))
            member = f"{self._helpers(rest)}/{made['id']}?wait={_WAIT_S}"
            rest.ask("DELETE", member, expect=204)
            self.command.end(up)

    def _declare(self, rest: Rest, helper: dict[str, Any], *statuses: str) -> dict[str, Any]:
        path = f"{self._helpers(rest)}?wait={_WAIT_S}"
        answer = rest.ask("POST", path, _body(helper), expect=201)
        made: dict[str, Any] = answer.body["conntrack_helper"]
        fitting = made["status"] in statuses
        self._check(fitting, f"its status is {made['status']}: {made['status_reason']}")
        reason = f": {made['status_reason']}" if made["status_reason"] else ""
        self.story.outcome(f"{helper['helper']} is {made['status']}{reason}")
        return made

    def _router(self, rest: Rest) -> str:
        (router,) = rest.ask("GET", f"{_ROUTERS}?name=edge&fields=id").body["routers"]
        return str(router["id"])

    def _helpers(self, rest: Rest) -> str:
        return f"{_ROUTERS}/{self._router(rest)}/conntrack_helpers"

    def _up(self, *options: str) -> AbstractContextManager[Child]:
        return self.command.daemon("up", "--listen", "127.0.0.1:0", *options)

    def _rest(self) -> AbstractContextManager[Rest]:
        token = (self.command.server_state / "admin-token").read_text(encoding="ascii").strip()
        return Rest.at(self.story, self._url(), token)

    def _url(self) -> str:
        return (self.command.server_state / "url").read_text(encoding="ascii").strip()

    def _nft(self, *words: str, check: bool = True) -> Completed:
        completed = self.lab.net.router.run(["nft", *words], check=check)
        self.story.command(f"nft {' '.join(words)}   # somebody, in the router", completed)
        return completed

    def _is_refused(self, *words: str) -> None:
        completed = self._nft(*words, check=False)
        refused = completed.returncode != 0 and "Operation not permitted" in completed.stderr
        self._check(refused, f"nft {' '.join(words)} was not refused with EPERM")
        self.story.outcome("Refused: Operation not permitted")

    def _flush_and_wait(self) -> float:
        """Flush, and return how many milliseconds the table was gone."""
        router = self.lab.net.router
        with Watch.of(router) as watch, router.spawn(["nft", "flush", "ruleset"]) as flush:
            # Watched while it runs: the table is back before the program has ended.
            gone, back = watch.next(), watch.next()
            flush.wait(10.0)
        self.story.say("$ nft flush ruleset   # somebody, in the router")
        self._check(not gone.added and back.added, "the table did not go and come back")
        return (back.time_s - gone.time_s) * 1000

    def _table(self) -> Table:
        table = witness.table(self.lab.net.router)
        if table is None:
            raise StepFailed("there is no table inet ctherd in the router")
        return table

    def _all_fail(self, ways: Sequence[Way]) -> None:
        with (
            self.story.waiting("waiting for clients to give up …"),
            # At once, because each takes its time to give up.
            ThreadPoolExecutor(len(ways)) as pool,
        ):
            attempts = list(pool.map(self.lab.attempt, ways))
        for attempt in attempts:
            self._check(not attempt.succeeded, f"worked although no helper is there: {attempt}")
            self.story.outcome(f"{attempt}")

    def _all_work(self, ways: Sequence[Way]) -> None:
        for way in ways:
            attempt = self.lab.attempt(way)
            self._check(attempt.succeeded, str(attempt))
            self.story.outcome(str(attempt))

    def _check_attempts(self, attempts: Sequence[Attempt]) -> None:
        for attempt in attempts:
            self._check(attempt.succeeded, str(attempt))

    def _check(self, came_out: bool, otherwise: str) -> None:
        if not came_out:
            raise StepFailed(otherwise)


def _body(helper: dict[str, Any]) -> dict[str, Any]:
    return {"conntrack_helper": helper}


def _follow(loops: Sequence[Loop]) -> list[Attempt]:
    now_s = time.monotonic()
    return [attempt for loop in loops for attempt in loop.follow(now_s, _ROUND)]
