"""The street at work: emulated meters that sign their readings and hand them in over an imperfect radio.

Lives here: each meter's key and position, the clock of the emulation, and which records arrive late or twice. May not:
open a connection; whoever runs the street sends what `tick` gives. Given the seed and the keys everything is the same
again, byte for byte. Place in a record's life: its first moment, on the device.
"""

import random
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from drystone.formats import cose
from drystone.formats.senml import Measurement, write_pack
from drystone.records.key import SecretKey
from drystone.records.record import write_record
from drystone.sim import meters
from drystone.sim.meters import Meter, Reading, Register

IMPORT: Final = "import"
EXPORT: Final = "export"
POWER: Final = "power"

PROFILE: Final = "meter"
MEASUREMENTS: Final = ((IMPORT, "Wh"), (EXPORT, "Wh"), (POWER, "W"))

LATE_PER_MILLE: Final = 4
LATE_TICKS: Final = 5
TWICE_PER_MILLE: Final = 6


class Sent(NamedTuple):
    """A record on its way: whose it is, its number in the stream, its bytes."""

    device: str
    seq: int
    data: bytes


class Tick(NamedTuple):
    """One step of the street: what the meters show now, and the records that arrive in this step."""

    time_s: int
    readings: Mapping[str, Reading]
    arriving: Sequence[Sent]


class Street:
    """Meters with keys and a common clock that runs in steps."""

    def __init__(
        self,
        *,
        seed: int,
        secrets: Mapping[str, SecretKey],
        organisation: str,
        start_s: int,
        step_minutes: int,
    ) -> None:
        """Take the first meters of the street of `seed`, one for each key in `secrets` (by device)."""
        self.meters: tuple[Meter, ...] = meters.street(seed=seed, count=len(secrets))
        self._secrets = {meter.device: secrets[meter.device] for meter in self.meters}
        self._organisation = organisation
        self._step_minutes = step_minutes
        self._draw = random.Random(f"{seed}/radio")
        self._registers: dict[str, Register] = {
            meter.device: meters.start(meter, time_s=start_s) for meter in self.meters
        }
        self._seq = dict.fromkeys(self._secrets, 0)
        self._late: list[tuple[int, Sent]] = []
        self._ticks = 0
        self.time_s = start_s

    def tick(self) -> Tick:
        """Let one step pass: every meter signs a reading; most arrive at once, some later, some twice."""
        self._ticks += 1
        self.time_s += self._step_minutes * 60
        shown: dict[str, Reading] = {}
        arriving: list[Sent] = []
        for meter in self.meters:
            register, reading = meters.advance(
                meter, self._registers[meter.device], minutes=self._step_minutes
            )
            self._registers[meter.device] = register
            shown[meter.device] = reading
            sent = self._sign(meter, reading)
            chance = self._draw.randrange(1_000)
            if chance < LATE_PER_MILLE:
                self._late.append((self._ticks + LATE_TICKS, sent))
                continue
            arriving.append(sent)
            if chance >= 1_000 - TWICE_PER_MILLE:
                arriving.append(sent)
        arriving += [sent for due, sent in self._late if due <= self._ticks]
        self._late = [(due, sent) for due, sent in self._late if due > self._ticks]
        return Tick(self.time_s, shown, arriving)

    def flush(self) -> list[Sent]:
        """Give the records that are still on their way, so that every number has arrived."""
        rest = [sent for _, sent in self._late]
        self._late = []
        return rest

    def _sign(self, meter: Meter, reading: Reading) -> Sent:
        seq = self._seq[meter.device]
        self._seq[meter.device] = seq + 1
        taken = [Measurement(IMPORT, "Wh", reading.import_wh, reading.time_s)]
        if meter.household.pv_peak_w:
            taken.append(Measurement(EXPORT, "Wh", reading.export_wh, reading.time_s))
        taken.append(Measurement(POWER, "W", reading.power_w, reading.time_s))
        record = write_record(
            secret=self._secrets[meter.device],
            iss=self._organisation,
            sub=meter.device,
            epoch=0,
            seq=seq,
            payload=write_pack(taken),
            content_type=cose.SENML,
        )
        return Sent(meter.device, seq, record)
