"""Links as they are in the field: rate, delay, loss, frame and duty cycle of each kind, and where the figures are from.

Lives here: the table, and the arithmetic of one hop: how long bytes are on the air, what a lost frame costs. Both the
simulator (`sim/network.py`) and the proxy between real processes (`sim/proxy.py`) count with it. May not: open a
socket, read a clock, or draw a number of its own: randomness comes in.

Sources. A figure called *chosen* has none: it is ours, on the bad side of what is usual.

* wifi: more than 20 ms on the hop for half of all packets, more than 100 ms for a tenth ("WiFi can be the weakest link
  of round trip network latency in the wild", INFOCOM 2016, abstract). Rate and loss chosen: a busy 802.11g.
* zigbee: of 250 kbit/s on the air 40 to 80 remain (iotclass.org, 802.15.4 protocols and performance); delay down to
  15 ms (802.15.4's stated goal); 102 of 127 bytes above the MAC (RFC 4944 section 4). Loss chosen.
* ble: packets * (ATT_MTU - 3) * 8 / interval (Nordic, SoftDevice specification, data throughput), here 4 packets of 247
  each 50 ms; intervals are 7.5 ms to 4 s (Memfault, A practical guide to BLE throughput). Loss chosen.
* lora: EU868 data rate 2, SF10 at 125 kHz, is 980 bit/s (The Things Network, EU863-870); 51 bytes at data rates 0 to 2
  and 1 s to the first receive window (LoRaWAN Regional Parameters 1.0.3); 1 % of the time in 868.0 to 868.6 MHz
  (ETSI EN 300 220-2; "Impact of EU duty cycle ... for sub-GHz LPWAN SRDs", EURASIP JWCN 2019). Loss chosen.
* gsm: GPRS, 10.5 kbit/s in one time slot as measured (31.5 in three), uplink of one slot; 300 to 1,000 ms for 2G (High
  Performance Browser Networking, table 7-2), taken as a round trip with its tail. Loss chosen.
* village: issue 5 asks for 1 kbit/s and 30 % loss. Frame and delay chosen.
"""

from random import Random
from types import MappingProxyType
from typing import Final, NamedTuple

PERCENT: Final = 100
BITS: Final = 8
SECOND_MS: Final = 1_000


class Transit(NamedTuple):
    """How some bytes crossed a hop that repeats what is lost."""

    air_ms: int
    """How long the sender could send nothing else, duty cycle included."""
    delay_ms: int
    """From the first bit sent to the last byte handed over: `air_ms`, the link's delay and its jitter."""
    frames: int
    """Frames sent, repeated ones included."""
    air_bytes: int
    """Payload bytes sent in them."""


class Profile(NamedTuple):
    """One kind of link, one direction of one hop."""

    name: str
    bits_per_s: int
    latency_ms: int
    """Delay of a frame beside its time on the air ..."""
    jitter_ms: int
    """... and how much longer it may take, evenly drawn."""
    loss_percent: int
    """Frames of a hundred that do not arrive."""
    mtu_bytes: int
    """Payload bytes of one frame."""
    duty_percent: int
    """Of a hundred parts of the time, how many the sender may be on the air."""

    def frame_count(self, size: int) -> int:
        """Give the frames that `size` bytes take; at least one."""
        return max(1, -(-size // self.mtu_bytes))

    def air_ms(self, size: int) -> int:
        """Give how long `size` bytes keep the sender busy when nothing is lost, in ms, rounded up."""
        bits = size * BITS * SECOND_MS * PERCENT
        return -(-bits // (self.bits_per_s * self.duty_percent))

    def is_lost(self, random: Random) -> bool:
        """Draw whether one frame is lost, on a link that repeats nothing."""
        return random.randrange(PERCENT) < self.loss_percent

    def delay_ms(self, random: Random) -> int:
        """Draw the delay of a frame beside its time on the air."""
        return self.latency_ms + (random.randrange(self.jitter_ms + 1) if self.jitter_ms else 0)

    def cross(self, size: int, random: Random) -> Transit:
        """Draw how `size` bytes cross a hop that repeats each lost frame after a delay there and back.

        This is what TCP above the link sees: no loss, but time and bytes. Does not model a link that gives up.
        """
        frames, air_bytes, waits = 0, 0, 0
        left = size
        for _ in range(self.frame_count(size)):
            length = min(left, self.mtu_bytes)
            left -= length
            frames, air_bytes = frames + 1, air_bytes + length
            while self.is_lost(random):
                frames, air_bytes, waits = frames + 1, air_bytes + length, waits + 1
        air_ms = self.air_ms(air_bytes)
        # Repeats of one burst overlap: the window is open meanwhile, so one wait is paid, not each.
        repeat_ms = 2 * self.latency_ms if waits else 0
        return Transit(air_ms, air_ms + self.delay_ms(random) + repeat_ms, frames, air_bytes)


WIFI: Final = Profile("wifi", 20_000_000, 10, 40, 1, 1_500, 100)
ZIGBEE: Final = Profile("zigbee", 60_000, 15, 15, 2, 102, 100)
BLE: Final = Profile("ble", 156_160, 25, 25, 2, 244, 100)
LORA: Final = Profile("lora", 980, 1_000, 1_000, 10, 51, 1)
GSM: Final = Profile("gsm", 10_500, 150, 350, 2, 1_500, 100)
VILLAGE: Final = Profile("village", 1_000, 500, 500, 30, 128, 100)

PROFILES: Final = MappingProxyType(
    {one.name: one for one in (WIFI, ZIGBEE, BLE, LORA, GSM, VILLAGE)}
)
"""Every profile by name, the quickest first but for `village`, which is the worst that must still work."""
