"""The units of IANA's SenML registry, as of its update of 27 March 2025.

What lives here: the primary units (RFC 8428 section 12.1, RFC 8798 section 2, NTU) and the secondary ones (RFC 8798
section 3 and later registrations), each with its exact linear relation to a primary unit. What may not: arithmetic on
values; nothing in the ledger converts a signed value, only pages and exports do.

Left out on purpose: `%`, which the registry discourages and which many senders mean as percent although it is the ratio
0 to 1. `/100` is percent. The other discouraged units (g, l, l/s, Bspl, 1/min, beat/min, beats, deg) are unambiguous.
"""

from typing import Final, NamedTuple


class SecondaryUnit(NamedTuple):
    """`value in base = value * numerator / denominator + offset`."""

    base: str
    numerator: int
    denominator: int = 1
    offset: int = 0


# fmt: off
UNITS: Final = frozenset((
    "m", "kg", "g", "s", "A", "K", "cd", "mol", "Hz", "rad", "sr", "N", "Pa", "J", "W", "C",
    "V", "F", "Ohm", "S", "Wb", "T", "H", "Cel", "lm", "lx", "Bq", "Gy", "Sv", "kat", "m2",
    "m3", "l", "m/s", "m/s2", "m3/s", "l/s", "W/m2", "cd/m2", "bit", "bit/s", "lat", "lon",
    "pH", "dB", "dBW", "Bspl", "count", "/", "%RH", "%EL", "EL", "1/s", "1/min", "beat/min",
    "beats", "S/m", "B", "VA", "VAs", "var", "vars", "J/m", "kg/m3", "deg", "NTU",
))
# fmt: on
"""Primary units that a pack may use in any version."""

UNIT_DISCOURAGED: Final = "%"
"""Registered, but refused: see above."""

SECONDARY: Final = {
    "ms": SecondaryUnit("s", 1, 1000),
    "min": SecondaryUnit("s", 60),
    "h": SecondaryUnit("s", 3600),
    "MHz": SecondaryUnit("Hz", 1_000_000),
    "kW": SecondaryUnit("W", 1000),
    "kVA": SecondaryUnit("VA", 1000),
    "kvar": SecondaryUnit("var", 1000),
    "Ah": SecondaryUnit("C", 3600),
    "Wh": SecondaryUnit("J", 3600),
    "kWh": SecondaryUnit("J", 3_600_000),
    "varh": SecondaryUnit("vars", 3600),
    "kvarh": SecondaryUnit("vars", 3_600_000),
    "VAh": SecondaryUnit("VAs", 3600),
    "kVAh": SecondaryUnit("VAs", 3_600_000),
    "Wh/km": SecondaryUnit("J/m", 18, 5),
    "KiB": SecondaryUnit("B", 1024),
    "GB": SecondaryUnit("B", 1_000_000_000),
    "Mbit/s": SecondaryUnit("bit/s", 1_000_000),
    "B/s": SecondaryUnit("bit/s", 8),
    "MB/s": SecondaryUnit("bit/s", 8_000_000),
    "mV": SecondaryUnit("V", 1, 1000),
    "mA": SecondaryUnit("A", 1, 1000),
    "dBm": SecondaryUnit("dBW", 1, 1, -30),
    "ug/m3": SecondaryUnit("kg/m3", 1, 1_000_000_000),
    "mg/l": SecondaryUnit("kg/m3", 1, 1000),
    "ug/l": SecondaryUnit("kg/m3", 1, 1_000_000),
    "g/l": SecondaryUnit("kg/m3", 1),
    "mm/h": SecondaryUnit("m/s", 1, 3_600_000),
    "m/h": SecondaryUnit("m/s", 1, 3600),
    "km/h": SecondaryUnit("m/s", 5, 18),
    "ppm": SecondaryUnit("/", 1, 1_000_000),
    "ppb": SecondaryUnit("/", 1, 1_000_000_000),
    "ppt": SecondaryUnit("/", 1, 1_000_000_000_000),
    "/100": SecondaryUnit("/", 1, 100),
    "/1000": SecondaryUnit("/", 1, 1000),
    "hPa": SecondaryUnit("Pa", 100),
    "mm": SecondaryUnit("m", 1, 1000),
    "cm": SecondaryUnit("m", 1, 100),
    "km": SecondaryUnit("m", 1000),
}
"""Units that a pack may use only with base version 26."""

assert all(unit.base in UNITS for unit in SECONDARY.values())
assert UNITS.isdisjoint(SECONDARY)
