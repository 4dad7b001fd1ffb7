"""The `policy.yaml`: what it may say, and the decider of oslo.policy that comes of it.

Everything that oslo.policy would silently take for "never" is refused here, so that a slip of the
pen is seen when it is made. Refused, too, are checks that would ask another server (``http:``): a
decision must depend on nothing but the caller, the target and the rules.
"""

import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from oslo_config import cfg
from oslo_policy import policy as oslo

from ctherd.authz.rules import NAMES, RULES
from ctherd.errors import ConfigurationError

_log = logging.getLogger(__name__)

_REMOTE: Final = ("http", "https")

_TRIAL: Final = {"project_id": "p", "tenant_id": "p", "user_id": "u", "host": "h"}
"""Somebody and something to try a check on, that it does not fail at the first request."""


def overrides(path: Path | None) -> dict[str, str]:
    """Return the rules that *path* gives, by name; without a path none.

    Raises: ConfigurationError.
    """
    if path is None:
        return {}
    try:
        given: Any = oslo.parse_file_contents(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        words = getattr(error, "strerror", None) or str(error)
        raise ConfigurationError(f"the policy cannot be read: {words}", where=str(path)) from error
    if not isinstance(given, dict):
        raise ConfigurationError(
            "this is no policy: it does not map names to rules",
            where=str(path),
            cure="`ctherd policy sample` writes one",
        )
    for name, check in given.items():
        if not isinstance(name, str) or not isinstance(check, str):
            raise ConfigurationError(
                f"{name}: {check!r} is not a rule", where=str(path), cure="write it in quotes"
            )
    return given


def enforcer(given_rules: Mapping[str, str], where: str) -> oslo.Enforcer:
    """Return what decides by the defaults and *given_rules*, which *where* gave.

    Raises: ConfigurationError.
    """
    conf = cfg.ConfigOpts()
    conf([], default_config_files=[], default_config_dirs=[])
    # Without use_conf it reads no file by itself, which it would look for at every check.
    made = oslo.Enforcer(conf, default_rule="default", use_conf=False)
    made.register_defaults([oslo.RuleDefault(rule.name, rule.check) for rule in RULES])
    given = {name: oslo.RuleDefault(name, check) for name, check in given_rules.items()}
    used = _used({**made.registered_rules, **given})
    for name in given.keys() & used:
        _refuse_unmeant(given[name], made, where)
    if unused := sorted(given.keys() - used):
        _log.warning("%s: nothing here asks for %s", where, ", ".join(unused))
    made.set_rules({name: rule.check for name, rule in used.items()})
    try:
        made.check_rules(raise_on_violation=True)
    except oslo.InvalidDefinitionError as error:
        what = f"a rule refers to one that does not exist, or to itself: {error}"
        raise ConfigurationError(what, where=where) from error
    return made


def _used(rules: Mapping[str, oslo.RuleDefault]) -> dict[str, oslo.RuleDefault]:
    """Return those of *rules* that can decide anything here.

    A policy.yaml of a whole Neutron names much that does not exist here, and need not.
    """
    used: dict[str, oslo.RuleDefault] = {}
    wanted = set(NAMES)
    while wanted:
        name = wanted.pop()
        if name not in rules or name in used:
            continue
        used[name] = rules[name]
        wanted |= {str(leaf.match) for leaf in _leaves(rules[name].check) if _kind(leaf) == "rule"}
    return used


def _refuse_unmeant(rule: oslo.RuleDefault, made: oslo.Enforcer, where: str) -> None:
    """Refuse what oslo.policy would take for "never", fail at, or ask somebody else for.

    Raises: ConfigurationError.
    """
    leaves = list(_leaves(rule.check))
    if any(_kind(leaf) in _REMOTE for leaf in leaves):
        raise ConfigurationError(
            f"{rule.name}: {rule.check_str!r} would ask another server at every request",
            where=where,
            cure="decide by role, project_id, user_id and host",
        )
    never = sum(str(leaf) == "!" for leaf in leaves)
    try:
        for leaf in leaves:
            leaf(_TRIAL, {**_TRIAL, "roles": ["member"]}, made, None)
        meant = never <= re.split(r"[\s()]+", rule.check_str).count("!")
    except (ValueError, TypeError, LookupError):
        meant = False
    if not meant:
        raise ConfigurationError(f"{rule.name}: {rule.check_str!r} is not a rule", where=where)


def _kind(leaf: Any) -> str:
    return str(getattr(leaf, "kind", ""))


def _leaves(check: Any) -> Iterator[Any]:
    inner = list(getattr(check, "rules", ()))
    if (negated := getattr(check, "rule", None)) is not None:
        inner.append(negated)
    if not inner:
        yield check
    for each in inner:
        yield from _leaves(each)
