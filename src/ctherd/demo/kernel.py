"""Ask this kernel which helpers of the catalog it lacks, with ``nft`` in a scratch namespace."""

from ctherd import process
from ctherd.model.catalog import HELPERS, Helper, Protocol
from ctherd.netns.enter import unshared


def refused_helper() -> tuple[Helper, Protocol] | None:
    """Return one that the kernel refuses to create, or None if it has them all.

    Raises: PrivilegeMissing unless we are root; ToolMissing.
    """
    with unshared() as netns_fd:
        for helper in HELPERS:
            for protocol in helper.protocols:
                if not accepted(helper.name, protocol, netns_fd):
                    return helper, protocol
    return None


def accepted(name: str, protocol: Protocol, netns_fd: int) -> bool:
    """Tell whether the kernel creates the helper *name*; nothing of it stays in the namespace."""
    ruleset = (
        "table inet probe {\n"
        f'  ct helper probed {{ type "{name}" protocol {protocol}; }}\n'
        "}\n"
        "delete table inet probe\n"
    )
    completed = process.run(["nft", "-f", "-"], input=ruleset, check=False, netns_fd=netns_fd)
    return completed.returncode == 0
