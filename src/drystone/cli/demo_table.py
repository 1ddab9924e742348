"""The live table of the demo: a few meters of the street, their registers, and how the ledger grows. 80 columns."""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from drystone.sim.meters import Meter, Reading

if TYPE_CHECKING:
    from rich.table import Table

METERS_SHOWN: Final = 8
HISTORY: Final = 16
BLOCKS: Final = "▁▂▃▄▅▆▇█"


class StreetTable:
    """What the demo has seen so far, and how it looks."""

    def __init__(self, meters: Sequence[Meter]) -> None:
        """Show the first few meters, those with a roof first: they move the most."""
        chosen = sorted(meters, key=lambda meter: (not meter.household.pv_peak_w, meter.device))
        self._shown = sorted(chosen[:METERS_SHOWN], key=lambda meter: meter.device)
        self._meters = len(meters)
        self._power: dict[str, deque[int]] = {
            meter.device: deque(maxlen=HISTORY) for meter in self._shown
        }
        self._last: dict[str, Reading] = {}
        self.clock = ""
        self.records = 0
        self.already = 0
        self.refused = 0
        self.rate = 0
        self.height = 0
        self.size = 0

    def update(self, readings: Mapping[str, Reading]) -> None:
        """Take what the meters show now."""
        for meter in self._shown:
            reading = readings[meter.device]
            self._last[meter.device] = reading
            self._power[meter.device].append(reading.power_w)

    def draw(self) -> "Table":
        """Draw it, at most 78 columns wide."""
        from rich import box
        from rich.table import Table

        table = Table(
            box=box.SIMPLE_HEAD,
            title=f"a street of {self._meters} meters, {self.clock}",
            title_justify="left",
            title_style="bold",
            caption=self.line(),
            caption_justify="left",
            caption_style="",
            padding=(0, 1),
        )
        table.add_column("meter", no_wrap=True)
        table.add_column("home", no_wrap=True)
        table.add_column("import Wh", justify="right", no_wrap=True)
        table.add_column("export Wh", justify="right", no_wrap=True)
        table.add_column("power W", justify="right", no_wrap=True)
        table.add_column("last 4 hours", no_wrap=True)
        for meter in self._shown:
            reading = self._last.get(meter.device)
            if reading is None:
                continue
            export = f"{reading.export_wh:,}" if meter.household.pv_peak_w else "-"
            colour = "green" if reading.power_w < 0 else "yellow"
            table.add_row(
                meter.device,
                meter.household.kind,
                f"{reading.import_wh:,}",
                export,
                f"[{colour}]{reading.power_w:,}[/{colour}]",
                sparkline(self._power[meter.device]),
            )
        return table

    def line(self) -> str:
        """Say in one line how far things are."""
        refused = f" · {self.refused:,} refused" if self.refused else ""
        return (
            f"{self.records:,} records · {self.rate:,}/s · {self.already:,} heard twice{refused}"
            f" · block {self.height:,} · log {self.size:,}"
        )


def sparkline(values: Sequence[int] | deque[int]) -> str:
    """Draw values as blocks between their least and greatest."""
    if not values:
        return ""
    least, most = min(values), max(values)
    span = max(most - least, 1)
    return "".join(BLOCKS[(value - least) * (len(BLOCKS) - 1) // span] for value in values)


class Rate:
    """Records per second over the last few seconds."""

    def __init__(self, window_s: float = 2.0) -> None:
        """`window_s` is how far back the rate looks."""
        self._window_s = window_s
        self._seen: deque[tuple[float, int]] = deque()

    def add(self, now_s: float, count: int) -> int:
        """Note `count` records at `now_s` and return the rate."""
        self._seen.append((now_s, count))
        while self._seen and now_s - self._seen[0][0] > self._window_s:
            self._seen.popleft()
        total = sum(number for _, number in self._seen)
        span = max(now_s - self._seen[0][0], 0.25)
        return int(total / span)
