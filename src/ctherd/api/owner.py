"""Whose a new resource shall be, as a body says by ``project_id`` or ``tenant_id``."""

from ctherd.api.attributes import Values
from ctherd.api.neutron_errors import bad_request
from ctherd.authz.caller import Caller
from ctherd.model.router import ProjectId


def claimed(values: Values, caller: Caller, *, may_choose: bool) -> ProjectId | None:
    """Take the owner out of *values* and return it; None if neither body nor caller has one.

    Raises: Refused if the two names differ, or name a project that is not the caller's own.
    """
    project, tenant = values.pop("project_id"), values.pop("tenant_id")
    if project and tenant and project != tenant:
        raise bad_request("'project_id' and 'tenant_id' do not match")
    given = project or tenant
    if given and given != caller.project and not may_choose:
        raise bad_request(
            "Specifying 'project_id' other than the authenticated project in request is not "
            "allowed for the current user."
        )
    return ProjectId(given) if given else caller.project
