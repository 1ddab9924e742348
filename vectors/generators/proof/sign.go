// Keys, records, notes and receipts: signed by go-cose, crypto/ed25519 and golang.org/x/mod/sumdb/note.
package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math/big"
	"sort"
	"strings"

	"github.com/fxamacker/cbor/v2"
	"github.com/veraison/go-cose"
	"golang.org/x/mod/sumdb/note"
)

const origin = "ledger.example/main"

// --- keys

type signer struct {
	name   string // of the note line; the origin for nodes
	seed   []byte
	public ed25519.PublicKey
	secret ed25519.PrivateKey
}

func newSigner(name, seed string) signer { return fromSeed(name, sha([]byte(seed))) }

func fromSeed(name string, seed []byte) signer {
	secret := ed25519.NewKeyFromSeed(seed)
	return signer{name, seed, secret.Public().(ed25519.PublicKey), secret}
}

func (s signer) coseKey() []byte { return det(map[int]any{1: 1, -1: 6, -2: []byte(s.public)}) }
func (s signer) kid() []byte     { return sha(s.coseKey())[:4] }

func (s signer) keyID(kind byte) uint32 {
	data := append([]byte(s.name+"\n"), kind)
	return binary.BigEndian.Uint32(sha(append(data, s.public...)))
}

// vkey is a verifier key, which sumdb/note itself parses for type 1.
func (s signer) vkey(kind byte) string {
	key := base64.StdEncoding.EncodeToString(append([]byte{kind}, s.public...))
	text := fmt.Sprintf("%s+%08x+%s", s.name, s.keyID(kind), key)
	if kind == 1 {
		_, err := note.NewVerifier(text)
		check(err)
	}
	return text
}

// --- notes

func checkpoint(origin string, size int64, root []byte) string {
	return fmt.Sprintf("%s\n%d\n%s\n", origin, size, base64.StdEncoding.EncodeToString(root))
}

type line struct {
	name string
	blob []byte
}

func (l line) String() string {
	return "\u2014 " + l.name + " " + base64.StdEncoding.EncodeToString(l.blob) + "\n"
}

// nodeLine signs a note's text with sumdb/note and takes the line it made.
func (s signer) nodeLine(text string) line {
	key := base64.StdEncoding.EncodeToString(append([]byte{1}, s.seed...))
	maker, err := note.NewSigner(fmt.Sprintf("PRIVATE+KEY+%s+%08x+%s", s.name, s.keyID(1), key))
	check(err)
	signed, err := note.Sign(&note.Note{Text: text}, maker)
	check(err)
	verifier, err := note.NewVerifier(s.vkey(1))
	check(err)
	opened, err := note.Open(signed, note.VerifierList(verifier))
	check(err)
	blob, err := base64.StdEncoding.DecodeString(opened.Sigs[0].Base64)
	check(err)
	return line{s.name, blob}
}

func (s signer) witnessLine(text string, time uint64) line {
	message := fmt.Sprintf("cosignature/v1\ntime %d\n%s", time, text)
	blob := binary.BigEndian.AppendUint32(nil, s.keyID(4))
	blob = binary.BigEndian.AppendUint64(blob, time)
	return line{s.name, append(blob, ed25519.Sign(s.secret, []byte(message))...)}
}

func ordered(lines []line) []line {
	sorted := append([]line{}, lines...)
	sort.Slice(sorted, func(a, b int) bool {
		if sorted[a].name != sorted[b].name {
			return sorted[a].name < sorted[b].name
		}
		return bytes.Compare(sorted[a].blob[:4], sorted[b].blob[:4]) < 0
	})
	return sorted
}

func signedNote(text string, lines ...line) string {
	var out strings.Builder
	out.WriteString(text + "\n")
	for _, l := range lines {
		out.WriteString(l.String())
	}
	return out.String()
}

// --- COSE

func sigStructure(protected, payload []byte) []byte {
	return det([]any{"Signature1", protected, []byte{}, payload})
}

func sign1(protected []byte, unprotected any, payload any, signature []byte) []byte {
	return det(cbor.Tag{Number: 18, Content: []any{protected, unprotected, payload, signature}})
}

// checkSign1 lets go-cose read the message (payload given if detached) and verify its signature.
func checkSign1(data, detached []byte, verifier cose.Verifier) {
	var message cose.Sign1Message
	check(message.UnmarshalCBOR(data))
	if message.Payload == nil {
		message.Payload = detached
	}
	check(message.Verify(nil, verifier))
}

type member struct {
	iss, sub string
	alg      int
	key      signer
	es256    *ecdsa.PrivateKey
	highS    bool
}

func (m member) coseKey() []byte {
	if m.alg == -8 {
		return m.key.coseKey()
	}
	x, y := m.es256.X.FillBytes(make([]byte, 32)), m.es256.Y.FillBytes(make([]byte, 32))
	return det(map[int]any{1: 2, -1: 1, -2: x, -3: y})
}

func (m member) kid() []byte { return sha(m.coseKey())[:4] }

func (m member) keyState() string { return stateKey(3, m.iss, m.sub, m.kid()) }

func (m member) sign(message []byte) []byte {
	if m.alg == -8 {
		return ed25519.Sign(m.key.secret, message)
	}
	digest := sha256.Sum256(message)
	der, err := m.es256.Sign(nil, digest[:], crypto.SHA256) // RFC 6979
	check(err)
	var parts struct{ R, S *big.Int }
	_, err = asn1.Unmarshal(der, &parts)
	check(err)
	order := elliptic.P256().Params().N
	other := new(big.Int).Sub(order, parts.S)
	if (parts.S.Cmp(other) > 0) != m.highS {
		parts.S = other
	}
	return append(parts.R.FillBytes(make([]byte, 32)), parts.S.FillBytes(make([]byte, 32))...)
}

func (m member) verifier() cose.Verifier {
	var verifier cose.Verifier
	var err error
	if m.alg == -8 {
		verifier, err = cose.NewVerifier(cose.AlgorithmEdDSA, m.key.public)
	} else {
		verifier, err = cose.NewVerifier(cose.AlgorithmES256, &m.es256.PublicKey)
	}
	check(err)
	return verifier
}

type recordSpec struct {
	member      member
	epoch, seq  int
	contentType int
	payload     []byte
	anchor      []byte
	iat         any
	device      string
	extra       map[any]any
}

type record struct {
	raw, id, entry []byte
	epoch, seq     int
}

func (r recordSpec) build() record {
	who := map[int]any{1: r.member.iss, 2: r.member.sub}
	if r.iat != nil {
		who[6] = r.iat
	}
	position := []any{r.epoch, r.seq}
	if r.anchor != nil {
		position = append(position, r.anchor)
	}
	header := map[any]any{1: r.member.alg, 3: r.contentType, 4: r.member.kid(), 15: who, -70001: position}
	if r.device != "" {
		header[-70003] = r.device
	}
	for label, value := range r.extra {
		header[label] = value
	}
	protected := det(header)
	signed := sigStructure(protected, r.payload)
	raw := sign1(protected, map[int]any{}, r.payload, r.member.sign(signed))
	if r.extra == nil {
		checkSign1(raw, nil, r.member.verifier())
	}
	return record{raw, sha(signed), sha(raw), r.epoch, r.seq}
}

// attach puts receipts into a record's unprotected header.
func attach(raw []byte, unprotected any) []byte {
	var message cbor.RawTag
	check(cbor.Unmarshal(raw, &message))
	var parts []cbor.RawMessage
	check(cbor.Unmarshal(message.Content, &parts))
	parts[1] = det(unprotected)
	return det(cbor.Tag{Number: 18, Content: parts})
}

// --- receipts

type receipt struct {
	signer    signer
	kid       []byte
	origin    string
	node      any
	size      any
	index     any
	path      any
	root      []byte // what the COSE signature covers
	finality  any    // nil: left out
	payload   any
	header    map[any]any // changes to the protected header
	loose     map[any]any // changes to the unprotected header
	damage    func([]byte) []byte
	inclusion []byte // instead of size, index and path
}

func (r receipt) build() []byte {
	header := map[any]any{1: -8, 4: r.kid, 15: map[int]any{1: r.origin, 2: r.node}, 395: 1}
	change(header, r.header)
	protected := det(header)
	inclusion := r.inclusion
	if inclusion == nil {
		inclusion = det([]any{r.size, r.index, r.path})
	}
	loose := map[any]any{396: map[int]any{-1: []any{inclusion}}}
	if r.finality != nil {
		loose[-70002] = r.finality
	}
	change(loose, r.loose)
	signature := ed25519.Sign(r.signer.secret, sigStructure(protected, r.root))
	if r.damage != nil {
		signature = r.damage(signature)
	}
	return sign1(protected, loose, r.payload, signature)
}

func change(header, changes map[any]any) {
	for label, value := range changes {
		if value == nil {
			delete(header, label)
		} else {
			header[label] = value
		}
	}
}

// witnessAt is a witness and the time at which it saw the log.
type witnessAt struct {
	witness signer
	time    uint64
}

// receiptFor is a good receipt of one entry: by the first node, its note signed by all of them and the witnesses.
func (l *logbook) receiptFor(entry []byte, index, size int64, nodes []signer, witnesses ...witnessAt) receipt {
	root := l.root(size)
	text := checkpoint(origin, size, root)
	var lines []line
	for _, node := range nodes {
		lines = append(lines, node.nodeLine(text))
	}
	for _, w := range witnesses {
		lines = append(lines, w.witness.witnessLine(text, w.time))
	}
	first := nodes[0]
	made := receipt{signer: first, kid: first.kid(), origin: origin, node: "gw-01", size: size, index: index,
		path: l.path(index, size, entry), root: root,
		finality: []any{1, signedNote(text, ordered(lines)...)}}
	verifier, err := cose.NewVerifier(cose.AlgorithmEdDSA, first.public)
	check(err)
	checkSign1(made.build(), root, verifier)
	return made
}
