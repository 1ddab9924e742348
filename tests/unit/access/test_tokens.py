"""Tokens: told once, kept as a hash, ended by time or hand, and nothing taken for one that is none."""

import json
import threading
from pathlib import Path

import pytest

from drystone import limits
from drystone.errors import ArgumentsMalformed, KeyFileInvalid, TokenInvalid
from drystone.home.tokens import DAY_S, TokenBook, TokenFile, check_scope

NOW_S = 1_762_340_400
ENTROPY = bytes(range(28))


@pytest.fixture
def file(tmp_path: Path) -> TokenFile:
    return TokenFile(tmp_path / "tokens.json")


def make(file: TokenFile, *scopes: str, number: int = 0, days: int = 7) -> str:
    entropy = number.to_bytes(4, "big") + ENTROPY[4:]
    _, text = file.create(
        list(scopes) or ["all"], days=days, note="for Grafana", now_s=NOW_S, entropy=entropy
    )
    return text


def test_token_is_found_by_its_text(file: TokenFile) -> None:
    text = make(file, "streams:ewz/m-*", "ledger")
    found = TokenBook(file).find(text, now_s=NOW_S)
    assert (found.scopes, found.note) == (("streams:ewz/m-*", "ledger"), "for Grafana")
    assert found.expires_s == NOW_S + 7 * DAY_S


def test_file_holds_no_token_and_is_its_owners_only(file: TokenFile) -> None:
    text = make(file)
    kept = file.path.read_text()
    assert text not in kept
    assert text.split("_")[2] not in kept
    for path in file.path.parent.iterdir():
        assert path.stat().st_mode & 0o077 == 0, path


@pytest.mark.parametrize(
    "bend",
    [
        lambda text: "",
        lambda text: text[:-1],
        lambda text: text + "0",
        lambda text: text[:-1] + ("0" if text[-1] != "0" else "1"),
        lambda text: text.upper(),
        lambda text: text.replace("dst_", "", 1),
        lambda text: " " + text,
        lambda text: "dst_ffffffff_" + text.split("_")[2],
        lambda text: "\udcff",
        lambda text: "dst_" + "\u0660" * 8 + "_" + "0" * 48,
    ],
)
def test_text_that_is_no_token_is_refused(file: TokenFile, bend: object) -> None:
    text = make(file)
    with pytest.raises(TokenInvalid) as refused:
        TokenBook(file).find(bend(text), now_s=NOW_S)  # type: ignore[operator]
    assert text.split("_")[2] not in str(refused.value)


def test_token_ends_when_its_days_are_over(file: TokenFile) -> None:
    text = make(file, days=1)
    book = TokenBook(file)
    assert book.find(text, now_s=NOW_S + DAY_S - 1)
    with pytest.raises(TokenInvalid, match="expired"):
        book.find(text, now_s=NOW_S + DAY_S)


def test_token_revoked_by_hand_ends_at_once_in_a_running_node(file: TokenFile) -> None:
    text, other = make(file), make(file, number=9)
    book = TokenBook(file)
    found = book.find(text, now_s=NOW_S)
    file.revoke(found.id, now_s=NOW_S + 5)
    with pytest.raises(TokenInvalid, match="revoked"):
        book.find(text, now_s=NOW_S + 5)
    assert book.find(other, now_s=NOW_S)
    assert file.revoke(found.id, now_s=NOW_S + 9).revoked_s == NOW_S + 5


def test_token_that_is_not_there_cannot_be_revoked(file: TokenFile) -> None:
    with pytest.raises(TokenInvalid):
        file.revoke("00000000", now_s=NOW_S)


def test_new_token_is_known_to_a_running_node(file: TokenFile) -> None:
    book = TokenBook(file)
    with pytest.raises(TokenInvalid):
        book.find("dst_00010203_" + ENTROPY[4:].hex(), now_s=NOW_S)
    assert book.find(make(file), now_s=NOW_S)


@pytest.mark.parametrize(
    ("content", "mode"),
    [
        (b"", 0o600),
        (b"{", 0o600),
        (b"[]", 0o600),
        (b'{"drystone-tokens": 2, "tokens": []}', 0o600),
        (b'{"drystone-tokens": 1, "tokens": [], "more": 1}', 0o600),
        (b'{"drystone-tokens": 1, "tokens": [{}]}', 0o600),
        (b'{"drystone-tokens": 1, "tokens": [5]}', 0o600),
        (b'{"drystone-tokens": 1, "tokens": []}', 0o644),
        (b"\xff" * 40, 0o600),
        (b" " * 1_048_577, 0o600),
    ],
)
def test_file_that_cannot_be_believed_holds_no_token(
    file: TokenFile, content: bytes, mode: int, caplog: pytest.LogCaptureFixture
) -> None:
    file.path.write_bytes(content)
    file.path.chmod(mode)
    with pytest.raises(KeyFileInvalid):
        file.read()
    with pytest.raises(TokenInvalid):
        TokenBook(file).find("dst_00010203_" + ENTROPY[4:].hex(), now_s=NOW_S)
    assert "no token is taken" in caplog.text


@pytest.mark.parametrize(
    "field",
    [{"scopes": [5]}, {"expires_s": "9"}, {"hash": None}, {"created_s": True}, {"revoked_s": "x"}],
)
def test_token_with_a_field_of_another_type_is_no_token(
    file: TokenFile, field: dict[str, object]
) -> None:
    make(file)
    kept = json.loads(file.path.read_text())
    kept["tokens"][0] |= field
    file.path.write_text(json.dumps(kept))
    with pytest.raises(KeyFileInvalid):
        file.read()


@pytest.mark.parametrize(
    ("scopes", "days", "note"),
    [
        ([], 1, ""),
        (["everything"], 1, ""),
        (["streams:ewz"], 1, ""),
        (["all", "all"], 1, ""),
        (["as:ewz"], 1, ""),
        (["as:ewz/a/b"], 1, ""),
        (["attest:x"], 1, ""),
        ([f"streams:ewz/m-{n}" for n in range(33)], 1, ""),
        (["all"], 0, ""),
        (["all"], limits.TOKEN_DAYS_MAX + 1, ""),
        (["all"], 1, "x" * 81),
        (["all"], 1, "two\nlines"),
    ],
)
def test_token_that_cannot_be_is_not_made(
    file: TokenFile, scopes: list[str], days: int, note: str
) -> None:
    with pytest.raises(ArgumentsMalformed):
        file.create(scopes, days=days, note=note, now_s=NOW_S, entropy=ENTROPY)
    assert file.read() == []


def test_too_little_randomness_makes_no_token(file: TokenFile) -> None:
    with pytest.raises(ArgumentsMalformed):
        file.create(["all"], days=1, note="", now_s=NOW_S, entropy=bytes(27))


def test_full_file_forgets_ended_tokens_and_never_active_ones(
    file: TokenFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "TOKENS_MAX", 3)
    for number in range(3):
        make(file, number=number)
    with pytest.raises(ArgumentsMalformed):
        make(file, number=3)
    file.revoke("00000001", now_s=NOW_S)
    make(file, number=3)
    assert [one.id for one in file.read()] == ["00000000", "00000002", "00000003"]


def test_tokens_made_at_the_same_time_are_all_kept(file: TokenFile) -> None:
    threads = [
        threading.Thread(target=make, args=(file,), kwargs={"number": number})
        for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(file.read()) == 8


@pytest.mark.parametrize("scope", ["all", "attest", "ledger", "as:ewz/house-7", "states:m/x"])
def test_scope_is_taken(scope: str) -> None:
    check_scope(scope)
