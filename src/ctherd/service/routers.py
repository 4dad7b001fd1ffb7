"""The use cases of routers: who may see, make, change, place and delete them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final
from uuid import uuid4

from ctherd.model.document import HOST, NetnsName, RouterId
from ctherd.model.router import HostName, Placement, ProjectId, Router
from ctherd.service.asker import Asker
from ctherd.service.moments import utc_now
from ctherd.service.permission import Permission
from ctherd.service.publish import Publisher
from ctherd.service.records import router_as_plain
from ctherd.service.refusals import Forbidden, Hidden, RouterUnknown
from ctherd.service.router_book import Kept, RouterBook
from ctherd.service.router_writer import Edit, RouterWriter
from ctherd.service.slots import Slots

GET: Final = "get_router"
CREATE: Final = "create_router"
UPDATE: Final = "update_router"
DELETE: Final = "delete_router"
GET_PLACEMENTS: Final = "ctherd:get_placements"
UPDATE_PLACEMENTS: Final = "ctherd:update_placements"

Place = tuple[HostName, NetnsName | None]
"""A placement as somebody asks for it; without a netns it is named after the router."""


@dataclass(frozen=True, slots=True)
class WantedRouter:
    """A router as somebody asks for it; *fields* are fields of Router, which have defaults."""

    project: ProjectId
    places: Sequence[Place] = ()
    fields: Mapping[str, Any] = field(default_factory=dict)


class Routers:
    """Reads and changes routers, for askers who may.

    Raises: from every method RecordUnsound; from those that change also Forbidden, PlaceTaken,
    Contended, Unavailable, Overloaded.
    """

    def __init__(
        self,
        book: RouterBook,
        writer: RouterWriter,
        slots: Slots,
        permission: Permission,
        publisher: Callable[[], Publisher],
        now: Callable[[], str] = utc_now,
        *,
        default_host: HostName | None = None,
    ) -> None:
        self._book = book
        self._writer = writer
        self._slots = slots
        self._permission = permission
        self._publisher = publisher
        self._now = now
        self._default_host = default_host

    def visible(self, asker: Asker) -> Iterable[Router]:
        """Yield every router that *asker* may see, in no order."""
        for project in self._book.projects():
            if self._permission.given(GET, asker, project):
                yield from (kept.router for kept in self._book.of_project(project))

    def show(self, asker: Asker, router: str) -> Router:
        """Return *router*.

        Raises: RouterUnknown.
        """
        kept = self._find(router)
        if not self._permission.given(GET, asker, kept.router.project):
            raise RouterUnknown(router)
        return kept.router

    def sees_placements(self, asker: Asker, router: Router) -> bool:
        """Tell whether *asker* may know where *router* lives."""
        return self._permission.given(GET_PLACEMENTS, asker, router.project)

    async def create(self, asker: Asker, wanted: Sequence[WantedRouter]) -> list[Router]:
        """Make all of *wanted*, or none; return them in that order.

        A router that nobody places goes to the default host, if there is one: that is the
        operator's choice, for which its author needs no permission.
        """
        for each in wanted:
            await self._permission.to_create(CREATE, asker, each.project)
            if each.places:
                await self._may_place(asker, each.project, each.places)
        now = self._now()
        made = [_new(self._placed(each), now) for each in wanted]
        publisher = self._publisher()
        entry = asker.allowed(
            CREATE, made[0], after={"routers": [router_as_plain(each) for each in made]}
        )
        await self._writer.declare([publisher.declare(each) for each in made], entry)
        return made

    async def update(
        self,
        asker: Asker,
        router: str,
        changes: Mapping[str, Any],
        places: Sequence[Place] | None = None,
    ) -> Router:
        """Change what *changes* names (fields of Router); unless *places* is None, move it there.

        Raises: RouterUnknown.
        """
        owner = await self._may_change(UPDATE, asker, router)
        if places is not None:
            await self._may_place(asker, owner.project, places, router=owner)
            changes = {**changes, "placements": _placements(owner.id, places)}
        now = self._now()

        def decide(kept: Kept | None) -> Edit | None:
            return self._change(asker, _existing(kept, router), changes, now)

        published = await self._writer.carry_out(owner.id, decide)
        if published is None or published.router is None:
            return self._find(router).router
        return published.router

    async def delete(self, asker: Asker, router: str) -> Router:
        """Delete *router* and its helpers; return it as its last version tells its hosts.

        Raises: RouterUnknown.
        """
        owner = await self._may_change(DELETE, asker, router)
        last = owner

        def decide(kept: Kept | None) -> Edit:
            nonlocal last
            before = _existing(kept, router)
            last = replace(before.router, serial=before.router.serial + 1, helpers={})
            return Edit(
                self._publisher().withdraw(before.router, before.revision),
                asker.allowed(DELETE, before.router, before=router_as_plain(before.router)),
                writes=tuple(self._slots.give_back(before.router.helpers)),
            )

        await self._writer.carry_out(owner.id, decide)
        return last

    def _change(
        self, asker: Asker, kept: Kept, changes: Mapping[str, Any], now: str
    ) -> Edit | None:
        before = kept.router
        if replace(before, **changes) == before:
            return None
        revision_number = before.revision_number + 1
        after = replace(before, **changes, revision_number=revision_number, updated_at=now)
        told_before, told_after = router_as_plain(before), router_as_plain(after)
        changed = [name for name in told_after if told_after[name] != told_before[name]]
        return Edit(
            self._publisher().change(before, kept.revision, after, now),
            asker.allowed(
                UPDATE,
                before,
                before={name: told_before[name] for name in changed},
                after={name: told_after[name] for name in changed},
            ),
        )

    async def _may_change(self, rule: str, asker: Asker, router: str) -> Router:
        owner = self._find(router).router
        try:
            await self._permission.to_change(rule, GET, asker, owner)
        except Hidden as error:
            raise RouterUnknown(router) from error
        return owner

    def _placed(self, wanted: WantedRouter) -> WantedRouter:
        if wanted.places or self._default_host is None:
            return wanted
        return replace(wanted, places=((self._default_host, None),))

    async def _may_place(
        self,
        asker: Asker,
        project: ProjectId,
        places: Sequence[Place],
        *,
        router: Router | None = None,
    ) -> None:
        await self._permission.to_create(UPDATE_PLACEMENTS, asker, project, router=router)
        if asker.caller.host_netns_forbidden and any(netns == HOST for _, netns in places):
            await self._permission.deny(asker, UPDATE_PLACEMENTS, "host-netns", router=router)
            raise Forbidden(UPDATE_PLACEMENTS)

    def _find(self, router: str) -> Kept:
        return _existing(self._book.find(router), router)


def _existing(kept: Kept | None, router: str) -> Kept:
    if kept is None:
        raise RouterUnknown(router)
    return kept


def _new(wanted: WantedRouter, now: str) -> Router:
    drawn = RouterId(str(uuid4()))
    made = Router(
        id=drawn,
        project=wanted.project,
        name="",
        serial=1,
        revision_number=1,
        created_at=now,
        updated_at=now,
        placements=_placements(drawn, wanted.places),
    )
    return replace(made, **wanted.fields)


def _placements(router: RouterId, places: Iterable[Place]) -> tuple[Placement, ...]:
    named = (Placement(host, netns or NetnsName(f"qrouter-{router}")) for host, netns in places)
    return tuple(dict.fromkeys(named))
