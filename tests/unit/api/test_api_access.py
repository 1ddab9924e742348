"""Who asks: signatures of every bad kind, tokens, the operator; and that denials are written down."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from access_stage import WWZ, Gated, Member, member, open_gate
from api_world import TOKEN, problem_of, secret_of

from drystone import limits
from drystone.formats import cose
from drystone.formats.message_signature import KeyId
from drystone.records.key import SecretKey

PATH = "/v1/streams/ewz/m-1"
OPERATOR = member("operator")


@pytest.fixture
def gated(tmp_path: Path) -> Iterator[Gated]:
    yield from open_gate(tmp_path, "members")


def code(answer: httpx.Response) -> tuple[int, object]:
    return answer.status_code, problem_of(answer)["code"]


class TestSignatures:
    def test_signed_request_of_a_member_is_answered_s2_6(self, gated: Gated) -> None:
        answer = gated.ask(member("m-2"), PATH)
        assert answer.status_code == 200
        assert answer.json()["records"] == 2
        assert gated.denials() == []

    def test_request_of_nobody_is_refused_and_written_down_s2_6(self, gated: Gated) -> None:
        assert code(gated.ask(None, f"{PATH}?secret=x")) == (401, "request-unsigned")
        (entry,) = gated.denials()
        assert entry.denial.who == "nobody"
        assert entry.denial.what == f"GET {PATH}"
        assert entry.denial.code == "request-unsigned"

    def test_signature_by_p256_holds_too(self, gated: Gated) -> None:
        secret = SecretKey.generate(cose.ALG_ES256, b"p" * 32)
        enrol(gated, "p-1", secret)
        assert gated.ask(Member("ewz", "p-1", secret), PATH).status_code == 200

    @pytest.mark.parametrize(("key", "claimed"), [("ed25519", "p256"), ("p256", "ed25519")])
    def test_algorithm_of_another_key_is_refused(
        self, gated: Gated, key: str, claimed: str
    ) -> None:
        algs = {"ed25519": cose.ALG_EDDSA, "p256": cose.ALG_ES256}
        secret = SecretKey.generate(algs[key], b"q" * 32)
        enrol(gated, "q-1", secret)
        answer = gated.ask(Member("ewz", "q-1", secret), PATH, alg=algs[claimed])
        assert code(answer) == (401, "request-signature")
        assert "not one for" in gated.denials()[0].denial.why

    def test_content_is_covered_by_its_digest(self, gated: Gated) -> None:
        path = "/v1/completeness/ewz/m-1"
        proof = gated.ask(OPERATOR, path).content
        answer = gated.ask(OPERATOR, path, method="POST", content=proof)
        assert answer.status_code == 200

    def test_other_content_than_was_signed_is_refused(self, gated: Gated) -> None:
        path = "/v1/completeness/ewz/m-1"
        proof = gated.ask(OPERATOR, path).content
        headers = gated.signed(OPERATOR, path, method="POST", content=proof)
        answer = gated.desk.ask("POST", path, content=proof + b"\x00", headers=headers)
        assert code(answer) == (401, "request-signature")

    def test_content_under_a_signature_without_content_is_refused(self, gated: Gated) -> None:
        path = "/v1/completeness/ewz/m-1"
        headers = gated.signed(OPERATOR, path, method="POST")
        headers["content-type"] = "application/cbor"
        answer = gated.desk.ask("POST", path, content=b"\x00", headers=headers)
        assert code(answer) == (401, "request-signature")

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", "/v1/streams/ewz/m-2"),
            ("GET", f"{PATH}?x=1"),
            ("GET", f"{PATH}/"),
            ("GET", "/v1/streams/ewz/m%2D1"),
            ("POST", "/v1/streams/ewz/m-1"),
            ("HEAD", "/v1/streams/ewz/m-1"),
        ],
    )
    def test_signature_of_another_request_is_refused(
        self, gated: Gated, method: str, path: str
    ) -> None:
        headers = gated.signed(OPERATOR, PATH)
        answer = gated.desk.ask(method, path, headers=headers)
        assert answer.status_code in {401, 404, 405}
        assert answer.status_code == 401 or path.endswith("/") or method == "POST"

    def test_signature_for_another_node_is_refused(self, gated: Gated) -> None:
        headers = gated.signed(OPERATOR, PATH) | {"host": "127.0.0.1"}
        assert code(gated.desk.ask("GET", PATH, headers=headers)) == (401, "request-signature")

    def test_head_is_signed_as_head(self, gated: Gated) -> None:
        headers = gated.signed(OPERATOR, PATH, method="HEAD")
        assert gated.desk.ask("HEAD", PATH, headers=headers).status_code == 200

    def test_request_is_answered_once(self, gated: Gated) -> None:
        headers = gated.signed(OPERATOR, PATH)
        assert gated.desk.ask("GET", PATH, headers=headers).status_code == 200
        again = gated.desk.ask("GET", PATH, headers=headers)
        assert code(again) == (401, "request-replayed")

    def test_nonce_is_each_members_own(self, gated: Gated) -> None:
        for who in (OPERATOR, member("m-1")):
            assert gated.ask(who, PATH, nonce="n" * 16).status_code == 200

    def test_nonce_is_forgotten_when_its_request_is_too_old(self, gated: Gated) -> None:
        assert gated.ask(OPERATOR, PATH, nonce="n" * 16).status_code == 200
        gated.clock.s += limits.SIGNATURE_AGE_S_MAX + limits.SIGNATURE_AHEAD_S_MAX + 1
        assert gated.ask(OPERATOR, PATH, nonce="n" * 16).status_code == 200

    @pytest.mark.parametrize(
        "age_s",
        [limits.SIGNATURE_AGE_S_MAX + 1, -limits.SIGNATURE_AHEAD_S_MAX - 1, 10**9, -(10**9)],
    )
    def test_request_signed_long_ago_or_ahead_is_stale(self, gated: Gated, age_s: int) -> None:
        gated.clock.s += limits.SIGNATURE_AGE_S_MAX + 5
        answer = gated.ask(OPERATOR, PATH, created=gated.clock.s - age_s)
        assert code(answer) == (401, "request-stale")

    @pytest.mark.parametrize("age_s", [limits.SIGNATURE_AGE_S_MAX, -limits.SIGNATURE_AHEAD_S_MAX])
    def test_request_at_the_windows_edge_is_answered(self, gated: Gated, age_s: int) -> None:
        gated.clock.s += limits.SIGNATURE_AGE_S_MAX
        assert gated.ask(OPERATOR, PATH, created=gated.clock.s - age_s).status_code == 200

    def test_request_signed_before_the_node_started_is_stale(self, gated: Gated) -> None:
        """The nonces of before are forgotten: what may have been answered must not be again."""
        answer = gated.ask(OPERATOR, PATH, created=gated.clock.s - 1)
        assert code(answer) == (401, "request-stale")

    def test_end_that_the_signer_set_is_kept(self, gated: Gated) -> None:
        for expires, status in ((gated.clock.s, 200), (gated.clock.s - 1, 401)):
            assert ask_until(gated, expires).status_code == status

    @pytest.mark.parametrize(
        "key",
        [
            KeyId("ewz", "nobody", bytes(4)),
            KeyId("nowhere", "m-1", bytes(4)),
            KeyId("ewz", "m-1", bytes(4)),
            KeyId("ewz", "m-2", secret_of("m-1").public.kid()),
        ],
    )
    def test_unknown_member_and_unknown_key_are_refused_in_the_same_words(
        self, gated: Gated, key: KeyId
    ) -> None:
        """Whoever cannot prove a key must not learn which members and keys there are."""
        stranger = Stranger(key.iss, key.sub, secret_of("m-1"), key)
        refused = problem_of(gated.ask(stranger, PATH))
        forged = problem_of(gated.ask(Member("ewz", "m-1", secret_of("m-2")), PATH))
        wrong = gated.ask(Stranger("ewz", "m-1", secret_of("m-2"), member("m-1").key), PATH)
        assert refused == forged == problem_of(wrong)
        assert refused["code"] == "request-signature"
        reasons = {entry.denial.why for entry in gated.denials()}
        assert len(reasons) == 2
        assert all(entry.denial.who.endswith(" ?") for entry in gated.denials())

    def test_key_that_was_revoked_is_told_so(self, gated: Gated) -> None:
        kid = secret_of("probe").public.kid().hex()
        gated.desk.run(gated.desk.world.call("revoke", {"sub": "probe", "kid": kid}))
        assert code(gated.ask(member("probe"), PATH)) == (403, "key-revoked")

    def test_key_that_was_replaced_is_told_so(self, gated: Gated) -> None:
        from drystone.records.record import enrolment_proof

        fresh = SecretKey.generate(cose.ALG_EDDSA, b"f" * 32)
        ledger = gated.desk.world.service.view.ledger
        proof = enrolment_proof(secret=fresh, iss="ewz", sub="probe", ledger=ledger).hex()
        gated.desk.run(gated.desk.world.call("rotate", {"sub": "probe", "proof": proof}))
        assert code(gated.ask(member("probe"), PATH)) == (403, "key-revoked")
        assert gated.ask(Member("ewz", "probe", fresh), PATH).status_code == 200

    def test_member_that_was_revoked_is_told_so(self, gated: Gated) -> None:
        gated.desk.run(gated.desk.world.call("revoke", {"sub": "probe"}))
        assert code(gated.ask(member("probe"), PATH)) == (403, "member-suspended")
        assert gated.denials()[0].denial.code == "member-suspended"

    def test_organisation_that_was_revoked_reads_nothing(self, gated: Gated) -> None:
        assert gated.ask(WWZ, PATH).status_code == 200
        ended = {"kind": "revoke", "organisation": "wwz"}
        gated.desk.run(gated.desk.world.call("propose", ended, contract="governance"))
        assert code(gated.ask(WWZ, PATH)) == (403, "member-suspended")

    @pytest.mark.parametrize(
        "bend",
        [
            lambda text: text.replace('"@authority" ', ""),
            lambda text: text.replace('tag="drystone"', 'tag="other"'),
            lambda text: text.replace(";nonce", ";once"),
            lambda text: "",
            lambda text: "\x7f",
        ],
    )
    def test_signature_of_another_form_is_refused(self, gated: Gated, bend: object) -> None:
        headers = gated.signed(OPERATOR, PATH)
        headers["signature-input"] = bend(headers["signature-input"])  # type: ignore[operator]
        assert code(gated.desk.ask("GET", PATH, headers=headers)) == (401, "request-signature")

    def test_signature_without_its_input_is_refused(self, gated: Gated) -> None:
        for name in ("signature", "signature-input"):
            headers = gated.signed(OPERATOR, PATH)
            del headers[name]
            answer = gated.desk.ask("GET", PATH, headers=headers)
            assert code(answer) == (401, "request-signature")

    def test_signed_requests_are_remembered_up_to_a_bound(
        self, gated: Gated, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(limits, "NONCES_MEMBER_MAX", 2)
        for _ in range(2):
            assert gated.ask(OPERATOR, PATH).status_code == 200
        refused = gated.ask(OPERATOR, PATH)
        assert code(refused) == (503, "overloaded")
        assert gated.ask(member("m-1"), PATH).status_code == 200
        monkeypatch.setattr(limits, "NONCES_MAX", 3)
        assert code(gated.ask(member("m-2"), PATH)) == (503, "overloaded")

    def test_refused_signatures_take_no_room(
        self, gated: Gated, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(limits, "NONCES_MEMBER_MAX", 1)
        for _ in range(3):
            gated.ask(Stranger("ewz", "m-1", secret_of("m-2"), member("m-1").key), PATH)
        assert gated.ask(member("m-1"), PATH).status_code == 200


class Stranger(Member):
    """Signs with one key and names another."""

    def __init__(self, iss: str, sub: str, secret: SecretKey, named: KeyId) -> None:
        super().__init__(iss, sub, secret)
        object.__setattr__(self, "named", named)

    @property
    def key(self) -> KeyId:
        return self.named  # type: ignore[attr-defined,no-any-return]


def enrol(gated: Gated, sub: str, secret: SecretKey) -> None:
    from drystone.records.record import enrolment_proof

    ledger = gated.desk.world.service.view.ledger
    proof = enrolment_proof(secret=secret, iss="ewz", sub=sub, ledger=ledger).hex()
    gated.desk.run(gated.desk.world.call("enrol", {"members": [{"sub": sub, "proof": proof}]}))


def ask_until(gated: Gated, expires: int) -> httpx.Response:
    """A request whose signature ends at a time."""
    from drystone.formats.http_fields import serialize_bare
    from drystone.formats.message_signature import COVERED, signature_base

    gated.nonce += 1
    key = OPERATOR.key
    params = (
        f'("@method" "@authority" "@path" "@query");created={gated.clock.s};expires={expires}'
        f';nonce="expiring-{gated.nonce:016d}";keyid="ewz/operator/{key.kid.hex()}"'
        ';alg="ed25519";tag="drystone"'
    )
    base = signature_base(gated.message("GET", PATH), COVERED, params)
    signature = serialize_bare(OPERATOR.secret.sign(base))
    headers = {"signature-input": f"a={params}", "signature": f"a={signature}"}
    return gated.desk.ask("GET", PATH, headers=headers)


class TestTokens:
    def test_operators_token_reads_everything(self, gated: Gated) -> None:
        assert gated.ask(TOKEN, PATH).status_code == 200

    def test_token_for_everything_reads_everything(self, gated: Gated) -> None:
        assert gated.ask(gated.token("all"), PATH).status_code == 200

    def test_scope_is_a_bound_even_where_members_read_everything(self, gated: Gated) -> None:
        token = gated.token("streams:ewz/m-1")
        assert gated.ask(token, PATH).status_code == 200
        answer = gated.ask(token, "/v1/streams/ewz/m-2")
        assert code(answer) == (403, "read-denied")
        assert code(gated.ask(token, "/v1/blocks")) == (403, "read-denied")
        assert gated.denials()[0].denial.who.startswith("token ")

    def test_token_of_a_member_ends_with_the_member(self, gated: Gated) -> None:
        token = gated.token("as:ewz/probe")
        assert gated.ask(token, PATH).status_code == 200
        gated.desk.run(gated.desk.world.call("revoke", {"sub": "probe"}))
        assert code(gated.ask(token, PATH)) == (403, "member-suspended")

    def test_token_of_a_member_who_never_was_is_refused(self, gated: Gated) -> None:
        assert code(gated.ask(gated.token("as:ewz/nobody"), PATH)) == (403, "member-suspended")

    @pytest.mark.parametrize(
        "header",
        [
            "Bearer",
            "Bearer ",
            "Bearer wrong",
            "Bearer dst_00000000_" + "0" * 48,
            f"Digest {TOKEN}",
            TOKEN,
            "Basic !!!",
            "Basic " + base64.b64encode(b"\xff:\xff").decode(),
            "Basic " + base64.b64encode(TOKEN.encode()).decode(),
            "Basic " + base64.b64encode(f"{TOKEN}:x".encode()).decode(),
        ],
    )
    def test_credentials_that_are_none_are_refused(self, gated: Gated, header: str) -> None:
        answer = gated.desk.ask("GET", PATH, headers={"authorization": header})
        assert code(answer) == (401, "token-invalid")
        assert answer.headers["www-authenticate"].startswith("Bearer ")
        written = json.dumps([vars_of(entry) for entry in gated.denials()])
        assert TOKEN not in written
        assert "0" * 20 not in written

    def test_wrong_token_is_refused_though_the_request_is_signed(self, gated: Gated) -> None:
        headers = gated.signed(OPERATOR, PATH) | {"authorization": "Bearer x"}
        assert code(gated.desk.ask("GET", PATH, headers=headers)) == (401, "token-invalid")

    def test_browsers_send_the_token_as_a_password(self, gated: Gated) -> None:
        for user in ("", "me", "a:b"):
            pair = base64.b64encode(f"{user.replace(':', '')}:{TOKEN}".encode()).decode()
            answer = gated.desk.ask("GET", PATH, headers={"authorization": f"Basic {pair}"})
            assert answer.status_code == 200

    def test_expired_and_revoked_tokens_read_nothing(self, gated: Gated) -> None:
        token = gated.token("all", days=1)
        other = gated.token("all")
        gated.tokens.revoke(other.split("_")[1], now_s=gated.clock.s)
        assert code(gated.ask(other, PATH)) == (401, "token-invalid")
        gated.clock.s += 86_400
        assert code(gated.ask(token, PATH)) == (401, "token-invalid")

    def test_node_without_tokens_takes_none(self, tmp_path: Path) -> None:
        for gated in open_gate(tmp_path, "members"):
            object.__setattr__(gated.desk.world.app.state.settings, "tokens", None)
            assert code(gated.ask("dst_x", PATH)) == (401, "token-invalid")


def vars_of(entry: object) -> str:
    return repr(entry)


class TestAttesting:
    BODY = json.dumps(
        {
            "device": "thermo-1",
            "measurements": [{"name": "temperature", "unit": "Cel", "value": 21.5}],
        }
    ).encode()

    def attest(self, gated: Gated, token: str | None) -> httpx.Response:
        headers = {"content-type": "application/json"}
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        return gated.desk.ask("POST", "/v1/readings", content=self.BODY, headers=headers)

    def test_token_with_the_scope_hands_in_readings_and_reads_nothing(self, gated: Gated) -> None:
        token = gated.token("attest")
        assert self.attest(gated, token).status_code == 200
        assert code(gated.ask(token, PATH)) == (403, "read-denied")

    @pytest.mark.parametrize("scope", ["all", "streams:ewz/*", "as:ewz/operator", "ledger"])
    def test_token_without_the_scope_hands_in_nothing(self, gated: Gated, scope: str) -> None:
        assert code(self.attest(gated, gated.token(scope))) == (401, "token-invalid")
        assert "attest" in gated.denials()[0].denial.why

    def test_nobody_and_members_hand_in_nothing(self, gated: Gated) -> None:
        assert code(self.attest(gated, None)) == (401, "token-invalid")
        assert code(self.attest(gated, "x")) == (401, "token-invalid")
        assert self.attest(gated, TOKEN).status_code == 200


class TestAudit:
    def test_operator_reads_what_was_denied_newest_first(self, gated: Gated) -> None:
        gated.ask(None, "/v1/blocks")
        gated.ask(gated.token("ledger"), PATH)
        rows = gated.ask(TOKEN, "/v1/audit").json()["rows"]
        assert [one["code"] for one in rows] == ["read-denied", "request-unsigned"]
        assert rows[1]["who"] == "nobody"
        assert rows[1]["what"] == "GET /v1/blocks"
        assert rows[1]["origin"] == "127.0.0.1"
        assert rows[0]["time"].endswith("Z")

    def test_list_goes_on_page_by_page(self, gated: Gated) -> None:
        for number in range(5):
            gated.ask(None, f"/v1/blocks/{number}")
        page = gated.ask(TOKEN, "/v1/audit?limit=2").json()
        assert [one["number"] for one in page["rows"]] == [5, 4]
        page = gated.ask(TOKEN, f"/v1/audit?limit=2&after={page['next']}").json()
        assert [one["number"] for one in page["rows"]] == [3, 2]
        assert gated.ask(TOKEN, "/v1/audit.csv").text.startswith("number,time,who,origin")

    @pytest.mark.parametrize("who", ["nobody", "member", "governor", "all", "wrong"])
    def test_nobody_else_reads_it(self, gated: Gated, who: str) -> None:
        asker: object = {
            "nobody": None,
            "member": member("m-1"),
            "governor": OPERATOR,
            "all": gated.token("all"),
            "wrong": "wrong",
        }[who]
        answer = gated.ask(asker, "/v1/audit")  # type: ignore[arg-type]
        assert code(answer) == (401, "token-invalid")

    def test_denials_are_counted_by_code(self, gated: Gated) -> None:
        gated.ask(None, "/v1/blocks")
        gated.ask("wrong", "/v1/blocks")
        gated.ask("wrong", "/v1/blocks")
        text = gated.ask(None, "/metrics").text
        assert 'drystone_denials_total{code="request-unsigned"} 1.0' in text
        assert 'drystone_denials_total{code="token-invalid"} 2.0' in text

    def test_open_node_has_an_audit_log_for_its_operator_too(self, tmp_path: Path) -> None:
        for gated in open_gate(tmp_path, "open"):
            assert gated.ask(None, PATH).status_code == 200
            assert code(gated.ask(None, "/v1/audit")) == (401, "token-invalid")
            assert len(gated.ask(TOKEN, "/v1/audit").json()["rows"]) == 1

    def test_name_that_was_only_claimed_is_marked(self, gated: Gated) -> None:
        headers = gated.signed(OPERATOR, PATH) | {"signature": "x=:AAAA:"}
        gated.desk.ask("GET", PATH, headers=headers)
        assert gated.denials()[0].denial.who.startswith("ewz/operator/")
        assert gated.denials()[0].denial.who.endswith(" ?")


@pytest.mark.parametrize("policy", ["members", "rules"])
def test_browser_that_knows_nobody_is_asked_for_a_token_on_a_readable_page(
    tmp_path: Path, policy: str
) -> None:
    for gated in open_gate(tmp_path, policy):  # type: ignore[arg-type]
        answer = gated.desk.get("/blocks", accept="text/html")
        assert answer.status_code == 401
        assert "Basic" in answer.headers["www-authenticate"]
        assert answer.headers["content-type"].startswith("text/html")
