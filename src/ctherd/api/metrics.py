"""What Prometheus may know of the API: requests by route and status, how long, how many at once."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0)


class ApiMetrics:
    """Counts requests; *registry* is the server's own."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "ctherd_api_requests",
            "Requests that were answered, by route, method and status.",
            ["route", "method", "status"],
            registry=registry,
        )
        self._seconds = Histogram(
            "ctherd_api_request_seconds",
            "Time from a request to the head of its answer, by route and method.",
            ["route", "method"],
            buckets=_BUCKETS,
            registry=registry,
        )
        self.in_flight = Gauge(
            "ctherd_api_requests_in_flight",
            "Requests that were taken up and are not answered yet.",
            registry=registry,
        )

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(route, method, str(status)).inc()
        self._seconds.labels(route, method).observe(seconds)
