"""Every bound of Drystone, with its unit, in one place, asserted against each other at import.

A bound that is part of the protocol (marked *protocol*) decides what a ledger accepts: changing it is a protocol
change. The others are a node's own and may differ between nodes. `docs/reference/limits.md` is generated from here.
"""
# tidy: long, because it is one table: every bound with its unit and meaning

from typing import Final

# --- protocol: what a ledger accepts ---------------------------------------------------------------

CBOR_DEPTH_MAX: Final = 16
"""Nesting of arrays, maps and tags in one item (protocol)."""

ID_LENGTH_MAX: Final = 48
"""Characters of an organisation alias or a member id (protocol)."""

RECORD_BYTES_MAX: Final = 65_536
"""Bytes of one record (protocol)."""

PACK_MEASUREMENTS_MAX: Final = 256
"""SenML records in one pack (protocol)."""

NAME_LENGTH_MAX: Final = 64
"""Characters of a resolved measurement name (protocol)."""

INTEGER_BITS_MAX: Final = 63
"""Bits of a signed number's magnitude in a reading (protocol)."""

EXPONENT_MIN: Final = -9
"""Lowest exponent of a decimal fraction (protocol); the highest is -1."""

EPOCH_MAX: Final = 2**32 - 1
"""Highest epoch of a stream or author (protocol)."""

SEQUENCE_MAX: Final = 2**53 - 1
"""Highest sequence number: exact in every language's numbers (protocol)."""

STREAM_RUNS_MAX: Final = 64
"""Runs in a stream's state: its open gaps plus one (protocol)."""

STREAM_EPOCHS_MAX: Final = 16
"""Epochs a stream remembers; the oldest is closed when a newer one comes (protocol)."""

VERTEX_RECORDS_MAX: Final = 2_048
"""Records in one vertex (protocol)."""

VERTEX_BYTES_MAX: Final = 1_048_576
"""Bytes of one vertex, header and body (protocol)."""

VERTEX_LINKS_MAX: Final = 8
"""Witness links in one vertex (protocol)."""

BLOCK_VERTICES_MAX: Final = 1_024
"""Vertices in one block (protocol)."""

CALL_ARGUMENT_BYTES_MAX: Final = 57_344
"""Bytes of a call's encoded arguments (protocol)."""

ENROL_MEMBERS_MAX: Final = 64
"""Members enrolled by one call (protocol)."""

PROFILE_MEASUREMENTS_MAX: Final = 64
"""Measurements a profile may list (protocol)."""

STATE_KEY_BYTES_MAX: Final = 512
"""Bytes of a state key (protocol)."""

STATE_VALUE_BYTES_MAX: Final = 65_536
"""Bytes of a state value (protocol)."""

EVENTS_PER_OUTCOME_MAX: Final = 64
"""Events one record may emit (protocol)."""

ORGANISATIONS_MAX: Final = 256
"""Organisations on one ledger (protocol)."""

GENESIS_BYTES_MAX: Final = 4_194_304
"""Bytes of a genesis file (protocol)."""

STATE_DEPTH_MAX: Final = 128
"""Levels of the state tree that a proof may have; two keys that share more bits are refused (protocol)."""

CONTRACT_SOURCE_BYTES_MAX: Final = 49_152
"""Bytes of a contract's source (protocol)."""

CONTRACT_CALLS_MAX: Final = 64
"""Calls a contract may have, and values a reading handler may be shown (protocol)."""

READING_STEPS_MAX: Final = 10_000
"""Steps one reading may take in a contract (protocol)."""

READING_CELLS_MAX: Final = 65_536
"""Characters and items that one reading may make in a contract, all together (protocol)."""

CALL_STEPS_MAX: Final = 1_000_000
"""Steps one call may take, and those it makes in turn (protocol)."""

CALL_CELLS_MAX: Final = 4_194_304
"""Characters and items that one call may make (protocol)."""

CONTRACT_WRITES_MAX: Final = 1_000
"""Values that one call may write (protocol)."""

CONTRACT_VALUE_BYTES_MAX: Final = 16_384
"""Bytes of one value that a contract keeps (protocol)."""

CONTRACT_KEY_LENGTH_MAX: Final = 200
"""Characters of a contract's key (protocol)."""

CONTRACT_CALL_DEPTH_MAX: Final = 8
"""Contracts that may call one another in a row (protocol)."""

CONTRACTS_PENDING_MAX: Final = 64
"""Versions deployed and waiting for their activation height (protocol)."""

READ_RULES_MAX: Final = 128
"""Rules in one organisation's read policy (protocol)."""

READ_OWN_MAX: Final = 1_024
"""Devices of their own that a rule shows to one member."""

READINGS_CROSSING_MAX: Final = 256
"""Readings that cross into a contract at once; the outcomes do not depend on it."""

CONTRACTS_LOADED_MAX: Final = 64
"""Compiled contracts kept in memory; the least used is compiled again when needed."""

# --- a verifier's: what an offline check reads -----------------------------------------------------

LOG_PATH_MAX: Final = 63
"""Hashes of an inclusion path."""

PROOF_BYTES_MAX: Final = 16_777_216
"""Bytes of a receipt, completeness proof or trust file that a verifier reads."""

COMPLETENESS_ITEMS_MAX: Final = 100_000
"""Records in one completeness proof; longer stretches are proved in pieces."""

COMPLETENESS_FORKS_MAX: Final = 64
"""Forks in one completeness proof."""

STATE_PROOF_BYTES_MAX: Final = 147_456
"""Bytes of one ICS-23 proof: two leaves with the longest key and value, two paths of `STATE_DEPTH_MAX` levels."""

RECEIPT_BYTES_MAX: Final = 131_072
"""Bytes of one receipt, its note included."""

RECEIPTS_MAX: Final = 16
"""Receipts in one transparent statement."""

TRUST_BYTES_MAX: Final = 1_048_576
"""Bytes of a trust file."""

NOTE_BYTES_MAX: Final = 65_536
"""Bytes of a signed note."""

NOTE_SIGNATURES_MAX: Final = 64
"""Signature lines of a signed note (C2SP: take at least 16)."""

# --- a node's own ----------------------------------------------------------------------------------

TILE_HEIGHT: Final = 8
"""Levels of the log in one tile (C2SP tlog-tiles)."""

TILE_WIDTH: Final = 1 << TILE_HEIGHT
"""Hashes of a full tile."""

REQUEST_BYTES_MAX: Final = 4_194_304
"""Bytes of one HTTP request body."""

REQUEST_RECORDS_MAX: Final = 4_096
"""Records in one HTTP request."""

INTAKE_RECORDS_MAX: Final = 65_536
"""Records acknowledged but not yet sealed; beyond it intake refuses with `overloaded`."""

INTAKE_BYTES_MAX: Final = 67_108_864
"""Bytes acknowledged but not yet sealed."""

VERIFY_BATCHES_MAX: Final = 256
"""Requests waiting for a verifier; beyond it intake refuses with `overloaded`."""

VERIFY_BYTES_MAX: Final = 8_388_608
"""Bytes of requests waiting for a verifier; beyond it intake refuses with `overloaded`."""

VERIFIER_KEYS_MAX: Final = 131_072
"""Public keys a verifier process remembers."""

MEMO_ROWS_MAX: Final = 16_384
"""Streams, keys and record shapes that a process remembers, each kind by itself; forgotten all at once."""

BLOCK_CLOSE_MS: Final = 50
"""Under load a block closes after this time ..."""

BLOCK_RECORDS_CLOSE: Final = 2_000
"""... or with this many records; when idle at once."""

BLOCK_BYTES_CLOSE: Final = 16_777_216
"""A block closes with this many bytes of bodies, whatever else."""

BLOCKS_IN_FLIGHT_MAX: Final = 4
"""Blocks handed to the executor and not yet committed."""

PENDING_VERTICES_MAX: Final = 65_536
"""Vertices that wait for a block; beyond it the engine takes none."""

FLUSH_BLOCKS: Final = 20
"""Blocks whose changes stay blobs before they are flushed, sorted, to the state table."""

FLUSH_BYTES: Final = 33_554_432
"""Bytes of change blobs that force a flush earlier."""

STATE_CACHE_BYTES: Final = 16_777_216
"""Bytes of state rows that a process keeps in memory."""

FRAME_BYTES_MAX: Final = 268_435_456
"""Bytes of one message between two processes of a node."""

LIST_ROWS_MAX: Final = 1_000
"""Rows of one page of a list."""

DAG_WINDOW_VERTICES: Final = 12_288
"""Newest vertices whose witnesses are counted exactly and which the DAG's page draws; some 15 MB."""

DAG_ROWS_MAX: Final = 4_096
"""Vertices in one answer of `/v1/dag`."""

SUBSCRIBERS_MAX: Final = 256
"""Open event streams."""

WAITERS_MAX: Final = 16_384
"""Requests waiting for `sealed` or `committed`."""

WAIT_MS_MAX: Final = 30_000
"""Longest time a request waits for `sealed` or `committed`."""

SIGNATURE_AGE_S_MAX: Final = 300
"""Age of a signed request; its nonce is remembered that long."""

SIGNATURE_AHEAD_S_MAX: Final = 30
"""How far a signer's clock may run ahead."""

NONCES_MAX: Final = 65_536
"""Nonces of signed requests that are remembered; beyond it signed requests are refused with `overloaded` ..."""

NONCES_MEMBER_MAX: Final = 4_096
"""... and this many of one member."""

TOKENS_MAX: Final = 1_024
"""Tokens that a home keeps, ended ones included."""

TOKEN_DAYS_MAX: Final = 366
"""Days for which a token is valid."""

READ_SCAN_ROWS_MAX: Final = 100_000
"""Rows that a list looks through for those that the asker may see; beyond it `too-large`: ask for less."""

AUDIT_BYTES_MAX: Final = 1_048_576
"""Bytes of one file of the audit log ..."""

AUDIT_FILES_MAX: Final = 4
"""... and how many files there are; the oldest is forgotten."""

AUDIT_LINES_SECOND_MAX: Final = 50
"""Lines of the audit log that are written in one second; further denials are only counted."""

GATEWAY_KEEP_BYTES: Final = 268_435_456
"""Bytes of vertices.db from which a gateway drops bodies that are ordered, the oldest first."""

PEERS_MAX: Final = 64
"""Peers that a node or gateway knows by its settings."""

MIRROR_BLOCKS_MAX: Final = 10_000
"""Blocks that a gateway remembers of its uplink's chain."""

SYNC_MESSAGE_BYTES_MAX: Final = 1_048_576
"""Bytes of one message between peers."""

SYNC_MESSAGE_ITEMS_MAX: Final = 65_536
"""CBOR items in one message between peers."""

SYNC_TEXT_LENGTH_MAX: Final = 200
"""Characters of a text in a message between peers."""

SYNC_FEATURES_MAX: Final = 16
"""Features that a peer may name."""

SYNC_AUTHORS_MAX: Final = 4_096
"""Authors of vertices that a peer's frontier may name ..."""

SYNC_FRONTIER_AUTHORS_MAX: Final = 512
"""... and in one message."""

SYNC_BRANCHES_MAX: Final = 8
"""Branches of one forked author that are exchanged; vertices of further branches are not taken."""

SYNC_AHEAD_MAX: Final = 4_294_967_296
"""Vertices by which a peer may claim an author to be ahead of what is here."""

SYNC_FORKS_MAX: Final = 256
"""Forks whose evidence is exchanged: one per author, kind and epoch."""

SYNC_STRETCHES_MAX: Final = 64
"""Stretches of vertices, or ids, in one question."""

SYNC_HEADERS_MAX: Final = 1_024
"""Vertex headers in one message."""

SYNC_HEADERS_PUSHED_MAX: Final = 2_048
"""Unasked headers that a peer may send at once ..."""

SYNC_HEADERS_PUSHED_SECOND_MAX: Final = 256
"""... and per second for long."""

SYNC_HEADERS_WAITING_MAX: Final = 1_024
"""Headers of one peer that wait for their parent; further ones are asked for again later."""

SYNC_STAGED_MAX: Final = 4_096
"""Vertices from all peers on their way to the disk; no more is asked for until they are there."""

SYNC_BODIES_MAX: Final = 64
"""Bodies that one peer is asked for at once, and that it may ask for."""

SYNC_BODY_BYTES_MAX: Final = 4_194_304
"""Bytes of bodies from one peer that are not whole yet; one body always fits ..."""

SYNC_BODIES_BYTES_MAX: Final = 16_777_216
"""... and from all peers together."""

SYNC_QUESTIONS_MAX: Final = 64
"""Questions of one peer that wait for the disk."""

SYNC_MESSAGES_SECOND_MAX: Final = 2_000
"""Messages per second that a peer may send for long."""

SYNC_BLOCKS_MAX: Final = 256
"""Blocks in one message."""

SYNC_WHOLE_BYTES_MAX: Final = 16_777_216
"""Bytes of a message of blocks that came in parts."""

SYNC_ROWS_MAX: Final = 4_096
"""Registry rows in one message."""

SYNC_ANNOUNCEMENTS_MAX: Final = 1_024
"""Members whose newest announcement is kept."""

SYNC_REPLAYS_MAX: Final = 16
"""Outdated announcements on one link before its end."""

SYNC_CLOCK_SKEW_MS_MAX: Final = 604_800_000
"""Difference of two clocks beyond which one of them is called absurd."""

SYNC_REFUSED_MAX: Final = 4_096
"""Ids of vertices that were refused and are not asked for again; the oldest is forgotten."""

PEER_BACKOFF_MS: Final = 60_000
"""Time for which a peer is left alone after its first serious fault; doubled with each ..."""

PEER_BACKOFF_MS_MAX: Final = 3_600_000
"""... up to this."""

DOUBLES_WAITING_MAX: Final = 1_024
"""Records answered `already` that wait to be compared with the first of their position; the oldest is let go."""

DAG_HEADERS_MAX: Final = 32_768
"""Vertices whose places are kept in memory for sync; older ones are read from disk."""

VERTEX_HEADER_BYTES_MAX: Final = 1_024
"""Bytes of a vertex header."""

PACKED_BYTES_MAX: Final = 1_052_672
"""Bytes of a deflated body: a vertex's, and what deflating adds to bytes that do not shrink."""

FORK_BYTES_MAX: Final = 131_200
"""Bytes of fork evidence: two records and what holds them."""

ANNOUNCEMENT_BYTES_MAX: Final = 1_024
"""Bytes of a signed announcement ..."""

ANNOUNCEMENT_ADDRESSES_MAX: Final = 8
"""... and the addresses in it."""

BLOCK_ENTRY_BYTES_MAX: Final = 256
"""Bytes of a block entry."""

LINKS_MAX: Final = 128
"""Links between peers that are open at once, both ways ..."""

LINKS_OPENING_MAX: Final = 16
"""... and accepted connections whose handshake is under way, of one address at most half of them."""

LINK_HANDSHAKES_SECOND_MAX: Final = 20
"""Connections accepted in one second; further ones are closed before a byte is read."""

LINK_HANDSHAKE_MS_MAX: Final = 120_000
"""Time for a handshake and the first message: some 3 kB, 35 s at 1 kbit/s with 30 % loss."""

LINK_HANDSHAKE_BYTES_MAX: Final = 65_536
"""Bytes read from a connection before the handshake is complete."""

LINK_HELLO_BYTES_MAX: Final = 16_384
"""Bytes of the first message on a link."""

LINK_BYTES_S_MIN: Final = 16
"""Bytes per second at which a message under way must advance, beyond the time that a link may idle."""

LINK_QUEUE_BYTES_MAX: Final = 8_388_608
"""Bytes waiting to be sent on one link; beyond it the link is closed, because the peer does not read."""

LINK_BACKOFF_MS_MAX: Final = 20_000
"""Longest time between two attempts to dial a peer ..."""

LINK_BACKOFF_MS_MIN: Final = 500
"""... and the first; it doubles with each failure, with jitter."""

CERTIFICATE_DAYS_MAX: Final = 3_660
"""Days for which a certificate for links is valid."""

CERTIFICATES_MAX: Final = 65_536
"""Certificates that an authority has issued."""

FOLLOW_BLOCKS_MAX: Final = 256
"""Blocks that a follower holds and has not executed yet."""

PROVISIONAL_BYTES_MAX: Final = 50_331_648
"""Bytes of the values that a provisional view keeps over the final state; beyond it, vertices wait for their order."""

PROVISIONAL_STREAMS_MAX: Final = 16_384
"""Streams that a provisional view remembers decoded."""

PROVISIONAL_POSITIONS_MAX: Final = 65_536
"""Records that are not ordered yet and can be looked up by their position in a stream."""

PROVISIONAL_EVENTS_MAX: Final = 4_096
"""Events of the provisional view that are kept for subscribers; who reads slower is told how many it missed."""

PROVISIONAL_AGAIN_MAX: Final = 64
"""Vertices that a provisional view asks for again at a time."""

GC_OBJECTS: Final = 100_000
"""Objects a process of a node makes before it looks for cycles: records are freed by counting, looking costs."""

RESTARTS_MAX: Final = 10
"""Restarts of a node's processes within `RESTART_WINDOW_MS` before the supervisor gives up."""

RESTART_WINDOW_MS: Final = 60_000
"""Window of `RESTARTS_MAX`."""

DISK_RESERVE_BYTES: Final = 67_108_864
"""Free disk below which intake refuses with `disk-full`, so that commits still fit."""

assert RECORD_BYTES_MAX <= VERTEX_BYTES_MAX <= REQUEST_BYTES_MAX <= FRAME_BYTES_MAX
assert REQUEST_BYTES_MAX <= VERIFY_BYTES_MAX
assert CALL_ARGUMENT_BYTES_MAX < RECORD_BYTES_MAX
assert VERTEX_RECORDS_MAX >= BLOCK_RECORDS_CLOSE
assert BLOCK_RECORDS_CLOSE <= INTAKE_RECORDS_MAX
assert REQUEST_RECORDS_MAX <= INTAKE_RECORDS_MAX
assert INTAKE_RECORDS_MAX <= PENDING_VERTICES_MAX
assert 8 * (BLOCK_BYTES_CLOSE + VERTEX_BYTES_MAX) <= FRAME_BYTES_MAX
assert STATE_PROOF_BYTES_MAX > 2 * (
    STATE_KEY_BYTES_MAX + STATE_VALUE_BYTES_MAX + 40 * STATE_DEPTH_MAX
)
assert STATE_VALUE_BYTES_MAX >= STREAM_RUNS_MAX * 64
assert PACKED_BYTES_MAX > VERTEX_BYTES_MAX + VERTEX_BYTES_MAX // 1_000
assert FORK_BYTES_MAX > 2 * RECORD_BYTES_MAX + 32
assert SYNC_HEADERS_MAX * VERTEX_HEADER_BYTES_MAX <= SYNC_MESSAGE_BYTES_MAX
assert SYNC_AUTHORS_MAX >= SYNC_FRONTIER_AUTHORS_MAX
assert SYNC_BODY_BYTES_MAX >= 2 * PACKED_BYTES_MAX
