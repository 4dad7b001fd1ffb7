"""What the use cases of the server refuse, and why: plain facts, for any face to put into words."""

from collections.abc import Sequence

from ctherd.errors import CtherdError, InvalidDeclaration, NotFound
from ctherd.model.assignment import AssignmentKey
from ctherd.model.document import RouterId
from ctherd.model.router import Placement


class HelperNotAllowed(CtherdError):
    """The kernel has no such helper, or the caller may not have it; *rule* says which, if any."""

    code = "helper-not-allowed"

    def __init__(self, helper: str, rule: str = "", words: str = "") -> None:
        super().__init__(words or f"Conntrack Helper {helper} is not allowed")
        self.helper = helper
        self.rule = rule


class ProtocolUnsupported(CtherdError):
    """The helper does not speak that protocol."""

    code = "protocol-unsupported"

    def __init__(self, helper: str, protocol: str, supported: Sequence[str]) -> None:
        super().__init__(f"helper {helper} does not speak {protocol}")
        self.helper = helper
        self.protocol = protocol
        self.supported = tuple(supported)


class DuplicateHelper(CtherdError):
    """The router has that very helper at that port already; *key* as it was declared first."""

    code = "duplicate"

    def __init__(self, router: RouterId, key: AssignmentKey) -> None:
        super().__init__(f"{key} is declared already", where=router)
        self.router = router
        self.key = key


class HelpersExclude(InvalidDeclaration):
    """Another helper has that port already, for some of the same destinations."""


class HelperUnknown(NotFound):
    """The router, if there is one, has no helper with that id."""

    def __init__(self, helper: str) -> None:
        super().__init__(f"there is no helper {helper!r}")
        self.helper = helper


class RouterUnknown(NotFound):
    """There is no router with that id that the caller may know of."""

    def __init__(self, router: str) -> None:
        super().__init__(f"there is no router {router!r}")
        self.router = router


class Hidden(NotFound):
    """It exists, but the caller may not know."""

    def __init__(self) -> None:
        super().__init__("it is hidden from this caller")


class Forbidden(CtherdError):
    """The caller may know of it, and may not do that; *rule* is the policy rule that says so."""

    code = "forbidden"

    def __init__(self, rule: str) -> None:
        super().__init__(f"rule {rule} does not allow it")
        self.rule = rule


class OverQuota(CtherdError):
    """The router or the project (*whose*) has as many helpers as it may have."""

    code = "quota"

    def __init__(self, limit: int, whose: str) -> None:
        super().__init__(f"the {whose} may have {limit} helpers")
        self.rule = f"profile:quota_per_{whose}"


class PlaceTaken(CtherdError):
    """Another router lives there, or its helpers are being removed there still."""

    code = "place-taken"

    def __init__(self, placement: Placement) -> None:
        super().__init__(
            f"{placement.netns} on {placement.host} belongs to another router, or is being cleared"
        )
        self.placement = placement


class RecordUnsound(CtherdError):
    """Somebody else than a server wrote this router's record: nothing is built on it."""

    code = "record-unsound"

    def __init__(self, router: RouterId) -> None:
        super().__init__("the record's seal does not fit", where=router)
