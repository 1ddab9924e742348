"""Pumps that never existed: bearings that wear, heat that follows, service that helps; every draw from one seed.

Lives here: what a machine shows each second on four channels, while its bearing is sound, worn, and new again. May not:
sign, send, read a clock, or use a float. The figures lie around the published thresholds: a sound bearing vibrates well
below 100 Hz and stays below 200 degrees, a worn one passes both.

Place in a record's life: before it; `apps/maintenance/scenario.py` turns what stands here into measurements.
"""

import random
from typing import Final, NamedTuple

WEAR_SECONDS: Final = 300
"""From the first sign of wear to a bearing that is worn."""

VIBRATION_SOUND: Final = 62_000
VIBRATION_WORN: Final = 135_000
TEMPERATURE_SOUND: Final = 164_000
TEMPERATURE_WORN: Final = 226_000
PRESSURE_SOUND: Final = 412_000_000
PRESSURE_WORN: Final = 371_000_000
VOLTAGE: Final = 229_600
HEAT_LAG: Final = 40
"""Seconds in which the temperature follows."""


class Shown(NamedTuple):
    """What a machine shows at one second: Hz, degrees Celsius, Pa and V, each in thousandths."""

    second: int
    vibration: int
    temperature: int
    pressure: int
    voltage: int


class Pump:
    """One machine; `step` lets a second pass, `service` gives it a new bearing."""

    def __init__(self, *, seed: int, number: int, wears_after_s: int | None) -> None:
        """Begin with a sound bearing; `wears_after_s` None: it stays so."""
        self._draw = random.Random(f"{seed}/pump/{number}")
        self._wears_at = wears_after_s
        self._second = 0
        self._temperature = TEMPERATURE_SOUND

    @property
    def wear(self) -> int:
        """How worn the bearing is, from 0 to 1,000."""
        if self._wears_at is None:
            return 0
        return min(max(self._second - self._wears_at, 0) * 1_000 // WEAR_SECONDS, 1_000)

    def step(self) -> Shown:
        """Return what the machine shows, and let a second pass."""
        wear, draw = self.wear, self._draw
        heat = _between(TEMPERATURE_SOUND, TEMPERATURE_WORN, wear)
        self._temperature += (heat - self._temperature) // HEAT_LAG
        shown = Shown(
            second=self._second,
            vibration=_between(VIBRATION_SOUND, VIBRATION_WORN, wear)
            + draw.randrange(-9_000, 9_001),
            temperature=self._temperature + draw.randrange(-400, 401),
            pressure=_between(PRESSURE_SOUND, PRESSURE_WORN, wear)
            + draw.randrange(-6_000_000, 6_000_001),
            voltage=VOLTAGE + draw.randrange(-4_000, 4_001),
        )
        self._second += 1
        return shown

    def service(self) -> None:
        """Give the machine a new bearing, which does not wear again."""
        self._wears_at = None


def _between(sound: int, worn: int, wear: int) -> int:
    return sound + (worn - sound) * wear // 1_000
