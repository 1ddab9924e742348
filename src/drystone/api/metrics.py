"""A node's numbers for Prometheus: every name, type and meaning in one table.

Numbers come from the service at the moment they are asked for; only requests are counted here.
No metric carries an organisation, device or value: `/metrics` says how the node is, not what is
measured. `docs/reference/metrics.md` is checked against this table. Source: conventions.md.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from drystone.api.values import NodeMetrics

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
SECONDS_BUCKETS: Final = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)


@dataclass(frozen=True, slots=True)
class Gauge:
    """A number that rises and falls."""

    name: str
    help: str
    read: Callable[[NodeMetrics], float]


@dataclass(frozen=True, slots=True)
class Tally:
    """Numbers that only rise, one per value of a label."""

    name: str
    help: str
    label: str
    read: Callable[[NodeMetrics], Mapping[str, int]]


GAUGES: Final = (
    Gauge("drystone_height", "Height of the last block.", lambda m: m.height),
    Gauge("drystone_log_entries", "Entries of the log.", lambda m: m.log_size),
    Gauge(
        "drystone_commit_age_seconds",
        "Time since the last commit; rises while the ledger is idle.",
        lambda m: m.commit_age_ms / 1000,
    ),
    Gauge(
        "drystone_intake_records",
        "Records acknowledged and not yet sealed into a vertex.",
        lambda m: m.intake_records,
    ),
    Gauge(
        "drystone_intake_bytes",
        "Bytes acknowledged and not yet sealed into a vertex.",
        lambda m: m.intake_bytes,
    ),
    Gauge(
        "drystone_pending_vertices",
        "Vertices sealed and not yet ordered.",
        lambda m: m.pending_vertices,
    ),
    Gauge("drystone_tips", "Vertices without children.", lambda m: m.tips),
    Gauge(
        "drystone_blocks_in_flight",
        "Blocks handed to the executor and not yet committed.",
        lambda m: m.blocks_in_flight,
    ),
    Gauge(
        "drystone_verify_batches", "Requests waiting for a verifier.", lambda m: m.verify_batches
    ),
    Gauge(
        "drystone_waiters",
        "Requests waiting for `sealed` or `committed`.",
        lambda m: m.waiters,
    ),
    Gauge("drystone_event_streams", "Open event streams.", lambda m: m.subscribers),
    Gauge(
        "drystone_disk_free_bytes",
        "Free bytes on the disk that holds the home.",
        lambda m: m.disk_free_bytes,
    ),
    Gauge("drystone_vertices_bytes", "Size of vertices.db.", lambda m: m.vertices_bytes),
    Gauge("drystone_ledger_bytes", "Size of ledger.db.", lambda m: m.ledger_bytes),
    Gauge(
        "drystone_memory_bytes",
        "Resident memory of the node's processes together.",
        lambda m: m.memory_bytes,
    ),
)

TALLIES: Final = (
    Tally(
        "drystone_records",
        "Records committed since the start, by outcome code.",
        "outcome",
        lambda m: m.records_by_outcome,
    ),
    Tally(
        "drystone_answers",
        "Records answered at intake since the start, by code.",
        "code",
        lambda m: m.answers_by_code,
    ),
    Tally(
        "drystone_restarts",
        "Restarts of the node's processes since the supervisor's start.",
        "part",
        lambda m: {"node": m.restarts},
    ),
)

REQUESTS: Final = "drystone_http_requests"
DENIALS: Final = "drystone_denials"
REQUEST_SECONDS: Final = "drystone_http_request_seconds"
TRAFFIC: Final = (
    (
        f"{REQUESTS}_total",
        "counter",
        "route, method, status",
        "HTTP requests answered; `route` is a template, `other` where none matched.",
    ),
    (
        f"{DENIALS}_total",
        "counter",
        "code",
        "Requests denied by the read policy or for want of an identity, by error code.",
    ),
    (REQUEST_SECONDS, "histogram", "route", "Time from a request's head to its answer's end."),
)
"""Name, type, labels and meaning of what is counted here."""


class _Numbers(Collector):
    """One scrape's view of the node."""

    def __init__(self, numbers: NodeMetrics) -> None:
        self.numbers = numbers

    def collect(self) -> Iterable[Metric]:
        for gauge in GAUGES:
            yield GaugeMetricFamily(gauge.name, gauge.help, value=gauge.read(self.numbers))
        for tally in TALLIES:
            family = CounterMetricFamily(tally.name, tally.help, labels=[tally.label])
            for label, value in sorted(tally.read(self.numbers).items()):
                family.add_metric([label], value)
            yield family


class Traffic:
    """Counts requests by route, method and status; routes are templates, so labels stay few."""

    def __init__(self) -> None:
        # Otherwise every label's first use would be a second series of its own.
        disable_created_metrics()
        self.registry = CollectorRegistry(auto_describe=False)
        self.requests = Counter(
            REQUESTS,
            TRAFFIC[0][3],
            ["route", "method", "status"],
            registry=self.registry,
        )
        self.denials = Counter(DENIALS, TRAFFIC[1][3], ["code"], registry=self.registry)
        self.seconds = Histogram(
            REQUEST_SECONDS,
            TRAFFIC[2][3],
            ["route"],
            buckets=SECONDS_BUCKETS,
            registry=self.registry,
        )

    def count(self, route: str, method: str, status: int, seconds: float) -> None:
        """Counts one answered request."""
        known = method if method in {"GET", "POST", "HEAD"} else "other"
        self.requests.labels(route, known, str(status)).inc()
        self.seconds.labels(route).observe(seconds)

    def deny(self, code: str) -> None:
        """Counts one denied request; codes are those of `errors.py`, so labels stay few."""
        self.denials.labels(code).inc()


def expose(traffic: Traffic, numbers: NodeMetrics) -> bytes:
    """The node's numbers and the requests counted so far, in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Numbers(numbers))
    return generate_latest(registry) + generate_latest(traffic.registry)
