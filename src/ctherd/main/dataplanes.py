"""Chooses the dataplane of this host and says why, and builds it with those that it may follow."""

import shutil
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from ctherd import process
from ctherd.dataplane.iptables.dataplane import IptablesDataplane
from ctherd.dataplane.iptables.variant import Variant
from ctherd.dataplane.nftables.dataplane import NftablesDataplane
from ctherd.dataplane.succession import HostDataplane, Predecessor, Succession
from ctherd.errors import ConfigurationError, CtherdError, DataplaneError
from ctherd.main.config import AUTO, Config
from ctherd.model.catalog import Family
from ctherd.netlink.dialogue import Dialogue
from ctherd.netlink.socket import NetlinkSocket
from ctherd.netns.directory import NetnsDirectory
from ctherd.netns.owner import describe_port

NFTABLES: Final = "nftables"

_PROGRAM: Final = "iptables"
_VERSION_WORDS: Final = {"legacy": Variant.LEGACY, "nf_tables": Variant.NFT}


class Choice(NamedTuple):
    """A dataplane by its name, and why it is this one."""

    name: str
    why: str

    @property
    def variant(self) -> Variant | None:
        """Which iptables it is, None for nftables."""
        return None if self.name == NFTABLES else Variant(self.name)


def choose(config: Config, unusable: Callable[[str], str]) -> Choice:
    """Return the dataplane that *config* means on this host.

    Shape: *unusable* says, of a dataplane, why it cannot be used here; "" if it can.
    Raises: ConfigurationError if the configuration forbids it, or leaves none that works.
    """
    allowed = config.dataplanes
    if config.dataplane != AUTO:
        if config.dataplane not in allowed:
            raise ConfigurationError(
                f"dataplane {config.dataplane} is not allowed on this machine",
                where="dataplanes",
                cure=f"allowed are {', '.join(allowed) or 'none'}",
            )
        return Choice(config.dataplane, "configured")
    reasons: list[str] = []
    for name in _by_preference():
        reason = "`dataplanes` does not allow it" if name not in allowed else unusable(name)
        if not reason:
            return Choice(name, "; ".join(["auto", *reasons]))
        reasons.append(f"not {name}: {reason}")
    raise ConfigurationError(
        f"no dataplane can be used here: {'; '.join(reasons)}",
        where="dataplane",
        cure="allow one in `dataplanes`, or install what it needs",
    )


def variant_in_use(config: Config) -> Variant | None:
    """Return which iptables *config* means on this host, None if none can be used, or nftables."""
    try:
        return choose(config, unusable_here).variant
    except ConfigurationError:
        return None


def _by_preference() -> Iterable[str]:
    """Yield nftables first, then that variant of iptables which the host itself uses."""
    yield NFTABLES
    own = host_variant()
    yield from sorted(Variant, key=lambda variant: variant is not own)


def host_variant() -> Variant | None:
    """Return the variant that the command ``iptables`` is on this host, None if it is neither."""
    try:
        said = process.run([_PROGRAM, "--version"], check=False).stdout
    except CtherdError:
        return None
    return next((each for word, each in _VERSION_WORDS.items() if f"({word})" in said), None)


def unusable_here(name: str) -> str:
    """Say why the dataplane *name* cannot be used on this host, "" if it can."""
    if name == NFTABLES:
        return _without_nf_tables()
    missing = [
        program
        for family in Family
        for verb in ("save", "restore")
        if shutil.which(program := Variant(name).program(family, verb)) is None
    ]
    return f"there is no program {missing[0]}" if missing else ""


def _without_nf_tables() -> str:
    own = NetlinkSocket()
    try:
        Dialogue(own, "").generation()
    except (DataplaneError, OSError) as error:
        return f"this kernel has no nf_tables ({error})"
    finally:
        own.close()
    return ""


def every_dataplane(
    directory: NetnsDirectory, *, own_table: bool = True
) -> Mapping[str, Predecessor]:
    """Return all dataplanes by their names."""
    return {
        NFTABLES: NftablesDataplane(
            directory,
            own_table=own_table,
            describe_port=lambda netns, port: describe_port(directory, netns, port),
        ),
        **{variant.value: IptablesDataplane(directory, variant) for variant in Variant},
    }


def build(name: str, directory: NetnsDirectory, *, own_table: bool) -> HostDataplane:
    """Return the dataplane *name*, which takes over from every other one."""
    every = every_dataplane(directory, own_table=own_table)
    former = {other: each for other, each in every.items() if other != name}
    return Succession(every[name], former)
