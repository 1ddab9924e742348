"""Machines as the maintenance contract keeps them: last values, limits, counts, orders.

A count fires when it exceeds its threshold; the page shows how far it is from there. Measured
numbers are millionths of the unit that the machine's profile names. Source: apps/maintenance,
requirements S3.98 to S3.108.
"""

from dataclasses import dataclass
from typing import Final, cast

from drystone.api import kept
from drystone.api.kept import Fields
from drystone.api.service import Service
from drystone.errors import ReadDenied

ORDERS_SHOWN: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelLine:
    """One channel: its last value, limits, and how often it lay beyond them."""

    name: str
    unit: str
    last: str | None
    lower: str | None
    upper: str | None
    beyond_now: bool
    count: int
    threshold: int | None
    share: int
    ever: int
    waiting: str
    waiting_times: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One turn of an order."""

    state: str
    by: str
    time: str | None
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderLine:
    """One order and its history."""

    number: int
    kind: str
    state: str
    channel: str
    part: str
    stars: int
    steps: tuple[Step, ...]
    proof: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineSheet:
    """All that a machine's page shows."""

    address: str
    page: str | None
    unit: str
    provider: str
    equipment: tuple[tuple[str, str], ...]
    time: str | None
    age: str
    channels: tuple[ChannelLine, ...]
    orders: tuple[OrderLine, ...]
    plan: str
    plan_next: str | None
    rating: str
    receipt: str | None
    proof: str

    @property
    def waiting(self) -> int:
        """How many requests wait for an answer."""
        return sum(bool(one.waiting) for one in self.channels)


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineLine:
    """A machine in a list."""

    address: str
    path: str
    waiting: int
    nearest: str
    share: int
    time: str | None


def machine_path(contract: str, address: str) -> str:
    """Path of a machine's page."""
    stream = kept.stream_of(address) or (address,)
    device = f"?device={stream[2]}" if len(stream) == 3 else ""
    return f"/contracts/{contract}/machines/{'/'.join(stream[:2])}{device}"


async def machines(service: Service, contract: str) -> list[MachineLine]:
    """The machines that a maintenance contract looks after, those with requests first."""
    found = await kept.kept_below(service, contract, "device")
    lines: list[MachineLine] = []
    for one in found:
        address = one.path.removeprefix("device/")
        channels = _channels(one.fields, {})
        nearest = max(channels, key=lambda channel: channel.share, default=None)
        lines.append(
            MachineLine(
                address=address,
                path=machine_path(contract, address),
                waiting=len(kept.below(one.fields, "waiting")),
                nearest="" if nearest is None or nearest.threshold is None else nearest.name,
                share=0 if nearest is None else nearest.share,
                time=kept.moment(one.fields, "block_ms"),
            )
        )
    return sorted(lines, key=lambda line: (-line.waiting, -line.share, line.address))


async def machine_sheet(
    service: Service, contract: str, address: str, *, now_ms: int
) -> MachineSheet | None:
    """A machine's page; its age counts up to `now_ms`."""
    found = await kept.kept_value(service, contract, f"device/{address}")
    if found is None:
        return None
    value = found.fields
    declared = await kept.kept_value(service, contract, f"machine/{address}")
    plan = await kept.kept_value(service, contract, f"plan/{address}")
    provider = kept.text(value, "provider")
    rating = await kept.kept_value(service, contract, f"rating/{provider}") if provider else None
    equipment: Fields = {} if declared is None else kept.below(declared.fields, "equipment")
    heard = kept.whole(value, "block_ms")
    return MachineSheet(
        address=address,
        page=kept.device_page(address),
        unit=kept.text(value, "unit"),
        provider=provider,
        equipment=tuple((name, str(equipment[name])) for name in sorted(equipment)),
        time=kept.moment(value, "claimed_ms") or kept.moment(value, "block_ms"),
        age=kept.age_text(now_ms - heard) if heard else "",
        channels=tuple(_channels(value, await _units(service, address))),
        orders=(*_requests(value), *await _orders(service, contract, address)),
        plan="" if plan is None else kept.text(plan.fields, "task"),
        plan_next=None if plan is None else kept.moment(plan.fields, "next_ms"),
        rating=_rating({} if rating is None else rating.fields),
        receipt=kept.receipt_path(address, value),
        proof=found.proof,
    )


async def _units(service: Service, address: str) -> dict[str, str]:
    """The units of a machine's channels, as its profile has them."""
    stream = kept.stream_of(address)
    if stream is None:
        return {}
    try:
        member = await service.member(stream)
        if member is None or member.profile is None:
            return {}
        profile = await service.profile(iss=member.iss, name=member.profile)
    except ReadDenied:
        return {}
    return {} if profile is None else {name: unit or "" for name, unit in profile.measurements}


def _channels(value: Fields, units: dict[str, str]) -> list[ChannelLine]:
    last, limits = kept.below(value, "last"), kept.below(value, "limits")
    waiting = kept.below(value, "waiting")
    lines: list[ChannelLine] = []
    for name in sorted({*last, *limits}):
        limit = kept.below(limits, name)
        waits = kept.below(waiting, name)
        count = kept.whole(kept.below(value, "counts"), name)
        threshold = kept.whole(limit, "count") if limit else None
        number = last.get(name)
        lines.append(
            ChannelLine(
                name=name,
                unit=units.get(name, ""),
                last=kept.micro(last, name) if isinstance(number, int) else _said(number),
                lower=kept.micro(limit, "lower"),
                upper=kept.micro(limit, "upper"),
                beyond_now=isinstance(number, int) and _is_beyond(number, limit),
                count=count,
                threshold=threshold,
                share=min(100, 100 * count // threshold) if threshold else 0,
                ever=kept.whole(kept.below(value, "beyond"), name),
                waiting=kept.text(waits, "kind"),
                waiting_times=kept.whole(waits, "times"),
            )
        )
    return lines


def _said(value: object) -> str | None:
    return None if value is None else str(value)


def _is_beyond(number: int, limit: Fields) -> bool:
    upper, lower = limit.get("upper"), limit.get("lower")
    return (isinstance(upper, int) and number > upper) or (
        isinstance(lower, int) and number < lower
    )


def _requests(value: Fields) -> list[OrderLine]:
    """What the machine asks for and nobody has answered: an order only once somebody does."""
    waiting = kept.below(value, "waiting")
    return [
        OrderLine(
            number=kept.whole(kept.below(waiting, channel), "order"),
            kind=kept.text(kept.below(waiting, channel), "kind"),
            state="waiting",
            channel=channel,
            part="",
            stars=0,
            steps=(),
            proof="",
        )
        for channel in sorted(waiting)
    ]


async def _orders(service: Service, contract: str, address: str) -> list[OrderLine]:
    found = await kept.kept_below(service, contract, f"order/{address}", limit=ORDERS_SHOWN)
    orders = [
        OrderLine(
            number=kept.whole(one.fields, "order"),
            kind=kept.text(one.fields, "kind"),
            state=kept.text(one.fields, "state"),
            channel=kept.text(one.fields, "channel"),
            part=kept.text(one.fields, "part"),
            stars=kept.whole(one.fields, "stars"),
            steps=tuple(
                _step(cast("Fields", step))
                for step in kept.listed(one.fields, "history")
                if isinstance(step, dict)
            ),
            proof=one.proof,
        )
        for one in found
    ]
    return sorted(orders, key=lambda one: -one.number)


def _step(step: Fields) -> Step:
    return Step(
        state=kept.text(step, "state"),
        by=kept.text(step, "by"),
        time=kept.moment(step, "time_ms"),
        note=kept.text(step, "note"),
    )


def _rating(rating: Fields) -> str:
    """The mean of a provider's stars to the tenth; nothing without a rating."""
    orders = kept.whole(rating, "orders")
    if not orders:
        return ""
    tenths = (10 * kept.whole(rating, "stars") + orders // 2) // orders
    return f"{tenths // 10}.{tenths % 10} of 5 in {orders}"
