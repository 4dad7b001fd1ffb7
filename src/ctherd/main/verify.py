"""Puts the parts of `ctherd verify` together: who knows the router, who looks, who keeps it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from ctherd.agent.client import ask
from ctherd.dataplane.modules import HelperModules
from ctherd.herdfile.read import read_herd
from ctherd.journal.evidence import as_data
from ctherd.main.config import Config
from ctherd.main.wiring import netns_directory, opened
from ctherd.model.document import NetnsName
from ctherd.model.evidence import Evidence
from ctherd.service.evidence import Judged, as_shown
from ctherd.verify.target import Target, read_targets
from ctherd.verify.verify import Finding, Verifier

_AT_ONCE: Final = 16
"""Pieces of evidence in one request: the control socket bounds how long a line may be."""


def verify_router(config: Config, router: str, assignment: str, *, probe: bool) -> dict[str, Any]:
    """Verify *router*, or one assignment of it, and keep what was found.

    Shape: *assignment* as in HostService.targets; the answer is what `-o json` prints.
    Raises: NotFound, and what opening the state directory raises.
    """
    told = _targets(config, router, assignment)
    verifier = Verifier(
        netns_directory(config.netns_dir),
        HelperModules().nat_missing,
        _now,
        may_probe=probe and bool(told["may_probe"]) and config.policy.allow_probe,
    )
    targets = read_targets(told)
    found = [(each, verifier.verify(each)) for each in targets]
    for target, findings in found:
        _keep(config, target.netns, [each.evidence for each in findings])
    return {"routers": [_shown(target, findings) for target, findings in found]}


def all_proven(answer: dict[str, Any]) -> bool:
    """Tell whether everything that *answer* speaks of was proven."""
    return all(
        each["result"] == "proven" for router in answer["routers"] for each in router["evidence"]
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _targets(config: Config, router: str, assignment: str) -> dict[str, Any]:
    request = {"operation": "targets", "router": router, "assignment": assignment}
    told = ask(config.state_dir, request)
    if told is not None:
        return told
    documents = read_herd(config.file).documents if config.file.exists() else None
    with opened(config, stays=False, changes=False) as host:
        return host.service.targets(documents, router, assignment)


def _keep(config: Config, netns: NetnsName, found: Sequence[Evidence]) -> None:
    """Let the agent keep it, if there is one: it holds the state directory, and reports."""
    for start in range(0, len(found), _AT_ONCE):
        some = found[start : start + _AT_ONCE]
        said = {"operation": "evidence", "netns": netns, "evidence": [*map(as_data, some)]}
        if ask(config.state_dir, said) is not None:
            continue
        with opened(config, stays=False) as host:
            host.service.keep_evidence(netns, found)
        return


def _shown(target: Target, findings: Sequence[Finding]) -> dict[str, Any]:
    return {
        "router": target.router,
        "netns": target.netns,
        "evidence": [
            {
                "protocol": each.evidence.key.protocol.value,
                "port": each.evidence.key.port,
                "helper": each.evidence.key.helper,
                "family": each.evidence.family.value,
                **as_shown(Judged(each.evidence, "")),
                "checks": [
                    {"what": check.what, "holds": check.holds, "words": check.words}
                    for check in each.checks
                ],
            }
            for each in findings
        ],
    }
