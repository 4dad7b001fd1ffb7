"""What Prometheus may know of the server's hosts and streams; counted when somebody scrapes."""

from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from ctherd.service.documents import Documents
from ctherd.service.feed import Feed
from ctherd.service.happenings import Happenings
from ctherd.service.hosts import Hosts
from ctherd.service.reports import Reports


class HostMetrics(Collector):
    """Counts, in the event loop that all of these belong to."""

    def __init__(
        self,
        hosts: Hosts,
        feed: Feed,
        reports: Reports,
        documents: Documents,
        happenings: Happenings,
    ) -> None:
        self._hosts = hosts
        self._feed = feed
        self._reports = reports
        self._documents = documents
        self._happenings = happenings

    def collect(self) -> Iterator[Metric]:
        """Yield what there is now."""
        known, alive = len(self._hosts.names()), self._hosts.alive
        hosts = GaugeMetricFamily("ctherd_hosts", "Hosts, by liveness.", labels=["state"])
        hosts.add_metric(["alive"], alive)
        hosts.add_metric(["silent"], known - alive)
        yield hosts
        streams = GaugeMetricFamily("ctherd_streams", "Open streams, by kind.", labels=["kind"])
        streams.add_metric(["watch"], self._feed.watching)
        streams.add_metric(["events"], self._happenings.listening)
        yield streams
        yield CounterMetricFamily(
            "ctherd_streams_cut", "Agents' streams that were cut as too slow.", value=self._feed.cut
        )
        yield CounterMetricFamily(
            "ctherd_reports", "Reports that agents sent here.", value=self._reports.taken
        )
        yield GaugeMetricFamily(
            "ctherd_withdrawals_outstanding",
            "Tombstones that their hosts have not acknowledged.",
            value=len(self._documents.tombstones()),
        )
