"""What this very kernel can do, as `ctherd helpers` lists it."""

from pathlib import Path
from typing import Any

from ctherd.dataplane.nftables.probe import probe_helpers
from ctherd.main.wiring import netns_directory
from ctherd.model.catalog import ALIASES


def kernel_helpers(netns_dir: Path) -> list[dict[str, Any]]:
    """Create every helper of the catalog in a scratch netns; return what the kernel said."""
    return [
        {
            "helper": probed.helper.name,
            "aliases": [
                alias
                for (alias, protocol), name in ALIASES.items()
                if name == probed.helper.name and protocol is probed.protocol
            ],
            "protocol": probed.protocol.value,
            "families": sorted(family.value for family in probed.families),
            "usual_ports": list(probed.helper.usual_ports),
            "risk": probed.helper.risk.value,
            "remark": probed.helper.remark,
            "refused": probed.words,
        }
        for probed in probe_helpers(netns_directory(netns_dir).scratch())
    ]
