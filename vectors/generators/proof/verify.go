// A third verifier, for interop: what go-cose, sumdb/note, sumdb/tlog and cosmos/ics23 say to a proof of Drystone's.
// It is lenient where they are (unknown note lines, spellings): whatever Drystone accepts it must accept too.
package main

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"os"
	"strconv"
	"strings"

	ics23 "github.com/cosmos/ics23/go"
	"github.com/fxamacker/cbor/v2"
	"github.com/veraison/go-cose"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type question struct{ File, Trust, Key string }

type believed struct {
	Origin string
	Nodes  []string
	Need   int
}

// answerQuestions reads one question a line and says what it finds, or why it refuses.
func answerQuestions() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		found, err := answer(lines.Bytes())
		if err != nil {
			found = map[string]any{"refused": err.Error()}
		}
		text, _ := json.Marshal(found)
		fmt.Println(string(text))
	}
}

func answer(line []byte) (found map[string]any, err error) {
	defer func() {
		if problem := recover(); problem != nil {
			err = fmt.Errorf("%v", problem)
		}
	}()
	var asked question
	check(json.Unmarshal(line, &asked))
	var trust believed
	check(json.Unmarshal([]byte(asked.Trust), &trust))
	file, key := unhex(asked.File), unhex(asked.Key)
	switch file[0] {
	case 0xd2:
		return trust.statement(file, key), nil
	case 0x84:
		value, _, at := trust.point(items(file))
		return map[string]any{"kind": "state", "height": at.height, "value": hexed(value)}, nil
	case 0x86, 0x87, 0x88:
		return trust.completeness(items(file)), nil
	}
	return nil, errors.New("no proof")
}

func unhex(text string) []byte {
	data, err := hex.DecodeString(text)
	check(err)
	return data
}

func items(data []byte) []cbor.RawMessage {
	var list []cbor.RawMessage
	check(cbor.Unmarshal(data, &list))
	return list
}

func read[T any](raw cbor.RawMessage) T {
	var value T
	check(cbor.Unmarshal(raw, &value))
	return value
}

func must(holds bool, what string) {
	if !holds {
		panic(what)
	}
}

type place struct {
	size, index int64
	root        []byte
	path        [][]byte
	interval    []cbor.RawMessage // moments, nil where there are none
}

// receipt checks one COSE receipt of an entry.
func (t believed) receipt(data, entry []byte) place {
	var message cose.Sign1Message
	check(message.UnmarshalCBOR(data))
	proofs := read[map[int][][]byte](det(message.Headers.Unprotected[int64(396)]))
	inclusion := items(proofs[-1][0])
	size, index := read[int64](inclusion[0]), read[int64](inclusion[1])
	finality := items(det(message.Headers.Unprotected[int64(-70002)]))
	var verifiers []note.Verifier
	for _, vkey := range t.Nodes {
		verifier, err := note.NewVerifier(vkey)
		check(err)
		verifiers = append(verifiers, verifier)
	}
	opened, err := note.Open([]byte(read[string](finality[1])), sameName{verifiers})
	check(err)
	must(len(opened.Sigs) >= t.Need, "too few nodes")
	lines := strings.Split(opened.Text, "\n")
	must(lines[0] == t.Origin && lines[1] == strconv.FormatInt(size, 10), "another checkpoint")
	root, err := base64.StdEncoding.DecodeString(lines[2])
	check(err)
	var proof tlog.RecordProof
	for _, hash := range read[[][]byte](inclusion[2]) {
		proof = append(proof, tlog.Hash(hash))
	}
	check(tlog.CheckRecord(proof, size, tlog.Hash(root), index, tlog.RecordHash(entry)))
	message.Payload = root
	kid := message.Headers.Protected[int64(4)].([]byte)
	for _, vkey := range t.Nodes {
		blob, err := base64.StdEncoding.DecodeString(strings.SplitN(vkey, "+", 3)[2])
		check(err)
		node := signer{public: ed25519.PublicKey(blob[1:])}
		if bytes.Equal(node.kid(), kid) {
			verifier, err := cose.NewVerifier(cose.AlgorithmEdDSA, node.public)
			check(err)
			check(message.Verify(nil, verifier))
			at := place{size: size, index: index, root: root, path: read[[][]byte](inclusion[2])}
			if moments, ok := message.Headers.Unprotected[int64(-70004)]; ok {
				at.interval = items(det(moments))
			}
			return at
		}
	}
	panic("no listed node signed the receipt")
}

// sameName lets several keys share the log's name: sumdb's own list refuses that.
type sameName struct{ verifiers []note.Verifier }

func (s sameName) Verifier(name string, hash uint32) (note.Verifier, error) {
	for _, verifier := range s.verifiers {
		if verifier.Name() == name && verifier.KeyHash() == hash {
			return verifier, nil
		}
	}
	return nil, &note.UnknownVerifierError{Name: name, KeyHash: hash}
}

func (t believed) statement(file, key []byte) map[string]any {
	var message cose.Sign1Message
	check(message.UnmarshalCBOR(file))
	raw := attach(file, map[int]any{})
	var at place
	receipts := message.Headers.Unprotected[int64(394)].([]any)
	for _, receipt := range receipts {
		at = t.receipt(receipt.([]byte), sha(raw))
		at.moments(sha(raw), anchorOf(message.Headers.Protected[int64(-70001)]))
	}
	found := map[string]any{"kind": "record", "index": at.index, "size": at.size, "checked": false}
	if len(key) != 0 {
		value, _, _ := t.point(items(key))
		message.Headers.Unprotected = cose.UnprotectedHeader{}
		check(message.Verify(nil, verifierOf(read[[]byte](items(value)[0]))))
		found["checked"] = true
	}
	return found
}

func anchorOf(position any) []byte {
	if parts := position.([]any); len(parts) == 3 {
		return parts[2].([]byte)
	}
	return nil
}

// moments checks the block entries around a record: tlog places them, their left siblings are the log of then.
func (p place) moments(entry, anchor []byte) {
	for number, raw := range p.interval {
		fields := items(raw)
		index, block := read[int64](fields[0]), []any{"drystone/block/1"}
		for _, field := range fields[2:] {
			block = append(block, read[any](field))
		}
		hash := tlog.RecordHash(det(block))
		path := p.completed(index, entry, read[[]byte](fields[1]))
		check(tlog.CheckRecord(path, p.size, tlog.Hash(p.root), index, hash))
		must((index > p.index) == (number == 0), "a block on the wrong side of the record")
		if number == 1 {
			before := hash
			for at, left := range sides(index, p.size) {
				if left {
					before = tlog.NodeHash(path[at], before)
				}
			}
			text := binary.BigEndian.AppendUint64([]byte("drystone/head/1\n"), uint64(index+1))
			must(bytes.Equal(sha(append(text, before[:]...))[:8], anchor), "an anchor of another state")
		}
	}
}

// completed is a whole inclusion path, of which only the hashes below the record's path came.
func (p place) completed(index int64, entry, below []byte) tlog.RecordProof {
	var path tlog.RecordProof
	for at := 0; at < len(below); at += 32 {
		path = append(path, tlog.Hash(below[at:at+32]))
	}
	own, other, shared := sides(p.index, p.size), sides(index, p.size), 0
	for own[len(own)-1-shared] == other[len(other)-1-shared] {
		shared++
	}
	met, beside := len(own)-shared-1, tlog.RecordHash(entry)
	for at, left := range own[:met] {
		if left {
			beside = tlog.NodeHash(tlog.Hash(p.path[at]), beside)
		} else {
			beside = tlog.NodeHash(beside, tlog.Hash(p.path[at]))
		}
	}
	path = append(path, beside)
	for _, hash := range p.path[met+1:] {
		path = append(path, tlog.Hash(hash))
	}
	return path
}

// sides says for each sibling of a leaf, from the leaf upwards, whether it stands to the left.
func sides(index, size int64) []bool {
	var turns []bool
	for first, end := int64(0), size; end-first > 1; {
		half := int64(1)
		for half*2 < end-first {
			half *= 2
		}
		left := index >= first+half
		turns = append([]bool{left}, turns...)
		if left {
			first += half
		} else {
			end = first + half
		}
	}
	return turns
}

func verifierOf(coseKey []byte) cose.Verifier {
	key := read[map[int]any](coseKey)
	x := key[-2].([]byte)
	if key[1].(uint64) == 1 {
		verifier, err := cose.NewVerifier(cose.AlgorithmEdDSA, ed25519.PublicKey(x))
		check(err)
		return verifier
	}
	public := &ecdsa.PublicKey{Curve: elliptic.P256(), X: new(big.Int).SetBytes(x), Y: new(big.Int).SetBytes(key[-3].([]byte))}
	verifier, err := cose.NewVerifier(cose.AlgorithmES256, public)
	check(err)
	return verifier
}

type moment struct {
	place
	height int64
}

// point checks a state value: its value (nil: absent), its key, and where it stands.
func (t believed) point(parts []cbor.RawMessage) ([]byte, []byte, moment) {
	value, state, entry := read[[]byte](parts[0]), read[[]byte](parts[1]), read[[]byte](parts[2])
	at := t.receipt(read[[]byte](parts[3]), entry)
	block := items(entry)
	root := read[[]byte](block[3])
	var proof ics23.CommitmentProof
	check(proof.Unmarshal(state))
	var key []byte
	if value != nil {
		key = proof.GetExist().Key
		must(ics23.VerifyMembership(ics23.SmtSpec, root, &proof, key, value), "ics23 refuses a presence")
	} else {
		key = proof.GetNonexist().Key
		must(ics23.VerifyNonMembership(ics23.SmtSpec, root, &proof, key), "ics23 refuses an absence")
	}
	return value, key, moment{at, read[int64](block[1])}
}

func (t believed) completeness(parts []cbor.RawMessage) map[string]any {
	names := []any{4, read[string](parts[1]), read[string](parts[2])}
	more, subject := parts[6:], read[string](parts[2])
	var forks []cbor.RawMessage
	if len(more) > 0 && more[len(more)-1][0]>>5 == 4 {
		forks, more = items(more[len(more)-1]), more[:len(more)-1]
	}
	if len(more) == 1 {
		subject = read[string](more[0])
		names = append(names, subject)
	}
	key := []byte(stateKey(names...))
	digest := make([]byte, 32)
	if !bytes.Equal(parts[3], []byte{0xf6}) {
		value, proved, _ := t.point(items(parts[3]))
		must(bytes.Equal(proved, key), "a point of another stream")
		if value != nil {
			digest = read[[]byte](items(value)[0])
		}
	}
	chained := streamState{digest: digest}
	list := items(parts[4])
	for _, item := range list {
		fields := items(item)
		chained.runs = nil
		chained.place(read[int](fields[0]), read[int](fields[1]), read[[]byte](fields[2]), nil)
	}
	value, proved, at := t.point(items(parts[5]))
	must(bytes.Equal(proved, key), "a point of another stream")
	if value != nil {
		must(bytes.Equal(read[[]byte](items(value)[0]), chained.digest), "the records lead to another digest")
	}
	root, epochs := read[[]byte](items(read[[]byte](items(parts[5])[2]))[3]), []int{}
	for _, fork := range forks {
		fields := items(fork)
		epoch, evidence := read[int](fields[0]), read[[]byte](fields[1])
		var proof ics23.CommitmentProof
		check(proof.Unmarshal(read[[]byte](fields[2])))
		named := []byte(stateKey(11, read[string](parts[1]), subject, "record", epoch))
		must(ics23.VerifyMembership(ics23.SmtSpec, root, &proof, named, evidence), "ics23 refuses the evidence")
		epochs = append(epochs, epoch)
	}
	return map[string]any{"kind": "completeness", "items": len(list), "height": at.height, "forks": epochs}
}
