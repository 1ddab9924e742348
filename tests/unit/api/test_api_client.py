"""A client that says who asks, against the real application behind a policy."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from access_stage import Gated, Member, member, open_gate
from api_world import secret_of

from drystone.client.messages import StreamName
from drystone.client.rest import Client, Endpoint
from drystone.client.signing import BearerToken, RequestSigner, sign_request
from drystone.errors import KeyFileInvalid, ReadDenied, RequestSignature, RequestUnsigned
from drystone.home.keyfolder import KeyFile, write_key_file
from drystone.records.key import SecretKey

METER = StreamName("ewz", "m-1", None)


@pytest.fixture
def gated(tmp_path: Path) -> Iterator[Gated]:
    yield from open_gate(tmp_path, "rules")


class Bridge:
    """Hands a client's requests to the application and remembers them."""

    def __init__(self, gated: Gated) -> None:
        self.gated = gated
        self.seen: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        path = request.url.raw_path.decode()
        answer = self.gated.desk.ask(
            request.method, path, content=request.content or None, headers=dict(request.headers)
        )
        # The application's is an answer to an asynchronous client.
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


def open_client(bridge: Bridge, auth: httpx.Auth | None) -> Client:
    endpoint = Endpoint(url="http://localhost", auth=auth)
    return Client(endpoint, transport=httpx.MockTransport(bridge))


def signer(gated: Gated, who: Member) -> RequestSigner:
    key = KeyFile(organisation=who.iss, member=who.sub, secret=who.secret)
    nonces = iter(f"client-nonce-{number:08d}" for number in range(1_000))
    return RequestSigner(key, now_s=gated.clock, nonce=lambda: next(nonces))


def test_client_signs_every_request_anew(gated: Gated) -> None:
    bridge = Bridge(gated)
    with open_client(bridge, signer(gated, member("m-1"))) as node:
        for _ in range(3):
            assert node.get(f"/v1/streams/{METER.path}")["records"] == 2
    assert len({one.headers["signature"] for one in bridge.seen}) == 3
    assert gated.denials() == []


def test_client_signs_queries_contents_and_odd_paths(gated: Gated) -> None:
    bridge = Bridge(gated)
    with open_client(bridge, signer(gated, member("operator"))) as node:
        rows = list(node.rows("/v1/members", {"iss": "ewz"}, limit=3))
        proof = node.completeness(METER)
        later = node.completeness(METER, since=proof)
        values = list(node.rows("/v1/contracts/homes/state", {"path": "bill/ewz/house-7"}))
    assert len(rows) == 3
    assert later
    assert [one["path"] for one in values] == ["bill/ewz/house-7/1"]
    assert "content-digest" in bridge.seen[-2].headers


def test_records_are_sent_without_another_signature(gated: Gated) -> None:
    bridge = Bridge(gated)
    with open_client(bridge, signer(gated, member("m-1"))) as node:
        node.get(f"/v1/streams/{METER.path}")
        (answer,) = node.submit([gated.desk.world.reading("m-1")])
    assert answer.code == "stored"
    assert "signature" not in bridge.seen[-1].headers


def test_client_without_a_key_is_told_to_sign(gated: Gated) -> None:
    bridge = Bridge(gated)
    with open_client(bridge, None) as node, pytest.raises(RequestUnsigned):
        node.get(f"/v1/streams/{METER.path}")
    assert len(bridge.seen) == 1


def test_client_with_a_foreign_key_is_refused(gated: Gated) -> None:
    bridge = Bridge(gated)
    impostor = Member("ewz", "m-1", secret_of("m-2"))
    with open_client(bridge, signer(gated, impostor)) as node, pytest.raises(RequestSignature):
        node.get(f"/v1/streams/{METER.path}")
    assert len(bridge.seen) == 1


def test_denial_comes_back_as_the_error_it_was(gated: Gated) -> None:
    with (
        open_client(Bridge(gated), signer(gated, member("m-2"))) as node,
        pytest.raises(ReadDenied),
    ):
        node.get(f"/v1/streams/{METER.path}")


def test_client_shows_its_token(gated: Gated) -> None:
    token = gated.token("streams:ewz/m-1")
    with open_client(Bridge(gated), BearerToken(token)) as node:
        assert node.get(f"/v1/streams/{METER.path}")["records"] == 2
    assert token not in repr(BearerToken(token))
    assert token not in repr(Endpoint(url="x", auth=BearerToken(token), token=token))


def test_content_without_a_type_gets_one_that_is_covered() -> None:
    request = httpx.Request("POST", "http://Node.example:80/x?y=1", content=b"z")
    key = KeyFile(organisation="ewz", member="m-1", secret=secret_of("m-1"))
    sign_request(request, key, now_s=5, nonce="n" * 16)
    assert request.headers["content-type"] == "application/octet-stream"
    assert '"content-digest")' in request.headers["signature-input"]


class TestFindingAKey:
    def find(self, home: Path, **environment: str) -> httpx.Auth | None:
        from drystone.cli.node_access import find_auth

        return find_auth(home, environment)

    def key_file(self, path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        secret = SecretKey.generate(-8, b"k" * 32)
        write_key_file(path, KeyFile(organisation="ewz", member="k", secret=secret))
        return path

    def test_home_with_an_operator_signs(self, tmp_path: Path) -> None:
        self.key_file(tmp_path / "keys" / "operator.key")
        assert isinstance(self.find(tmp_path), RequestSigner)

    def test_named_key_and_token_come_first(self, tmp_path: Path) -> None:
        other = self.key_file(tmp_path / "other.key")
        assert isinstance(self.find(tmp_path, DRYSTONE_KEY=str(other)), RequestSigner)
        found = self.find(tmp_path, DRYSTONE_KEY=str(other), DRYSTONE_TOKEN="t")
        assert isinstance(found, BearerToken)

    def test_home_without_an_operator_asks_as_nobody(self, tmp_path: Path) -> None:
        assert self.find(tmp_path) is None

    def test_named_key_that_is_none_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(KeyFileInvalid):
            self.find(tmp_path, DRYSTONE_KEY=str(tmp_path / "nothing"))
