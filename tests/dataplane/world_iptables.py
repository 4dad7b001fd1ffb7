"""A netns whose place is a chain in the raw tables, and what others do to it."""

import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from ctherd import process
from ctherd.dataplane.iptables import names, narrowing, side
from ctherd.dataplane.iptables import rule as rules
from ctherd.dataplane.iptables.dataplane import IptablesDataplane
from ctherd.dataplane.iptables.lock import XtablesLock
from ctherd.dataplane.iptables.programs import Programs
from ctherd.dataplane.iptables.rule import Rule
from ctherd.dataplane.iptables.variant import Variant
from ctherd.model.assignment import AssignmentKey
from ctherd.model.catalog import Family
from ctherd.model.document import NetnsName
from ctherd.model.observation import Tag
from ctherd.model.safe_scope import WIDE, SafeScope
from ctherd.netns.directory import NetnsDirectory
from ctherd.netns.enter import entered
from tests.dataplane.contract import FTP, FTP_2121, OTHER_TAG, TAG, TFTP


@dataclass
class IptablesWorld:
    """A netns whose place is a chain in the raw tables, with jumps to it."""

    directory: NetnsDirectory
    variant: Variant
    netns: NetnsName
    stack: ExitStack
    lock: Path
    tag: Tag = TAG
    counted: bool = False
    scope: SafeScope = WIDE

    def dataplane(self, *, own_table: bool) -> IptablesDataplane:
        made = IptablesDataplane(self.directory, self.variant, lock=XtablesLock(self.lock))
        made.narrow(self.scope)
        return made

    @property
    def names(self) -> names.Names:
        return names.names_of(self.tag)

    @property
    def programs(self) -> Programs:
        """The programs as the dataplane runs them."""
        return Programs(self.variant, XtablesLock(self.lock).environment)

    def stranger(self, family: Family, *words: str, table: str = "raw") -> None:
        """Let somebody else run iptables on a table."""
        self._run([self.variant.program(family), "-w", "5", "-t", table, *words])

    def both(self, *words: str, table: str = "raw") -> None:
        """The same for both families."""
        for family in Family:
            self.stranger(family, *words, table=table)

    def restore(self, family: Family, text: str) -> None:
        """Let somebody else load rules, of any table."""
        self._run([self.variant.program(family, "restore"), "--noflush", "-w", "5"], text)

    def save(self, family: Family, *options: str) -> str:
        """What iptables-save prints, without what changes every time."""
        saved = self._run([self.variant.program(family, "save"), *options])
        return "".join(line for line in saved.splitlines(True) if not line.startswith("#"))

    def _run(self, argv: Sequence[str], text: str | None = None) -> str:
        with self.directory.held(self.netns) as fd:
            env = {"XTABLES_LOCKFILE": f"{self.lock}-of-strangers"}
            return process.run(argv, netns_fd=fd, env=env, input=text).stdout

    def rule(self, key: AssignmentKey, comment: str = "") -> list[str]:
        """The words of a rule as we would write it, but for the chain."""
        return rules.render(Rule(key), comment or self.names.comment).split()

    def touch(self) -> None:
        self.stranger(
            Family.IPV4, *["-A", "PREROUTING", "-p", "tcp", "--dport", "4711", "-j", "ACCEPT"]
        )

    def contents(self) -> list[object]:
        """Lines with counters. The first call sends packets: what is made anew has seen none."""
        if not self.counted:
            self.counted = True
            self._send_packets()
        return [
            line
            for family in Family
            for line in self.save(family, "-c", "-t", "raw").splitlines()
            if self.names.chain in line and not line.startswith(":")
        ]

    def _send_packets(self) -> None:
        """Let every rule of FTP and TFTP that does not look at destinations see a packet."""
        with self.directory.held(self.netns) as fd, entered(fd):
            process.run(["ip", "link", "set", "lo", "up"])
            for version, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
                with socket.socket(version, socket.SOCK_DGRAM) as udp:
                    udp.sendto(b"", (address, TFTP.port))
                with socket.socket(version, socket.SOCK_STREAM) as tcp:
                    tcp.connect_ex((address, FTP.port))

    def exists(self) -> bool:
        return any(self.names.chain in self.save(family) for family in Family)

    def squat(self, comment: str) -> None:
        # What nobody can guess is known to us alone: squatting supposes that it leaked.
        mark = comment.partition(".")[0]
        marked = ["-m", "comment", "--comment", mark] if mark else []
        self.both("-N", self.names.chain)
        words = ["-p", "tcp", "--dport", "2121", "-j", "CT", "--helper", "ftp"]
        self.both("-A", self.names.chain, *marked, *words)

    def holder(self, mark: str) -> str:
        place = f"ipv4 chain {self.names.chain} of table raw"
        if mark:
            return f"{place} bears the mark {mark}, which is not ours here"
        return f"{place} does not bear our mark"

    @property
    def vandalism(self) -> Mapping[str, Callable[[], None]]:
        chain, v4, v6 = self.names.chain, Family.IPV4, Family.IPV6
        jump = self.jump("PREROUTING")
        newline = f"x\n-A {chain} -p tcp -m tcp --dport 99 -j CT --helper ftp"
        return {
            "a rule": lambda: self.stranger(v4, "-A", chain, "-p", "tcp", "-j", "ACCEPT"),
            "a rule of IPv6 alone": lambda: self.stranger(v6, "-I", chain, "-j", "DROP"),
            "a helper without a mark": lambda: self.both(
                "-A", chain, *["-p", "tcp", "--dport", "2121", "-j", "CT", "--helper", "ftp"]
            ),
            "a helper with another mark": lambda: self.both(
                "-A", chain, *self.rule(FTP_2121, OTHER_TAG)
            ),
            "a rule of ours with something more": lambda: self.both(
                "-A", chain, "-i", "lo", *self.rule(FTP_2121)
            ),
            "a rule of ours twice": lambda: self.both("-A", chain, *self.rule(FTP)),
            "a rule of ours with a needless destination": lambda: self.stranger(
                v4, "-A", chain, "-d", "192.0.2.0/24", *self.rule(FTP)
            ),
            "a comment with a line in it": lambda: self.both(
                "-A", chain, "-m", "comment", "--comment", newline
            ),
            "a comment with quotes": lambda: self.both(
                "-A", chain, "-m", "comment", "--comment", "a \"b\" 'c' \\d $(e) `f`"
            ),
            "a jump twice": lambda: self.both("-I", "PREROUTING", *jump),
            "a jump that is gone": lambda: self.stranger(v6, "-D", "OUTPUT", *self.jump("OUTPUT")),
            "a jump behind an end": lambda: self.both("-I", "OUTPUT", "-j", "ACCEPT"),
            "an empty chain": lambda: self.both("-F", chain),
            "everything flushed": lambda: self.both("-F"),
            **(self._vandalism_of_what_narrows() if self.scope != WIDE else {}),
        }

    def _vandalism_of_what_narrows(self) -> Mapping[str, Callable[[], None]]:
        chain, entry = self.names.chain, narrowing.entry_of(self.names)
        direct = side.jump(self.names).split()
        forward = ["-I", "FORWARD", "-p", "tcp", "-j", "ACCEPT"]
        return {
            "a way past what narrows": lambda: self.both("-I", "PREROUTING", *direct),
            "a hole in what narrows": lambda: self.both("-I", entry, *direct),
            "what narrows flushed": lambda: self.both("-F", entry),
            "related: flushed": lambda: self.both("-F", chain, table="security"),
            "related: everything flushed": lambda: self.both("-F", table="security"),
            "related: a hole": lambda: self.both("-I", chain, "-j", "RETURN", table="security"),
            "related: before us": lambda: self.both(*forward, table="security"),
            "related: a jump that is gone": lambda: self.stranger(
                Family.IPV6, "-D", "INPUT", *direct, table="security"
            ),
        }

    def jump(self, base: str) -> list[str]:
        """The words of our jump from a base chain."""
        narrowed = base == "PREROUTING" and self.scope.narrows_assignment
        return (side.entry_jump if narrowed else side.jump)(self.names).split()

    def unhook(self, hook: str) -> None:
        self.both("-D", hook.upper(), *self.jump(hook.upper()))

    def take_out(self, key: AssignmentKey) -> None:
        self.both("-D", self.names.chain, *self.rule(key))

    def put_in(self, key: AssignmentKey) -> None:
        self.both("-A", self.names.chain, *self.rule(key))

    def destroy(self) -> None:
        for base in ("PREROUTING", "OUTPUT"):
            self.both("-D", base, *self.jump(base))
        if self.scope.narrows_assignment:
            self.both("-F", narrowing.entry_of(self.names))
            self.both("-X", narrowing.entry_of(self.names))
        if self.scope.related:
            for base in narrowing.HOOKS:
                self.both("-D", base, *side.jump(self.names).split(), table="security")
            self.both("-F", self.names.chain, table="security")
            self.both("-X", self.names.chain, table="security")
        self.both("-F", self.names.chain)
        self.both("-X", self.names.chain)
