"""What a resource is made of, as a map of attributes, and how a request body is read by it.

The same maps make the OpenAPI document, the filters and the sort keys. The order of checks, and the
words of every refusal, are the reference's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from ctherd.api.neutron_errors import bad_request, echo
from ctherd.api.values import Reader, Unfit

REQUIRED: Final = object()
"""The default of an attribute that a POST must give."""

Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of a resource.

    Shape: *schema* is its JSON Schema, as a client sees it; *read* makes a value of what a body
    has; *filter* makes one of what a query has, None: no filter; *ours* says that it belongs to
    our own extension, and is shown only to whoever asks for that.
    """

    name: str
    schema: Mapping[str, Any]
    read: Reader | None = None
    post: bool = False
    put: bool = False
    default: Any = REQUIRED
    filter: Reader | None = None
    sorts: bool = False
    shown: bool = True
    ours: bool = False


class ResourceMap:
    """All attributes of one resource.

    Shape: *name* and *collection* as in bodies.
    """

    def __init__(self, name: str, collection: str, attributes: tuple[Attribute, ...]) -> None:
        self.name = name
        self.collection = collection
        self.attributes: Mapping[str, Attribute] = MappingProxyType(
            {each.name: each for each in attributes}
        )
        self.ours = frozenset(each.name for each in attributes if each.ours)

    def read_create(self, body: Any) -> tuple[list[Values], bool]:
        """Return what each resource that *body* creates shall be, and whether it is a bulk.

        Raises: Refused.
        """
        content = self._content(body)
        if self.collection not in content:
            return [self._read_post(content.get(self.name))], False
        items = content[self.collection]
        if not items:
            raise bad_request("Resources required")
        if not isinstance(items, list):
            raise bad_request("Body contains invalid data")
        return [self._read_post(self._item(each)) for each in items], True

    def read_update(self, body: Any) -> Values:
        """Return what *body* changes.

        Raises: Refused.
        """
        content = self._content(body)
        if self.collection in content:
            raise bad_request("Bulk operation not supported")
        given = self._known(content.get(self.name))
        for name, attribute in self.attributes.items():
            if name in given and not attribute.put:
                raise bad_request(f"Cannot update read-only attribute {name}")
        return self._convert(given)

    def _content(self, body: Any) -> Mapping[str, Any]:
        if not body:
            raise bad_request("Resource body required")
        if not isinstance(body, dict):
            raise bad_request("Body contains invalid data")
        return body

    def _item(self, item: Any) -> Any:
        """Return one of a bulk: bare, or once more under the resource's name."""
        return item[self.name] if isinstance(item, dict) and self.name in item else item

    def _read_post(self, given: Any) -> Values:
        known = self._known(given)
        for name, attribute in self.attributes.items():
            if name in known and not attribute.post:
                raise bad_request(f"Attribute '{name}' not allowed in POST")
            if attribute.post and attribute.default is REQUIRED and name not in known:
                raise bad_request(
                    f"Failed to parse request. Required attribute '{name}' not specified"
                )
        defaults = {
            name: attribute.default
            for name, attribute in self.attributes.items()
            if attribute.post and name not in known
        }
        return defaults | self._convert(known)

    def _known(self, given: Any) -> Mapping[str, Any]:
        if given is None:
            raise bad_request(f"Unable to find '{self.name}' in request body")
        if not isinstance(given, dict):
            raise bad_request(f"Object '{self.name}' contains invalid data")
        if unknown := [each for each in given if each not in self.attributes]:
            raise bad_request(f"Unrecognized attribute(s) '{echo(', '.join(unknown))}'")
        return given

    def _convert(self, given: Mapping[str, Any]) -> Values:
        values: Values = {}
        for name, attribute in self.attributes.items():
            if name not in given or attribute.read is None:
                continue
            try:
                values[name] = attribute.read(given[name])
            except Unfit as unfit:
                raise bad_request(f"Invalid input for {name}. Reason: {unfit}.") from unfit
        return values
