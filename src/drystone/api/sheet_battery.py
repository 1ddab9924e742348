"""Battery packs as the battery contract keeps them: each module's last values, its age, its cells.

The columns are those of the published table: Id, Address, Voltage(V), Current(I), SOC; each row
leads to the receipt of the reading it came from. A cell that the contract flagged is marked.
Source: apps/battery, requirements S0.42, S0.59, S0.61.
"""

from dataclasses import dataclass
from typing import Final

from drystone.api import kept, rows
from drystone.api.kept import Fields
from drystone.api.service import Service
from drystone.errors import ReadDenied

HISTORY_SHOWN: Final = 24
EMPTY_UV: Final = 2_500_000
FULL_UV: Final = 4_300_000
"""Between which voltages a cell's bar is drawn: the same for every pack, so that bars compare."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell of a module."""

    number: int
    voltage: str
    faulty: bool
    height: int
    """Of its bar, in percent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleLine:
    """One module at one moment; a module never heard has no values."""

    id: str
    address: str
    page: str | None
    voltage: str | None
    current: str | None
    soc: str | None
    soc_percent: int | None
    temperature: str | None
    cells: tuple[Cell, ...]
    faulty: int
    time: str | None
    age: str
    receipt: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PackSheet:
    """All that a pack's page shows."""

    name: str
    voltage: str | None
    soc_least: str | None
    soc_median: str | None
    modules: tuple[ModuleLine, ...]
    history: tuple[ModuleLine, ...]
    proof: str

    @property
    def heard(self) -> int:
        """How many modules were ever heard."""
        return sum(one.voltage is not None for one in self.modules)

    @property
    def faulty(self) -> int:
        """How many cells are flagged."""
        return sum(one.faulty for one in self.modules)


@dataclass(frozen=True, slots=True, kw_only=True)
class PackLine:
    """A pack in a list."""

    name: str
    path: str
    organisation: str
    modules: int


async def packs(service: Service, contract: str) -> list[PackLine]:
    """The packs that a battery contract knows."""
    found = await kept.kept_below(service, contract, "pack")
    return [
        PackLine(
            name=one.path.removeprefix("pack/"),
            path=f"/contracts/{contract}/packs/{one.path.removeprefix('pack/')}",
            organisation=kept.text(one.fields, "iss"),
            modules=len(kept.listed(one.fields, "modules")),
        )
        for one in found
    ]


async def pack_sheet(
    service: Service, contract: str, name: str, *, now_ms: int
) -> PackSheet | None:
    """A pack with its modules and their last readings; ages count up to `now_ms`."""
    found = await kept.kept_value(service, contract, f"pack/{name}")
    if found is None:
        return None
    addresses = [one for one in kept.listed(found.fields, "modules") if isinstance(one, str)]
    values: dict[str, Fields] = {}
    for address in addresses:
        value = await kept.kept_value(service, contract, f"device/{address}")
        values[address] = {} if value is None else value.fields
    modules = [_module(one, values[one], now_ms) for one in addresses]
    charges = sorted(kept.whole(one, "soc") for one in values.values() if "soc" in one)
    volts = [kept.whole(one, "voltage") for one in values.values() if "voltage" in one]
    return PackSheet(
        name=name,
        voltage=kept.scaled(sum(volts), kept.MICRO) if volts else None,
        soc_least=percent(charges[0]) if charges else None,
        soc_median=percent(_median(charges)) if charges else None,
        modules=tuple(modules),
        history=tuple(await _history(service, addresses)),
        proof=found.proof,
    )


def percent(micro: int) -> str:
    """A charge of 0 to 1 in millionths as percent, to the tenth."""
    tenths = micro // 1_000
    return f"{tenths // 10}.{tenths % 10}"


def _median(charges: list[int]) -> int:
    half = len(charges) // 2
    return charges[half] if len(charges) % 2 else (charges[half - 1] + charges[half]) // 2


def _cells(value: Fields) -> list[int]:
    return [one for one in kept.listed(value, "cells") if isinstance(one, int)]


def _module(address: str, value: Fields, now_ms: int) -> ModuleLine:
    faulty = {one for one in kept.listed(value, "faulty") if isinstance(one, int)}
    cells = [
        Cell(
            number=number,
            voltage=kept.scaled(volts, kept.MICRO, places=3),
            faulty=number in faulty,
            height=max(4, min(100, 100 * (volts - EMPTY_UV) // (FULL_UV - EMPTY_UV))),
        )
        for number, volts in enumerate(_cells(value), 1)
    ]
    heard = kept.whole(value, "block_ms")
    soc = value.get("soc")
    return ModuleLine(
        id=address.rpartition("/")[2],
        address=address,
        page=kept.device_page(address) if value else None,
        voltage=kept.micro(value, "voltage", places=3),
        current=kept.micro(value, "current", places=3),
        soc=kept.micro(value, "soc", places=3),
        soc_percent=max(0, min(100, soc // 10_000)) if isinstance(soc, int) else None,
        temperature=kept.micro(value, "temperature"),
        cells=tuple(cells),
        faulty=len(faulty),
        time=kept.moment(value, "claimed_ms") or kept.moment(value, "block_ms"),
        age=kept.age_text(now_ms - heard) if heard else "",
        receipt=kept.receipt_path(address, value),
    )


async def _history(service: Service, addresses: list[str]) -> list[ModuleLine]:
    """The last readings of all modules, the newest first; of those whose streams may be seen."""
    lines: list[ModuleLine] = []
    for address in addresses:
        stream = kept.stream_of(address)
        if stream is None:
            continue
        try:
            found = await service.records(
                stream, after=None, limit=HISTORY_SHOWN, newest_first=True
            )
        except ReadDenied:
            continue
        for one in found:
            measured = list(rows.reading_rows(one))
            told = {row.name: str(row.value) for row in measured}
            where = rows.record_path(one.stream, epoch=one.epoch, seq=one.seq, under="receipts")
            lines.append(
                ModuleLine(
                    id=address.rpartition("/")[2],
                    address=address,
                    page=kept.device_page(address),
                    voltage=told.get("voltage"),
                    current=told.get("current"),
                    soc=told.get("soc"),
                    soc_percent=None,
                    temperature=told.get("temperature"),
                    cells=(),
                    faulty=0,
                    time=measured[0].time or measured[0].committed if measured else None,
                    age="",
                    receipt=where,
                )
            )
    newest = sorted(lines, key=lambda one: one.time or "", reverse=True)
    return newest[:HISTORY_SHOWN]
