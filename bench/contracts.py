"""Line j: what a reading costs above the built-in rule when a contract takes it, in the pipeline alone.

Four rules take the same readings, in vertices of 60 and of one: the built-in `accept`, a contract that does nothing, the
small one of line b's second run, the metering contract. Processor time of `apply`, the least over a number of blocks:
what other programs do to the machine is not the contract's.
"""

import gc
import time
from pathlib import Path

import drystone.apps.metering as metering
from bench import handler
from bench.figure import Figure, at_most
from bench.stage import Stage
from drystone.ledger.apply import Memory, apply
from drystone.ledger.change import Block
from drystone.records.record import Record, Verified
from drystone.workshop.actors import Device
from drystone.workshop.chain import Chain

ABOVE_US = {60: 5, 1: 30}
"""What issue 4 asks of the metering contract, by records in a vertex."""
ALONE = 120
"""Readings in a block whose vertices carry one each."""
EMPTY = "def on_reading(ctx, old, record):\n    return (None, [])\n"
MANIFEST = 'name = "meter"\nversion = 1\n[reading]\nfunction = "on_reading"\nlimit = 2000\n'
MEASURED = (
    'register = { name = "import", exponent = 0 }\n'
    'measurements = [{ name = "import", unit = "Wh" }]\n'
)


def figures(stage: Stage) -> list[Figure]:
    """Line j."""
    quick = stage.sizes.meters < 10_000
    devices, blocks = (240, 10) if quick else (600, 24)
    spent: dict[str, dict[int, float]] = {}
    for rule in ("accept", "an empty handler", "a small handler", "metering"):
        stage.say(f"readings under {rule}")
        chain = _chain(rule, stage.folder / f"contract-{len(spent)}")
        spent[rule] = _Run(chain, devices, metered=rule == "metering").us(blocks)
    found: list[Figure] = []
    for each in (60, 1):
        base = spent["accept"][each]
        found.append(Figure("j", f"a reading under `accept`, {each} a vertex", base, "us"))
        for rule in list(spent)[1:]:
            budget = at_most(ABOVE_US[each]) if rule == "metering" else None
            above = spent[rule][each] - base
            found.append(Figure("j", f"  {rule}: above it", above, "us", budget))
    return found


def _chain(rule: str, folder: Path) -> Chain:
    home = Path(metering.__file__).parent
    chain = Chain(seed="bench", near=home)
    if rule == "metering":
        chain.deploy(home)
        return chain
    folder.mkdir()
    name = "accept" if rule == "accept" else "meter"
    profile = f'[[profile]]\nname = "electricity"\nrule = "{name}"\n{MEASURED}'
    source = EMPTY if rule == "an empty handler" else handler.SOURCE.lstrip()
    folder.joinpath("contract.toml").write_text(MANIFEST)
    folder.joinpath("contract.star").write_text(source)
    folder.joinpath("profiles.toml").write_text(profile)
    chain.deploy(folder)
    return chain


class _Run:
    """Meters on a chain, and blocks of their readings."""

    def __init__(self, chain: Chain, count: int, *, metered: bool) -> None:
        self._chain = chain
        self._memory = Memory()
        chain.gateway("g-1")
        if metered:
            self._set_up()
        self._devices = [chain.device("electricity", f"m-{n}", gateway="g-1") for n in range(count)]
        if metered:
            for start in range(0, count, 30):
                meters = [_meter(device) for device in self._devices[start : start + 30]]
                chain.call(chain.org(), "metering.install", meters=meters)

    def _set_up(self) -> None:
        org = self._chain.org()
        prices = {"steps": [[0, 21_350], [6, 27_940], [22, 21_350]], "feed_in": 0}
        self._chain.call(org, "metering.configure", settings={})
        self._chain.call(org, "metering.allow_server", server="ewz/g-1")
        self._chain.call(org, "metering.home_group", group="north", server="ewz/g-1")
        self._chain.call(org, "metering.set_tariff", trade="electricity", **prices)

    def us(self, blocks: int) -> dict[int, float]:
        """Microseconds of a reading by records in a vertex; the least of so many blocks."""
        gc.collect()
        return {
            each: min(self._block(self._devices[:some], each) for _ in range(blocks))
            for each, some in ((60, len(self._devices)), (1, ALONE))
        }

    def _block(self, devices: list[Device], each: int) -> float:
        chain, world = self._chain, self._chain.world
        chain.clock.tick(900)
        value = 1_000 + 10 * (world.view.height + 1)
        vertices = [
            world.vertex(
                [chain.sign_reading(device, value) for device in devices[at : at + each]],
                devices[0].gateway,
            )
            for at in range(0, len(devices), each)
        ]
        block = _verified(chain, world.block(*vertices))
        began = time.process_time()
        change = apply(world.view, block, self._memory)
        spent = time.process_time() - began
        bad = {outcome.code for outcome in change.outcomes} - {"accepted"}
        if bad:
            raise RuntimeError(f"readings were refused: {', '.join(sorted(bad))}")
        world.view.install(change)
        world.blocks.append(block)
        return spent * 1e6 / len(devices)


def _meter(device: Device) -> dict[str, object]:
    sub = device.actor.sub
    return {
        "meter": f"ewz/{sub}", "kind": "electricity", "group": "north", "household": f"ewz/h-{sub}",
        "supplier": "ewz", "start": 1_000,
    }  # fmt: skip


def _verified(chain: Chain, block: Block) -> Block:
    """The block as the executor gets it: each record with the key that its signature was checked against."""

    def one(item: object) -> Verified:
        if not isinstance(item, Record):
            raise TypeError("only records were sealed")
        actor = chain.world.actors[f"{item.iss}/{item.sub}"]
        return Verified(item, actor.secret.public.cose_key())

    vertices = [v._replace(records=[one(item) for item in v.records]) for v in block.vertices]
    return block._replace(vertices=vertices)
