// A ledger small enough to read: a log by golang.org/x/mod/sumdb/tlog, a state map whose proofs cosmos/ics23 accepts,
// blocks and streams. Nothing of Drystone is used; formats.md part B is the only common ground.
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sort"

	ics23 "github.com/cosmos/ics23/go"
	"github.com/fxamacker/cbor/v2"
	"golang.org/x/mod/sumdb/tlog"
)

var encoder, _ = cbor.CoreDetEncOptions().EncMode()

func det(value any) []byte {
	data, err := encoder.Marshal(value)
	check(err)
	return data
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func sha(data []byte) []byte {
	sum := sha256.Sum256(data)
	return sum[:]
}

// --- the log

type logbook struct {
	entries [][]byte
	stored  []tlog.Hash
	size    int64
}

func (l *logbook) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		hashes[i] = l.stored[index]
	}
	return hashes, nil
}

func (l *logbook) add(entry []byte) int64 {
	hashes, err := tlog.StoredHashes(l.size, entry, l)
	check(err)
	l.entries = append(l.entries, entry)
	l.stored = append(l.stored, hashes...)
	l.size++
	return l.size - 1
}

// replaced is the log with other entries at some indexes.
func (l *logbook) replaced(other map[int64][]byte) *logbook {
	fresh := &logbook{}
	for index, entry := range l.entries {
		if changed, ok := other[int64(index)]; ok {
			entry = changed
		}
		fresh.add(entry)
	}
	return fresh
}

func (l *logbook) root(size int64) []byte {
	hash, err := tlog.TreeHash(size, l)
	check(err)
	return hash[:]
}

// path returns the inclusion proof, which tlog itself checks before anybody sees it.
func (l *logbook) path(index, size int64, entry []byte) [][]byte {
	proof, err := tlog.ProveRecord(size, index, l)
	check(err)
	root, err := tlog.TreeHash(size, l)
	check(err)
	check(tlog.CheckRecord(proof, size, root, index, tlog.RecordHash(entry)))
	path := make([][]byte, len(proof))
	for i, hash := range proof {
		path[i] = bytes.Clone(hash[:])
	}
	return path
}

// --- the state map (ICS-23 SmtSpec)

type stateMap map[string][]byte

func (s stateMap) sorted() []string {
	keys := make([]string, 0, len(s))
	for key := range s {
		keys = append(keys, key)
	}
	sort.Slice(keys, func(a, b int) bool {
		return bytes.Compare(sha([]byte(keys[a])), sha([]byte(keys[b]))) < 0
	})
	return keys
}

func bit(hash []byte, depth int) bool { return hash[depth/8]>>(7-depth%8)&1 == 1 }

func (s stateMap) node(keys []string, depth int) []byte {
	if len(keys) == 0 {
		return make([]byte, 32)
	}
	if len(keys) == 1 {
		key := []byte(keys[0])
		return sha(bytes.Join([][]byte{{0}, sha(key), sha(s[keys[0]])}, nil))
	}
	left, right := split(keys, depth)
	return sha(bytes.Join([][]byte{{1}, s.node(left, depth+1), s.node(right, depth+1)}, nil))
}

func split(keys []string, depth int) ([]string, []string) {
	at := sort.Search(len(keys), func(i int) bool { return bit(sha([]byte(keys[i])), depth) })
	return keys[:at], keys[at:]
}

func (s stateMap) root() []byte { return s.node(s.sorted(), 0) }

func (s stateMap) leaf(key string) *ics23.ExistenceProof {
	var path []*ics23.InnerOp
	keys := s.sorted()
	for depth := 0; len(keys) > 1; depth++ {
		left, right := split(keys, depth)
		op := &ics23.InnerOp{Hash: ics23.HashOp_SHA256, Prefix: []byte{1}}
		if bit(sha([]byte(key)), depth) {
			op.Prefix = append(op.Prefix, s.node(left, depth+1)...)
			keys = right
		} else {
			op.Suffix = s.node(right, depth+1)
			keys = left
		}
		path = append([]*ics23.InnerOp{op}, path...)
	}
	return &ics23.ExistenceProof{Key: []byte(key), Value: s[key], Leaf: ics23.SmtSpec.LeafSpec, Path: path}
}

// prove returns presence or absence as ICS-23 bytes, accepted by cosmos/ics23 itself.
func (s stateMap) prove(key string) []byte {
	var proof ics23.CommitmentProof
	if value, ok := s[key]; ok {
		proof.Proof = &ics23.CommitmentProof_Exist{Exist: s.leaf(key)}
		if !ics23.VerifyMembership(ics23.SmtSpec, s.root(), &proof, []byte(key), value) {
			panic("ics23 refuses a presence")
		}
	} else {
		absent := &ics23.NonExistenceProof{Key: []byte(key)}
		for _, other := range s.sorted() {
			if bytes.Compare(sha([]byte(other)), sha([]byte(key))) < 0 {
				absent.Left = s.leaf(other)
			} else if absent.Right == nil {
				absent.Right = s.leaf(other)
			}
		}
		proof.Proof = &ics23.CommitmentProof_Nonexist{Nonexist: absent}
		if !ics23.VerifyNonMembership(ics23.SmtSpec, s.root(), &proof, []byte(key)) {
			panic("ics23 refuses an absence")
		}
	}
	data, err := proof.Marshal()
	check(err)
	return data
}

func stateKey(parts ...any) string {
	var key []byte
	for _, part := range parts {
		key = append(key, det(part)...)
	}
	return string(key)
}

// --- streams as runs

type run struct {
	epoch, first, last int
	lo, hi             *int
}

type streamState struct {
	digest []byte
	count  int
	runs   []run
}

func newStream() *streamState { return &streamState{digest: make([]byte, 32)} }

func (s *streamState) place(epoch, seq int, id []byte, register *int) {
	position := binary.BigEndian.AppendUint32(nil, uint32(epoch))
	position = binary.BigEndian.AppendUint64(position, uint64(seq))
	s.digest = sha(bytes.Join([][]byte{[]byte("drystone/stream/1\n"), s.digest, position, id}, nil))
	s.runs = append(s.runs, run{epoch, seq, seq, register, register})
	sort.Slice(s.runs, func(a, b int) bool {
		x, y := s.runs[a], s.runs[b]
		return x.epoch < y.epoch || x.epoch == y.epoch && x.first < y.first
	})
	merged := s.runs[:1:1]
	for _, next := range s.runs[1:] {
		last := &merged[len(merged)-1]
		if last.epoch == next.epoch && last.last+1 == next.first {
			last.last, last.hi = next.last, next.hi
		} else {
			merged = append(merged, next)
		}
	}
	s.runs = merged
	s.count++
	epochs := map[int]bool{}
	for _, r := range s.runs {
		epochs[r.epoch] = true
	}
	if len(epochs) > 16 { // the oldest epoch is closed: its runs leave, digest and count keep covering it
		oldest := s.runs[0].epoch
		for s.runs[0].epoch == oldest {
			s.runs = s.runs[1:]
		}
	}
}

func (s *streamState) encode() []byte {
	runs := []any{}
	for _, r := range s.runs {
		item := []any{r.epoch, r.first, r.last}
		if r.lo != nil {
			item = append(item, *r.lo, *r.hi)
		}
		runs = append(runs, item)
	}
	return det([]any{s.digest, s.count, runs})
}

// --- blocks

type block struct {
	height, timeMs int
	entry          []byte
	index, size    int64 // of the entry, and of the log after it
	state          stateMap
}

type ledger struct {
	log    logbook
	state  stateMap
	blocks []block
}

func newLedger() *ledger {
	l := &ledger{state: stateMap{}}
	l.state[stateKey(0, "origin")] = det(origin)
	l.state[stateKey(1, "ewz")] = det([]any{"Elektrizitaetswerk", 0})
	return l
}

// close ends a block: its entry goes into the log behind the records' entries.
func (l *ledger) close() block {
	height := len(l.blocks)
	timeMs := 1_762_340_400_000 + 50*height
	entry := det([]any{"drystone/block/1", height, timeMs, l.state.root(), sha(nil),
		sha([]byte("drystone/nodes/1\n")), 1})
	copied := stateMap{}
	for key, value := range l.state {
		copied[key] = value
	}
	index := l.log.add(entry)
	closed := block{height, timeMs, entry, index, l.log.size, copied}
	l.blocks = append(l.blocks, closed)
	return closed
}

func hexed(data []byte) string { return fmt.Sprintf("%x", data) }
