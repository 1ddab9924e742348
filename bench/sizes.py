"""How much the bench does: in full, and quickly."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Counts of every line."""

    meters: int
    """Devices enrolled for lines b, e and f."""
    parts: tuple[int, ...]
    """Readings per meter in each part of the flood; the yardstick is measured around each."""
    contract_parts: tuple[int, ...]
    alone_s: float
    """Seconds of one measurement of the yardstick."""
    pack_meters: int
    pack_parts: tuple[int, ...]
    latency_meters: int
    latency_rates: tuple[int, ...]
    latency_s: int
    stored: tuple[int, ...]
    """Records already stored where line g measures."""
    growth_meters: int
    tree_keys: tuple[int, int]
    verifications: int
    single_writes: tuple[int, ...]
    ingest_s: float
    """Simulated seconds of line k's load."""


FULL = Sizes(
    meters=10_000,
    parts=(10, 30, 30, 30),
    contract_parts=(10, 20),
    alone_s=3.0,
    pack_meters=2_000,
    pack_parts=(20, 40),
    latency_meters=2_000,
    latency_rates=(100, 1_000),
    latency_s=15,
    stored=(1_000, 100_000, 1_000_000),
    growth_meters=1_000,
    tree_keys=(1_000, 1_000_000),
    verifications=1_000,
    single_writes=(1, 100, 200, 300, 400, 500),
    ingest_s=1.0,
)

QUICK = Sizes(
    meters=2_000,
    parts=(10, 25),
    contract_parts=(15,),
    alone_s=1.0,
    pack_meters=400,
    pack_parts=(20,),
    latency_meters=500,
    latency_rates=(100, 1_000),
    latency_s=3,
    stored=(1_000, 10_000, 100_000),
    growth_meters=1_000,
    tree_keys=(1_000, 100_000),
    verifications=100,
    single_writes=(1, 10, 50),
    ingest_s=0.3,
)
