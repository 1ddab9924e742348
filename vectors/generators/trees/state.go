package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"sort"

	"github.com/celestiaorg/smt"
	ics23 "github.com/cosmos/ics23/go"
)

const smtPackage, ics23Package = "github.com/celestiaorg/smt", "github.com/cosmos/ics23/go"

type stateVector struct {
	Count int    `json:"count"`
	Root  string `json:"root"`
}

type changeVector struct {
	Key   string  `json:"key"`
	Value *string `json:"value"`
}

type blockVector struct {
	Changes []changeVector `json:"changes"`
	Root    string         `json:"root"`
}

type proofVector struct {
	Name  string  `json:"name"`
	Root  string  `json:"root"`
	Key   string  `json:"key"`
	Value *string `json:"value,omitempty"`
	Proof string  `json:"proof"`
	Error string  `json:"error,omitempty"`
	ICS23 string  `json:"ics23"`
}

type stateFile struct {
	Comment         string            `json:"comment"`
	Programs        map[string]string `json:"programs"`
	States          []stateVector     `json:"states"`
	Blocks          []blockVector     `json:"blocks"`
	Presence        []proofVector     `json:"presence"`
	PresenceRefused []proofVector     `json:"presence_refused"`
	Absence         []proofVector     `json:"absence"`
	AbsenceRefused  []proofVector     `json:"absence_refused"`
}

// state is celestiaorg/smt's tree, and the keys in it by hash.
type state struct {
	tree   *smt.SparseMerkleTree
	values map[string][]byte
	ranked [][]byte
}

func hashOf(data []byte) []byte {
	hash := sha256.Sum256(data)
	return hash[:]
}

func newState() *state {
	return &state{smt.NewSparseMerkleTree(smt.NewSimpleMap(), smt.NewSimpleMap(), sha256.New()), map[string][]byte{}, nil}
}

func (s *state) set(key, value []byte) {
	if value == nil {
		if _, there := s.values[string(key)]; there {
			must(s.tree.Delete(key))
			delete(s.values, string(key))
		}
	} else {
		must(s.tree.Update(key, value))
		s.values[string(key)] = value
	}
	s.ranked = nil
}

func stateOf(count int) *state {
	s := newState()
	for number := 0; number < count; number++ {
		s.set([]byte(fmt.Sprintf("key %d", number)), []byte(fmt.Sprintf("value %d", number)))
	}
	return s
}

// byRank returns the key with the n-th smallest hash, nil beyond either end.
func (s *state) byRank(rank int) []byte {
	if s.ranked == nil {
		for key := range s.values {
			s.ranked = append(s.ranked, []byte(key))
		}
		sort.Slice(s.ranked, func(i, j int) bool {
			return bytes.Compare(hashOf(s.ranked[i]), hashOf(s.ranked[j])) < 0
		})
	}
	if rank < 0 || rank >= len(s.ranked) {
		return nil
	}
	return s.ranked[rank]
}

// rankOf returns how many keys lie left of a key.
func (s *state) rankOf(key []byte) int {
	s.byRank(0)
	return sort.Search(len(s.ranked), func(i int) bool {
		return bytes.Compare(hashOf(s.ranked[i]), hashOf(key)) >= 0
	})
}

// leaf turns celestiaorg/smt's proof into an ICS-23 one; nil for no key.
func (s *state) leaf(key []byte) *ics23.ExistenceProof {
	if key == nil {
		return nil
	}
	sides := must(s.tree.Prove(key)).SideNodes
	way := hashOf(key)
	leaf := &ics23.ExistenceProof{Key: key, Value: s.values[string(key)], Leaf: ics23.SmtSpec.LeafSpec}
	for height, side := range sides {
		depth := len(sides) - 1 - height
		op := &ics23.InnerOp{Hash: ics23.HashOp_SHA256, Prefix: []byte{1}, Suffix: side}
		if way[depth/8]>>(7-depth%8)&1 == 1 {
			op = &ics23.InnerOp{Hash: ics23.HashOp_SHA256, Prefix: append([]byte{1}, side...)}
		}
		leaf.Path = append(leaf.Path, op)
	}
	return leaf
}

func presence(leaf *ics23.ExistenceProof) *ics23.CommitmentProof {
	return &ics23.CommitmentProof{Proof: &ics23.CommitmentProof_Exist{Exist: leaf}}
}

func absence(key []byte, left, right *ics23.ExistenceProof) *ics23.CommitmentProof {
	return &ics23.CommitmentProof{Proof: &ics23.CommitmentProof_Nonexist{
		Nonexist: &ics23.NonExistenceProof{Key: key, Left: left, Right: right}}}
}

func marshal(proof *ics23.CommitmentProof) []byte { return must(proof.Marshal()) }

func smtAccepted(root, key, value, data []byte) bool {
	proof := ics23.CommitmentProof{}
	if proof.Unmarshal(data) != nil {
		return false
	}
	if value == nil {
		return ics23.VerifyNonMembership(ics23.SmtSpec, root, &proof, key)
	}
	return ics23.VerifyMembership(ics23.SmtSpec, root, &proof, key, value)
}

// vector asks ics23 for its verdict and stops if it is not the one given.
func vector(name string, root, key, value, data []byte, code string, foreign bool) proofVector {
	if smtAccepted(root, key, value, data) != foreign {
		fail("ics23 does not judge %q as expected", name)
	}
	result := proofVector{Name: name, Root: toHex(root), Key: toHex(key), Proof: toHex(data), Error: code, ICS23: "refused"}
	if foreign {
		result.ICS23 = "accepted"
	}
	if value != nil {
		text := toHex(value)
		result.Value = &text
	}
	return result
}

func stateVectors() any {
	file := stateFile{
		Comment: "State map: ICS-23 SmtSpec. A state of N keys holds key n = 'key n', value n = 'value n' (ASCII) for n < N; " +
			"'blocks' start from the empty map. 'ics23' is the verdict of cosmos/ics23 on the same bytes: where it accepts what is " +
			"refused here, the bytes are another spelling or another kind of proof. Refused vectors have the code proof-invalid.",
		Programs: versions(map[string]string{
			smtPackage:   "expected roots and siblings",
			ics23Package: "expected bytes of proofs; verdicts with SmtSpec",
		}),
	}
	for _, count := range []int{0, 1, 2, 3, 4, 5, 10, 100, 1000} {
		file.States = append(file.States, stateVector{count, toHex(stateOf(count).tree.Root())})
	}
	file.addBlocks()
	for _, count := range []int{1, 2, 3, 1000} {
		file.addPresence(stateOf(count), count)
		file.addAbsence(stateOf(count), count)
	}
	return file
}

func (file *stateFile) addBlocks() {
	s := newState()
	for block := 0; block < 12; block++ {
		changes := []changeVector{}
		for at := 0; at < 1+block*block; at++ {
			number := (block*7 + at*at*3) % 90
			key, value := []byte(fmt.Sprintf("key %d", number)), []byte(fmt.Sprintf("block %d change %d", block, at))
			change := changeVector{Key: toHex(key)}
			if (block*at+number)%4 == 3 || block == 11 {
				value = nil
			} else {
				text := toHex(value)
				change.Value = &text
			}
			s.set(key, value)
			changes = append(changes, change)
		}
		file.Blocks = append(file.Blocks, blockVector{changes, toHex(s.tree.Root())})
	}
}

func (file *stateFile) addPresence(s *state, count int) {
	root := append([]byte(nil), s.tree.Root()...)
	for number := 0; number < count; number += 1 + count/2 {
		key := []byte(fmt.Sprintf("key %d", number))
		value := s.values[string(key)]
		name := fmt.Sprintf("key %d of %d", number, count)
		data := marshal(presence(s.leaf(key)))
		file.Presence = append(file.Presence, vector(name, root, key, value, data, "", true))
		refuse := func(what string, key, value, data []byte, foreign bool) {
			file.PresenceRefused = append(file.PresenceRefused, vector(name+": "+what, root, key, value, data, refusedCode, foreign))
		}
		refuse("another value", key, []byte("value x"), data, false)
		refuse("another key", []byte("key x"), value, data, false)
		refuse("cut off", key, value, data[:len(data)-1], false)
		refuse("empty", key, value, nil, false)
		refuse("value in the proof flipped", key, value, bytes.Replace(data, value, flip(value, 7), 1), false)
		for _, change := range leafChanges {
			leaf := s.leaf(key)
			leaf.Leaf = &ics23.LeafOp{Hash: leaf.Leaf.Hash, PrehashKey: leaf.Leaf.PrehashKey, PrehashValue: leaf.Leaf.PrehashValue,
				Length: leaf.Leaf.Length, Prefix: leaf.Leaf.Prefix}
			if !change.needsPath || len(leaf.Path) > 1 {
				change.apply(leaf)
				refuse(change.name, key, value, marshal(presence(leaf)), false)
			}
		}
		if number > 0 {
			continue
		}
		body := must(s.leaf(key).Marshal())
		refuse("unknown field after the leaf", key, value, append(append([]byte(nil), data...), 0x78, 1), true)
		refuse("length in five bytes", key, value, append([]byte{0x0a, byte(len(body)) | 0x80, byte(len(body)>>7) | 0x80, 0x80, 0x80, 0}, body...), true)
		spelled := bytes.Replace(body, []byte{0x18, 1, 0x2a, 1, 0}, []byte{0x18, 1, 0x20, 0, 0x2a, 1, 0}, 1)
		spelled = bytes.Replace(spelled, []byte{0x1a, 9, 8, 1}, []byte{0x1a, 11, 8, 1}, 1)
		refuse("default spelled out", key, value, field(1, spelled), true)
		keyField, rest := body[:2+len(key)], body[2+len(key):]
		valueField, rest := rest[:2+len(value)], rest[2+len(value):]
		refuse("value before key", key, value, field(1, bytes.Join([][]byte{valueField, keyField, rest}, nil)), true)
		batch := must(ics23.CombineProofs([]*ics23.CommitmentProof{presence(s.leaf(key))}))
		refuse("compressed batch of one", key, value, marshal(batch), true)
		refuse("batch of one", key, value, marshal(ics23.Decompress(batch)), true)
		refuse("another root's proof", key, value, marshal(presence(stateOf(count+1).leaf(key))), false)
	}
}

func field(number int, body []byte) []byte {
	result := []byte{byte(number<<3 | 2)}
	for length := len(body); ; length >>= 7 {
		if length < 128 {
			return append(append(result, byte(length)), body...)
		}
		result = append(result, byte(length)|128)
	}
}

var leafChanges = []struct {
	name      string
	needsPath bool
	apply     func(*ics23.ExistenceProof)
}{
	{"leaf with the prefix of an inner node", false, func(leaf *ics23.ExistenceProof) { leaf.Leaf.Prefix = []byte{1} }},
	{"leaf without hashing the value", false, func(leaf *ics23.ExistenceProof) { leaf.Leaf.PrehashValue = ics23.HashOp_NO_HASH }},
	{"leaf without hashing the key", false, func(leaf *ics23.ExistenceProof) { leaf.Leaf.PrehashKey = ics23.HashOp_NO_HASH }},
	{"leaf with a length prefix", false, func(leaf *ics23.ExistenceProof) { leaf.Leaf.Length = ics23.LengthOp_VAR_PROTO }},
	{"leaf by another hash", false, func(leaf *ics23.ExistenceProof) { leaf.Leaf.Hash = ics23.HashOp_SHA512 }},
	{"one level more", false, func(leaf *ics23.ExistenceProof) {
		leaf.Path = append(leaf.Path, &ics23.InnerOp{Hash: ics23.HashOp_SHA256, Prefix: []byte{1}, Suffix: make([]byte, 32)})
	}},
	{"one level less", true, func(leaf *ics23.ExistenceProof) { leaf.Path = leaf.Path[1:] }},
	{"levels upside down", true, func(leaf *ics23.ExistenceProof) {
		last := len(leaf.Path) - 1
		leaf.Path[0], leaf.Path[last] = leaf.Path[last], leaf.Path[0]
	}},
	{"sibling flipped", true, func(leaf *ics23.ExistenceProof) { leaf.Path[0] = turned(leaf.Path[0], false) }},
	{"sibling on the other side", true, func(leaf *ics23.ExistenceProof) { leaf.Path[0] = turned(leaf.Path[0], true) }},
	{"inner node by another hash", true, func(leaf *ics23.ExistenceProof) { leaf.Path[1].Hash = ics23.HashOp_KECCAK256 }},
}

// turned changes one op: its sibling goes to the other side, or loses a bit.
func turned(op *ics23.InnerOp, swap bool) *ics23.InnerOp {
	sibling, right := op.Suffix, len(op.Suffix) == 0
	if right {
		sibling = op.Prefix[1:]
	}
	if !swap {
		sibling = flip(sibling, 100)
	}
	if right != swap {
		return &ics23.InnerOp{Hash: op.Hash, Prefix: append([]byte{1}, sibling...)}
	}
	return &ics23.InnerOp{Hash: op.Hash, Prefix: []byte{1}, Suffix: sibling}
}

func (file *stateFile) addAbsence(s *state, count int) {
	root := append([]byte(nil), s.tree.Root()...)
	edges := map[int]bool{}
	for number := 0; number < 12; number++ {
		key := []byte(fmt.Sprintf("absent %d", number))
		rank := s.rankOf(key)
		if count < 10 && edges[rank] || count >= 10 && number > 0 && rank > 0 && rank < count {
			continue
		}
		edges[rank] = true
		file.addAbsent(s, root, key, count)
	}
	for number, left, right := 0, false, false; count >= 10 && !(left && right); number++ {
		key := []byte(fmt.Sprintf("outside %d", number))
		rank := s.rankOf(key)
		if rank == 0 && !left || rank == count && !right {
			left, right = left || rank == 0, right || rank == count
			file.addAbsent(s, root, key, count)
		}
	}
}

func (file *stateFile) addAbsent(s *state, root, key []byte, count int) {
	rank := s.rankOf(key)
	left, right := s.byRank(rank-1), s.byRank(rank)
	name := fmt.Sprintf("%s among %d, left of it %d", key, count, rank)
	data := marshal(absence(key, s.leaf(left), s.leaf(right)))
	file.Absence = append(file.Absence, vector(name, root, key, nil, data, "", true))
	refuse := func(what string, key, data []byte, foreign bool) {
		file.AbsenceRefused = append(file.AbsenceRefused, vector(name+": "+what, root, key, nil, data, refusedCode, foreign))
	}
	body := must(absence(key, s.leaf(left), s.leaf(right)).GetNonexist().Marshal())
	refuse("cut off", key, data[:len(data)-2], false)
	refuse("no neighbour", key, marshal(absence(key, nil, nil)), false)
	refuse("unknown field after the proof", key, append(append([]byte(nil), data...), 0x78, 1), true)
	refuse("another key in the proof", key, marshal(absence([]byte("absent x"), s.leaf(left), s.leaf(right))), true)
	refuse("key spelled twice", key, field(2, append(append([]byte(nil), body[:2+len(key)]...), body...)), true)
	refuse("neighbours exchanged", key, marshal(absence(key, s.leaf(right), s.leaf(left))), false)
	for _, near := range [][]byte{left, right} {
		if near != nil {
			refuse("key that is there", near, marshal(absence(near, s.leaf(left), s.leaf(right))), false)
			refuse("presence of a neighbour", key, marshal(presence(s.leaf(near))), false)
		}
	}
	if left != nil && right != nil {
		refuse("left neighbour only", key, marshal(absence(key, s.leaf(left), nil)), false)
		refuse("right neighbour only", key, marshal(absence(key, nil, s.leaf(right))), false)
	}
	if further := s.byRank(rank - 2); further != nil && left != nil {
		refuse("left neighbour skipped", key, marshal(absence(key, s.leaf(further), s.leaf(right))), false)
	}
	if further := s.byRank(rank + 1); further != nil && right != nil {
		refuse("right neighbour skipped", key, marshal(absence(key, s.leaf(left), s.leaf(further))), false)
	}
}
