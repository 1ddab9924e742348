"""A node's settings: what `config.toml` in its home may say, with unit, default and bound of each.

Every setting is optional; `DRYSTONE__SECTION__KEY` in the environment overrides the file. An unknown section or
key is refused, because a misspelt bound that silently does nothing is worse than a node that does not start.
Only the front and the command line read this file: the other processes are told what they need.

Source: design.md section 7 (a node's home).
"""

import ipaddress
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from drystone import limits
from drystone.errors import ConfigInvalid

PREFIX: Final = "DRYSTONE__"
"""An environment variable with this prefix is a setting: `DRYSTONE__HTTP__PORT=0`."""

FILE_BYTES_MAX: Final = 65_536
"""Bytes of a configuration file that are read."""


class Section(BaseModel):
    """A table of the file: frozen, and nothing in it that is not a setting."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NodeSettings(Section):
    """What the node is for, and how it runs on its machine."""

    role: Literal["node", "gateway", "follower"] = Field(
        default="node",
        description="node: takes, orders and executes; gateway: takes, seals and exchanges, orders nothing;"
        " follower: executes what others ordered and serves reads and proofs.",
    )
    processes: Literal["many", "one"] = Field(
        default="many",
        description="many: front, verifiers and executor as processes; one: all in one, for a small core.",
    )
    verifiers: int = Field(
        default=0, ge=0, le=64, description="Verifier processes; 0: as many as there are cores."
    )
    log_format: Literal["auto", "console", "json"] = Field(
        default="auto", description="auto: console on a terminal, JSON lines elsewhere."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe line that is written."
    )
    executor_memory_bytes: int = Field(
        default=4_294_967_296,
        ge=268_435_456,
        description="Address space of the executor; reaching it stops the node.",
    )


class HttpSettings(Section):
    """Where the node listens."""

    host: str = Field(
        default="127.0.0.1",
        max_length=255,
        description="Address to listen on; loopback unless told otherwise.",
    )
    port: int = Field(default=8420, ge=0, le=65_535, description="Port; 0 picks a free one.")
    public_url: str = Field(
        default="",
        max_length=512,
        description="Address that others use, when a proxy stands before.",
    )


class IntakeSettings(Section):
    """When intake pushes back, and how long records wait to share a vertex."""

    records_max: int = Field(
        default=limits.INTAKE_RECORDS_MAX,
        ge=1,
        le=limits.INTAKE_RECORDS_MAX,
        description="Records acknowledged and not yet sealed, beyond which intake refuses.",
    )
    bytes_max: int = Field(
        default=limits.INTAKE_BYTES_MAX,
        ge=limits.REQUEST_BYTES_MAX,
        le=limits.INTAKE_BYTES_MAX,
        description="Bytes acknowledged and not yet sealed, beyond which intake refuses.",
    )
    linger_ms: int = Field(
        default=limits.BLOCK_CLOSE_MS,
        ge=0,
        le=60_000,
        description="Under load records wait this long (ms) to share a vertex.",
    )


class StorageSettings(Section):
    """What the node may use of its disk."""

    reserve_bytes: int = Field(
        default=limits.DISK_RESERVE_BYTES,
        ge=0,
        description="Free disk below which intake refuses with `disk-full`.",
    )
    budget_bytes: int = Field(
        default=0, ge=0, description="Bytes the two databases may have together; 0: no budget."
    )


class EngineSettings(Section):
    """Who decides the order, and when a block closes."""

    kind: Literal["local"] = Field(default="local", description="local: this node alone orders.")
    close_ms: int = Field(
        default=limits.BLOCK_CLOSE_MS,
        ge=0,
        le=60_000,
        description="Under load a block closes after this time (ms); when idle at once.",
    )
    close_records: int = Field(
        default=limits.BLOCK_RECORDS_CLOSE,
        ge=1,
        le=65_536,
        description="Under load a block closes with this many records.",
    )


class GatewaySettings(Section):
    """What a gateway does beside taking and sealing."""

    provisional: bool = Field(
        default=False,
        description="A follower runs beside the gateway, and reads show what is not yet ordered, marked provisional.",
    )
    keep_bytes: int = Field(
        default=limits.GATEWAY_KEEP_BYTES,
        ge=0,
        description="Bytes that vertices.db may hold before bodies already ordered are dropped, the oldest first.",
    )
    carries: bool = Field(
        default=True,
        description="Bodies of other gateways' vertices are taken too, to be passed on; false: headers only.",
    )
    uplink_url: str = Field(
        default="",
        max_length=512,
        description="REST address of the uplink, from which receipts are fetched; empty: they are not here.",
    )


class PeerSettings(Section):
    """Another gateway, node or follower with whom vertices are exchanged; a table of its own in the file."""

    name: str = Field(
        pattern=r"^[^/]{1,48}/[^/]{1,48}$", description="Whom: organisation/member, as enrolled."
    )
    address: str = Field(
        default="", max_length=255, description="host:port to dial; empty: it dials."
    )
    uplink: bool = Field(
        default=False, description="Order, outcomes and registry are pulled from it."
    )
    slow: bool = Field(
        default=False,
        description="The link has about 1 kbit/s or loses much: small pieces, long patience.",
    )


class SyncSettings(Section):
    """With whom vertices are exchanged, and how much of a link that may take."""

    listen: str = Field(
        default="",
        max_length=255,
        description="host:port to listen on for peers; empty: nobody may dial.",
    )
    bytes_s: int = Field(
        default=0,
        ge=0,
        description="Bytes per second that all links together may send; 0: as the links allow.",
    )
    idle_s: int = Field(
        default=900,
        ge=5,
        le=86_400,
        description="A link on which nothing arrives for this long (s) is closed and dialled again.",
    )
    links_max: int = Field(
        default=limits.LINKS_MAX,
        ge=1,
        le=limits.LINKS_MAX,
        description="Links open at once; further peers are refused.",
    )
    peers: tuple[PeerSettings, ...] = Field(
        default=(),
        max_length=limits.PEERS_MAX,
        description="One table [[sync.peers]] for each peer: name, address, uplink, slow. In the environment: JSON.",
    )

    announce: tuple[str, ...] = Field(
        default=(),
        max_length=limits.ANNOUNCEMENT_ADDRESSES_MAX,
        description="host:port where peers may dial this side; told to all of them, signed. In the environment: JSON.",
    )
    dial_announced: bool = Field(
        default=True, description="Dial peers at the addresses that they announce."
    )

    @field_validator("peers", "announce", mode="before")
    @classmethod
    def _from_text(cls, value: object) -> object:
        """Read what an environment variable holds; a file holds tables already."""
        return json.loads(value) if isinstance(value, str) else value

    @field_validator("peers")
    @classmethod
    def _once_each(cls, peers: tuple[PeerSettings, ...]) -> tuple[PeerSettings, ...]:
        """Refuse a peer named twice: one link leads to each."""
        if len({peer.name for peer in peers}) < len(peers):
            raise ValueError("a peer is named twice")
        return peers


class ReadSettings(Section):
    """Who may read over HTTP."""

    policy: Literal["auto", "open", "members", "rules"] = Field(
        default="auto",
        description="open: whoever reaches the node; members: signed requests and tokens; rules: of these what"
        " organisations allow on the ledger; auto: open on loopback, members elsewhere.",
    )
    log: Literal["open", "members"] = Field(
        default="open", description="Who may read checkpoint and tiles: sizes, times and hashes."
    )
    metrics: Literal["open", "members"] = Field(
        default="open", description="Who may read /metrics: counts and sizes, no names or values."
    )


class Settings(Section):
    """Everything a node can be told."""

    node: NodeSettings = NodeSettings()
    http: HttpSettings = HttpSettings()
    intake: IntakeSettings = IntakeSettings()
    storage: StorageSettings = StorageSettings()
    engine: EngineSettings = EngineSettings()
    gateway: GatewaySettings = GatewaySettings()
    sync: SyncSettings = SyncSettings()
    read: ReadSettings = ReadSettings()


Policy = Literal["open", "members", "rules"]


def read_policy(settings: Settings) -> Policy:
    """Give the read policy that holds: the one set, else open for a node that nobody else reaches."""
    chosen = settings.read.policy
    if chosen != "auto":
        return chosen
    return "open" if is_loopback(settings.http.host) and not settings.http.public_url else "members"


def is_loopback(host: str) -> bool:
    """Say whether only this machine reaches an address to listen on."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def parse_settings(text: str, environment: Mapping[str, str]) -> Settings:
    """Give the settings of a configuration text, overridden by the environment.

    Checks every name, type and bound. Does not check that a port is free or an address exists.

    Raises:
        ConfigInvalid: not TOML, or an unknown or impossible setting; the message names it.
    """
    try:
        tables: dict[str, object] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigInvalid(f"config.toml is not TOML: {error}") from error
    for name, value in sorted(environment.items()):
        if name.startswith(PREFIX):
            _override(tables, name=name, value=value)
    try:
        # From strings as well as from TOML's types, because an environment holds strings only.
        return Settings.model_validate(tables)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ConfigInvalid(f"{place}: {first['msg']}") from error


def read_settings(path: Path, environment: Mapping[str, str]) -> Settings:
    """Give the settings of a configuration file; a file that is not there has none.

    Raises:
        ConfigInvalid: see `parse_settings`; also a file that is too long or not UTF-8.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        data = b""
    if len(data) > FILE_BYTES_MAX:
        raise ConfigInvalid(f"config.toml has {len(data)} bytes, at most {FILE_BYTES_MAX} are read")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise ConfigInvalid("config.toml is not UTF-8") from error
    return parse_settings(text, environment)


def sample() -> str:
    """Give a configuration text that says every default, each line commented out and explained."""
    lines = ["# Drystone node settings. Uncomment a line to change it.", ""]
    for section_name, section in Settings.model_fields.items():
        lines.append(f"[{section_name}]")
        kind = section.annotation
        assert isinstance(kind, type), section_name
        assert issubclass(kind, Section), section_name
        for name, field in kind.model_fields.items():
            lines += [f"# {field.description}", f"# {name} = {_as_toml(field.default)}"]
        lines.append("")
    return "\n".join(lines)


def _as_toml(value: object) -> str:
    """Give a default as it would stand in the file."""
    if isinstance(value, tuple):
        return "[]"
    return f'"{value}"' if isinstance(value, str) else str(value).lower()


def _override(tables: dict[str, object], *, name: str, value: str) -> None:
    """Put one environment variable into the tables of the file."""
    parts = name.removeprefix(PREFIX).lower().split("__")
    if len(parts) != 2 or not all(parts):
        raise ConfigInvalid(f"{name}: expected {PREFIX}SECTION__KEY")
    table = tables.setdefault(parts[0], {})
    if not isinstance(table, dict):
        raise ConfigInvalid(f"{parts[0]}: expected a table")
    table[parts[1]] = value
