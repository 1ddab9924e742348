// Vectors for the interval around a record: block entries in the record's log, behind it and before it.
package main

import (
	"bytes"

	"golang.org/x/mod/sumdb/tlog"
)

// head is the application hash of the log at a size.
func (l *logbook) head(size int64) []byte {
	text := append([]byte("drystone/head/1\n"), 0, 0, 0, 0, byte(size>>24), byte(size>>16), byte(size>>8), byte(size))
	return sha(append(text, l.root(size)...))
}

// moment is what stands for a block: its index, the hashes of its path below the record's, its fields.
func (l *logbook) moment(b block, record int64) []any {
	path := l.path(b.index, l.size, b.entry)
	below := []byte{}
	for _, hash := range path[:l.meeting(b.index, record)] {
		below = append(below, hash...)
	}
	fields := []any{b.height, b.timeMs, b.state.root(), sha(nil), sha([]byte("drystone/nodes/1\n")), 1}
	return append([]any{b.index, below}, fields...)
}

// meeting counts the siblings of one leaf that cover nothing of the other: tlog itself is asked, by changing the other.
func (l *logbook) meeting(index, other int64) int {
	changed := l.replaced(map[int64][]byte{other: []byte("changed")})
	was, err := tlog.ProveRecord(l.size, index, l)
	check(err)
	now, err := tlog.ProveRecord(l.size, index, changed)
	check(err)
	for at := range was {
		if was[at] != now[at] {
			return at
		}
	}
	panic("no sibling covers the other leaf")
}

// anchored is a ledger of several blocks with a record that names the state after one of them.
func anchored(named, height, before, behind int) (*scene, []byte) {
	s := newScene()
	for i := range height {
		for j := range before {
			s.log.add(sha(det([]any{i, j})))
		}
		s.last = s.close()
	}
	anchor := s.log.head(s.blocks[named].size)[:8]
	s.add("anchored", recordSpec{member: meter, seq: 5, contentType: 112, payload: workedPayload, anchor: anchor}.build())
	for i := range behind {
		s.log.add(sha(det([]any{"behind", i})))
	}
	s.last = s.close()
	return s, anchor
}

func withInterval(s *scene, name string, moments ...any) receipt {
	r := s.good(name)
	r.loose = map[any]any{-70004: moments}
	return r
}

func (s *scene) until(name string) []any { return s.log.moment(s.last, s.index[name]) }

func at(b block) []any { return []any{b.height, b.timeMs} }

var fieldNames = []string{"index", "hashes", "height", "time", "state root", "outcomes root", "validators", "protocol"}

func goodIntervals(good func(name, trust string, file, key []byte, expect map[string]any)) {
	s := newScene()
	good("the worked record and the block that holds it", "one",
		s.statement("worked", withInterval(s, "worked", s.until("worked"))), nil,
		s.expect("worked", map[string]any{"until": at(s.last), "since": nil}))
	later := s.last
	for range 5 {
		s.log.add(sha(nil))
		later = s.close()
	}
	good("a block long behind the record", "one",
		s.statement("worked", withInterval(s, "worked", s.log.moment(later, s.index["worked"]))), nil,
		s.expect("worked", map[string]any{"until": at(later), "since": nil}))
	for _, shape := range [][4]int{{2, 3, 1, 0}, {0, 9, 2, 4}, {5, 6, 7, 3}, {3, 12, 4, 60}, {11, 12, 5, 1}} {
		s, anchor := anchored(shape[0], shape[1], shape[2], shape[3])
		name := "an anchor " + string(rune('0'+(shape[1]+1-shape[0])/10)) + string(rune('0'+(shape[1]+1-shape[0])%10)) +
			" blocks old in a log of " + string(rune('0'+s.log.size/10%10)) + string(rune('0'+s.log.size%10))
		since := s.log.moment(s.blocks[shape[0]], s.index["anchored"])
		good(name, "one", s.statement("anchored", withInterval(s, "anchored", s.until("anchored"), since)), nil,
			s.expect("anchored", map[string]any{"anchor": hexed(anchor), "until": at(s.last), "since": at(s.blocks[shape[0]])}))
	}
	s, _ = anchored(2, 3, 1, 0)
	good("an anchor that the receipt does not lead to", "one",
		s.statement("anchored", withInterval(s, "anchored", s.until("anchored"))), nil,
		s.expect("anchored", map[string]any{"until": at(s.last), "since": nil}))
	good("no interval, as receipts had none before", "one", s.statement("anchored", s.good("anchored")), nil,
		s.expect("anchored", map[string]any{"until": nil, "since": nil}))
	s = newScene()
	for i := range 200 {
		s.log.add(sha(det(i)))
	}
	second := s.close()
	pair := []signer{nodeA, nodeB}
	w := witnessAt{witness1, 1762340460}
	entry := s.records["worked"].entry
	r1 := s.log.receiptFor(entry, 1, s.log.size, pair, w)
	r1.loose = map[any]any{-70004: []any{s.log.moment(second, 1)}}
	r2 := s.log.receiptFor(entry, 1, s.log.size, []signer{nodeB, nodeA}, w)
	r2.loose = map[any]any{-70004: []any{s.log.moment(s.last, 1)}}
	good("two receipts, the second with the tighter interval", "two-of-three", s.statement("worked", r1, r2), nil,
		s.expect("worked", map[string]any{"until": at(s.last), "since": nil}))
}

func badIntervals(bad func(name, code, trust string, file []byte)) {
	s, _ := anchored(2, 3, 1, 2)
	index := s.index["anchored"]
	until := func() []any { return s.until("anchored") }
	since := func() []any { return s.log.moment(s.blocks[2], index) }
	one := func(name, code string, moments ...any) {
		bad(name, code, "one", s.statement("anchored", withInterval(s, "anchored", moments...)))
	}
	edit := func(moment []any, at int, value any) []any {
		changed := append([]any{}, moment...)
		changed[at] = value
		return changed
	}
	one("an interval without a moment", "receipt-malformed")
	one("an interval of three moments", "receipt-malformed", until(), since(), since())
	one("a moment that is no list", "receipt-malformed", 1)
	one("a moment with an item too few", "receipt-malformed", until()[:7])
	one("a moment with an item too many", "receipt-malformed", append(until(), 0))
	one("a second moment that is no list", "receipt-malformed", until(), nil)
	bad("an interval that is a map", "receipt-malformed", "one", func() []byte {
		r := s.good("anchored")
		r.loose = map[any]any{-70004: map[int]any{0: until()}}
		return s.statement("anchored", r)
	}())
	for _, at := range []int{0, 2, 3, 7} {
		one("a moment's "+fieldNames[at]+" that is negative", "receipt-malformed", edit(until(), at, -1))
	}
	for _, at := range []int{4, 5, 6} {
		one("a moment's "+fieldNames[at]+" of 31 bytes", "receipt-malformed", edit(until(), at, make([]byte, 31)))
	}
	one("a moment's hashes that are a list", "receipt-malformed", edit(until(), 1, [][]byte{sha(nil)}))
	near := newScene()
	for _, none := range []any{"", []any{}} {
		name := map[bool]string{true: "text", false: "an empty list"}[none == ""]
		bad("no hashes, as "+name, "receipt-malformed", "one",
			near.statement("worked", withInterval(near, "worked", edit(near.until("worked"), 1, none))))
	}
	one("a moment's hashes with a byte more", "receipt-malformed", edit(until(), 1, append(until()[1].([]byte), 0)))
	one("a moment with 64 hashes", "receipt-malformed", edit(until(), 1, bytes.Repeat(sha(nil), 64)))
	one("a moment with a hash too many", "proof-invalid", edit(until(), 1, append(until()[1].([]byte), sha(nil)...)))
	one("a moment with a hash too few", "proof-invalid", until(), edit(since(), 1, since()[1].([]byte)[32:]))
	for at, value := range []any{2: 77, 3: 1_762_340_400_001, 4: sha(nil), 5: sha([]byte("x")), 6: sha(nil), 7: 2} {
		if value != nil {
			one("a block of another "+fieldNames[at]+" behind the record", "proof-invalid", edit(until(), at, value))
			one("a block of another "+fieldNames[at]+" before the record", "proof-invalid", until(), edit(since(), at, value))
		}
	}
	one("a block that stands before the record as its end", "receipt-mismatch", since())
	one("a block behind the record as its beginning", "receipt-mismatch", until(), until())
	one("the record's own place as the end", "receipt-mismatch", edit(until(), 0, index))
	one("the record's own place as the beginning", "receipt-mismatch", until(), edit(since(), 0, index))
	one("a block beyond the log", "proof-invalid", edit(until(), 0, s.log.size))
	one("a block that the anchor does not name", "receipt-mismatch", until(), s.log.moment(s.blocks[1], index))
	one("the block before the one that the anchor names", "receipt-mismatch", until(), s.log.moment(s.blocks[0], index))
	plain := newScene()
	plain.log.add(sha(nil))
	plain.last = plain.close()
	bad("a beginning for a record without an anchor", "receipt-mismatch", "one", plain.statement("worked",
		withInterval(plain, "worked", plain.until("worked"), plain.log.moment(plain.blocks[0], 1))))
	last := newScene()
	last.add("last", recordSpec{member: meter, seq: 9, contentType: 112, payload: workedPayload}.build())
	bad("a block beyond a log that ends with the record", "proof-invalid", "one", last.statement("last",
		withInterval(last, "last", edit(last.log.moment(last.last, last.index["last"]), 0, last.log.size))))
	strange, _ := anchored(2, 3, 1, 3)
	other := newLedger()
	for i := range 30 {
		other.log.add(sha(det(i)))
	}
	foreign := other.close()
	bad("a block of another log", "proof-invalid", "one", strange.statement("anchored",
		withInterval(strange, "anchored", edit(other.log.moment(foreign, 0), 0, strange.last.index))))
	shifted := append([]any{}, since()...)
	shifted[0] = since()[0].(int64) - 1
	one("the right block at the place before", "proof-invalid", until(), shifted)
}

// pointWithInterval is a key's point whose receipt brings an interval, which only a record's may.
func pointWithInterval() (file, key []byte, s *scene) {
	s = newScene()
	later := s.last
	for range 2 {
		s.log.add(sha(nil))
		later = s.close()
	}
	r := s.log.receiptFor(s.last.entry, s.last.index, s.log.size, []signer{nodeA})
	r.loose = map[any]any{-70004: []any{s.log.moment(later, s.last.index)}}
	state := meter.keyState()
	point := det([]any{s.last.state[state], s.last.state.prove(state), s.last.entry, r.build()})
	return s.statement("worked", s.good("worked")), point, s
}
