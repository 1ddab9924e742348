// Vertices and fork evidence. Body roots are golang.org/x/mod/sumdb/tlog's, signatures are checked by go-cose.
package main

import (
	"bytes"
	"fmt"
	"sort"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

type vertexVector struct {
	Name   string         `json:"name"`
	Vertex bin            `json:"vertex,omitzero"`
	Fork   bin            `json:"fork,omitzero"`
	Ledger bin            `json:"ledger"`
	Key    bin            `json:"key,omitzero"`
	Seal   map[string]any `json:"seal,omitempty"`
	Expect map[string]any `json:"expect,omitempty"`
	Error  string         `json:"error,omitempty"`
}

type vertexSpec struct {
	key        key
	iss, sub   string
	epoch, seq uint64
	parent     []byte
	links      [][]byte
	time       any
	records    [][]byte
}

// bodyRoot is the RFC 6962 root over the records' hashes.
func bodyRoot(records [][]byte) []byte {
	var hashes []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for n, index := range indexes {
			out[n] = hashes[index]
		}
		return out, nil
	})
	for n, record := range records {
		more, err := tlog.StoredHashes(int64(n), sha(record), reader)
		check(err)
		hashes = append(hashes, more...)
	}
	if len(records) == 0 {
		return sha(nil)
	}
	root, err := tlog.TreeHash(int64(len(records)), reader)
	check(err)
	return root[:]
}

func (v vertexSpec) protected() []byte {
	return det(map[int]any{1: v.key.alg, 4: v.key.kid(), 15: map[int]any{1: v.iss, 2: v.sub}})
}

func (v vertexSpec) members() []any {
	var parent any
	if v.parent != nil {
		parent = v.parent
	}
	links := []any{}
	for _, link := range v.links {
		links = append(links, link)
	}
	length := 0
	for _, record := range v.records {
		length += len(record)
	}
	return []any{v.epoch, v.seq, parent, links, v.time, len(v.records), length, bodyRoot(v.records)}
}

func external() []byte { return join([]byte("drystone/vertex/1\n"), ledger) }

func (v vertexSpec) header() []byte {
	return v.key.message(v.protected(), external(), det(v.members()))
}

func (v vertexSpec) id() []byte {
	return sha(sigStructure(v.protected(), external(), det(v.members())))
}

func envelope(header []byte, body any) []byte { return det([]any{header, body}) }

func (v vertexSpec) build() []byte { return envelope(v.header(), bytes.Join(v.records, nil)) }

func hexes(all [][]byte) []bin {
	out := []bin{}
	for _, one := range all {
		out = append(out, bin(one))
	}
	return out
}

func (v vertexSpec) vector(name string) vertexVector {
	v.key.checkSign1(v.header(), external())
	members := v.members()
	expect := map[string]any{"alg": v.key.alg, "kid": bin(v.key.kid()), "iss": v.iss, "sub": v.sub, "epoch": v.epoch, "seq": v.seq,
		"parent": orNull(v.parent), "links": hexes(v.links), "time_ms": v.time, "count": members[5], "length": members[6],
		"root": bin(members[7].([]byte)), "id": bin(v.id()), "body": hexes(v.records), "header": bin(v.header())}
	out := vertexVector{Name: name, Vertex: v.build(), Ledger: ledger, Key: v.key.coseKey(), Expect: expect}
	if !v.key.highS {
		out.Seal = map[string]any{"secret": bin(v.key.secret)}
	}
	return out
}

func plainVertex() vertexSpec { return vertexSpec{key: worked, iss: "ewz", sub: "gw-1"} }

func vertexWith(change func(*vertexSpec)) vertexSpec {
	v := plainVertex()
	change(&v)
	return v
}

func someRecords(count int) [][]byte {
	var all [][]byte
	for n := range count {
		all = append(all, with(func(s *spec) { s.seq = uint64(n) }).build())
	}
	return all
}

func hashes(count int) [][]byte {
	var all [][]byte
	for n := range count {
		all = append(all, sha([]byte{byte(n)}))
	}
	sort.Slice(all, func(a, b int) bool { return bytes.Compare(all[a], all[b]) < 0 })
	return all
}

func vertexVectors() []vertexVector {
	var all []vertexVector
	add := func(name string, change func(*vertexSpec)) { all = append(all, vertexWith(change).vector(name)) }
	parent := sha([]byte("parent"))
	add("an author's first", func(v *vertexSpec) {})
	for _, count := range []int{1, 2, 3, 7, 20} {
		add(fmt.Sprintf("%d records", count), func(v *vertexSpec) { v.records, v.time = someRecords(count), 1762340400000 })
	}
	for _, links := range []int{1, 2, 4, 8} {
		add(fmt.Sprintf("%d links", links), func(v *vertexSpec) { v.seq, v.parent, v.links = 1234, parent, hashes(links) })
	}
	add("a new epoch", func(v *vertexSpec) { v.epoch, v.parent, v.links = 1, parent, hashes(1) })
	add("in a later epoch", func(v *vertexSpec) { v.epoch, v.seq, v.parent, v.records = 1, 1, parent, someRecords(1) })
	add("highest place", func(v *vertexSpec) { v.epoch, v.seq, v.parent = 1<<32-1, 1<<53-1, parent })
	add("ES256, low S", func(v *vertexSpec) { v.key = nist })
	add("ES256, high S", func(v *vertexSpec) { v.key = nistHi })
	add("body of items that are no records", func(v *vertexSpec) { v.records = [][]byte{{0}, det("text"), det([]any{1, 2})} })
	pruned := vertexWith(func(v *vertexSpec) { v.records = someRecords(3) })
	without := pruned.vector("pruned")
	without.Vertex, without.Expect["body"], without.Seal = envelope(pruned.header(), nil), nil, nil
	all = append(all, without)
	left, right := plainVertex(), vertexWith(func(v *vertexSpec) { v.time = 1 })
	one, two := workedSpec(), with(func(s *spec) { s.payload = det(pack{{0: "e", 2: 1}}) })
	all = append(all,
		forkVector("fork of vertices", left.header(), right.header(), left.id(), right.id()),
		forkVector("fork of records", one.build(), two.build(), one.id(), two.id()))
	return append(append(all, badVertices(parent)...), badForks()...)
}

func (s spec) id() []byte { return sha(sigStructure(det(s.header()), nil, s.payload)) }

// evidence puts two objects in the order of their ids.
func evidence(a, b, idA, idB []byte) []byte {
	if bytes.Compare(idA, idB) > 0 {
		a, b = b, a
	}
	return det([]any{"drystone/fork/1", a, b})
}

func forkVector(name string, a, b, idA, idB []byte) vertexVector {
	return vertexVector{Name: name, Fork: evidence(a, b, idA, idB), Ledger: ledger, Key: worked.coseKey()}
}

func badVertices(parent []byte) []vertexVector {
	var all []vertexVector
	add := func(name, code string, data []byte) {
		all = append(all, vertexVector{Name: name, Vertex: data, Ledger: ledger, Key: worked.coseKey(), Error: code})
	}
	records := someRecords(3)
	v := vertexWith(func(v *vertexSpec) { v.seq, v.parent, v.records = 1, parent, records })
	body := bytes.Join(records, nil)
	// The body.
	add("body cut by a record", "vertex-body", envelope(v.header(), bytes.Join(records[:2], nil)))
	add("a record more", "vertex-body", envelope(v.header(), join(body, records[0])))
	add("records exchanged", "vertex-body", envelope(v.header(), join(records[1], records[0], records[2])))
	add("another record of the same length", "vertex-body", envelope(v.header(), flip(body, len(body)-1)))
	add("no body but an empty one", "vertex-body", envelope(v.header(), []byte{}))
	set := func(index int, value any) []byte {
		members := v.members()
		members[index] = value
		return envelope(worked.message(v.protected(), external(), det(members)), body)
	}
	add("wrong count", "vertex-body", set(5, 2))
	add("wrong count, more", "vertex-body", set(5, 4))
	add("wrong length", "vertex-body", set(6, len(body)-1))
	add("wrong root", "vertex-body", set(7, sha(nil)))
	// The payload.
	for index, values := range [][]any{{-1, uint64(1) << 32, nil, true}, {-1, uint64(1) << 53, "1"}, {nil, parent[1:], "parent", 0},
		{nil, []any{parent}, []any{sha([]byte("b"))[1:]}, []any{hashes(2)[1], hashes(2)[0]}, []any{hashes(1)[0], hashes(1)[0]},
			anys(hashes(9)), map[int]any{}},
		{-1, "now", true}, {-1, 2049, nil}, {-1, 1 << 21, 2}, {nil, sha(nil)[1:], "root"}} {
		for n, value := range values {
			add(fmt.Sprintf("member %d, %d", index, n), "vertex-malformed", set(index, value))
		}
	}
	signed := func(payload any) []byte {
		return envelope(worked.message(v.protected(), external(), det(payload)), body)
	}
	add("seven members", "vertex-malformed", signed(v.members()[:7]))
	add("nine members", "vertex-malformed", signed(append(v.members(), 0)))
	add("payload is a map", "vertex-malformed", signed(map[int]any{}))
	payload := det(v.members())
	add("payload not shortest", "cbor-not-deterministic",
		envelope(worked.message(v.protected(), external(), join(payload[:1], []byte{0x18, 0}, payload[2:])), body))
	add("first vertex with a parent", "vertex-malformed", vertexWith(func(v *vertexSpec) { v.parent = parent }).build())
	add("later vertex without a parent", "vertex-malformed", vertexWith(func(v *vertexSpec) { v.seq = 1 }).build())
	add("new epoch without a parent", "vertex-malformed", vertexWith(func(v *vertexSpec) { v.epoch = 1 }).build())
	add("new epoch with records", "vertex-malformed", vertexWith(func(v *vertexSpec) { v.epoch, v.parent, v.records = 1, parent, records }).build())
	add("empty body with another root", "vertex-malformed", func() []byte {
		members := plainVertex().members()
		members[7] = parent
		return envelope(worked.message(plainVertex().protected(), external(), det(members)), []byte{})
	}())
	// The header.
	protected := func(value map[int]any) []byte {
		return envelope(worked.message(det(value), external(), payload), body)
	}
	who := map[int]any{1: "ewz", 2: "gw-1"}
	add("content type", "header-unexpected", protected(map[int]any{1: -8, 3: 60, 4: worked.kid(), 15: who}))
	add("position", "header-unexpected", protected(map[int]any{1: -8, 4: worked.kid(), 15: who, -70001: []any{0, 0}}))
	add("crit", "header-unexpected", protected(map[int]any{1: -8, 2: []any{1}, 4: worked.kid(), 15: who}))
	add("no kid", "vertex-malformed", protected(map[int]any{1: -8, 15: who}))
	add("kid of 8 bytes", "vertex-malformed", protected(map[int]any{1: -8, 4: make([]byte, 8), 15: who}))
	add("iat", "vertex-malformed", protected(map[int]any{1: -8, 4: worked.kid(), 15: map[int]any{1: "ewz", 2: "gw-1", 6: 0}}))
	add("no member", "vertex-malformed", protected(map[int]any{1: -8, 4: worked.kid(), 15: map[int]any{1: "ewz"}}))
	add("bad id", "id-malformed", protected(map[int]any{1: -8, 4: worked.kid(), 15: map[int]any{1: "e w", 2: "gw-1"}}))
	add("algorithm", "algorithm-unsupported", protected(map[int]any{1: -19, 4: worked.kid(), 15: who}))
	add("unprotected", "header-unexpected", envelope(sign1(bstr(v.protected()), det(map[int]any{5: []byte{0}}), bstr(payload), bstr(make([]byte, 64))), body))
	add("payload detached", "cose-malformed", envelope(sign1(bstr(v.protected()), empty, []byte{0xf6}, bstr(make([]byte, 64))), body))
	add("a record as header", "header-unexpected", envelope(records[0], nil))
	// The envelope.
	add("header alone", "vertex-malformed", det([]any{v.header()}))
	add("three members", "vertex-malformed", det([]any{v.header(), body, nil}))
	add("header not wrapped", "vertex-malformed", join([]byte{0x82}, v.header(), bstr(body)))
	add("body is an array", "vertex-malformed", envelope(v.header(), []any{}))
	add("body is text", "vertex-malformed", envelope(v.header(), "body"))
	add("trailing byte", "cbor-malformed", append(v.build(), 0))
	add("nothing", "cbor-malformed", []byte{})
	add("body with an item not shortest", "cbor-not-deterministic", vertexWith(func(v *vertexSpec) { v.records = [][]byte{{0x18, 0}} }).build())
	add("body with half an item", "cbor-malformed", vertexWith(func(v *vertexSpec) { v.records = [][]byte{{0x42, 0}} }).build())
	// The signature.
	elsewhere := worked.message(v.protected(), join([]byte("drystone/vertex/1\n"), sha(ledger)), payload)
	add("signed for another ledger", "signature-invalid", envelope(elsewhere, body))
	add("signed as a record is", "signature-invalid", envelope(worked.message(v.protected(), nil, payload), body))
	add("signature flipped", "signature-invalid", envelope(flip(v.header(), len(v.header())-1), body))
	add("time flipped", "signature-invalid", func() []byte {
		timed := vertexWith(func(v *vertexSpec) { v.time = 1 })
		header := timed.header()
		return envelope(flip(header, bytes.Index(header, unhex("f68001"))+2), []byte{})
	}())
	add("ES256 key's", "key-mismatch", vertexWith(func(v *vertexSpec) { v.key = nist }).build())
	return all
}

func anys(all [][]byte) []any {
	var out []any
	for _, one := range all {
		out = append(out, one)
	}
	return out
}

func badForks() []vertexVector {
	var all []vertexVector
	add := func(name, code string, data []byte) {
		all = append(all, vertexVector{Name: "fork: " + name, Fork: data, Ledger: ledger, Key: worked.coseKey(), Error: code})
	}
	malformed := func(name string, data []byte) { add(name, "evidence-malformed", data) }
	one, two := workedSpec(), with(func(s *spec) { s.payload = det(pack{{0: "e", 2: 1}}) })
	pair := func(change func(*spec)) []byte {
		b := with(change)
		return evidence(one.build(), b.build(), one.id(), b.id())
	}
	left, right := plainVertex(), vertexWith(func(v *vertexSpec) { v.time = 1 })
	malformed("one record twice", det([]any{"drystone/fork/1", one.build(), one.build()}))
	malformed("one vertex twice", det([]any{"drystone/fork/1", left.header(), left.header()}))
	malformed("a high-S twin", det([]any{"drystone/fork/1", with(func(s *spec) { s.key = nist }).build(), with(func(s *spec) { s.key = nistHi }).build()}))
	malformed("another sequence", pair(func(s *spec) { s.seq++ }))
	malformed("another epoch", pair(func(s *spec) { s.epoch++ }))
	malformed("another member", pair(func(s *spec) { s.sub = "m-1" }))
	malformed("another organisation", pair(func(s *spec) { s.iss = "ewb" }))
	malformed("another stream", pair(func(s *spec) { s.device = "old-meter" }))
	malformed("a record and a vertex", evidence(one.build(), left.header(), one.id(), left.id()))
	elsewhere := vertexWith(func(v *vertexSpec) { v.sub = "gw-2" })
	malformed("another author", evidence(left.header(), elsewhere.header(), left.id(), elsewhere.id()))
	good := evidence(one.build(), two.build(), one.id(), two.id())
	reversedPair := evidence(one.build(), two.build(), two.id(), one.id())
	must(!bytes.Equal(good, reversedPair), "two orders")
	malformed("out of order", reversedPair)
	malformed("another tag", bytes.Replace(good, []byte("fork/1"), []byte("fork/2"), 1))
	malformed("one alone", det([]any{"drystone/fork/1", one.build()}))
	malformed("three", det([]any{"drystone/fork/1", one.build(), two.build(), two.build()}))
	malformed("text", det([]any{"drystone/fork/1", "a", "b"}))
	malformed("no records", det([]any{"drystone/fork/1", []byte("a"), []byte("b")}))
	malformed("trailing byte", append(bytes.Clone(good), 0))
	malformed("nothing", []byte{})
	add("forged record", "signature-invalid", evidence(one.build(), other.message(det(two.header()), nil, two.payload), one.id(), two.id()))
	forged := right.header()
	add("forged vertex", "signature-invalid", evidence(left.header(), flip(forged, len(forged)-1), left.id(), right.id()))
	must(strings.HasPrefix(all[0].Name, "fork"), "names")
	return all
}
