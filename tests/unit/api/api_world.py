"""A street for tests of the API and the pages: an operator, meters that sign, one that cannot."""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, cast

import httpx
from fastapi import FastAPI
from memory_service import OPERATOR, MemoryService

from drystone.api.app import create_app
from drystone.api.border import LOOPBACK, ApiSettings, OperatorToken
from drystone.api.events import EventStreams
from drystone.api.service import Service
from drystone.formats import cbor, cose
from drystone.formats.senml import Measurement, write_pack
from drystone.records.key import SecretKey
from drystone.records.record import enrolment_proof, write_call, write_record

TOKEN = "correct-horse-battery-staple"
FIRST_S = 1_762_340_400


def secret_of(sub: str) -> SecretKey:
    """A meter's key, the same in every run."""
    return SecretKey.generate(cose.ALG_EDDSA, sub.encode().ljust(32, b"."))


@dataclass
class World:
    """A service, the application on it, and hands to act with."""

    service: MemoryService
    app: FastAPI
    call_seq: int = 0
    seqs: dict[str, int] = field(default_factory=dict)

    def client(self) -> httpx.AsyncClient:
        """A client on the application, without a socket."""
        transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://localhost")

    async def call(
        self,
        function: str,
        args: dict[str, object],
        *,
        contract: str = "registry",
        sub: str = "operator",
    ) -> None:
        """The operator, or another member, calls the registry or a contract."""
        payload = write_call(
            ledger=self.service.view.ledger,
            contract=contract,
            function=function,
            args=args,
            limit=1_000_000,
        )
        raw = write_record(
            secret=OPERATOR if sub == "operator" else secret_of(sub),
            iss="ewz",
            sub=sub,
            epoch=0,
            seq=self.call_seq if sub == "operator" else self.seqs.get(sub, 0),
            payload=payload,
            content_type=cose.CBOR,
        )
        if sub == "operator":
            self.call_seq += 1
        else:
            self.seqs[sub] = self.seqs.get(sub, 0) + 1
        answers = await self.service.submit(raw, wait="committed")
        assert [one.outcome for one in answers] == ["accepted"], answers

    async def enrol(self, *subs: str, profile: str | None = None) -> None:
        """Enrols meters with proofs of possession."""
        members: list[dict[str, object]] = []
        for sub in subs:
            proof = enrolment_proof(
                secret=secret_of(sub), iss="ewz", sub=sub, ledger=self.service.view.ledger
            )
            member: dict[str, object] = {"sub": sub, "proof": proof.hex()}
            if profile is not None:
                member["profile"] = profile
            members.append(member)
        await self.call("enrol", {"members": members})

    async def deploy(self, manifest: dict[str, object], source: str) -> None:
        """Submits a contract and lets it run from the next block on."""
        await self.call("submit", {"manifest": manifest, "source": source}, contract="contracts")
        version = {"name": manifest["name"], "version": manifest["version"]}
        await self.call("deploy", version, contract="contracts")

    def reading(
        self,
        sub: str = "m-1",
        *,
        seq: int | None = None,
        measurements: list[Measurement] | None = None,
    ) -> bytes:
        """A signed reading at the next position, or at a given one."""
        if seq is None:
            seq = self.seqs.get(sub, 0)
            self.seqs[sub] = seq + 1
        pack = measurements or [
            Measurement("energy", "Wh", 48_211_337 + 25 * seq, FIRST_S + 900 * seq)
        ]
        return write_record(
            secret=secret_of(sub),
            iss="ewz",
            sub=sub,
            epoch=0,
            seq=seq,
            payload=write_pack(pack),
            content_type=cose.SENML,
        )


def problem_of(response: httpx.Response) -> dict[str, object]:
    """The problem document of an answer, whose type is checked."""
    assert response.headers["content-type"] == "application/problem+json"
    return response.json()


class Relay:
    """Stands before a service so that one application, whose first request is slow, serves all."""

    def __init__(self) -> None:
        self.service: MemoryService | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.service, name)


RELAY = Relay()


def settings_for(hosts: frozenset[str] = LOOPBACK, **more: Any) -> ApiSettings:
    """Settings with the tests' token and a clock that stands still."""
    return ApiSettings(
        **more,
        token=OperatorToken(secret=TOKEN.encode()),
        clock_s=lambda: 0.0,
        keepalive_s=0.02,
        hosts=hosts,
    )


@lru_cache(maxsize=1)
def shared_app() -> FastAPI:
    """The application on whatever service the relay leads to."""
    RELAY.service = MemoryService()
    return create_app(cast("Service", RELAY), settings_for())


async def make_world(
    *,
    hosts: frozenset[str] | None = None,
    alone: bool = False,
    settings: ApiSettings | None = None,
) -> World:
    """Two meters with a profile, one without, and a thermometer that the gateway attests.

    With `alone` an application of its own, whose metrics begin at zero.
    """
    service = MemoryService()
    if hosts is not None or alone or settings is not None:
        app = create_app(service, settings or settings_for(hosts or LOOPBACK))
    else:
        app = shared_app()
        RELAY.service = service
        app.state.event_streams = EventStreams(keepalive_s=0.02)
    world = World(service, app)
    await world.call(
        "profile",
        {
            "name": "meter",
            "measurements": [{"name": "energy", "unit": "Wh"}, {"name": "power", "unit": "W"}],
            "register": {"name": "energy", "exponent": 0},
        },
    )
    await world.call(
        "profile", {"name": "climate", "measurements": [{"name": "temperature", "unit": "Cel"}]}
    )
    await world.enrol("m-1", "m-2", profile="meter")
    await world.enrol("probe")
    await world.call("attach", {"gateway": "gw-1", "device": "thermo-1", "profile": "climate"})
    return world


def sequence(*records: bytes) -> bytes:
    """A CBOR sequence of records."""
    return b"".join(records)


def decoded(response: httpx.Response) -> object:
    """A CBOR answer."""
    assert response.headers["content-type"] == "application/cbor"
    return cbor.decode(response.content)
