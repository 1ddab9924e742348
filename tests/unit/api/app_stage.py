"""The metering, battery and maintenance contracts on a small ledger, with something to show of each."""

from decimal import Decimal
from typing import Any

from api_world import FIRST_S, World, secret_of, sequence

from drystone.apps.battery import scenario as battery
from drystone.apps.maintenance import scenario as maintenance
from drystone.apps.metering import scenario as metering
from drystone.formats.senml import Measurement
from drystone.records.record import enrolment_proof
from drystone.sim.cell import Short
from drystone.workshop.folder import APPS, read_folder

QUARTER_S = 900
MODULES = [f"PI-{number}" for number in range(1, 6)]
FAULTY = "PI-4"


async def deploy(world: World, app: str, *, profiles: bool = True) -> None:
    """Deploys one of the program's own contracts, with its kinds of devices."""
    folder = read_folder(APPS / app)
    await world.call("submit", folder.arguments(), contract="contracts")
    version = {"name": folder.name, "version": folder.version}
    await world.call("deploy", version, contract="contracts")
    # The version starts with the block behind its deployment; a profile may name it from then on.
    await world.service.submit(world.reading("m-1"), wait="committed")
    for profile in folder.profiles if profiles else ():
        await world.call("profile", profile)


async def stage_metering(world: World, *, hours: int = 30) -> None:
    """Two households: one with three meters and a roof, two bills and a correction; one with one."""
    await deploy(world, "metering")
    await world.enrol("e-1", "e-2", profile="electricity")
    await world.enrol("g-1", profile="gas")
    await world.enrol("w-1", profile="water")
    installed = [
        metering.Installation("e-1", "electricity", "home-1", 48_211_337, 5_120),
        metering.Installation("g-1", "gas", "home-1", 1_204_500),
        metering.Installation("w-1", "water", "home-1", 88_210),
        metering.Installation("e-2", "electricity", "home-2", 1_000),
    ]
    for call in metering.setup_calls(organisation="ewz", gateway="gw-1", installed=installed):
        await world.call(call.function, call.args, contract=call.contract)
    counts = {"e-1": 48_211_337, "e-2": 1_000, "g-1": 1_204_500, "w-1": 88_210}
    exported = 5_120
    for hour in range(hours):
        world.service.now_ms += 3_600_000
        now_s = world.service.now_ms // 1000
        counts["e-1"] += 180 + 37 * (hour % 24)
        counts["e-2"] += 90
        counts["g-1"] += 41 if hour % 24 in {6, 7, 18, 19, 20} else 0
        counts["w-1"] += 12 if hour % 5 else 61
        exported += 420 if 9 <= hour % 24 <= 15 else 0
        packs = {
            "e-1": [
                Measurement("import", "Wh", counts["e-1"], now_s),
                Measurement("export", "Wh", exported, now_s),
            ],
            "e-2": [Measurement("import", "Wh", counts["e-2"], now_s)],
            "g-1": [Measurement("volume", "m3", (-3, counts["g-1"]), now_s)],
            "w-1": [Measurement("volume", "m3", (-3, counts["w-1"]), now_s)],
        }
        records = [world.reading(sub, measurements=pack) for sub, pack in packs.items()]
        answers = await world.service.submit(sequence(*records), wait="committed")
        assert {one.outcome for one in answers} == {"accepted"}, answers
        if hour == hours // 2:
            await bill(world, "home-1")
    correct = {
        "meter": "ewz/w-1",
        "time_ms": world.service.now_ms,
        "original": counts["w-1"],
        "corrected": counts["w-1"] - 250,
        "why": "Read by hand: the display had lost a digit",
    }
    await world.call("correct", correct, contract="metering")
    await bill(world, "home-1", "home-2")


async def bill(world: World, *households: str) -> None:
    """Bills households."""
    for call in metering.bill_calls(organisation="ewz", households=list(households)):
        await world.call(call.function, call.args, contract=call.contract)


async def stage_battery(world: World, *, minutes: int = 90) -> None:
    """A pack of five modules that discharge, one of them with a cell that gives way."""
    await deploy(world, "battery")
    await world.enrol(*MODULES, profile="battery-module")
    modules = [f"ewz/{name}" for name in MODULES]
    await world.call("declare_pack", {"pack": "pack-1", "modules": modules}, contract="battery")
    await world.call(
        "declare_pack", {"pack": "pack-2", "modules": ["ewz/PI-1", "ewz/PI-9"]}, contract="battery"
    )
    shown = {
        name: battery.emulated(
            seed=7,
            module=number,
            step_s=60,
            fault=Short(7, 2_400) if name == FAULTY else None,
        )
        for number, name in enumerate(MODULES)
    }
    start_s = world.service.now_ms // 1000
    for minute in range(minutes):
        world.service.now_ms += 60_000
        records: list[bytes] = []
        for name, samples in shown.items():
            sample = next(samples)
            pack = battery.measurements(sample, time_s=start_s + 60 * (minute + 1))
            records.append(world.reading(name, measurements=pack))
        answers = await world.service.submit(sequence(*records), wait="committed")
        assert {one.outcome for one in answers} == {"accepted"}, answers


async def stage_maintenance(world: World) -> None:
    """Two pumps: one worn, which asks for service, with an order from request to rating; one sound."""
    await deploy(world, "maintenance")
    await world.enrol("pump-1", "pump-2", profile="machine")
    people = {"works-1": "unit", "acme": "provider"}
    ledger = world.service.view.ledger
    members = [
        {
            "sub": sub,
            "roles": [role],
            "proof": enrolment_proof(
                secret=secret_of(sub), iss="ewz", sub=sub, ledger=ledger
            ).hex(),
        }
        for sub, role in people.items()
    ]
    await world.call("enrol", {"members": members})
    equipment = {"type": "Centrifugal pump", "made": "2019-04", "seal": "S-204"}
    for name in ("pump-1", "pump-2"):
        machine: dict[str, Any] = {
            "machine": f"ewz/{name}",
            "unit": "ewz/works-1",
            "provider": "ewz/acme",
            "equipment": equipment,
        }
        await world.call("declare_machine", machine, contract="maintenance")
    limit: dict[str, Any] = {
        "machine": "ewz/pump-1",
        "channel": "vibration",
        "lower": "",
        "upper": "60",
        "count": 40,
        "window_s": 0,
    }
    await world.call("set_limits", limit, contract="maintenance")
    voltage = limit | {"channel": "voltage", "lower": "207", "upper": "253", "count": 1000}
    await world.call("set_limits", voltage, contract="maintenance")
    for second in range(0, 90, 5):
        await beat(world, "pump-1", second=second, vibration=Decimal("61.5"))
        await beat(world, "pump-2", second=second, vibration=Decimal("41.2"))
        if second == 50:
            await serve(world, order=1)


async def serve(world: World, *, order: int) -> None:
    """The provider answers a request, does it, and is rated; then plans the next time."""
    turn: dict[str, Any] = {"machine": "ewz/pump-1", "order": order}
    due_ms = world.service.now_ms + 86_400_000
    await act(world, "acme", "accept", turn | {"due_ms": due_ms})
    await act(world, "acme", "complete", turn | {"report": "Bearing replaced, shaft aligned"})
    await act(world, "works-1", "rate", turn | {"stars": 4, "note": "Quick, and it runs quietly"})
    plan = {"machine": "ewz/pump-1", "every_s": 7_776_000, "task": "Grease the bearings"}
    await act(world, "acme", "plan", plan)


async def act(world: World, sub: str, function: str, args: dict[str, Any]) -> None:
    await world.call(function, args, contract="maintenance", sub=sub)


async def beat(world: World, name: str, *, second: int, vibration: Decimal) -> None:
    """Five seconds of a pump."""
    world.service.now_ms += 5_000
    now_s = world.service.now_ms // 1000
    samples = [
        maintenance.Sample(
            now_s + at,
            {
                "vibration": vibration + Decimal(second % 7) / 10,
                "temperature": Decimal("71.25"),
                "pressure": Decimal(205_300),
                "voltage": Decimal("230.4"),
            },
        )
        for at in range(5)
    ]
    pack = maintenance.measurements(samples, units=maintenance.MACHINE)
    raw = world.reading(name, measurements=pack)
    (answer,) = await world.service.submit(raw, wait="committed")
    assert answer.outcome == "accepted", answer


__all__ = ["FIRST_S", "stage_battery", "stage_maintenance", "stage_metering"]
