package main

import (
	"encoding/binary"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/tlog"
)

const tlogPackage, merklePackage = "golang.org/x/mod/sumdb/tlog", "github.com/transparency-dev/merkle/proof"

type rootVector struct {
	Size int64  `json:"size"`
	Root string `json:"root"`
}

type inclusionVector struct {
	Name  string   `json:"name"`
	Root  string   `json:"root"`
	Size  uint64   `json:"size"`
	Index uint64   `json:"index"`
	Leaf  string   `json:"leaf"`
	Path  []string `json:"path"`
	Error string   `json:"error,omitempty"`
}

type consistencyVector struct {
	Name    string   `json:"name"`
	OldSize uint64   `json:"old_size"`
	OldRoot string   `json:"old_root"`
	NewSize uint64   `json:"new_size"`
	NewRoot string   `json:"new_root"`
	Path    []string `json:"path"`
	Error   string   `json:"error,omitempty"`
}

type leafVector struct {
	Entry string `json:"entry"`
	Leaf  string `json:"leaf"`
}

type treeFile struct {
	Comment            string              `json:"comment"`
	Programs           map[string]string   `json:"programs"`
	Leaves             []leafVector        `json:"leaves"`
	Roots              []rootVector        `json:"roots"`
	Inclusion          []inclusionVector   `json:"inclusion"`
	InclusionRefused   []inclusionVector   `json:"inclusion_refused"`
	Consistency        []consistencyVector `json:"consistency"`
	ConsistencyRefused []consistencyVector `json:"consistency_refused"`
}

// entry returns the log entry of a leaf in all vectors: its index as four bytes, big-endian.
func entry(index int64) []byte { return binary.BigEndian.AppendUint32(nil, uint32(index)) }

// grow returns the stored hashes of a log, in tlog's own numbering.
func grow(size int64) tlog.HashReaderFunc {
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		hashes := make([]tlog.Hash, 0, len(indexes))
		for _, index := range indexes {
			hashes = append(hashes, stored[index])
		}
		return hashes, nil
	})
	for index := int64(0); index < size; index++ {
		stored = append(stored, must(tlog.StoredHashes(index, entry(index), reader))...)
	}
	return reader
}

func bytesOf(hashes []tlog.Hash) [][]byte {
	result := make([][]byte, 0, len(hashes))
	for _, hash := range hashes {
		result = append(result, append([]byte(nil), hash[:]...))
	}
	return result
}

func rootOf(size int64, reader tlog.HashReader) []byte {
	if size == 0 {
		return rfc6962.DefaultHasher.EmptyRoot()
	}
	hash := must(tlog.TreeHash(size, reader))
	return hash[:]
}

// inclusionAccepted asks both libraries; they must agree.
func inclusionAccepted(root []byte, size, index uint64, leaf []byte, path [][]byte) bool {
	first := proof.VerifyInclusion(rfc6962.DefaultHasher, index, size, leaf, path, root) == nil
	if len(root) != tlog.HashSize || len(leaf) != tlog.HashSize || size == 0 || size > 1<<62 || index > 1<<62 {
		return first
	}
	var hashes tlog.RecordProof
	for _, hash := range path {
		hashes = append(hashes, tlog.Hash(hash))
	}
	second := tlog.CheckRecord(hashes, int64(size), tlog.Hash(root), int64(index), tlog.Hash(leaf)) == nil
	if first != second {
		fail("the libraries disagree on leaf %d of %d", index, size)
	}
	return first
}

// consistencyAccepted asks both libraries where both have an answer; they must agree.
func consistencyAccepted(oldSize uint64, oldRoot []byte, newSize uint64, newRoot []byte, path [][]byte) bool {
	first := proof.VerifyConsistency(rfc6962.DefaultHasher, oldSize, newSize, path, oldRoot, newRoot) == nil
	if oldSize < 1 || newSize < oldSize {
		return first
	}
	var hashes tlog.TreeProof
	for _, hash := range path {
		hashes = append(hashes, tlog.Hash(hash))
	}
	second := tlog.CheckTree(hashes, int64(newSize), tlog.Hash(newRoot), int64(oldSize), tlog.Hash(oldRoot)) == nil
	if first != second {
		fail("the libraries disagree on sizes %d and %d", oldSize, newSize)
	}
	return first
}

func treeVectors() any {
	const largest = 700
	reader := grow(largest + 1)
	file := treeFile{
		Comment: "RFC 9162 log over SHA-256: entry N is N as four bytes, big-endian; leaf = SHA-256(0x00 | entry). " +
			"Sizes count only where they are signed: the inclusion vector named 'relabelled' is accepted. " +
			"All refused vectors have the code proof-invalid.",
		Programs: versions(map[string]string{
			tlogPackage:   "expected roots and paths; verdicts",
			merklePackage: "root of the empty log; verdicts",
		}),
	}
	for _, index := range []int64{0, 1, 255, 65536} {
		hash := tlog.RecordHash(entry(index))
		file.Leaves = append(file.Leaves, leafVector{toHex(entry(index)), toHex(hash[:])})
	}
	for _, size := range []int64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100, 255, 256, 257, 511, 513, largest} {
		file.Roots = append(file.Roots, rootVector{size, toHex(rootOf(size, reader))})
	}
	for _, size := range []int64{1, 2, 3, 4, 5, 7, 8, 100, 256, 257, largest} {
		taken := map[int64]bool{}
		for _, index := range []int64{0, 1, size / 2, size - 1} {
			if (size < 10 || index != 1) && index < size && !taken[index] {
				taken[index] = true
				file.addInclusion(reader, size, index)
			}
		}
	}
	relabelled := file.Inclusion[2]
	relabelled.Name, relabelled.Size, relabelled.Index = "relabelled (2, 1)", 3, 2
	file.Inclusion = append(file.Inclusion, relabelled)
	for _, pair := range [][2]int64{{0, 0}, {0, 5}, {1, 1}, {1, 2}, {1, 3}, {2, 3}, {3, 4}, {3, 7}, {4, 7}, {6, 7},
		{7, 7}, {4, 8}, {7, 8}, {8, 9}, {64, 100}, {100, 256}, {255, 257}, {256, 257}, {256, 512}, {300, largest}} {
		file.addConsistency(reader, pair[0], pair[1])
	}
	for _, vector := range append(file.Inclusion, file.InclusionRefused...) {
		if vectorInclusion(vector) != (vector.Error == "") {
			fail("unexpected verdict on inclusion %+v", vector)
		}
	}
	for _, vector := range append(file.Consistency, file.ConsistencyRefused...) {
		if vectorConsistency(vector) != (vector.Error == "") {
			fail("unexpected verdict on consistency %+v", vector)
		}
	}
	return file
}

const refusedCode = "proof-invalid"

func (file *treeFile) addInclusion(reader tlog.HashReader, size, index int64) {
	leaf := tlog.RecordHash(entry(index))
	path := bytesOf(must(tlog.ProveRecord(size, index, reader)))
	vector := inclusionVector{"", toHex(rootOf(size, reader)), uint64(size), uint64(index), toHex(leaf[:]), toHexes(path), ""}
	file.Inclusion = append(file.Inclusion, vector)
	refuse := func(name string, change func(*inclusionVector)) {
		wrong := vector
		wrong.Path = append([]string{}, vector.Path...)
		change(&wrong)
		wrong.Name, wrong.Error = name, refusedCode
		file.InclusionRefused = append(file.InclusionRefused, wrong)
	}
	refuse("leaf of another entry", func(v *inclusionVector) {
		other := tlog.RecordHash(entry(index + 1))
		v.Leaf = toHex(other[:])
	})
	refuse("root of another size", func(v *inclusionVector) { v.Root = toHex(rootOf(size-1, reader)) })
	refuse("path with one hash more", func(v *inclusionVector) { v.Path = append(v.Path, v.Leaf) })
	refuse("index beyond the log", func(v *inclusionVector) { v.Index = v.Size })
	if len(path) > 0 {
		refuse("path with one hash less", func(v *inclusionVector) { v.Path = v.Path[1:] })
		refuse("last hash of the path flipped", func(v *inclusionVector) {
			v.Path[len(path)-1] = toHex(flip(path[len(path)-1], 255))
		})
		refuse("entry hashed without its prefix", func(v *inclusionVector) { v.Leaf = v.Path[0] })
	}
	if len(path) > 1 {
		refuse("path upside down", func(v *inclusionVector) {
			v.Path[0], v.Path[len(path)-1] = v.Path[len(path)-1], v.Path[0]
		})
		refuse("index of the sibling", func(v *inclusionVector) { v.Index ^= 1 })
	}
}

func (file *treeFile) addConsistency(reader tlog.HashReader, oldSize, newSize int64) {
	path := [][]byte{}
	if oldSize > 0 {
		path = bytesOf(must(tlog.ProveTree(newSize, oldSize, reader)))
	}
	vector := consistencyVector{"", uint64(oldSize), toHex(rootOf(oldSize, reader)), uint64(newSize),
		toHex(rootOf(newSize, reader)), toHexes(path), ""}
	file.Consistency = append(file.Consistency, vector)
	refuse := func(name string, change func(*consistencyVector)) {
		wrong := vector
		wrong.Path = append([]string{}, vector.Path...)
		change(&wrong)
		wrong.Name, wrong.Error = name, refusedCode
		file.ConsistencyRefused = append(file.ConsistencyRefused, wrong)
	}
	refuse("path with one hash more", func(v *consistencyVector) { v.Path = append(v.Path, v.NewRoot) })
	if oldSize > 0 {
		refuse("another old root", func(v *consistencyVector) { v.OldRoot = toHex(rootOf(oldSize+1, reader)) })
		refuse("another new root", func(v *consistencyVector) { v.NewRoot = toHex(rootOf(newSize+1, reader)) })
		refuse("shrinking", func(v *consistencyVector) { v.OldSize = v.NewSize + 1 })
	}
	if len(path) > 0 {
		refuse("path with one hash less", func(v *consistencyVector) { v.Path = v.Path[:len(path)-1] })
		refuse("no path", func(v *consistencyVector) { v.Path = []string{} })
		refuse("first hash of the path flipped", func(v *consistencyVector) { v.Path[0] = toHex(flip(path[0], 0)) })
		refuse("roots exchanged", func(v *consistencyVector) { v.OldRoot, v.NewRoot = v.NewRoot, v.OldRoot })
	}
}
