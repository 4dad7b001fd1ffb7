"""Chains: base chains with their hooks, and regular ones."""

import errno
from dataclasses import replace

from ctherd.testing.nf_tables.state import Chain, Hook
from ctherd.testing.nf_tables.transaction import Transaction, required
from ctherd.testing.refusal import Absent, NotModelled, Refused
from ctherd.testing.wire import EXCLUSIVE, REPLACE, Attribute, Attributes, Message

_TABLE, _HANDLE, _NAME, _HOOK, _POLICY, _TYPE, _USERDATA = 1, 2, 3, 4, 5, 7, 12
_HOOK_NUMBER, _HOOK_PRIORITY = 1, 2
_DROP, _ACCEPT = 0, 1
_PREROUTING, _INPUT, _FORWARD, _OUTPUT, _POSTROUTING = range(5)
_INGRESS = 5
_CONNTRACK_PRIORITY = -200

_HOOKS_OF_TYPE = {
    "filter": {_PREROUTING, _INPUT, _FORWARD, _OUTPUT, _POSTROUTING},
    "nat": {_PREROUTING, _INPUT, _OUTPUT, _POSTROUTING},
    "route": {_OUTPUT},
}


def new(transaction: Transaction, message: Message) -> None:
    """NEWCHAIN: create, or change the policy. Re-adding an equal chain is a commit, too."""
    attributes = message.attributes()
    table = transaction.writable(message.family, attributes)
    name = required(attributes, _NAME)[0]
    existing = table.chains.get(name.text)
    policy = _policy(attributes, existing)
    if existing is None:
        hook = _hook(attributes[_HOOK], attributes, policy) if _HOOK in attributes else None
        draft = transaction.touch(table.key)
        userdata = attributes[_USERDATA].payload if _USERDATA in attributes else None
        draft.chains[name.text] = Chain(name.text, draft.next_handle(), hook, userdata)
        return
    if message.flags & EXCLUSIVE:
        raise Refused(errno.EEXIST, at=name)
    if message.flags & REPLACE:
        raise Refused(errno.EOPNOTSUPP)
    changed = _update(existing, attributes, policy)
    transaction.unsettle(table)
    transaction.touch(table.key).chains[name.text] = changed


def delete(transaction: Transaction, message: Message) -> None:
    """DELCHAIN: remove a chain with its rules, unless another chain jumps to it."""
    attributes = message.attributes()
    table = transaction.writable(message.family, attributes)
    if _HANDLE in attributes:
        raise NotModelled("deleting a chain by handle")
    name = required(attributes, _NAME)[0]
    if name.text not in table.chains:
        raise Absent(name)
    others = (c for c in table.chains.values() if c.name != name.text)
    if any(name.text in rule.chains for chain in others for rule in chain.rules):
        raise Refused(errno.EBUSY, at=name)
    if table.chains[name.text].hook is not None:
        transaction.unsettle(table)
    del transaction.touch(table.key).chains[name.text]


def _policy(attributes: Attributes, existing: Chain | None) -> int | None:
    if _POLICY not in attributes:
        return None
    if existing is not None and existing.hook is None:
        raise Refused(errno.EOPNOTSUPP, at=attributes[_POLICY])
    if existing is None and _HOOK not in attributes:
        raise Refused(errno.EOPNOTSUPP, at=attributes[_POLICY])
    if attributes[_POLICY].number not in (_DROP, _ACCEPT):
        raise Refused(errno.EINVAL)
    return attributes[_POLICY].number


def _hook(nest: Attribute, attributes: Attributes, policy: int | None) -> Hook:
    inner = nest.nested()
    if _HOOK_NUMBER not in inner or _HOOK_PRIORITY not in inner:
        raise Refused(errno.EINVAL if _TYPE in attributes else errno.ENOENT)
    kind = attributes[_TYPE].text if _TYPE in attributes else "filter"
    if kind not in _HOOKS_OF_TYPE:
        raise Refused(errno.ENOENT, at=attributes[_TYPE])
    number = inner[_HOOK_NUMBER].number
    if number == _INGRESS:
        raise NotModelled("the ingress hook")
    priority = int.from_bytes(inner[_HOOK_PRIORITY].payload, "big", signed=True)
    too_early = kind == "nat" and priority <= _CONNTRACK_PRIORITY
    if number not in _HOOKS_OF_TYPE[kind] or too_early:
        raise Refused(errno.EOPNOTSUPP)
    return Hook(number, priority, kind, _ACCEPT if policy is None else policy)


def _update(chain: Chain, attributes: Attributes, policy: int | None) -> Chain:
    if _HOOK in attributes:
        _check_same_hook(chain, _hook(attributes[_HOOK], attributes, policy), attributes)
    if policy is None or chain.hook is None:
        return chain
    return replace(chain, hook=replace(chain.hook, policy=policy))


def _check_same_hook(chain: Chain, wanted: Hook, attributes: Attributes) -> None:
    if chain.hook is None or chain.hook.kind != wanted.kind:
        raise Refused(errno.EEXIST, at=attributes[_HOOK])
    if (chain.hook.number, chain.hook.priority) != (wanted.number, wanted.priority):
        raise Refused(errno.EOPNOTSUPP)
