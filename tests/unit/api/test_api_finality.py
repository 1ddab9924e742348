"""Everything that a client is told says whether it is final, and what is not final has no proof to offer."""

import json
from dataclasses import replace

import pytest
from api_desk import Desk
from api_world import problem_of
from memory_service import MemoryService

from drystone.api.contract_documents import value_row
from drystone.api.documents import member_document, stream_document
from drystone.api.events import frame
from drystone.api.values import (
    ContractValue,
    EventCursor,
    MemberInfo,
    ServiceEvent,
    StreamInfo,
    StreamKey,
)
from drystone.gateway.answer import Answer
from drystone.ledger import keyspace
from drystone.transport.http import answer_row


def foresee(desk: Desk) -> tuple[str, ...]:
    """Give the node a provisional view in which its first record is not ordered yet; its path."""
    service = desk.world.service
    assert isinstance(service, MemoryService)
    foreseen = object.__new__(MemoryService)
    foreseen.__dict__.update(service.__dict__)
    (stream, epoch, seq), found = next(iter(service.found.items()))
    pending = replace(found, height=None, time_ms=None, log_index=None)
    foreseen.found = {(stream, epoch, seq): pending}
    service.foreseen = foreseen
    return (*stream[:2], str(epoch), str(seq))


def test_record_says_that_it_is_final(desk: Desk) -> None:
    path = "/".join(foresee(desk))
    document = desk.get(f"/v1/records/{path}").json()
    assert document["finality"] == "final"
    assert document["receipt"] is not None


def test_pending_record_has_neither_height_nor_receipt(desk: Desk) -> None:
    path = "/".join(foresee(desk))
    document = desk.get(f"/v1/records/{path}?view=provisional").json()
    assert document["finality"] == "provisional"
    absent = [document[name] for name in ("height", "committed", "log_index", "receipt")]
    assert absent == [None] * 4
    assert document["outcome"] == "accepted"


def test_view_that_does_not_exist_is_refused(desk: Desk) -> None:
    answer = desk.get("/v1/streams?view=tomorrow")
    assert answer.status_code == 400
    assert problem_of(answer)["code"] == "request-malformed"


@pytest.mark.parametrize("view", ["", "?view=final", "?view=provisional"])
def test_node_that_orders_by_itself_says_the_same_in_every_view(desk: Desk, view: str) -> None:
    rows = desk.get(f"/v1/streams{view}").json()["rows"]
    assert rows
    assert {row["finality"] for row in rows} == {"final"}


@pytest.mark.parametrize(
    "path", ["/v1/vertices", "/v1/streams", "/v1/blocks/2/outcomes", "/v1/blocks/1/outcomes"]
)
def test_rows_say_what_is_final(desk: Desk, path: str) -> None:
    rows = desk.get(path).json()["rows"]
    assert all(row["finality"] == "final" for row in rows)


def test_state_document_is_always_final(desk: Desk) -> None:
    service = desk.world.service
    stream = desk.get("/v1/streams").json()["rows"][0]
    assert isinstance(service, MemoryService)
    key = keyspace.stream((stream["iss"], stream["sub"])).hex()
    assert desk.get(f"/v1/state/{key}").json()["finality"] == "final"


def test_documents_of_foreseen_values_say_so(desk: Desk) -> None:
    service = desk.world.service
    (stream, *_), _ = next(iter(service.found.items()))  # type: ignore[attr-defined]
    info = desk.run(service.stream(stream))
    member = desk.run(service.member(stream))
    assert info is not None
    assert member is not None
    assert stream_document(replace(info, final=False)).finality == "provisional"
    assert member_document(replace(member, final=False)).finality == "provisional"
    value = ContractValue(path="a", key=b"k", value=b"\x01", final=False)
    assert value_row(value).finality == "provisional"


def test_event_without_id_is_what_is_provisional() -> None:
    event = ServiceEvent(
        cursor=EventCursor(3, -1), kind="event", data={"n": 1}, final=False, resumes=False
    )
    name, data = frame(event).decode().splitlines()[:2]
    assert name == "event: event"
    assert json.loads(data.removeprefix("data: ")) == {"n": 1, "finality": "provisional"}
    final = frame(replace(event, cursor=EventCursor(3, 1), final=True, resumes=True)).decode()
    assert final.startswith("id: 3.1\n")
    assert '"finality":"final"' in final


@pytest.mark.parametrize(
    ("height", "finality"), [(None, "provisional"), (0, "final"), (7, "final")]
)
def test_answer_says_what_kind_of_outcome_it_carries(height: int | None, finality: str) -> None:
    row = answer_row(Answer("stored", outcome="accepted", height=height))
    assert row["finality"] == finality
    assert "finality" not in answer_row(Answer("stored"))


def test_waiting_for_a_provisional_outcome_is_allowed(desk: Desk) -> None:
    answer = desk.send(b"\x80", query="?wait=provisional")
    assert answer.status_code < 500
    assert desk.send(b"\x80", query="?wait=tomorrow").status_code == 400


def test_device_page_says_how_many_records_are_provisional_and_where_a_fork_ended_an_epoch(
    desk: Desk,
) -> None:
    service = desk.world.service
    assert isinstance(service, MemoryService)
    stream, *_ = next(iter(service.found))
    page = desk.get(f"/devices/{stream[0]}/{stream[1]}").text
    assert "provisional" not in page
    assert "forked before" not in page
    info, member = desk.run(service.stream(stream)), desk.run(service.member(stream))
    assert info is not None
    assert member is not None

    class Foreseen(MemoryService):
        async def stream(self, stream: StreamKey) -> StreamInfo | None:
            more = info.state._replace(count=info.state.count + 3)
            return replace(info, state=more, final=False)

    foreseen = object.__new__(Foreseen)
    foreseen.__dict__.update(service.__dict__)
    service.foreseen = foreseen

    async def forked(member_name: StreamKey) -> MemberInfo | None:
        return replace(member, epoch_min=2) if member_name == stream else None

    service.member = forked  # type: ignore[method-assign]
    page = desk.get(f"/devices/{stream[0]}/{stream[1]}").text
    assert "3 records provisional" in page
    assert "forked before epoch 2" in page
