"""What is in the ruleset of a router, and whose it is: as the system's own programs list it."""

from ctherd.lab.namespace import Namespace
from tests.openstack.site import assigned


def in_tree(router: Namespace) -> list[str]:
    """The rules of Neutron's own extension, of both families."""
    return [line for line in _saved(router, "-t", "raw") if "-cth" in line]


def neutrons(router: Namespace) -> list[str]:
    """What Neutron's iptables manager has there, but for counters and for its own extension."""
    lines = [line for line in _saved(router) if line[:1] in "-:"]
    return [line.split(" [")[0] for line in lines if "-cth" not in line and "ctherd" not in line]


def ours(router: Namespace) -> bool:
    """Tell whether anything of us is there, whichever dataplane made it."""
    ruleset = router.run(["nft", "list", "ruleset"]).stdout
    return "ctherd" in ruleset.lower() or any("ctherd-" in line for line in _legacy(router))


def table(router: Namespace) -> list[str]:
    """Our table, line by line, but for the name of the program that guards it."""
    listed = router.run(["nft", "--stateless", "list", "table", "inet", "ctherd"], check=False)
    return [line.split(" # ")[0].strip() for line in listed.stdout.splitlines()]


def guarded(router: Namespace) -> bool:
    """Tell whether the kernel keeps everybody else from our table."""
    return any(_is_flags(line) and "owner" in line for line in table(router))


def contents(router: Namespace) -> list[str]:
    """Our table, guarded or not."""
    return [line for line in table(router) if not _is_flags(line)]


def ports(router: Namespace) -> set[int]:
    """The ports that have a helper of ours, whichever dataplane made it."""
    saved = (*_saved(router, "-t", "raw"), *_legacy(router))
    chain = [line for line in saved if line.startswith("-A ctherd-")]
    return assigned(router) | {int(line.split("--dport ")[1].split()[0]) for line in chain}


def _is_flags(line: str) -> bool:
    # One that nft does not know, as that of a table that had an owner, it prints as nothing.
    return line.split(" ")[0] == "flags"


def _saved(router: Namespace, *options: str) -> list[str]:
    programs = ("iptables-save", "ip6tables-save")
    said = (router.run([program, *options]).stdout for program in programs)
    return [line for text in said for line in text.splitlines()]


def _legacy(router: Namespace) -> list[str]:
    """The raw tables that no other program shows; to list one that is not there would make it."""
    names = {"iptables": "/proc/net/ip_tables_names", "ip6tables": "/proc/net/ip6_tables_names"}
    there = [
        program
        for program, path in names.items()
        if "raw" in router.run(["cat", path], check=False).stdout.split()
    ]
    said = (router.run([f"{each}-legacy-save", "-t", "raw"]).stdout for each in there)
    return [line for text in said for line in text.splitlines()]
