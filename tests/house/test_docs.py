"""What the documentation copies from the product is the same there."""

import re
from collections.abc import Iterator
from pathlib import Path

from ctherd.authz.rules import NAMES
from ctherd.guard.policy import kernel_names
from ctherd.main.config import parse_config, reference_text
from ctherd.model.catalog import BOTH, HELPERS, Helper, Risk

DOCS = Path(__file__).parents[2] / "docs"


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def tables(text: str) -> Iterator[list[list[str]]]:
    """Yield the rows below the head of each table, cell by cell, without any markup."""
    for table in re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE):
        lines = table.replace("`", "").splitlines()[2:]
        yield [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def row(helper: Helper) -> list[str]:
    return [
        helper.name,
        ", ".join(helper.protocols),
        "both" if helper.families == BOTH else "IPv4",
        ", ".join(map(str, helper.usual_ports)),
        helper.risk.value,
        helper.remark,
    ]


def test_the_page_on_configuration_shows_the_reference() -> None:
    """The whole of it, word by word: `ctherd schema --config` prints the same."""
    assert f"```toml\n{reference_text()}```\n" in page("configuration.md")


def test_the_page_on_the_herd_file_lists_the_catalog() -> None:
    """Every helper, in the order of the catalog, with the words that `ctherd helpers` uses."""
    assert [row(helper) for helper in HELPERS] in list(tables(page("file.md")))


def test_the_page_on_policy_names_every_rule_of_ours() -> None:
    """And none that there is not."""
    ours = {each for each in NAMES if each.startswith("ctherd:")}
    assert set(re.findall(r"`(ctherd:\w+)`", page("policy.md"))) == ours


def test_the_secure_profile_is_a_configuration() -> None:
    """It is taken as it stands on the page, and is stricter than the default in all it names."""
    profile = page("safe-scope.md").partition("```toml\n")[2].partition("```")[0]
    policy = parse_config(profile, "safe-scope.md").policy
    assert policy.scope.related and policy.scope.narrows_assignment
    assert not policy.allow_tls_ports
    assert {each.name for each in HELPERS if each.risk is Risk.HIGH} == kernel_names(
        policy.require_destinations
    )
