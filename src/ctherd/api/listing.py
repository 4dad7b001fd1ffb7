"""Reading a list: filters, fields, order and pages, pure, as the reference does it.

Everything that a query says is checked before anything is read.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

from ctherd.api.attributes import ResourceMap
from ctherd.api.neutron_errors import bad_request, echo
from ctherd.api.values import Unfit

Query = Sequence[tuple[str, str]]
"""Names and values in the order in which they stood in the URL."""

Item = Mapping[str, Any]

EXTENSION: Final = "extension"
"""Names the extension whose attributes an answer shall show."""

_ORDER: Final = ("sort_key", "sort_dir")
_PAGE: Final = ("limit", "marker", "page_reverse")
_RESERVED: Final = frozenset({"fields", EXTENSION, *_ORDER, *_PAGE})


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list is wanted; *limit* 0 is all of it."""

    limit: int = 0
    marker: str = ""
    backwards: bool = False


@dataclass(frozen=True, slots=True)
class Listing:
    """What one query wants to see of a collection.

    Shape: *filters* is names to accepted values; *order* is pairs (name, ascending).
    """

    fields: frozenset[str] = frozenset()
    filters: Mapping[str, frozenset[Any]] = field(default_factory=dict)
    order: tuple[tuple[str, bool], ...] = ()
    page: Page = Page()

    def mentions(self, names: frozenset[str]) -> bool:
        """Tell whether any of *names* decides what is in the answer."""
        return bool(
            names & self.fields
            or not names.isdisjoint(self.filters)
            or any(name in names for name, _ in self.order)
        )

    def pick(self, items: Iterable[Item]) -> list[Item]:
        """Return the items of the page, in order, before their fields are selected."""
        found = [item for item in items if self._fits(item)]
        order = self.order if any(name == "id" for name, _ in self.order) else (*self.order, _BY_ID)
        for name, ascending in reversed(order):
            found.sort(key=_key(name), reverse=not ascending)
        return self._cut(found)

    def select(self, item: Item) -> Item:
        """Return *item* with no more than the fields that were asked for."""
        if not self.fields:
            return item
        return {name: value for name, value in item.items() if name in self.fields}

    def _fits(self, item: Item) -> bool:
        return all(item.get(name) in accepted for name, accepted in self.filters.items())

    def _cut(self, found: list[Item]) -> list[Item]:
        page = self.page
        if not page.limit:
            return found
        if not page.marker:
            return found[-page.limit :] if page.backwards else found[: page.limit]
        at = self._position(found)
        if page.backwards:
            return found[max(at - page.limit, 0) : at]
        after = at + 1 if at < len(found) and found[at]["id"] == page.marker else at
        return found[after : after + page.limit]

    def _position(self, found: Sequence[Item]) -> int:
        """Return where the marker is; or, when ids give the order, where it would be."""
        for index, item in enumerate(found):
            if item["id"] == self.page.marker:
                return index
        if not self.order:
            # Who deletes what it lists must still get to the end of the list.
            return sum(item["id"] < self.page.marker for item in found)
        raise bad_request(
            f"Bad marker request: {echo(self.page.marker)} is not in the list.", "BadRequest"
        )


_BY_ID: Final = ("id", True)


def _key(name: str) -> Callable[[Item], Any]:
    def key(item: Item) -> Any:
        value = item.get(name)
        return (value is not None, value)

    return key


# -- reading the query -----------------------------------------------------------------------------


def read(query: Query, resource: ResourceMap) -> Listing:
    """Return what *query* wants to see of *resource*.

    Raises: Refused.
    """
    return Listing(
        fields(query),
        _filters(query, resource),
        _order(query, resource),
        _page(query),
    )


def fields(query: Query) -> frozenset[str]:
    """Return the names of the fields that *query* asks for; empty: all."""
    return frozenset(value for name, value in query if name == "fields" and value)


def _filters(query: Query, resource: ResourceMap) -> dict[str, frozenset[Any]]:
    wanted: dict[str, set[Any]] = {}
    unknown: list[str] = []
    for name, value in query:
        if name in _RESERVED:
            continue
        attribute = resource.attributes.get(name)
        if attribute is None or attribute.filter is None:
            unknown.append(echo(name))
        elif value:
            wanted.setdefault(name, set()).add(_filter_value(name, attribute.filter, value))
    if unknown:
        raise bad_request(f"{list(dict.fromkeys(unknown))} is invalid attribute for filtering")
    return {name: frozenset(values) for name, values in wanted.items()}


def _filter_value(name: str, read_value: Callable[[str], Any], value: str) -> Any:
    try:
        return read_value(value)
    except Unfit as unfit:
        raise bad_request(f"Invalid input for {name}. Reason: {unfit}.") from unfit


def _order(query: Query, resource: ResourceMap) -> tuple[tuple[str, bool], ...]:
    keys = _all(query, "sort_key")
    directions = _all(query, "sort_dir")
    if len(keys) != len(directions):
        raise bad_request("The number of sort_keys and sort_dirs must be same")
    known = {name for name, attribute in resource.attributes.items() if attribute.sorts}
    if unknown := [echo(key) for key in keys if key not in known]:
        raise bad_request(f"{unknown} is invalid attribute for sort_keys")
    if wrong := [echo(each) for each in directions if each not in ("asc", "desc")]:
        raise bad_request(
            f"{wrong} is invalid value for sort_dirs, valid value is 'asc' and 'desc'"
        )
    return tuple((key, way == "asc") for key, way in zip(keys, directions, strict=True))


def _page(query: Query) -> Page:
    limit = _last(query, "limit")
    if limit is None:
        return Page()
    if not (limit.isascii() and limit.isdigit() and len(limit) < 19):
        raise bad_request(
            f"Bad limit request: Limit must be an integer 0 or greater and not '{echo(limit)}'.",
            "BadRequest",
        )
    backwards = (_last(query, "page_reverse") or "").lower() == "true"
    return Page(int(limit), _last(query, "marker") or "", backwards)


def _all(query: Query, wanted: str) -> list[str]:
    return [value for name, value in query if name == wanted and value]


def _last(query: Query, wanted: str) -> str | None:
    return next((value for name, value in reversed(query) if name == wanted), None)


# -- links -----------------------------------------------------------------------------------------


def links(url: str, query: Query, page: Page, items: Sequence[Item]) -> list[dict[str, str]]:
    """Return the links from this page to the others, none without a limit.

    Shape: a full page has a next one even if it is the last, and any page forward a previous one.
    """
    if not page.limit:
        return []
    partial = len(items) < page.limit
    found = []
    if page.backwards or not partial:
        found.append({"rel": "next", "href": _link(url, query, items, -1)})
    if not (page.backwards and partial):
        found.append({"rel": "previous", "href": _link(url, query, items, 0, backwards=True)})
    return found


def _link(
    url: str, query: Query, items: Sequence[Item], mark: int, *, backwards: bool = False
) -> str:
    kept = [(name, value) for name, value in query if name not in ("marker", "page_reverse")]
    if items:
        kept.append(("marker", items[mark]["id"]))
    if backwards:
        kept.append(("page_reverse", "True"))
    return f"{url}?{urlencode(kept)}"
