"""How much is measured: the real thing, or a small one that only shows that it works."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Size:
    """Numbers of namespaces, rounds and repetitions.

    Shape: *routers* is the crowd of the reconcile figures, *assignments* what each has;
    *many* what the router with many assignments has; *packets* are per slice; *requests*
    are those of each sort that a server answers; *changes* are declared while *watchers* listen;
    *tracked* are flows of one netns; *lab_helpers* are those that the lab proves, () is all.
    """

    routers: int = 1000
    assignments: int = 10
    many: int = 1000
    rounds: int = 7
    sweeps: int = 30
    adds: int = 200
    nft_routers: int = 100
    iptables_routers: int = 100
    iptables_rounds: int = 5
    neutron_routers: int = 200
    neutron_rounds: int = 2
    drift_routers: int = 200
    hostile_adds: int = 500
    memory_routers: tuple[int, ...] = (0, 100, 1000)
    slices: int = 60
    packets: int = 20_000
    tracked: int = 10_000
    lab_helpers: tuple[str, ...] = ()
    help_runs: int = 10
    requests: int = 1000
    lists: int = 100
    watchers: int = 1000
    changes: int = 500
    plot_routers: tuple[int, ...] = (1, 3, 10, 30, 100, 300, 1000)
    plot_assignments: tuple[int, ...] = (1, 3, 10, 30, 100, 300, 1000)


FULL: Final = Size()
QUICK: Final = Size(
    routers=30,
    many=100,
    rounds=2,
    sweeps=5,
    adds=10,
    nft_routers=3,
    iptables_routers=3,
    iptables_rounds=2,
    neutron_routers=3,
    neutron_rounds=1,
    drift_routers=4,
    hostile_adds=20,
    memory_routers=(0, 5),
    slices=4,
    packets=1000,
    tracked=500,
    lab_helpers=("tftp",),
    help_runs=2,
    requests=30,
    lists=3,
    watchers=10,
    changes=5,
    plot_routers=(1, 3, 10),
    plot_assignments=(1, 10, 100),
)
