"""The policy: which rule lets whom do what, decided by oslo.policy.

The rules of ``rules.py`` hold, overridden by name in a `policy.yaml`. A file that cannot be meant
stops a start, and while running it changes nothing: the rules that held before hold on. A decision
depends on nothing but the caller, the target and the rules, and so it can be remembered.
"""

import logging
import os
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from oslo_policy import policy as oslo

from ctherd.authz.caller import Caller
from ctherd.authz.policy_file import enforcer, overrides
from ctherd.authz.rules import FOR_AGENTS, NAMES, RULES
from ctherd.errors import ConfigurationError, LocalProtocolError
from ctherd.model.router import ProjectId

_log = logging.getLogger(__name__)

LOOK_INTERVAL_S: Final = 1.0
"""How long a change of the file may go unnoticed."""

# An evaluation takes oslo.policy about 130 µs; it introspects every check of the tree.
_REMEMBERED: Final = 10_000


class _FileMark(NamedTuple):
    """What tells one version of a file from the next."""

    inode: int
    size: int
    mtime_ns: int


class Policy:
    """Decides by the default rules and the overrides in *path*, read again when that changes.

    Raises: ConfigurationError, on construction, for a file that cannot be read or meant.
    """

    def __init__(
        self, path: Path | None = None, *, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self.trouble = ""
        self._path = path
        self._now_s = now_s
        self._looked_at_s = now_s()
        self._mark = _mark(path)
        self._decide = _remembering(enforcer(overrides(path), str(path)))

    def allows(self, rule: str, caller: Caller, target: Mapping[str, str]) -> bool:
        """Tell whether *rule* lets *caller* do something to *target*.

        Shape: *target* is ``owned_by(project)`` for a router and its helpers, ``{"host": name}``
        for a host, and empty for everything else.
        Raises: LocalProtocolError for a rule that does not exist.
        """
        if rule not in NAMES:
            raise LocalProtocolError(f"there is no policy rule {rule!r}")
        if caller.host is not None and rule not in FOR_AGENTS:
            return False
        self._look()
        return self._decide(rule, caller, tuple(target.items()))

    def _look(self) -> None:
        now_s = self._now_s()
        if self._path is None or now_s - self._looked_at_s < LOOK_INTERVAL_S:
            return
        self._looked_at_s = now_s
        mark = _mark(self._path)
        if mark != self._mark:
            self._mark = mark
            self._read_again(self._path)

    def _read_again(self, path: Path) -> None:
        try:
            self._decide = _remembering(enforcer(overrides(path), str(path)))
        except ConfigurationError as error:
            self.trouble = str(error)
            _log.error("%s; the rules that held before hold on", error)
        else:
            self.trouble = ""
            _log.info("%s: the policy was read again", path)


def owned_by(project: ProjectId) -> Mapping[str, str]:
    """Return the target that stands for a router of *project*, and for each of its helpers."""
    return {
        "project_id": project,
        "tenant_id": project,
        "ext_parent:project_id": project,
        "ext_parent:tenant_id": project,
    }


def sample_policy() -> str:
    """Return a `policy.yaml` that says every default in comments, and changes nothing."""
    return "\n".join(_sample_rules())


def _sample_rules() -> Iterator[str]:
    for rule in RULES:
        words = textwrap.wrap(rule.description, 96) + [f"  {each}" for each in rule.requests]
        yield "".join(f"# {line}\n" for line in words) + f'#"{rule.name}": "{rule.check}"\n'


# -- one decision ----------------------------------------------------------------------------------

_Decide = Callable[[str, Caller, tuple[tuple[str, str], ...]], bool]


def _remembering(rules: oslo.Enforcer) -> _Decide:
    def decide(rule: str, caller: Caller, target: tuple[tuple[str, str], ...]) -> bool:
        return bool(rules.authorize(rule, dict(target), _credentials(caller)))

    return lru_cache(_REMEMBERED)(decide)


def _credentials(caller: Caller) -> dict[str, Any]:
    """Return what checks compare with a target; what the caller has not is not there at all.

    None would be spelled "None" by oslo.policy, and equal to whatever bears that name.
    """
    found = {
        "user_id": caller.user,
        "project_id": caller.project,
        "tenant_id": caller.project,
        "host": caller.host,
    }
    return {name: value for name, value in found.items() if value} | {"roles": [*caller.roles]}


def _mark(path: Path | None) -> _FileMark | None:
    try:
        found = os.stat(path) if path else None
    except OSError:
        return None
    return _FileMark(found.st_ino, found.st_size, found.st_mtime_ns) if found else None
