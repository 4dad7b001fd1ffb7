"""What Prometheus may know: counts by status, commits, repairs and how long they took."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    start_http_server,
)
from prometheus_client.core import GaugeMetricFamily

from ctherd.agent.queue import QueueDepth
from ctherd.agent.source import Source
from ctherd.errors import ConfigurationError
from ctherd.main.expectations import Expectations
from ctherd.model.debt import Action
from ctherd.ports import Revoked
from ctherd.reconcile.reconciler import Report
from ctherd.service.host import HostService

_REPAIR_BUCKETS = (0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 1.0, 10.0)
_SCRAPE_PATIENCE_S = 5.0


class Metrics:
    """Counts what the agent does; states are counted when somebody scrapes."""

    def __init__(self, service: HostService, expectations: Expectations) -> None:
        self._service = service
        self._expectations = expectations
        self._loop: asyncio.AbstractEventLoop | None = None
        self.registry = CollectorRegistry()
        self.registry.register(self)
        self._commits = Counter(
            "ctherd_commits", "Transactions that were committed.", registry=self.registry
        )
        self._restarts = Counter(
            "ctherd_transaction_restarts",
            "Transactions that were planned again because somebody moved the ruleset.",
            registry=self.registry,
        )
        self._errors = Counter(
            "ctherd_errors",
            "Reconciliations that failed, by error.",
            ["code"],
            registry=self.registry,
        )
        self._repairs = Histogram(
            "ctherd_drift_repair_seconds",
            "Time from a foreign change's event to its repair.",
            buckets=_REPAIR_BUCKETS,
            registry=self.registry,
        )
        self._revoked = Counter(
            "ctherd_flows_revoked",
            "Live flows of assignments that went (or, adopt, came), by what was done to them.",
            ["action"],
            registry=self.registry,
        )
        for action in Action:
            self._revoked.labels(action.value)
        self._left = Counter(
            "ctherd_flows_left",
            "Live flows that should have been revoked and could not be.",
            registry=self.registry,
        )
        self._removed_expectations = Counter(
            "ctherd_expectations_revoked",
            "Expectations that went with the helpers of live flows.",
            registry=self.registry,
        )
        self._sweep = Gauge(
            "ctherd_sweep_seconds",
            "Time of the last look at every namespace.",
            registry=self.registry,
        )

    def attach(
        self, loop: asyncio.AbstractEventLoop, queue: Callable[[], QueueDepth], source: Source
    ) -> None:
        """Count in *loop*, to which states, *queue*, *source* and expectations belong."""
        self._queue = queue
        self._source = source
        self._loop = loop

    def serve(self, host: str, port: int) -> None:
        """Serve the metrics over HTTP, in a thread.

        Raises: ConfigurationError if the address cannot be had.
        """
        try:
            start_http_server(port, addr=host, registry=self.registry)
        except OSError as error:
            raise ConfigurationError(
                f"metrics cannot be served at {host}:{port}: {error.strerror}",
                cure='choose another address, or metrics = "" for none',
            ) from error

    def reconciled(self, reports: Sequence[Report], seconds: float) -> None:
        """Count what a batch came to."""
        for report in reports:
            self._restarts.inc(report.tries - 1)
            if report.error is not None:
                self._errors.labels(report.error.code).inc()
            elif report.plan is not None and report.plan.touches_kernel:
                self._commits.inc()

    def repaired(self, seconds: float) -> None:
        """Count a repair."""
        self._repairs.observe(seconds)

    def revoked(self, revoked: Revoked) -> None:
        """Count what came of a revocation."""
        for each in revoked.settled:
            self._revoked.labels(each.debt.action.value).inc(each.flows)
            self._left.inc(each.left)
            self._removed_expectations.inc(each.expectations)

    def swept(self, seconds: float) -> None:
        """Remember how long the last sweep took."""
        self._sweep.set(seconds)

    def collect(self) -> Iterator[Metric]:
        """Yield what is counted when somebody scrapes: states, the queue, expectations."""
        if self._loop is None:
            return
        answer = asyncio.run_coroutine_threadsafe(self._present_in_loop(), self._loop)
        yield from answer.result(_SCRAPE_PATIENCE_S)

    async def _present_in_loop(self) -> list[Metric]:
        return list(self._present())

    def _present(self) -> Iterator[Metric]:
        yield _by_label(
            "ctherd_assignments",
            "Declared assignments by status.",
            "status",
            {state.value: count for state, count in self._service.counts().items()},
        )
        yield _by_label(
            "ctherd_queue_depth",
            "Namespaces to look at: due now, or waiting as they failed or are fought over.",
            "state",
            self._queue()._asdict(),
        )
        yield GaugeMetricFamily(
            "ctherd_in_sync",
            "1 if all that is wanted is known: the file is used, or the server was heard out.",
            value=int(self._source.in_sync),
        )
        yield _by_label(
            "ctherd_doubts",
            "What is not taken over as it is: a held file, documents refused or kept.",
            "reason",
            self._source.doubts(),
        )
        yield _by_label(
            "ctherd_expectations",
            "Connections that helpers expect, in all namespaces, as of the last round of counting.",
            "helper",
            self._expectations.total(),
        )


def _by_label(name: str, words: str, label: str, counts: Mapping[str, int]) -> Metric:
    family = GaugeMetricFamily(name, words, labels=[label])
    for value, count in counts.items():
        family.add_metric([value], count)
    return family
