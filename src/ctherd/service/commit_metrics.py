"""What Prometheus may know of the way to the store and back: the committer and the mirror."""

from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from ctherd.service.committer import Committer
from ctherd.store.mirror import Mirror


class CommitMetrics(Collector):
    """Counts, in the event loop that both belong to."""

    def __init__(self, committer: Committer, mirror: Mirror) -> None:
        self._committer = committer
        self._mirror = mirror

    def collect(self) -> Iterator[Metric]:
        """Yield what there is now."""
        yield from self._committer.together.collect()
        yield GaugeMetricFamily(
            "ctherd_changes_waiting",
            "Changes and denials that wait for the store.",
            value=self._committer.waiting,
        )
        yield GaugeMetricFamily(
            "ctherd_mirror_stale",
            "1 if the copy in memory that requests are answered from lags behind the store.",
            value=int(bool(self._mirror.stale)),
        )
        yield GaugeMetricFamily(
            "ctherd_mirror_revision",
            "The store's revision that the copy in memory has reached.",
            value=self._mirror.revision,
        )
