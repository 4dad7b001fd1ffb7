"""Finds everything that any dataplane of ctherd left in any netns, and removes it."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ctherd.dataplane.iptables.dataplane import IptablesDataplane
from ctherd.dataplane.succession import HostDataplane, remove_all
from ctherd.errors import CtherdError, NetnsAbsent
from ctherd.main.dataplanes import every_dataplane
from ctherd.main.wiring import Host
from ctherd.model.document import HOST, NetnsName
from ctherd.model.observation import Observation, Ownership, Tag
from ctherd.ports import ObserveRequest
from ctherd.process import ToolMissing


class Trace(NamedTuple):
    """What one dataplane holds in one netns under *tag*, which the journal knows if *recorded*."""

    netns: NetnsName
    dataplane: str
    tag: Tag
    recorded: bool
    what: str


def uninstall(host: Host, *, really: bool, unrecorded: bool) -> list[dict[str, Any]]:
    """Return every trace, and what became of it; with *really*, remove what is recorded.

    Shape: with *unrecorded* what bears a mark that the journal does not know is removed as well. A
    netns whose traces are all gone is forgotten by the journal.
    """
    dataplanes = every_dataplane(host.directory)
    records = {netns: record.tag for netns, record in host.journal.load().items()}
    answers: list[dict[str, Any]] = []
    for netns in dict.fromkeys((HOST, *host.directory.names(), *records)):
        found = list(_search(dataplanes, netns, records.get(netns)))
        for each in found if really else ():
            if isinstance(each, Trace) and (each.recorded or unrecorded):
                error = remove_all(dataplanes[each.dataplane], netns, each.tag)
                answers.append(_as_data(each, removed=error is None, error=str(error or "")))
            else:
                answers.append(_as_data(each))
        answers += [] if really else map(_as_data, found)
        if really and netns in records:
            _forget(host, netns, [each for each in answers if each["netns"] == netns])
        for dataplane in dataplanes.values():
            dataplane.release([netns])
    return answers


def _search(
    dataplanes: Mapping[str, HostDataplane], netns: NetnsName, tag: Tag | None
) -> Iterator[Trace | tuple[NetnsName, str, CtherdError]]:
    for name, dataplane in dataplanes.items():
        try:
            yield from _search_one(name, dataplane, netns, tag)
        except NetnsAbsent:
            return  # with the netns everything in it is gone
        except ToolMissing:
            continue  # without its programs it was never used here
        except CtherdError as error:
            yield netns, name, error


def _search_one(
    name: str, dataplane: HostDataplane, netns: NetnsName, tag: Tag | None
) -> Iterator[Trace]:
    if tag is not None:
        seen = _observe(dataplane, netns, tag)
        if seen.ownership is Ownership.OURS:
            yield Trace(netns, name, tag, True, _what(seen))
    for mark in _marks(dataplane, netns):
        if mark != tag:
            yield Trace(netns, name, mark, False, _what(_observe(dataplane, netns, mark)))


def _marks(dataplane: HostDataplane, netns: NetnsName) -> list[Tag]:
    if isinstance(dataplane, IptablesDataplane):
        return dataplane.marks(netns)
    mark = _observe(dataplane, netns, None).mark
    return [Tag(mark)] if mark else []


def _observe(dataplane: HostDataplane, netns: NetnsName, tag: Tag | None) -> Observation:
    (seen,) = dataplane.observe([ObserveRequest(netns, tag)])
    if isinstance(seen, CtherdError):
        raise seen
    assert isinstance(seen, Observation), "nothing was known of it"
    return seen


def _what(seen: Observation) -> str:
    if seen.ownership is Ownership.FOREIGN:
        return seen.holder
    return ", ".join(sorted(map(str, seen.live))) or "nothing that works"


def _as_data(
    found: Trace | tuple[NetnsName, str, CtherdError], *, removed: bool = False, error: str = ""
) -> dict[str, Any]:
    if isinstance(found, Trace):
        return {**found._asdict(), "removed": removed, "error": error}
    netns, name, problem = found
    nothing = Trace(netns, name, Tag(""), False, "")
    return {**nothing._asdict(), "removed": False, "error": str(problem)}


def _forget(host: Host, netns: NetnsName, answers: list[dict[str, Any]]) -> None:
    if all(each["removed"] for each in answers if each["recorded"] or each["error"]):
        host.journal.drop([netns])
