"""The rules of the policy: their names, their defaults, and what each one decides.

Names and defaults up to the first of ctherd's own are those of the reference (Neutron 29,
neutron/conf/policies/base.py, router.py and l3_conntrack_helper.py), as far as they concern
routers and their helpers, so that a `policy.yaml` written for it means the same here.
"""

from typing import Final, NamedTuple

_ADMIN: Final = "rule:admin_only"
_OWNER_MEMBER: Final = f"({_ADMIN}) or (role:member and project_id:%(project_id)s)"
_OWNER_READER: Final = f"({_ADMIN}) or (role:reader and project_id:%(project_id)s)"
_PARENT_MEMBER: Final = f"({_ADMIN}) or (role:member and rule:ext_parent_owner)"
_PARENT_READER: Final = f"({_ADMIN}) or (role:reader and rule:ext_parent_owner)"
_AGENT: Final = "host:%(host)s"

_HELPERS: Final = "/v2.0/routers/{router_id}/conntrack_helpers"
_HELPER: Final = f"{_HELPERS}/{{conntrack_helper_id}}"


class Rule(NamedTuple):
    """One rule: its *check* in the language of oslo.policy, and the requests that it decides."""

    name: str
    check: str
    description: str
    requests: tuple[str, ...] = ()


RULES: Final = (
    # -- words for the rules below ---------------------------------------------------------------
    Rule("context_is_admin", "role:admin", "Who is an administrator of everything"),
    Rule("admin_only", "rule:context_is_admin", "Administrators alone"),
    Rule("owner", "project_id:%(project_id)s", "The project that owns what is asked for"),
    Rule(
        "admin_or_owner",
        "rule:context_is_admin or rule:owner",
        "Administrators, or the owning project",
    ),
    Rule(
        "ext_parent_owner",
        "project_id:%(ext_parent:project_id)s",
        "The project that owns the router of a conntrack helper",
    ),
    Rule(
        "admin_or_ext_parent_owner",
        "rule:context_is_admin or project_id:%(ext_parent:project_id)s",
        "Administrators, or the project that owns the router of a conntrack helper",
    ),
    Rule("service_api", "role:service", "Other services of the cloud"),
    Rule("regular_user", "", "Everybody who was authenticated"),
    Rule("default", "rule:admin_or_owner", "What holds for a name that no rule has"),
    # -- routers ---------------------------------------------------------------------------------
    Rule("create_router", _OWNER_MEMBER, "Create a router", ("POST /v2.0/routers",)),
    Rule(
        "get_router",
        _OWNER_READER,
        "Get a router",
        ("GET /v2.0/routers", "GET /v2.0/routers/{id}"),
    ),
    Rule("update_router", _OWNER_MEMBER, "Update a router", ("PUT /v2.0/routers/{id}",)),
    Rule("delete_router", _OWNER_MEMBER, "Delete a router", ("DELETE /v2.0/routers/{id}",)),
    # -- conntrack helpers -----------------------------------------------------------------------
    Rule(
        "create_router_conntrack_helper",
        _PARENT_MEMBER,
        "Create a router conntrack helper",
        (f"POST {_HELPERS}",),
    ),
    Rule(
        "get_router_conntrack_helper",
        _PARENT_READER,
        "Get a router conntrack helper",
        (f"GET {_HELPERS}", f"GET {_HELPER}"),
    ),
    Rule(
        "update_router_conntrack_helper",
        _PARENT_MEMBER,
        "Update a router conntrack helper",
        (f"PUT {_HELPER}",),
    ),
    Rule(
        "delete_router_conntrack_helper",
        _PARENT_MEMBER,
        "Delete a router conntrack helper",
        (f"DELETE {_HELPER}",),
    ),
    # -- ctherd's own ----------------------------------------------------------------------------
    Rule(
        "ctherd:get_placements",
        _ADMIN,
        "See on which hosts and in which namespaces a router is",
        ("GET /v2.0/routers", "GET /v2.0/routers/{id}", "GET /v1/events"),
    ),
    Rule(
        "ctherd:update_placements",
        _ADMIN,
        "Say on which hosts and in which namespaces a router is",
        ("POST /v2.0/routers", "PUT /v2.0/routers/{id}"),
    ),
    Rule(
        "ctherd:adopt_flows",
        _ADMIN,
        "Let a conntrack helper reach connections that are open already (adopt_flows): their "
        "conntrack entries are removed",
        (f"POST {_HELPERS}", f"PUT {_HELPER}"),
    ),
    Rule(
        "ctherd:get_host",
        _ADMIN,
        "See the hosts, their liveness and what their agents said of themselves",
        ("GET /v1/hosts", "GET /v1/hosts/{host}"),
    ),
    Rule(
        "ctherd:delete_host",
        _ADMIN,
        "Forget a dead host",
        ("DELETE /v1/hosts/{host}",),
    ),
    Rule(
        "ctherd:watch_host",
        f"({_ADMIN}) or ({_AGENT})",
        "Follow the signed documents of a host",
        ("GET /v1/hosts/{host}/watch",),
    ),
    Rule(
        "ctherd:report_host",
        _AGENT,
        "Report what became of the documents of a host",
        ("POST /v1/hosts/{host}/report",),
    ),
    Rule(
        "ctherd:get_events",
        _OWNER_READER,
        "Follow what happens to the routers of a project",
        ("GET /v1/events",),
    ),
    Rule("ctherd:get_audit", _ADMIN, "Read the audit trail", ("GET /v1/audit",)),
    Rule(
        "ctherd:get_keys",
        "rule:regular_user",
        "See the public keys that documents are signed with",
        ("GET /v1/keys",),
    ),
)

NAMES: Final = frozenset(rule.name for rule in RULES)

FOR_AGENTS: Final = frozenset({"ctherd:watch_host", "ctherd:report_host", "ctherd:get_keys"})
"""The only rules that can ever be met by an agent, whatever a `policy.yaml` opens to everybody."""
