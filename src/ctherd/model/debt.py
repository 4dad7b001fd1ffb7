"""What is still owed to flows that an assignment did, or did not, reach while it was made or taken.

A debt is written down before the commit that causes it, and struck out when it was paid or found
to be void. So whoever dies in between leaves it to the next start.
"""

from enum import StrEnum
from typing import NamedTuple

from ctherd.model.assignment import AssignmentKey, Destinations


class Action(StrEnum):
    """What has to be done to flows: two ways to revoke a helper, and one to give it."""

    DETACH = "detach"
    KILL = "kill"
    ADOPT = "adopt"


class Debt(NamedTuple):
    """Flows that matched *key* within *destinations* are owed *action*."""

    action: Action
    key: AssignmentKey
    destinations: Destinations
