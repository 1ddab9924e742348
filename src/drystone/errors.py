"""Every error Drystone can raise, one class per rule, in three families.

`Refused` is about someone else's input and is expected: its `code` is what goes into an outcome, an answer or a
problem document, and never changes meaning. `Unavailable` asks the caller to try later. `Broken` is about our own
invariant or disk: the process stops. The message says what was expected and what was there; never a secret.

`fix` says what an operator or integrator does about it. `docs/reference/errors.md` is generated from this file.
"""
# tidy: long, because it is one table: every code with its meaning and its mend

import re
from typing import ClassVar


class DrystoneError(Exception):
    """Root of everything this package raises on purpose."""

    code: ClassVar[str] = "error"
    fix: ClassVar[str] = ""


class Refused(DrystoneError):  # noqa: N818 - design.md's word
    """Someone else's input breaks a rule; nothing was changed."""

    code = "refused"


class Unavailable(DrystoneError):  # noqa: N818 - design.md's word
    """The node cannot take this now; try again after `retry_after_ms`."""

    code = "unavailable"
    fix = "Send again after the time given; if it persists, look at `drystone doctor`."

    def __init__(self, message: str, *, retry_after_ms: int = 1000) -> None:
        super().__init__(message)
        self.retry_after_ms = retry_after_ms


class Broken(DrystoneError):  # noqa: N818 - design.md's word
    """An invariant of ours or a file of ours is broken; the process must stop."""

    code = "broken"
    fix = "Stop the node, keep the files, run `drystone fsck`, restore from a backup."


# --- formats: other people's standards -------------------------------------------------------------


class CborMalformed(Refused):
    """The bytes are not one whole CBOR item of the kinds Drystone knows."""

    code = "cbor-malformed"
    fix = "Send well-formed CBOR: nothing missing, nothing after the end."


class CborNotDeterministic(Refused):
    """The item has another spelling than RFC 8949 section 4.2.1 gives it."""

    code = "cbor-not-deterministic"
    fix = "Use shortest integers and lengths, definite lengths, map keys sorted by their encoded bytes, no duplicates."


class CborUnsupported(Refused):
    """The item holds a float, a tag or a simple value that no Drystone format uses."""

    code = "cbor-unsupported"
    fix = "Send integers or decimal fractions (tag 4), never binary floats."


class CborTooDeep(Refused):
    """The item is nested deeper than `limits.CBOR_DEPTH_MAX`."""

    code = "cbor-too-deep"
    fix = "Flatten the value."


class FieldMalformed(Refused):
    """A field of an HTTP message is not the structured value it should be."""

    code = "field-malformed"
    fix = "Write the field as RFC 9651 has it."


class CoseMalformed(Refused):
    """The bytes are not a COSE message of the shape Drystone accepts."""

    code = "cose-malformed"
    fix = "Send a tagged COSE_Sign1 with protected header, empty unprotected header, payload, 64-byte signature."


class HeaderUnexpected(Refused):
    """A protected or unprotected header holds a label that this object may not have (`crit` included)."""

    code = "header-unexpected"
    fix = "Remove the label; receipts belong into a transparent statement, not into a record."


class AlgorithmUnsupported(Refused):
    """The algorithm is not in the registry of `records/key.py`."""

    code = "algorithm-unsupported"
    fix = "Sign with EdDSA on Ed25519 (-8) or ES256 (-7)."


class SenmlMalformed(Refused):
    """The payload is not a SenML pack of Drystone's profile of RFC 8428."""

    code = "senml-malformed"
    fix = "See docs/spec/senml.md for the profile."


class SenmlUnit(Refused):
    """The unit is not in IANA's list, or a secondary unit lacks `bver` 26, or it is the discouraged `%`."""

    code = "senml-unit"
    fix = "Use a unit of the IANA SenML registry; secondary units (Wh, kWh) need base version 26."


class SenmlTimeRelative(Refused):
    """A time below 2**28 is relative to a now that a ledger does not have."""

    code = "senml-time-relative"
    fix = "Send absolute Unix time, or no time at all when the device has no clock."


class SenmlTimeFalling(Refused):
    """The resolved times of a pack fall."""

    code = "senml-time-falling"
    fix = "Order the measurements of a pack by time."


class SenmlName(Refused):
    """A resolved measurement name is empty, too long or has other characters than RFC 8428 allows."""

    code = "senml-name"
    fix = "Use 1 to 64 characters of A-Z a-z 0-9 - : . / _, the first a letter or digit."


class NoteMalformed(Refused):
    """The bytes are not a C2SP signed note, or a known key's signature on it is bad."""

    code = "note-malformed"
    fix = "Fetch the checkpoint again; if it persists, the log or the trust file is not what it claims."


# --- trees -----------------------------------------------------------------------------------------


class ProofInvalid(Refused):
    """A Merkle proof does not lead to the root it claims."""

    code = "proof-invalid"
    fix = "Treat what it was to prove as unproved."


class TileMalformed(Refused):
    """A tile of the log, its path or a bundle of entries is not what C2SP `tlog-tiles` lays down."""

    code = "tile-malformed"
    fix = "Write the path as in c2sp.org/tlog-tiles; fetch the tile again from another mirror."


class StateCollision(Refused):
    """Two state keys' hashes share so many bits that a proof would need more than `limits.STATE_DEPTH_MAX` levels."""

    code = "state-collision"
    fix = "Choose another id: this one was made by hand to collide."


# --- records ---------------------------------------------------------------------------------------


class TooLarge(Refused):
    """The object is larger than its limit."""

    code = "too-large"
    fix = "Send less at once; docs/reference/limits.md has the figures."


class RecordMalformed(Refused):
    """The message is COSE, but not a record: a header value is missing or has another type or range."""

    code = "record-malformed"
    fix = "See docs/spec/record.cddl."


class IdMalformed(Refused):
    """An organisation or device id does not fit `[A-Za-z0-9][A-Za-z0-9._-]{0,47}`."""

    code = "id-malformed"
    fix = "Choose another id."


class CallMalformed(Refused):
    """The payload of a call is not `[ledger, contract, function, args, limit]`."""

    code = "call-malformed"
    fix = "See docs/spec/record.cddl."


class SealedMalformed(Refused):
    """The payload of a sealed record is not a COSE_Encrypt0 of the fixed shape."""

    code = "sealed-malformed"
    fix = "See docs/spec/record.cddl."


class KeyMalformed(Refused):
    """The bytes are not a public key Drystone takes: wrong length, not on the curve, small order, not canonical."""

    code = "key-malformed"
    fix = "Generate the key with an ordinary library; never derive keys by hand."


class SignatureMalformed(Refused):
    """The signature breaks the strict rule before any equation: length, S, or a bad point."""

    code = "signature-malformed"
    fix = "Sign with an ordinary library; the message was altered or made by hand."


class SignatureInvalid(Refused):
    """The signature is not the key's signature over these bytes."""

    code = "signature-invalid"
    fix = "Check that the device signs with the key it was enrolled with, and that nothing alters its bytes."


class VertexMalformed(Refused):
    """The bytes are not a vertex."""

    code = "vertex-malformed"
    fix = "See docs/spec/vertex.cddl."


class VertexBody(Refused):
    """Count, length or Merkle root of a vertex's header do not fit its body."""

    code = "vertex-body"
    fix = "Fetch the body again from another peer."


class VertexPlace(Refused):
    """A vertex's parent is not what its place demands (unknown, its own child, or another author's)."""

    code = "vertex-place"
    fix = "Send the author's earlier vertices first."


class VertexFork(Refused):
    """The author already has another vertex at this place."""

    code = "vertex-fork"
    fix = "The author's key or disk was copied: suspend the gateway, continue with epoch + 1."


class VertexBodyMissing(Refused):
    """The vertex arrived without its body and the body is needed."""

    code = "vertex-body-missing"
    fix = "Send the vertex with its body."


class EvidenceMalformed(Refused):
    """The fork evidence does not hold two different, valid objects of one place."""

    code = "evidence-malformed"
    fix = "Submit both originals, byte for byte."


class StreamMalformed(Refused):
    """The bytes are not a stream's state."""

    code = "stream-malformed"
    fix = "See docs/spec/state.cddl; in a completeness proof, ask the ledger for the proof again."


class StreamGaps(Refused):
    """Accepting the record would make more runs than `limits.STREAM_RUNS_MAX`."""

    code = "stream-gaps"
    fix = "Send the stream's oldest missing records first."


class EpochClosed(Refused):
    """The record belongs to an epoch of its stream that newer epochs have closed."""

    code = "epoch-closed"
    fix = "Send what belongs to an old epoch before the device has begun many new ones; the record cannot be taken."


class RegisterOrder(Refused):
    """A late record's register does not lie between its neighbours in the stream."""

    code = "register-order"
    fix = "Send a correction event; the reading contradicts what is already recorded."


# --- rights, registry, governance ------------------------------------------------------------------


class LedgerForeign(Refused):
    """The call, vertex or proof names another ledger."""

    code = "ledger-foreign"
    fix = "Sign for this ledger; its id is at /v1/ledger."


class OrganisationUnknown(Refused):
    """No organisation with this alias."""

    code = "organisation-unknown"
    fix = "Admit the organisation first (`drystone org add`)."


class MemberUnknown(Refused):
    """No member with this id in this organisation."""

    code = "member-unknown"
    fix = "Enrol the device first (`drystone device enrol`)."


class MemberSuspended(Refused):
    """The member was revoked, or its branch was suspended because of a fork."""

    code = "member-suspended"
    fix = "After a fork the device continues with epoch + 1; after a revocation enrol it anew under another id."


class KeyUnknown(Refused):
    """The member never had a key with this kid."""

    code = "key-unknown"
    fix = "Rotate to the new key on the ledger before using it."


class KeyRevoked(Refused):
    """The key was rotated out or revoked before this place of the ledger."""

    code = "key-revoked"
    fix = "Sign with the current key; treat what the old key signs as suspect."


class KeyMismatch(Refused):
    """The record's algorithm is not the enrolled key's."""

    code = "key-mismatch"
    fix = "Use the algorithm the key was enrolled with."


class RoleMissing(Refused):
    """The sender lacks the role that this act needs."""

    code = "role-missing"
    fix = "Have the organisation grant the role, or let another member act."


class ProfileUnknown(Refused):
    """The member's profile does not exist in its organisation."""

    code = "profile-unknown"
    fix = "Register the profile first (`drystone device profile`)."


class ProfileMismatch(Refused):
    """The reading does not fit the device's profile: a measurement, unit or visibility it does not have."""

    code = "profile-mismatch"
    fix = "Correct the device's profile, or what the device sends."


class ContractUnknown(Refused):
    """No contract or function of this name."""

    code = "contract-unknown"
    fix = "See docs/reference/calls.md for the calls that exist."


class ContractSource(Refused):
    """A contract's source breaks a rule of the guard; the message names file, line and rule."""

    code = "contract-source"
    fix = "Run `drystone contract check`; docs/concepts/contracts.md lists what is allowed."


class ContractManifest(Refused):
    """A contract's manifest is malformed, or promises what its source does not hold."""

    code = "contract-manifest"
    fix = "Run `drystone contract check`; docs/concepts/contracts.md describes the manifest."


class ContractRefused(Refused):
    """A contract refused by a rule of its own; the outcome's code is `<contract>.<its code>`."""

    code = "contract-refused"
    fix = "Look up the code in the contract's own documentation."

    @classmethod
    def of(cls, contract: str, code: str) -> "ContractRefused":
        """Return the refusal of `contract` with its own code; a code that is none becomes `refused`."""
        plain = code if re.fullmatch(r"[a-z][a-z0-9-]{0,47}", code) else "refused"
        error = cls(f"{contract}.{plain}")
        error.code = f"{contract}.{plain}"  # type: ignore[misc] - one class for all contracts' codes
        return error


class ContractFailed(Refused):
    """A contract stopped with an error of its own program: a missing key, a division by zero."""

    code = "contract-failed"
    fix = "Run the call in `drystone contract test`; the trace names the line."


class ContractSteps(Refused):
    """A call or reading used more steps than its limit."""

    code = "contract-steps"
    fix = "Raise the call's limit, or make the contract do less at once."


class ContractSize(Refused):
    """A contract made a value, or all its values together, larger than allowed."""

    code = "contract-size"
    fix = "Keep values small: numbers below 2**256, texts and lists below 65,536."


class ContractInactive(Refused):
    """The contract is not deployed, or paused, terminated, archived or quarantined."""

    code = "contract-inactive"
    fix = "Look at the contract's state at /v1/contracts; its submitter can resume a paused one."


class ContractCircle(Refused):
    """A contract called itself through others, or calls nest too deep."""

    code = "contract-circle"
    fix = "Let contracts call in one direction only."


class WorkshopAbsent(Refused):
    """Something that only authors of contracts need is not installed."""

    code = "workshop-absent"
    fix = "Install it beside drystone: `pip install pytest`."


class ArgumentsMalformed(Refused):
    """A call's arguments are not what the function takes."""

    code = "arguments-malformed"
    fix = "See docs/reference/calls.md."


class EnrolmentProof(Refused):
    """The proof of possession is not the new key's signature for this ledger, organisation and member."""

    code = "enrolment-proof"
    fix = "Make the proof on the device with the key that is to be enrolled, for this ledger."


class AlreadyExists(Refused):
    """The name, key or id is taken."""

    code = "already-exists"
    fix = "Choose another; ids and kids are never reused."


class GovernanceRule(Refused):
    """The proposal is unknown, closed, or the organisation may not vote on it."""

    code = "governance-rule"
    fix = "Look at the proposal's state at /v1/state."


# --- proof -----------------------------------------------------------------------------------------


class ReceiptMalformed(Refused):
    """The bytes are not a receipt, transparent statement or completeness proof."""

    code = "receipt-malformed"
    fix = "Ask for the receipt again."


class TrustMalformed(Refused):
    """The trust file has an unknown or missing member, or a value of another type."""

    code = "trust-malformed"
    fix = "Write the trust file with `drystone init` or by docs/spec/trust.md; every member counts."


class ReceiptUntrusted(Refused):
    """Too few of the trust file's nodes or witnesses signed this checkpoint."""

    code = "receipt-untrusted"
    fix = "Use the trust file of the ledger the receipt comes from; never edit `need` to make a receipt pass."


class ReceiptMismatch(Refused):
    """Parts of the receipt contradict each other: size, root, origin, ledger, record or stream."""

    code = "receipt-mismatch"
    fix = "Treat the record as unproved; the receipt was altered or put together from two."


class StreamIncomplete(Refused):
    """The completeness proof does not account for every record between its two points."""

    code = "stream-incomplete"
    fix = "Ask the ledger for the proof again; if it persists, records are being withheld."


# --- api and node ----------------------------------------------------------------------------------


class NotFound(Refused):
    """Nothing is stored under this address."""

    code = "not-found"
    fix = "Check the address; a body may have been pruned, its header and receipt remain."


class RequestMalformed(Refused):
    """The request's path, query, headers or body are not what the route takes."""

    code = "request-malformed"
    fix = "See /docs."


class TokenInvalid(Refused):
    """The token is missing, unknown, expired, revoked, or not for this."""

    code = "token-invalid"
    fix = "Send `Authorization: Bearer` with the operator token, or a token of `drystone token create` with this scope."


class RequestUnsigned(Refused):
    """Nobody may read this without saying who asks."""

    code = "request-unsigned"
    fix = (
        "Sign the request with an enrolled member's key, or send a token: docs/operating/access.md."
    )


class RequestSignature(Refused):
    """The request's signature is malformed, covers too little, or is not that of a key this member has."""

    code = "request-signature"
    fix = "Sign as docs/operating/access.md says; the node's `drystone audit` names what was wrong."


class RequestStale(Refused):
    """The request was signed too long ago, in the future, or before this node started."""

    code = "request-stale"
    fix = "Set the clock, sign again."


class RequestReplayed(Refused):
    """A request with this nonce came before."""

    code = "request-replayed"
    fix = "Sign every request anew, with a nonce of its own."


class ReadDenied(Refused):
    """The read policy lets this member or token not see this."""

    code = "read-denied"
    fix = "Ask the organisation that owns it for a rule (`drystone org policy`), or for a token with this scope."


class HostForeign(Refused):
    """The request names a host that this node does not answer for."""

    code = "host-foreign"
    fix = "Use the address the node listens on, or set `http.public_url` to the name others use."


class MethodUnsupported(Refused):
    """The route exists, but not for this HTTP method."""

    code = "method-unsupported"
    fix = "Use one of the methods in the answer's `Allow` header."


class MediaTypeUnsupported(Refused):
    """The body's content type is not one the route takes."""

    code = "media-type-unsupported"
    fix = "Send application/cose for one record, application/cbor-seq for many, as /docs says."


class NotAcceptable(Refused):
    """The route cannot answer in any of the types that `Accept` names."""

    code = "not-acceptable"
    fix = "Leave `Accept` out, or name one of the types that /docs lists for the route."


class ConfigInvalid(Refused):
    """The configuration holds an unknown setting or a value out of bounds."""

    code = "config-invalid"
    fix = "See docs/reference/settings.md."


class HomeInvalid(Refused):
    """The home folder is missing, already taken, or not a home."""

    code = "home-invalid"
    fix = "Run `drystone init`, or give another --home."


class KeyFileInvalid(Refused):
    """A key file is missing, readable by others, or holds something else."""

    code = "key-file-invalid"
    fix = "Keep key files 0600 and unchanged; `drystone device list` names the folder's devices."


class PortTaken(Refused):
    """Another process listens on the configured address."""

    code = "port-taken"
    fix = "Stop it, or set another port (0 picks a free one)."


class GenesisInvalid(Refused):
    """The genesis file is not one, or a key in it does not prove possession."""

    code = "genesis-invalid"
    fix = "Use the file that `drystone init` wrote, unchanged."


class ImportMalformed(Refused):
    """A row of an import file does not fit the mapping."""

    code = "import-malformed"
    fix = "Correct the row or the mapping; the import resumes where it stopped."


# --- peers: links between gateways, nodes and followers ---------------------------------------------


class PeerFault(Refused):
    """A peer broke a rule of the exchange: it is counted and named, its link may end; other peers do not notice."""

    code = "peer-fault"
    fix = "Look at the peer in `drystone gateway status` and at its own log; what it sent was not kept."


class LinkMalformed(PeerFault):
    """The bytes are no TLS 1.3 handshake, or no frame: another program dialled, or the message's length is none."""

    code = "link-malformed"
    fix = (
        "Point the peer's address at the sync port, and nothing else at it; there is no plain mode."
    )


class LinkSilent(PeerFault):
    """A handshake, a message or any sign of life was not complete in its time."""

    code = "link-silent"
    fix = "Look at the link; the peer is dialled again by itself. On very slow links raise `sync.idle_s`."


class LinkRefused(PeerFault):
    """The peer ended the connection during the handshake, most often because it does not accept our certificate."""

    code = "link-refused"
    fix = "Look at the peer's log: it names the reason."


class CertificateInvalid(PeerFault):
    """The other side shows no certificate, or one that no authority trusted here issued, or an expired one."""

    code = "certificate-invalid"
    fix = "Issue it anew (`drystone ca enrol`); both sides need each other's authority in tls/ca.pem, and right clocks."


class CertificateRevoked(PeerFault):
    """The authority has revoked the certificate."""

    code = "certificate-revoked"
    fix = "Issue a new one (`drystone ca enrol`) if it was revoked by mistake."


class CertificateForeign(PeerFault):
    """The certificate names another member than the one that was dialled, or nobody."""

    code = "certificate-foreign"
    fix = "Correct the name or address of the peer in `[[sync.peers]]`."


class CertificateUnregistered(PeerFault):
    """The certificate's key is not a key that the member it names has on the ledger, as far as it is known here."""

    code = "certificate-unregistered"
    fix = "Enrol the key on the ledger, or wait until this side has heard of it; a revoked key never links again."


class MessageMalformed(PeerFault):
    """The bytes are no sync message: another shape, spelling or range, or too many items."""

    code = "message-malformed"
    fix = "Upgrade the older of the two peers; if both are of one version, something alters what they send."


class PeerForeign(PeerFault):
    """The peer speaks for another ledger, another version of the protocol, or is not who the link says."""

    code = "peer-foreign"
    fix = "Correct the address in `[[sync.peers]]`, or upgrade the older of the two."


class PeerSilent(PeerFault):
    """The peer has a link and gives no sign of life, or leaves questions unanswered."""

    code = "peer-silent"
    fix = "Look at the peer and at the link; it is asked again by itself. On very slow links raise the sync bounds."


class PeerLeft(PeerFault):
    """The peer took its leave; the text says why."""

    code = "peer-left"
    fix = "Nothing, if the peer was stopped; else look at its log."


class RangeAbsent(PeerFault):
    """The peer claims vertices that it does not send when asked."""

    code = "range-absent"
    fix = "Run `drystone fsck` at the peer: its frontier promises more than its disk holds."


class BodyMismatch(PeerFault):
    """A body that the peer sent does not fit the vertex's signed header."""

    code = "body-mismatch"
    fix = "Run `drystone fsck` at the peer; the body is asked of others."


class BodyBomb(PeerFault):
    """A compressed body would unpack to more than its header says."""

    code = "body-bomb"
    fix = "Treat the peer as hostile or damaged; nothing was unpacked beyond the header's length."


class HeadersFlood(PeerFault):
    """The peer sends vertex headers that nobody asked for, faster than news can arise."""

    code = "headers-flood"
    fix = "Treat the peer as hostile or damaged; other peers are asked in its place."


class MessagesFlood(PeerFault):
    """The peer asks or tells more at once than a peer may: a queue for it is at its bound."""

    code = "messages-flood"
    fix = "Treat the peer as hostile or damaged."


class ParentForged(PeerFault):
    """A vertex's parent is no vertex that its place may follow; no honest peer passes it on."""

    code = "parent-forged"
    fix = "Look at the author named: its software or its key is in wrong hands. The vertex was not kept."


class VertexAltered(PeerFault):
    """A vertex header is malformed, or its signature is not its author's: somebody changed its bytes."""

    code = "vertex-altered"
    fix = "Treat the peer as hostile or damaged; the vertex is asked of others."


class FrontierImpossible(PeerFault):
    """The peer's frontier claims what cannot be: places far beyond any chain, too many authors or branches."""

    code = "frontier-impossible"
    fix = "Treat the peer as hostile or damaged."


class EvidenceForged(PeerFault):
    """Fork evidence that the peer passed on does not convict anybody."""

    code = "evidence-forged"
    fix = "Treat the peer as hostile or damaged; nobody was suspended by it."


class AnnouncementForged(PeerFault):
    """An announcement is malformed or not signed by the member that it names."""

    code = "announcement-forged"
    fix = "Treat the peer as hostile or damaged; the address was not believed."


class AnnouncementReplayed(PeerFault):
    """The peer repeats announcements that newer ones have replaced."""

    code = "announcement-replayed"
    fix = "Nothing, if it is rare; else treat the peer as hostile: old addresses are not believed again."


class ClockAbsurd(PeerFault):
    """The peer's clock, or a time claimed in a vertex it seals, is off by more than a clock can drift."""

    code = "clock-absurd"
    fix = "Set the clock of the side that is wrong. Nothing stops: claimed times are evidence, not facts."


class BlockForged(PeerFault):
    """Blocks or outcomes from the peer do not follow one another, or do not lead to a signed checkpoint."""

    code = "block-forged"
    fix = "Treat the peer as hostile, or compare `drystone ledger` on both sides: one of the two has diverged."


class AuthorityInvalid(Refused):
    """The folder is no certificate authority, or its list of certificates is damaged or names no such member."""

    code = "authority-invalid"
    fix = "Run `drystone ca init`, or give the --home where the authority lies."


class TlsFilesInvalid(Refused):
    """A file in `tls/` is missing, expired, or not for this node's key."""

    code = "tls-files-invalid"
    fix = "Run `drystone ca enrol ORG/MEMBER --into HOME` where the authority is."


# --- storage ---------------------------------------------------------------------------------------


class NodeAbsent(Unavailable):
    """No node answers at the address, or none runs in the home."""

    code = "node-absent"
    fix = "Start it (`drystone up`), or give its address (--url, or --home of a running node)."


class NotHere(Unavailable):
    """A gateway holds no ledger: what was asked for is at its uplink, once that has ordered it."""

    code = "not-here"
    fix = (
        "Ask the uplink, or set `gateway.uplink_url` to its REST address; what is ordered is there."
    )


class DiskFull(Unavailable):
    """The disk or the disk budget is full; nothing more is acknowledged until there is room."""

    code = "disk-full"
    fix = "Make room or raise the budget; acknowledged records are safe."


class Overloaded(Unavailable):
    """A queue is at its bound; refusing early keeps latency bounded."""

    code = "overloaded"
    fix = "Send again after the time given, or send fewer, larger batches."


class DiskFailed(Broken):
    """The operating system could not read or write a database file."""

    code = "disk-failed"
    fix = "Look at the disk and the kernel's log; acknowledged records are on it or in the write-ahead log beside it."


class DatabaseBusy(Broken):
    """Another process writes this database: a second node on one home."""

    code = "database-busy"
    fix = "Stop the other node; one home belongs to one node."


class ChannelClosed(Broken):
    """The process at the other end of a channel is gone."""

    code = "channel-closed"
    fix = "The supervisor restarts the node; the log says which process died and why."


class DatabaseForeign(Broken):
    """The file is not this ledger's database, or has a newer schema than this program."""

    code = "database-foreign"
    fix = "Point the home at the right files, or upgrade the program."


class DatabaseCorrupt(Broken):
    """A row does not match what the rest of the database says it must be."""

    code = "database-corrupt"
    fix = "Run `drystone fsck`: it names the row. Restore from a backup or another node."


class Diverged(Broken):
    """A block came to another entry here than the one that the ledger's signers vouch for; it was not committed."""

    code = "diverged"
    fix = "Compare program versions; run `drystone fsck`. If the files are sound, ask the other side's operator."


class InvariantBroken(Broken):
    """A rule that our own code must keep does not hold."""

    code = "invariant-broken"
    fix = "Report it with the log; the node stopped rather than diverge."
