// Vectors for transparent statements: records with receipts.
package main

import (
	"bytes"
	"math/big"

	"github.com/fxamacker/cbor/v2"
)

type vector struct {
	Name   string         `json:"name"`
	Trust  string         `json:"trust"`
	File   string         `json:"file"`
	Key    string         `json:"key,omitempty"`
	Error  string         `json:"error,omitempty"`
	Expect map[string]any `json:"expect,omitempty"`
}

// scene is a ledger with one block of records behind its genesis block.
type scene struct {
	*ledger
	records map[string]record
	index   map[string]int64
	last    block
}

func senml(items ...map[any]any) []byte { return det(items) }

var workedPayload = senml(map[any]any{-1: 26, 0: "e", 1: "Wh", 2: 48211337, 6: 1762340400})

func newScene() *scene {
	s := &scene{ledger: newLedger(), records: map[string]record{}, index: map[string]int64{}}
	s.state[meter.keyState()] = det([]any{meter.coseKey(), 0})
	s.state[meter2.keyState()] = det([]any{meter2.coseKey(), 2})
	s.state[module.keyState()] = det([]any{module.coseKey(), 0})
	s.state[gateway.keyState()] = det([]any{gateway.coseKey(), 0})
	s.close()
	s.add("worked", recordSpec{member: meter, seq: 41807, contentType: 112, payload: workedPayload}.build())
	s.last = s.close()
	return s
}

func (s *scene) add(name string, r record) {
	s.records[name] = r
	s.index[name] = s.log.add(r.entry)
}

// good is the base that cases change: one node's receipt of a record at the newest size.
func (s *scene) good(name string, nodes ...signer) receipt {
	if len(nodes) == 0 {
		nodes = []signer{nodeA}
	}
	return s.log.receiptFor(s.records[name].entry, s.index[name], s.log.size, nodes)
}

func (s *scene) statement(name string, receipts ...receipt) []byte {
	list := []any{}
	for _, r := range receipts {
		list = append(list, r.build())
	}
	return attach(s.records[name].raw, map[int]any{394: list})
}

func (s *scene) point(key string) []byte {
	var value any
	if v, ok := s.last.state[key]; ok {
		value = v
	}
	r := s.log.receiptFor(s.last.entry, s.last.index, s.log.size, []signer{nodeA})
	return det([]any{value, s.last.state.prove(key), s.last.entry, r.build()})
}

func (s *scene) expect(name string, more map[string]any) map[string]any {
	r := s.records[name]
	facts := map[string]any{"kind": "record", "record_id": hexed(r.id), "entry": hexed(r.entry),
		"epoch": r.epoch, "seq": r.seq, "index": s.index[name], "size": s.log.size,
		"root": hexed(s.log.root(s.log.size)), "checked": false}
	return with(facts, more)
}

func receiptVectors() []vector {
	var out []vector
	good := func(name, trust string, file, key []byte, expect map[string]any) {
		out = append(out, vector{name, trust, hexed(file), hexed(key), "", expect})
	}
	bad := func(name, code, trust string, file []byte) {
		out = append(out, vector{Name: name, Trust: trust, File: hexed(file), Error: code})
	}
	goodReceipts(good)
	badReceipts(bad)
	badNotes(bad)
	badRecords(bad)
	badKeys(&out)
	goodIntervals(good)
	badIntervals(bad)
	file, key, _ := pointWithInterval()
	out = append(out, vector{Name: "a key's point whose receipt has an interval", Trust: "one", File: hexed(file),
		Key: hexed(key), Error: "receipt-malformed"})
	return out
}

func goodReceipts(good func(name, trust string, file, key []byte, expect map[string]any)) {
	s := newScene()
	good("the worked record in a log of three entries, its key proved", "one",
		s.statement("worked", s.good("worked")), s.point(meter.keyState()),
		s.expect("worked", map[string]any{"checked": true, "nodes": 1, "witnesses": 0, "key_status": 0,
			"measurements": []any{[]any{"e", "Wh", "48211337", "1762340400"}}}))
	good("the same without a proved key", "one", s.statement("worked", s.good("worked")), nil,
		s.expect("worked", map[string]any{"nodes": 1}))
	good("a CometBFT chain in the trust file changes nothing for kind 1", "cometbft",
		s.statement("worked", s.good("worked")), nil, s.expect("worked", nil))
	times := []witnessAt{{witness1, 1762340460}, {witness2, 1762340461}}
	r := s.log.receiptFor(s.records["worked"].entry, 1, 3, []signer{nodeB, nodeC}, times[0])
	good("two of three nodes and one of two witnesses", "two-of-three", s.statement("worked", r), nil,
		s.expect("worked", map[string]any{"nodes": 2, "witnesses": 1, "witness_times": []any{1762340460}}))
	r = s.log.receiptFor(s.records["worked"].entry, 1, 3, []signer{nodeA, nodeB, nodeC}, times...)
	good("all three nodes and both witnesses", "two-of-three", s.statement("worked", r), nil,
		s.expect("worked", map[string]any{"nodes": 3, "witnesses": 2}))
	r = s.log.receiptFor(s.records["worked"].entry, 1, 3, []signer{nodeA}, times...)
	good("one node and both of two witnesses needed", "two-witnesses", s.statement("worked", r), nil,
		s.expect("worked", map[string]any{"nodes": 1, "witnesses": 2}))
	good("a witness that may be missing is missing", "witness-optional",
		s.statement("worked", s.good("worked")), nil, s.expect("worked", map[string]any{"witnesses": 0}))
	both := []signer{nodeB, nodeC}
	r1 := s.log.receiptFor(s.records["worked"].entry, 1, 3, both, times[0])
	r2 := s.log.receiptFor(s.records["worked"].entry, 1, 3, []signer{nodeC, nodeB}, times[1])
	r2.node = "gw-02"
	good("receipts by two nodes in one statement", "two-of-three", s.statement("worked", r1, r2), nil,
		s.expect("worked", map[string]any{"nodes": 2}))

	s = newScene()
	decimals := senml(map[any]any{-1: 26, -2: "cell/", -3: 1762340400, -4: "V", 0: "1", 2: decimal(-3, 3899)},
		map[any]any{0: "2", 2: decimal(-3, -5), 6: 1}, map[any]any{0: "i", 1: "A", 2: 4, 6: 1},
		map[any]any{0: "t", 1: "Cel", 2: decimal(-1, 10), 6: 1}, map[any]any{0: "ok", 4: true, 6: 1},
		map[any]any{0: "note", 3: "gr\u00fcn", 6: 2}, map[any]any{0: "raw", 8: []byte{1, 2, 255}, 6: 2})
	s.add("decimals", recordSpec{member: module, epoch: 2, seq: 0, contentType: 112, payload: decimals}.build())
	s.add("high-s", recordSpec{member: module2, epoch: 2, seq: 1, contentType: 112, payload: workedPayload}.build())
	noClock := senml(map[any]any{0: "e", 1: "m3", 2: 17})
	s.add("no-clock", recordSpec{member: meter, epoch: 4294967295, seq: 9007199254740991, contentType: 112,
		payload: noClock, anchor: sha([]byte("head"))[:8], iat: 1762340400}.build())
	call := det([]any{ledgerID[:8], "registry", "registry.rotate", map[string]any{"sub": "m-1", "list": []any{1, true, "x"}}, 0})
	s.add("call", recordSpec{member: gateway, seq: 1, contentType: 60, payload: call}.build())
	s.add("attested", recordSpec{member: gateway, seq: 8, contentType: 112, payload: noClock, device: "pulse-3"}.build())
	s.add("sealed", recordSpec{member: meter2, seq: 3, contentType: 16, payload: sealedPayload()}.build())
	var many []map[any]any
	for i := range 60 {
		item := map[any]any{2: 48211337 + i, 6: 60 * i}
		if i == 0 {
			item = map[any]any{-1: 26, -2: "e", -3: 1762340400, -4: "Wh", 2: 48211337}
		}
		many = append(many, item)
	}
	for i := range many {
		many[i][0] = "x" + string(rune('a'+i/26)) + string(rune('a'+i%26))
	}
	s.add("sixty", recordSpec{member: meter, seq: 41808, contentType: 112, payload: senml(many...)}.build())
	s.last = s.close()
	good("ES256, decimal fractions, base values, text, booleans and data", "one",
		s.statement("decimals", s.good("decimals")), s.point(module.keyState()),
		s.expect("decimals", map[string]any{"checked": true, "measurements": []any{
			[]any{"cell/1", "V", "3.899", "1762340400"}, []any{"cell/2", "V", "-0.005", "1762340401"},
			[]any{"cell/i", "A", "4", "1762340401"}, []any{"cell/t", "Cel", "1.0", "1762340401"},
			[]any{"cell/ok", "V", "true", "1762340401"}, []any{"cell/note", "V", "gr\u00fcn", "1762340402"},
			[]any{"cell/raw", "V", "0102ff", "1762340402"}}}))
	good("ES256 with a high S, as hardware makes it", "one", s.statement("high-s", s.good("high-s")),
		s.point(module.keyState()), s.expect("high-s", map[string]any{"checked": true}))
	good("the highest position, an anchor, a claimed time, no clock in the pack", "one",
		s.statement("no-clock", s.good("no-clock")), s.point(meter.keyState()),
		s.expect("no-clock", map[string]any{"checked": true, "anchor": hexed(sha([]byte("head"))[:8]),
			"iat": 1762340400, "measurements": []any{[]any{"e", "m3", "17", nil}}}))
	good("a call of this ledger", "one", s.statement("call", s.good("call")), s.point(gateway.keyState()),
		s.expect("call", map[string]any{"checked": true, "function": "registry.rotate"}))
	good("a device that does not sign: the gateway attests", "one",
		s.statement("attested", s.good("attested")), s.point(gateway.keyState()),
		s.expect("attested", map[string]any{"checked": true, "signed_by": "gateway", "device": "pulse-3"}))
	good("a sealed record under a key that was revoked later", "one",
		s.statement("sealed", s.good("sealed")), s.point(meter2.keyState()),
		s.expect("sealed", map[string]any{"checked": true, "key_status": 2}))
	good("sixty measurements", "one", s.statement("sixty", s.good("sixty")), nil,
		s.expect("sixty", nil))
	goodMillion(good)
}

// goodMillion puts the worked record into a log of 2**20 entries.
func goodMillion(good func(name, trust string, file, key []byte, expect map[string]any)) {
	s := newScene()
	for s.log.size < 1<<20 {
		s.log.add(sha(det(s.log.size)))
	}
	times := []witnessAt{{witness1, 1762340460}, {witness2, 1762340461}}
	r := s.log.receiptFor(s.records["worked"].entry, 1, 1<<20, []signer{nodeA}, times...)
	good("a log of 2**20 entries, two witnesses", "two-witnesses", s.statement("worked", r), nil,
		s.expect("worked", nil))
	good("a log of 2**20 entries, one node", "one", s.statement("worked", s.good("worked")), nil,
		s.expect("worked", nil))
}

func decimal(exponent, mantissa int) any {
	return tag4{exponent, mantissa}
}

func sealedPayload() []byte {
	protected := det(map[int]any{1: 3, 3: 112, 4: sha([]byte("group"))[:16]})
	return det([]any{protected, map[int]any{5: make([]byte, 12)}, sha([]byte("ciphertext"))})
}

func badReceipts(bad func(name, code, trust string, file []byte)) {
	s := newScene()
	raw := s.records["worked"].raw
	one := func(name, code string, edit func(*receipt)) {
		r := s.good("worked")
		edit(&r)
		bad(name, code, "one", s.statement("worked", r))
	}
	bad("a record without any receipt", "receipt-malformed", "one", raw)
	bad("an empty list of receipts", "receipt-malformed", "one", attach(raw, map[int]any{394: []any{}}))
	bad("a receipt that is no byte string", "receipt-malformed", "one", attach(raw, map[int]any{394: []any{1}}))
	bad("receipts that are no list", "receipt-malformed", "one",
		attach(raw, map[int]any{394: s.good("worked").build()}))
	bad("receipts that are keys of a map", "receipt-malformed", "one",
		attach(raw, map[int]any{394: map[cbor.ByteString]any{cbor.ByteString(s.good("worked").build()): 0}}))
	bad("another label beside 394", "receipt-malformed", "one",
		attach(raw, map[int]any{394: []any{s.good("worked").build()}, 395: 1}))
	bad("a text label beside 394", "receipt-malformed", "one",
		attach(raw, map[any]any{394: []any{s.good("worked").build()}, "x": 1}))
	bad("a byte after the end", "receipt-malformed", "one", append(s.statement("worked", s.good("worked")), 0))
	bad("another tag", "receipt-malformed", "one", bytes.Replace(
		s.statement("worked", s.good("worked")), []byte{0xd2}, []byte{0xd1}, 1))
	bad("no tag", "receipt-malformed", "one", s.statement("worked", s.good("worked"))[1:])
	bad("nothing", "receipt-malformed", "one", nil)
	bad("two receipts by one node", "receipt-malformed", "one",
		s.statement("worked", s.good("worked"), s.good("worked")))
	many := []receipt{}
	for range 17 {
		many = append(many, s.good("worked"))
	}
	bad("seventeen receipts", "receipt-malformed", "one", s.statement("worked", many...))

	one("a receipt without finality", "receipt-untrusted", func(r *receipt) { r.finality = nil })
	one("finality by CometBFT", "receipt-untrusted", func(r *receipt) { r.finality = []any{2, []byte{1}, []byte{2}} })
	one("finality of an unknown kind", "receipt-malformed", func(r *receipt) { r.finality = []any{3, "x"} })
	one("finality of kind true", "receipt-malformed", func(r *receipt) { r.finality = []any{true, "x"} })
	one("finality of kind 1 with bytes", "receipt-malformed", func(r *receipt) { r.finality = []any{1, []byte("x")} })
	one("finality of kind 2 with a part missing", "receipt-malformed", func(r *receipt) { r.finality = []any{2, []byte{1}} })
	one("size of another tree", "receipt-mismatch", func(r *receipt) { r.size = 4 })
	one("index of another leaf", "proof-invalid", func(r *receipt) { r.index = 0 })
	one("index beyond the size", "proof-invalid", func(r *receipt) { r.index = 3 })
	one("an index beyond the size that takes the same turns", "proof-invalid", func(r *receipt) { r.index = 5 })
	one("a negative index", "receipt-malformed", func(r *receipt) { r.index = -1 })
	one("a size that is true", "receipt-malformed", func(r *receipt) { r.size = true })
	one("a path with a hash too few", "proof-invalid", func(r *receipt) { r.path = r.path.([][]byte)[:1] })
	one("a path with a hash too many", "proof-invalid", func(r *receipt) { r.path = append(r.path.([][]byte), sha(nil)) })
	one("a path in another order", "proof-invalid", func(r *receipt) {
		path := r.path.([][]byte)
		r.path = [][]byte{path[1], path[0]}
	})
	one("an empty path: no receipt for a log of one entry", "receipt-malformed", func(r *receipt) { r.path = [][]byte{} })
	one("a path of 64 hashes", "receipt-malformed", func(r *receipt) {
		path := make([][]byte, 64)
		for i := range path {
			path[i] = sha(nil)
		}
		r.path = path
	})
	one("a hash of 31 bytes in the path", "receipt-malformed", func(r *receipt) { r.path.([][]byte)[0] = sha(nil)[:31] })
	one("a fourth item in the inclusion proof", "receipt-malformed", func(r *receipt) {
		r.inclusion = det([]any{r.size, r.index, r.path, 0})
	})
	one("an inclusion proof with a long head", "receipt-malformed", func(r *receipt) {
		r.inclusion = append([]byte{0x98, 3}, det([]any{r.size, r.index, r.path})[1:]...)
	})
	one("an inclusion proof that is a map", "receipt-malformed", func(r *receipt) {
		r.inclusion = det(map[int]any{0: r.size, 1: r.index, 2: r.path})
	})
	one("two inclusion proofs", "receipt-malformed", func(r *receipt) {
		proof := det([]any{r.size, r.index, r.path})
		r.loose = map[any]any{396: map[int]any{-1: []any{proof, proof}}}
	})
	one("no inclusion proof", "receipt-malformed", func(r *receipt) { r.loose = map[any]any{396: map[int]any{-1: []any{}}} })
	one("a consistency proof beside the inclusion proof", "receipt-malformed", func(r *receipt) {
		proof := det([]any{r.size, r.index, r.path})
		r.loose = map[any]any{396: map[int]any{-1: []any{proof}, -2: []any{proof}}}
	})
	one("no proofs at all", "receipt-malformed", func(r *receipt) { r.loose = map[any]any{396: nil} })
	one("another unprotected label", "receipt-malformed", func(r *receipt) { r.loose = map[any]any{5: 1} })
	one("the root attached", "receipt-malformed", func(r *receipt) { r.payload = r.root })
	one("algorithm ES256", "receipt-malformed", func(r *receipt) { r.header = map[any]any{1: -7} })
	one("another kind of tree", "receipt-malformed", func(r *receipt) { r.header = map[any]any{395: 2} })
	one("kind of tree true", "receipt-malformed", func(r *receipt) { r.header = map[any]any{395: true} })
	one("no kind of tree", "receipt-malformed", func(r *receipt) { r.header = map[any]any{395: nil} })
	one("a critical label", "receipt-malformed", func(r *receipt) { r.header = map[any]any{2: []any{395}} })
	one("another protected label", "receipt-malformed", func(r *receipt) { r.header = map[any]any{3: 60} })
	one("no kid", "receipt-malformed", func(r *receipt) { r.header = map[any]any{4: nil} })
	one("a kid of five bytes", "receipt-malformed", func(r *receipt) { r.header = map[any]any{4: make([]byte, 5)} })
	one("no claims", "receipt-malformed", func(r *receipt) { r.header = map[any]any{15: nil} })
	one("a third claim", "receipt-malformed", func(r *receipt) {
		r.header = map[any]any{15: map[int]any{1: origin, 2: "gw-01", 6: 1}}
	})
	one("an origin that is no text", "receipt-malformed", func(r *receipt) {
		r.header = map[any]any{15: map[int]any{1: 1, 2: "gw-01"}}
	})
	one("a node that is no id", "receipt-malformed", func(r *receipt) { r.node = "gw 01" })
	one("another origin in the receipt than in its note", "receipt-mismatch", func(r *receipt) { r.origin = "other.example/main" })
	one("signed by a node that the trust file does not list", "receipt-untrusted", func(r *receipt) {
		r.signer, r.kid = stranger, stranger.kid()
	})
	one("a listed node's kid over a stranger's signature", "signature-invalid", func(r *receipt) { r.signer = stranger })
	one("a signature over another root", "signature-invalid", func(r *receipt) { r.root = sha(nil) })
	one("a signature with S above the order", "signature-malformed", func(r *receipt) { r.damage = addOrder })
	one("a signature with R of small order", "signature-malformed", func(r *receipt) {
		r.damage = func(signature []byte) []byte {
			return append(append([]byte{1}, make([]byte, 31)...), signature[32:]...)
		}
	})
	one("a signature with R not canonical", "signature-malformed", func(r *receipt) {
		r.damage = func(signature []byte) []byte {
			return append(append([]byte{0xf0}, bytes.Repeat([]byte{0xff}, 31)...), signature[32:]...)
		}
	})
	one("a signature with one bit flipped", "signature-invalid", func(r *receipt) {
		r.damage = func(signature []byte) []byte { signature[33] ^= 1; return signature }
	})
	one("a signature of 63 bytes", "receipt-malformed", func(r *receipt) {
		r.damage = func(signature []byte) []byte { return signature[:63] }
	})
	relabelled(bad)
	twoPlaces(bad)
	two := s.good("worked")
	wrong := s.log.receiptFor(s.records["worked"].entry, 1, 3, []signer{nodeB, nodeA}, witnessAt{witness1, 1})
	wrong.root = sha(nil)
	fine := s.log.receiptFor(s.records["worked"].entry, 1, 3, []signer{nodeA, nodeB}, witnessAt{witness1, 1})
	bad("the second of two receipts is bad", "signature-invalid", "two-of-three", s.statement("worked", fine, wrong))
	bad("the ledger of another trust file", "receipt-untrusted", "other-origin", s.statement("worked", two))
}

// relabelled is formats.md's attack: leaf 1 of 2 gives the same root as leaf 2 of 3.
func relabelled(bad func(name, code, trust string, file []byte)) {
	s := &scene{ledger: newLedger(), records: map[string]record{}, index: map[string]int64{}}
	s.close()
	s.add("worked", recordSpec{member: meter, seq: 41807, contentType: 112, payload: workedPayload}.build())
	r := s.good("worked")
	r.size, r.index = 3, 2
	bad("leaf 1 of 2 relabelled as leaf 2 of 3", "receipt-mismatch", "one", s.statement("worked", r))
	r = s.good("worked")
	r.inclusion = det([]any{2, 1, map[cbor.ByteString]any{cbor.ByteString(s.log.path(1, 2, s.records["worked"].entry)[0]): 0}})
	bad("a path that is a map", "receipt-malformed", "one", s.statement("worked", r))
}

// twoPlaces is a log that holds one entry twice.
func twoPlaces(bad func(name, code, trust string, file []byte)) {
	s := newScene()
	entry := s.records["worked"].entry
	second := s.log.add(entry)
	pair := []signer{nodeA, nodeB}
	w := witnessAt{witness1, 1}
	r1 := s.log.receiptFor(entry, 1, s.log.size, pair, w)
	r2 := s.log.receiptFor(entry, second, s.log.size, []signer{nodeB, nodeA}, w)
	bad("two receipts about two places", "receipt-mismatch", "two-of-three", s.statement("worked", r1, r2))
}

func addOrder(signature []byte) []byte {
	order, _ := new(big.Int).SetString("1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed", 16)
	s := make([]byte, 32)
	for i, b := range signature[32:] {
		s[31-i] = b
	}
	sum := new(big.Int).Add(new(big.Int).SetBytes(s), order).FillBytes(s)
	for i, b := range sum {
		signature[63-i] = b
	}
	return signature
}
