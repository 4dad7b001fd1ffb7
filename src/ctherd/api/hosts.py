"""What agents ask and tell, and what administrators see of hosts: everything under /v1/hosts."""

import json
from functools import partial
from typing import Any, Final

from starlette.routing import Route

from ctherd.api.answer import Answer, answer
from ctherd.api.endpoint import Endpoint, Stream, Visit, whole
from ctherd.api.gate import Gate
from ctherd.api.limits import Limits, Places
from ctherd.api.neutron_errors import NOT_FOUND, Fault, Refused, bad_request
from ctherd.api.stream import stream
from ctherd.authz.caller import Identity
from ctherd.errors import InvalidDeclaration, NotFound
from ctherd.model.router import HostName
from ctherd.service.feed import Feed, Since
from ctherd.service.hosts import HostAlive, Hosts
from ctherd.service.report import read_report
from ctherd.service.reports import Reports
from ctherd.store.port import Revision

_PATH: Final = "/v1/hosts"
_CONFLICT: Final = "HostInUse"


class HostEndpoints:
    """Serves agents and administrators."""

    def __init__(
        self,
        gate: Gate,
        hosts: Hosts,
        feed: Feed,
        reports: Reports,
    ) -> None:
        self._gate = gate
        self._hosts = hosts
        self._feed = feed
        self._reports = reports

    def routes(self, identity: Identity, limits: Limits) -> list[Route]:
        """Return the routes to here."""
        host = f"{_PATH}/{{host}}"
        report = partial(self.report, Places(limits))
        return [
            Endpoint(identity, limits, self.list).at(_PATH, "GET"),
            Endpoint(identity, limits, self.show_or_forget).at(host, "GET", "DELETE"),
            Endpoint(identity, limits, self.watch).at(f"{host}/watch", "GET"),
            Endpoint(identity, limits, report).at(f"{host}/report", "POST"),
        ]

    async def list(self, visit: Visit) -> Answer:
        """Return every host."""
        await self._gate.admit("ctherd:get_host", visit, {"host": ""})
        return answer({"hosts": [self._hosts.show(each) for each in self._hosts.names()]})

    async def show_or_forget(self, visit: Visit) -> Answer:
        """Return one host, or forget a dead one."""
        try:
            if visit.scope["method"] == "DELETE":
                return await self._forget(visit)
            await self._admit("ctherd:get_host", visit)
            return answer({"host": self._hosts.show(_host(visit))})
        except NotFound as error:
            raise Refused(NOT_FOUND) from error

    async def watch(self, visit: Visit) -> Stream:
        """Stream all that the host has, and what comes."""
        await self._admit("ctherd:watch_host", visit)
        since = _since(visit)
        watch = await self._feed.join(_host(visit), since)
        self._hosts.seen(watch.host)
        leave = partial(self._feed.leave, watch)
        return partial(stream, watch.mailbox, watch.beginning, leave)

    async def report(self, places: Places, visit: Visit) -> Answer:
        """Take note of what an agent says, if one of *places* is free."""
        await self._admit("ctherd:report_host", visit)
        try:
            report = read_report(_json(await visit.body()))
        except InvalidDeclaration as error:
            raise bad_request(str(error), "BadRequest") from error
        host = _host(visit)
        with places.one(), places.one_of(host):
            await self._reports.take(host, report, visit.asker)
        return answer({})

    async def _forget(self, visit: Visit) -> Answer:
        host = _host(visit)
        rule = "ctherd:delete_host"
        await self._admit(rule, visit)
        try:
            await self._reports.forget(host, visit.asker)
        except (HostAlive, InvalidDeclaration) as error:
            raise Refused(Fault(409, _CONFLICT, f"{error}.")) from error
        return Answer(204)

    async def _admit(self, rule: str, visit: Visit) -> None:
        await self._gate.admit(rule, visit, {"host": visit.path["host"]})


def _host(visit: Visit) -> HostName:
    return HostName(visit.path["host"])


def _since(visit: Visit) -> Since | None:
    epoch = whole(visit.query("epoch"), "epoch")
    revision = whole(visit.query("since"), "since")
    if epoch is None or revision is None:
        return None
    return Since(epoch, Revision(revision))


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidDeclaration("the body is no JSON") from error
