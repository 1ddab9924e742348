"""A gateway's numbers for Prometheus: what waits, for how long there is room, how far behind it is, bytes per peer.

As `metrics.py` for a node; `docs/reference/metrics.md` is generated from both. A gateway has no ledger, so numbers of
blocks and outcomes are missing here. Peers are named, because an operator named them in the settings; nothing else of
an organisation, device or value is. Source: issue 5 item 2, conventions.md.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from drystone.api.metrics import Traffic


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerNumbers:
    """One peer's."""

    linked: bool
    received_bytes: int
    sent_bytes: int
    faults: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayMetrics:
    """A gateway's numbers at this moment."""

    buffered_vertices: int
    buffered_records: int
    buffered_bytes: int
    hours_left: float
    lag_ms: int
    """Age of the oldest own vertex whose outcome is not here; 0 where there is none."""
    uplink_height: int
    rows_height: int
    intake_records: int
    intake_bytes: int
    waiters: int
    verify_batches: int
    answers_by_code: Mapping[str, int]
    disk_free_bytes: int
    vertices_bytes: int
    mirror_bytes: int
    memory_bytes: int
    restarts: int
    peers: Mapping[str, PeerNumbers]
    executed_height: int = 0
    """Last block executed here, where a follower runs beside the gateway."""
    provisional_vertices: int = 0
    provisional_waiting: int = 0
    provisional_bytes: int = 0


@dataclass(frozen=True, slots=True)
class GatewayGauge:
    """A number that rises and falls."""

    name: str
    help: str
    read: Callable[[GatewayMetrics], float]


@dataclass(frozen=True, slots=True)
class PerPeer:
    """A number of each peer."""

    name: str
    help: str
    rises: bool
    read: Callable[[PeerNumbers], float]


GATEWAY_GAUGES: Final = (
    GatewayGauge(
        "drystone_gateway_buffered_vertices",
        "Own vertices whose outcome is not here.",
        lambda m: m.buffered_vertices,
    ),
    GatewayGauge(
        "drystone_gateway_buffered_records",
        "Their records.",
        lambda m: m.buffered_records,
    ),
    GatewayGauge(
        "drystone_gateway_buffered_bytes",
        "Bytes of their bodies, before they are deflated.",
        lambda m: m.buffered_bytes,
    ),
    GatewayGauge(
        "drystone_gateway_hours_left",
        "Hours for which the disk suffices at the last hour's rate if nothing is ordered meanwhile.",
        lambda m: m.hours_left,
    ),
    GatewayGauge(
        "drystone_gateway_lag_seconds",
        "Age of the oldest own vertex whose outcome is not here; 0 where there is none.",
        lambda m: m.lag_ms / 1000,
    ),
    GatewayGauge(
        "drystone_gateway_uplink_height",
        "Height of the last block with a vertex of this gateway.",
        lambda m: m.uplink_height,
    ),
    GatewayGauge(
        "drystone_gateway_executed_height",
        "Height of the last block executed here; 0 without a provisional view.",
        lambda m: m.executed_height,
    ),
    GatewayGauge(
        "drystone_gateway_provisional_vertices",
        "Vertices in the provisional view.",
        lambda m: m.provisional_vertices,
    ),
    GatewayGauge(
        "drystone_gateway_provisional_waiting",
        "Vertices that are here and not in the provisional view yet.",
        lambda m: m.provisional_waiting,
    ),
    GatewayGauge(
        "drystone_gateway_provisional_bytes",
        "Bytes that the provisional view keeps over the final state.",
        lambda m: m.provisional_bytes,
    ),
    GatewayGauge(
        "drystone_gateway_registry_height",
        "Height as of which the registry was copied from the uplink.",
        lambda m: m.rows_height,
    ),
    GatewayGauge(
        "drystone_gateway_intake_records",
        "Records acknowledged and not yet sealed into a vertex.",
        lambda m: m.intake_records,
    ),
    GatewayGauge(
        "drystone_gateway_intake_bytes",
        "Bytes acknowledged and not yet sealed into a vertex.",
        lambda m: m.intake_bytes,
    ),
    GatewayGauge(
        "drystone_gateway_waiters",
        "Requests waiting for `sealed` or `committed`.",
        lambda m: m.waiters,
    ),
    GatewayGauge(
        "drystone_gateway_verify_batches",
        "Requests waiting for the verifier.",
        lambda m: m.verify_batches,
    ),
    GatewayGauge(
        "drystone_gateway_disk_free_bytes",
        "Free bytes on the disk that holds the home.",
        lambda m: m.disk_free_bytes,
    ),
    GatewayGauge(
        "drystone_gateway_vertices_bytes",
        "Bytes used in vertices.db.",
        lambda m: m.vertices_bytes,
    ),
    GatewayGauge(
        "drystone_gateway_mirror_bytes", "Bytes used in mirror.db.", lambda m: m.mirror_bytes
    ),
    GatewayGauge(
        "drystone_gateway_memory_bytes",
        "Resident memory of the gateway's process.",
        lambda m: m.memory_bytes,
    ),
)

PER_PEER: Final = (
    PerPeer("drystone_peer_linked", "Whether there is a link.", False, lambda p: p.linked),  # noqa: FBT003 - a column
    PerPeer(
        "drystone_peer_received_bytes",
        "Bytes received, handshakes and TLS included.",
        True,  # noqa: FBT003 - a column
        lambda p: p.received_bytes,
    ),
    PerPeer(
        "drystone_peer_sent_bytes",
        "Bytes sent, handshakes and TLS included.",
        True,  # noqa: FBT003 - a column
        lambda p: p.sent_bytes,
    ),
    PerPeer(
        "drystone_peer_faults",
        "Faults of the peer since the start.",
        True,  # noqa: FBT003 - a column
        lambda p: p.faults,
    ),
)

ANSWERS: Final = "drystone_answers"
RESTARTS: Final = "drystone_restarts"


class _Numbers(Collector):
    """One scrape's view of the gateway."""

    def __init__(self, numbers: GatewayMetrics) -> None:
        self.numbers = numbers

    def collect(self) -> Iterable[Metric]:
        numbers = self.numbers
        for gauge in GATEWAY_GAUGES:
            yield GaugeMetricFamily(gauge.name, gauge.help, value=gauge.read(numbers))
        yield from per_peer(numbers.peers)
        answers = CounterMetricFamily(
            ANSWERS, "Records answered at intake since the start, by code.", labels=["code"]
        )
        for code, count in sorted(numbers.answers_by_code.items()):
            answers.add_metric([code], count)
        yield answers
        restarts = CounterMetricFamily(RESTARTS, "Restarts since the start.", labels=["part"])
        restarts.add_metric(["node"], numbers.restarts)
        yield restarts


def per_peer(peers: Mapping[str, PeerNumbers]) -> Iterable[Metric]:
    """Yield the numbers of each peer; a node tells them too."""
    for one in PER_PEER:
        kind = CounterMetricFamily if one.rises else GaugeMetricFamily
        family = kind(one.name, one.help, labels=["peer"])
        for name, numbers in sorted(peers.items()):
            family.add_metric([name], float(one.read(numbers)))
        yield family


def expose_gateway(traffic: Traffic, numbers: GatewayMetrics) -> bytes:
    """The gateway's numbers and the requests counted so far, in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Numbers(numbers))
    return generate_latest(registry) + generate_latest(traffic.registry)
