// Vectors for completeness proofs and single state values.
package main

import (
	"bytes"
	"fmt"
	"sort"

	ics23 "github.com/cosmos/ics23/go"
)

type proof struct {
	tag      any
	iss, sub any
	start    any
	items    []any
	end      any
	more     []any
	cut      int // parts left out at the end
}

func (p proof) build() []byte {
	parts := append([]any{p.tag, p.iss, p.sub, p.start, p.items, p.end}, p.more...)
	return det(parts[:len(parts)-p.cut])
}

// street is a ledger whose one stream grows block by block.
type street struct {
	*ledger
	sub, device string
	stream      *streamState
	items       []any
	at          []int // number of items after each block
}

func newStreet(sub, device string) *street {
	s := &street{ledger: newLedger(), sub: sub, device: device, stream: newStream()}
	s.end()
	return s
}

func (s *street) key() string {
	if s.device != "" {
		return stateKey(4, "ewz", s.sub, s.device)
	}
	return stateKey(4, "ewz", s.sub)
}

// take accepts a record: its entry into the log, its position into the stream.
func (s *street) take(epoch, seq int, register *int) {
	id := sha(det([]any{s.sub, s.device, epoch, seq}))
	s.log.add(sha(id))
	s.stream.place(epoch, seq, id, register)
	s.state[s.key()] = s.stream.encode()
	s.items = append(s.items, []any{epoch, seq, id})
}

func (s *street) end() {
	s.close()
	s.at = append(s.at, len(s.items))
}

// point proves a stream's state after a block, in the log at a size.
func (s *street) point(key string, height int, size int64) []any {
	b := s.blocks[height]
	r := s.log.receiptFor(b.entry, b.index, size, []signer{nodeA})
	var value any
	if v, ok := b.state[key]; ok {
		value = v
	}
	return []any{value, b.state.prove(key), b.entry, r.build()}
}

// pointIn proves this stream's state after a block that stands at some index of some log.
func (s *street) pointIn(log *logbook, height int, index int64) []any {
	b := s.blocks[height]
	r := log.receiptFor(b.entry, index, log.size, []signer{nodeA})
	return []any{b.state[s.key()], b.state.prove(s.key()), b.entry, r.build()}
}

// proof is good: all items between two blocks; from -1 means from the beginning.
func (s *street) proof(from, to int) proof {
	p := proof{tag: "drystone/completeness/1", iss: "ewz", sub: s.sub}
	first := 0
	if from >= 0 {
		first = s.at[from]
		p.start = s.point(s.key(), from, max(s.blocks[from].size, s.blocks[1].size)) // no path in a log of one
	}
	p.items = append([]any{}, s.items[first:s.at[to]]...)
	p.end = s.point(s.key(), to, s.log.size)
	if s.device != "" {
		p.more = []any{s.device}
	}
	return p
}

func (s *street) expect(from, to int, gaps []any) map[string]any {
	first := 0
	if from >= 0 {
		first = s.at[from]
	}
	return map[string]any{"kind": "completeness", "items": s.at[to] - first, "count": s.at[to],
		"height": to, "size": s.log.size, "gaps": gaps}
}

func number(n int) *int { return &n }

// lane is the street most cases use: 0 1 2 | 4 5 | 3 late, 7 | epoch 1: 0 | nothing of it.
func lane() *street {
	s := newStreet("m-004217", "")
	s.state[stateKey(4, "ewz", "m-000002")] = newStream().encode()
	for i := range 3 {
		s.take(0, i, number(100+i))
	}
	s.end()
	s.take(0, 4, number(104))
	s.take(0, 5, number(105))
	s.end()
	s.take(0, 3, number(103))
	s.take(0, 7, number(107))
	s.end()
	s.take(1, 0, number(0))
	s.end()
	s.log.add(sha([]byte("another stream's record")))
	s.end()
	return s
}

func completenessVectors() []vector {
	var out []vector
	good := func(name string, p proof, expect map[string]any) {
		out = append(out, vector{name, "one", hexed(p.build()), "", "", expect})
	}
	bad := func(name, code string, p proof) {
		out = append(out, vector{Name: name, Trust: "one", File: hexed(p.build()), Error: code})
	}
	s := lane()
	good("from the beginning, no gap", s.proof(-1, 1), s.expect(-1, 1, []any{}))
	good("from the beginning, one gap", s.proof(-1, 2), s.expect(-1, 2, []any{[]any{0, 3, 3}}))
	good("a late record fills a gap, another opens", s.proof(-1, 3), s.expect(-1, 3, []any{[]any{0, 6, 6}}))
	good("two epochs", s.proof(-1, 4), s.expect(-1, 4, []any{[]any{0, 6, 6}}))
	good("from a block to a later one", s.proof(1, 4), s.expect(1, 4, []any{[]any{0, 6, 6}}))
	good("a stretch without records", s.proof(4, 5), s.expect(4, 5, []any{[]any{0, 6, 6}}))
	good("from a block where the stream was proved absent", s.proof(0, 2), s.expect(0, 2, []any{[]any{0, 3, 3}}))
	good("from a block to itself", s.proof(3, 3), s.expect(3, 3, []any{[]any{0, 6, 6}}))
	nothing := s.proof(-1, 0)
	good("no record up to the first block", nothing, s.expect(-1, 0, []any{}))
	attested := newStreet("gw-01", "pulse-3")
	attested.take(0, 5, nil)
	attested.take(0, 2, nil)
	attested.end()
	good("a device that does not sign, gaps before its first number", attested.proof(-1, 1),
		attested.expect(-1, 1, []any{[]any{0, 0, 1}, []any{0, 3, 4}}))
	long := newStreet("m-004217", "")
	gaps := []any{}
	for i := range 300 {
		if i%10 == 9 {
			gaps = append(gaps, []any{0, i, i})
		} else {
			long.take(0, i, number(i))
		}
	}
	long.end()
	good("two hundred and seventy records in thirty runs", long.proof(-1, 1),
		long.expect(-1, 1, gaps[:len(gaps)-1]))
	many := restarted()
	closed := []any{[]any{0, 1, 1}, []any{1, 1, 1}}
	kept := []any{}
	for epoch := 2; epoch < 18; epoch++ {
		kept = append(kept, []any{epoch, 1, 1})
	}
	good("eighteen epochs from the beginning: gaps of closed ones too", many.proof(-1, 2), many.expect(-1, 2, append(closed, kept...)))
	good("eighteen epochs from a block: gaps of the sixteen remembered", many.proof(1, 2), many.expect(1, 2, kept))
	forkVectors(func(name string, s *street, p proof, forks ...int) {
		height := len(s.blocks) - 1
		expect := s.expect(-1, height, []any{})
		expect["forks"] = forks
		good(name, p, expect)
	}, bad)
	badCompleteness(bad, s, attested)
	tooManyRuns(bad)
	withKey := vector{Name: "a key's point beside a completeness proof", Trust: "one", Error: "receipt-malformed"}
	withKey.File, withKey.Key = hexed(s.proof(-1, 1).build()), hexed(det(s.point(stateKey(0, "origin"), 1, s.log.size)))
	out = append(out, withKey)
	return out
}

// evidence puts what the ledger keeps of a fork into the state.
func (s *street) evidence(epoch int, value any) string {
	subject := s.sub
	if s.device != "" {
		subject = s.device
	}
	key := stateKey(11, "ewz", subject, "record", epoch)
	s.state[key] = det(value)
	return key
}

// fork is the evidence of an epoch, proved under the state of a block.
func (s *street) fork(key string, epoch, height int) []any {
	b := s.blocks[height]
	return []any{epoch, []byte(b.state[key]), b.state.prove(key)}
}

// convicted is a stream whose epoch 0 ended in a fork, and perhaps a later one; it went on with the next.
func convicted(device string, forked ...int) (*street, proof) {
	s := newStreet("m-004217", device)
	for epoch := range 3 {
		s.take(epoch, 0, nil)
		s.take(epoch, 1, nil)
	}
	keys := map[int]string{}
	for _, epoch := range forked {
		keys[epoch] = s.evidence(epoch, []any{make([]byte, 32), sha(nil)})
	}
	s.end()
	p := s.proof(-1, 1)
	forks := []any{}
	for _, epoch := range forked {
		forks = append(forks, s.fork(keys[epoch], epoch, 1))
	}
	p.more = append(p.more, forks)
	return s, p
}

func forkVectors(good func(string, *street, proof, ...int), bad func(name, code string, p proof)) {
	s, p := convicted("", 0)
	good("evidence of a fork ends an epoch", s, p, 0)
	s, p = convicted("", 0, 1)
	good("evidence of two forks", s, p, 0, 1)
	s, p = convicted("pulse-3", 1)
	good("evidence of a fork of a device that does not sign", s, p, 1)
	edit := func(name, code string, change func(s *street, p *proof, forks []any)) {
		s, p := convicted("", 0, 1)
		change(s, &p, p.more[0].([]any))
		bad(name, code, p)
	}
	part := func(index int, value any) func(*street, *proof, []any) {
		return func(_ *street, _ *proof, forks []any) { forks[0].([]any)[index] = value }
	}
	edit("evidence said to be of another epoch", "proof-invalid", func(_ *street, _ *proof, forks []any) {
		forks[1].([]any)[0] = 2
	})
	edit("other evidence than is proved", "proof-invalid", part(1, det([]any{make([]byte, 32), sha([]byte("x"))})))
	edit("evidence without a proof", "proof-invalid", part(2, []byte{}))
	edit("evidence that another key's proof goes with", "proof-invalid", func(s *street, _ *proof, forks []any) {
		fork := forks[1].([]any)
		fork[1], fork[2] = []byte(s.blocks[1].state[s.key()]), s.blocks[1].state.prove(s.key())
	})
	edit("evidence proved under another block's state", "proof-invalid", func(s *street, _ *proof, forks []any) {
		key := stateKey(11, "ewz", s.sub, "record", 0)
		s.take(2, 2, nil)
		s.end()
		forks[0] = s.fork(key, 0, 2)
	})
	edit("evidence of another device's fork", "proof-invalid", func(_ *street, p *proof, forks []any) {
		other := newStreet("m-000002", "")
		key := other.evidence(0, []any{make([]byte, 32), sha(nil)})
		other.end()
		p.more = []any{[]any{other.fork(key, 0, 1)}}
	})
	edit("evidence of an epoch twice", "receipt-malformed", func(_ *street, _ *proof, forks []any) { forks[1] = forks[0] })
	edit("evidence out of order", "receipt-malformed", func(_ *street, _ *proof, forks []any) {
		forks[0], forks[1] = forks[1], forks[0]
	})
	edit("an empty list of forks", "receipt-malformed", func(_ *street, p *proof, _ []any) { p.more = []any{[]any{}} })
	edit("sixty-five forks", "receipt-malformed", func(_ *street, p *proof, forks []any) {
		many := []any{}
		for epoch := range 65 {
			many = append(many, []any{epoch, forks[0].([]any)[1], forks[0].([]any)[2]})
		}
		p.more = []any{many}
	})
	edit("forks before the device", "receipt-malformed", func(_ *street, p *proof, _ []any) { p.more = append(p.more, "pulse-3") })
	edit("two devices before forks", "receipt-malformed", func(_ *street, p *proof, forks []any) { p.more = []any{"a", "b"} })
	edit("two lists of forks", "receipt-malformed", func(_ *street, p *proof, forks []any) { p.more = []any{forks, forks} })
	edit("a ninth part", "receipt-malformed", func(_ *street, p *proof, forks []any) { p.more = []any{"a", "b", forks} })
	edit("a fork that is a number", "receipt-malformed", func(_ *street, p *proof, _ []any) { p.more = []any{[]any{1}} })
	edit("a fork of two parts", "receipt-malformed", func(_ *street, _ *proof, forks []any) { forks[0] = forks[0].([]any)[:2] })
	edit("a fork whose epoch is negative", "receipt-malformed", part(0, -1))
	edit("a fork whose evidence is text", "receipt-malformed", part(1, "x"))
	edit("a fork whose proof is text", "receipt-malformed", part(2, "x"))
	kept := func(name string, value any) {
		s := newStreet("m-004217", "")
		s.take(0, 0, nil)
		key := s.evidence(0, value)
		s.end()
		p := s.proof(-1, 1)
		p.more = []any{[]any{s.fork(key, 0, 1)}}
		bad(name, "receipt-malformed", p)
	}
	low, high := make([]byte, 32), sha(nil)
	kept("evidence of one id", []any{low})
	kept("evidence of three ids", []any{low, low, high})
	kept("evidence that is text", "x")
	kept("evidence of one id twice", []any{high, high})
	kept("evidence whose ids fall", []any{high, low})
	kept("evidence with a short id", []any{low[:31], high})
}

func badCompleteness(bad func(name, code string, p proof), s, attested *street) {
	edit := func(name, code string, change func(*proof)) {
		p := s.proof(1, 4)
		change(&p)
		bad(name, code, p)
	}
	swap := func(index int, value any) func(*proof) {
		return func(p *proof) { p.end.([]any)[index] = value }
	}
	edit("a record left out", "stream-incomplete", func(p *proof) { p.items = p.items[1:] })
	edit("the last record left out", "stream-incomplete", func(p *proof) { p.items = p.items[:len(p.items)-1] })
	edit("a record put in", "stream-incomplete", func(p *proof) {
		p.items = append(p.items, []any{1, 1, sha(nil)})
	})
	edit("two records in another order", "stream-incomplete", func(p *proof) {
		p.items[0], p.items[1] = p.items[1], p.items[0]
	})
	edit("a record twice", "stream-incomplete", func(p *proof) { p.items = append(p.items, p.items[0]) })
	edit("another record id", "stream-incomplete", func(p *proof) { p.items[0] = []any{0, 4, sha(nil)} })
	edit("another number", "stream-incomplete", func(p *proof) {
		p.items[0] = []any{0, 9, p.items[0].([]any)[2]}
	})
	edit("another epoch", "stream-incomplete", func(p *proof) {
		p.items[len(p.items)-1] = []any{2, 0, p.items[len(p.items)-1].([]any)[2]}
	})
	edit("no first point, though the stream had begun", "stream-incomplete", func(p *proof) { p.start = nil })
	edit("no records", "stream-incomplete", func(p *proof) { p.items = []any{} })
	edit("a first point from another block", "stream-incomplete", func(p *proof) {
		p.start = s.point(s.key(), 2, s.log.size)
	})
	edit("points in the wrong order", "receipt-mismatch", func(p *proof) { p.start, p.end = p.end, p.start })
	edit("a log that shrinks", "receipt-mismatch", func(p *proof) {
		p.start = s.point(s.key(), 1, s.log.size)
		p.end = s.point(s.key(), 4, s.blocks[4].size)
	})
	edit("points in the wrong order at one size", "receipt-mismatch", func(p *proof) {
		p.start = s.point(s.key(), 4, s.log.size)
		p.end = s.point(s.key(), 1, s.log.size)
	})
	edit("two roots for one size", "receipt-mismatch", func(p *proof) {
		p.start = s.pointIn(s.log.replaced(map[int64][]byte{1: sha(nil)}), 1, s.blocks[1].index)
	})
	first, last := s.blocks[1], s.blocks[4]
	swapped := s.log.replaced(map[int64][]byte{first.index: last.entry, last.index: first.entry})
	twice := s.log.replaced(map[int64][]byte{last.index: first.entry})
	edit("heights that fall while the log grows", "receipt-mismatch", func(p *proof) {
		p.start, p.end = s.pointIn(swapped, 4, first.index), s.pointIn(swapped, 1, last.index)
	})
	edit("a log that falls while heights grow", "receipt-mismatch", func(p *proof) {
		p.start, p.end = s.pointIn(swapped, 1, last.index), s.pointIn(swapped, 4, first.index)
	})
	edit("one block at two places of the log", "receipt-mismatch", func(p *proof) {
		p.start, p.end = s.pointIn(twice, 1, first.index), s.pointIn(twice, 1, last.index)
		p.items = []any{}
	})
	edit("a first point of another stream", "receipt-mismatch", func(p *proof) {
		p.start = s.point(stateKey(4, "ewz", "m-000002"), 1, s.blocks[1].size)
	})
	edit("a last point of another stream", "receipt-mismatch", func(p *proof) {
		p.end = s.point(stateKey(4, "ewz", "m-000002"), 4, s.log.size)
	})
	edit("the stream of another device", "receipt-mismatch", func(p *proof) { p.sub = "m-000002" })
	edit("the stream of another organisation", "receipt-mismatch", func(p *proof) { p.iss = "iwb" })
	edit("a gateway's device that is none", "receipt-mismatch", func(p *proof) { p.more = []any{"pulse-3"} })
	fromOther := attested.proof(-1, 1)
	fromOther.more = nil
	bad("an attested device's stream as the gateway's own", "receipt-mismatch", fromOther)
	edit("another value", "proof-invalid", swap(0, newStream().encode()))
	edit("a value that is said to be absent", "proof-invalid", swap(0, nil))
	edit("a state proof of another block", "proof-invalid", func(p *proof) {
		p.end.([]any)[1] = s.blocks[3].state.prove(s.key())
	})
	edit("a state proof that is none", "proof-invalid", swap(1, []byte{1, 2, 3}))
	edit("another block entry", "proof-invalid", swap(2, s.blocks[3].entry))
	edit("another block's receipt", "proof-invalid", func(p *proof) {
		p.end.([]any)[3] = s.point(s.key(), 3, s.log.size)[3]
	})
	edit("a receipt that is none", "receipt-malformed", swap(3, []byte{1}))
	edit("a record's entry and receipt as a block entry", "receipt-malformed", func(p *proof) {
		entry := sha(s.items[0].([]any)[2].([]byte))
		r := s.log.receiptFor(entry, 1, s.log.size, []signer{nodeA})
		p.end.([]any)[2], p.end.([]any)[3] = entry, r.build()
	})
	edit("a point with a part missing", "receipt-malformed", func(p *proof) { p.end = p.end.([]any)[:3] })
	edit("a point that is no list", "receipt-malformed", func(p *proof) { p.end = 1 })
	edit("a point whose value is text", "receipt-malformed", swap(0, "x"))
	edit("a point whose block is text", "receipt-malformed", swap(2, "x"))
	edit("no last point", "receipt-malformed", func(p *proof) { p.end = nil })
	edit("five parts", "receipt-malformed", func(p *proof) { p.cut = 1 })
	edit("another tag", "receipt-malformed", func(p *proof) { p.tag = "drystone/completeness/2" })
	edit("an organisation that is no id", "receipt-malformed", func(p *proof) { p.iss = "e w z" })
	edit("a device that is no id", "receipt-malformed", func(p *proof) { p.more = []any{""} })
	edit("a device that is null", "receipt-malformed", func(p *proof) { p.more = []any{nil} })
	edit("an eighth part", "receipt-malformed", func(p *proof) { p.more = []any{"a", "b"} })
	edit("items that are no list", "receipt-malformed", func(p *proof) { p.items = nil })
	edit("a device whose name is no id", "receipt-malformed", func(p *proof) { p.sub = "m 1" })
	edit("an item that is a map", "receipt-malformed", func(p *proof) {
		item := p.items[0].([]any)
		p.items[0] = map[int]any{0: item[0], 1: item[1], 2: item[2]}
	})
	edit("an item of two parts", "receipt-malformed", func(p *proof) { p.items[0] = []any{0, 4} })
	edit("an item whose number is negative", "receipt-malformed", func(p *proof) { p.items[0] = []any{0, -1, sha(nil)} })
	edit("an item whose number is beyond 2**53 - 1", "receipt-malformed", func(p *proof) {
		p.items[0] = []any{0, 1 << 53, sha(nil)}
	})
	edit("an item whose epoch is beyond 32 bits", "receipt-malformed", func(p *proof) { p.items[0] = []any{1 << 32, 0, sha(nil)} })
	edit("an item whose epoch is true", "receipt-malformed", func(p *proof) { p.items[0] = []any{true, 0, sha(nil)} })
	edit("an item with a short id", "receipt-malformed", func(p *proof) { p.items[0] = []any{0, 4, sha(nil)[:31]} })
	dishonest(bad)
}

// restarted is a device that began eighteen epochs, each with a gap; a stream remembers sixteen.
func restarted() *street {
	s := newStreet("m-004217", "")
	for epoch := range 18 {
		s.take(epoch, 0, nil)
		s.take(epoch, 2, nil)
		if epoch == 16 {
			s.end()
		}
	}
	s.end()
	return s
}

// dishonest are ledgers that put a wrong stream into their own state and prove it properly.
func dishonest(bad func(name, code string, p proof)) {
	made := func(name, code string, value func(*street) []byte) {
		s := lane()
		s.state[s.key()] = value(s)
		s.end()
		p := s.proof(-1, 4)
		p.end = s.point(s.key(), len(s.blocks)-1, s.log.size)
		bad(name, code, p)
	}
	changed := func(runs ...any) func(*street) []byte {
		return func(s *street) []byte { return det([]any{s.stream.digest, len(s.items), runs}) }
	}
	made("a state whose runs hide a gap", "stream-incomplete", changed([]any{0, 0, 6}, []any{1, 0, 0}))
	made("a state whose runs are of another epoch", "stream-incomplete", changed([]any{0, 0, 5}, []any{0, 7, 7}, []any{2, 0, 0}))
	made("a state whose count is not its runs'", "receipt-malformed", changed([]any{0, 0, 5}, []any{0, 7, 7}))
	made("a state whose runs touch", "receipt-malformed", changed([]any{0, 0, 3}, []any{0, 4, 5}, []any{0, 7, 7}, []any{1, 0, 0}))
	made("a state whose runs fall", "receipt-malformed", changed([]any{1, 0, 0}, []any{0, 0, 5}, []any{0, 7, 7}))
	made("a state with one register in a run", "receipt-malformed", changed([]any{0, 0, 5, 1}, []any{0, 7, 7}, []any{1, 0, 0}))
	made("a state with a register that is text", "receipt-malformed", changed([]any{0, 0, 5, 1, "x"}, []any{0, 7, 7}, []any{1, 0, 0}))
	old := restarted()
	p := old.proof(1, 2)
	p.items = append(p.items, []any{0, 1, sha(nil)})
	bad("a record of a closed epoch", "stream-incomplete", p)
	recounted := restarted()
	recounted.stream.count++
	recounted.state[recounted.key()] = recounted.stream.encode()
	recounted.end()
	p = recounted.proof(-1, 2)
	p.end = recounted.point(recounted.key(), 3, recounted.log.size)
	bad("a state that counts one record more", "stream-incomplete", p)
	seventeen := make([]any, 17)
	for epoch := range seventeen {
		seventeen[epoch] = []any{epoch, 0, 0}
	}
	made("a state with seventeen epochs", "receipt-malformed", func(s *street) []byte {
		return det([]any{s.stream.digest, 17, seventeen})
	})
	made("a state that counts more than its runs, with epochs to spare", "receipt-malformed", func(s *street) []byte {
		return det([]any{s.stream.digest, 9, []any{[]any{0, 0, 5}, []any{0, 7, 7}, []any{1, 0, 0}}})
	})
	made("a state that is no stream", "receipt-malformed", func(*street) []byte { return det("x") })
	made("a state with a digest of 31 bytes", "receipt-malformed", func(s *street) []byte {
		return det([]any{s.stream.digest[:31], 8, []any{[]any{0, 0, 5}, []any{0, 7, 7}, []any{1, 0, 0}}})
	})
}

// tooManyRuns chains records that would make 65 runs.
func tooManyRuns(bad func(name, code string, p proof)) {
	s := newStreet("m-004217", "")
	for i := range 65 {
		s.take(0, 2*i, nil)
	}
	s.take(0, 1, nil) // merges two runs: 64 again, so that the state itself can be read
	s.end()
	bad("records that would make 65 runs on the way", "stream-incomplete", s.proof(-1, 1))
}

func pointVectors() []vector {
	var out []vector
	s := lane()
	pack := func(parts []any) string { return hexed(det(parts)) }
	good := func(name string, parts []any, key string, value any, height int) {
		out = append(out, vector{name, "one", pack(parts), "", "", map[string]any{"kind": "state",
			"key": hexed([]byte(key)), "value": value, "height": height,
			"time_ms": s.blocks[height].timeMs, "size": s.log.size}})
	}
	bad := func(name, code string, parts []any) {
		out = append(out, vector{Name: name, Trust: "one", File: pack(parts), Error: code})
	}
	name := stateKey(1, "ewz")
	good("an organisation", s.point(name, 4, s.log.size), name, hexed(s.state[name]), 4)
	good("a stream at an earlier block", s.point(s.key(), 2, s.log.size), s.key(), hexed(s.blocks[2].state[s.key()]), 2)
	for _, absent := range []string{"iwb", "aew", "bkw", "sgsw", "ekz"} {
		key := stateKey(1, absent)
		good("no organisation "+absent, s.point(key, 5, s.log.size), key, nil, 5)
	}
	edit := func(name, code string, change func([]any) []any) {
		bad(name, code, change(s.point(s.key(), 4, s.log.size)))
	}
	put := func(index int, value any) func([]any) []any {
		return func(p []any) []any { p[index] = value; return p }
	}
	edit("absence claimed with a proof of presence", "proof-invalid", put(0, nil))
	bad("presence claimed with a proof of absence", "proof-invalid", func() []any {
		p := s.point(stateKey(1, "iwb"), 5, s.log.size)
		p[0] = []byte{1}
		return p
	}())
	edit("an empty value", "proof-invalid", put(0, []byte{}))
	edit("another value", "proof-invalid", put(0, det(1)))
	edit("the value of another block", "proof-invalid", put(0, s.blocks[3].state[s.key()]))
	edit("a proof of another block", "proof-invalid", put(1, s.blocks[3].state.prove(s.key())))
	edit("the same value under another block's root", "proof-invalid", func([]any) []any {
		p := s.point(name, 4, s.log.size)
		p[1] = s.blocks[1].state.prove(name)
		return p
	})
	lyingAbsences(s, bad)
	edit("a state proof with another leaf operation", "proof-invalid", func(p []any) []any {
		p[1] = bytes.Replace(p[1].([]byte), []byte{8, 1, 16, 1, 24, 1, 42, 1, 0}, []byte{8, 1, 16, 1, 24, 2, 42, 1, 0}, 1)
		return p
	})
	edit("a state proof with another step operation", "proof-invalid", func(p []any) []any {
		p[1] = bytes.Replace(p[1].([]byte), []byte{8, 1, 0x12, 1, 1, 0x1a, 0x20}, []byte{8, 2, 0x12, 1, 1, 0x1a, 0x20}, 1)
		p[1] = bytes.Replace(p[1].([]byte), []byte{8, 1, 0x12, 0x21, 1}, []byte{8, 2, 0x12, 0x21, 1}, 1)
		return p
	})
	edit("no proof", "proof-invalid", put(1, []byte{}))
	edit("a proof with a byte after its end", "proof-invalid", func(p []any) []any {
		p[1] = append(bytes.Clone(p[1].([]byte)), 0)
		return p
	})
	edit("a block of six parts", "receipt-malformed", withBlock(s, func(parts []any) []any { return parts[:6] }))
	edit("a block of another tag", "receipt-malformed", withBlock(s, func(parts []any) []any {
		parts[0] = "drystone/block/2"
		return parts
	}))
	edit("a block with a negative height", "receipt-malformed", withBlock(s, func(parts []any) []any { parts[1] = -1; return parts }))
	edit("a block whose time is text", "receipt-malformed", withBlock(s, func(parts []any) []any { parts[2] = "now"; return parts }))
	edit("a block that is a map", "receipt-malformed", withBlock(s, func(parts []any) []any {
		return []any{map[int]any{0: parts[0], 1: parts[1], 2: parts[2], 3: parts[3], 4: parts[4], 5: parts[5], 6: parts[6]}}
	}))
	for i, name := range []string{"state root", "outcomes root", "validators"} {
		edit("a block whose "+name+" has 31 bytes", "receipt-malformed",
			withBlock(s, func(parts []any) []any { parts[3+i] = sha(nil)[:31]; return parts }))
	}
	edit("a block whose protocol is true", "receipt-malformed", withBlock(s, func(parts []any) []any { parts[6] = true; return parts }))
	edit("another block entry", "proof-invalid", put(2, s.blocks[3].entry))
	edit("another receipt", "proof-invalid", put(3, s.point(s.key(), 3, s.log.size)[3]))
	edit("a part too many", "receipt-malformed", func(p []any) []any { return append(p, nil) })
	edit("a part too few", "receipt-malformed", func(p []any) []any { return p[:3] })
	edit("a value that is a list", "receipt-malformed", put(0, []any{}))
	edit("a proof that is text", "receipt-malformed", put(1, "x"))
	edit("a receipt that is null", "receipt-malformed", put(3, nil))
	return out
}

// lyingAbsences are proofs of absence of keys that are there, or by leaves that are not.
func lyingAbsences(s *street, bad func(name, code string, parts []any)) {
	for i := range 12 {
		s.state[stateKey(5, "ewz", fmt.Sprint("profile ", i))] = det(i)
	}
	s.end()
	height := len(s.blocks) - 1
	state := s.blocks[height].state
	old := s.blocks[height-1].state
	keys := state.sorted()
	absent := func(name, key string, left, right *ics23.ExistenceProof) {
		proof := ics23.CommitmentProof{Proof: &ics23.CommitmentProof_Nonexist{Nonexist: &ics23.NonExistenceProof{
			Key: []byte(key), Left: left, Right: right}}}
		if ics23.VerifyNonMembership(ics23.SmtSpec, state.root(), &proof, []byte(key)) {
			panic("ics23 believes that: " + name)
		}
		data, err := proof.Marshal()
		check(err)
		p := s.point(keys[0], height, s.log.size)
		p[0], p[1] = nil, data
		bad(name, "proof-invalid", p)
	}
	first, last, middle := keys[0], keys[len(keys)-1], keys[len(keys)/2]
	absent("absence by the last leaf as the left neighbour", middle, state.leaf(last), nil)
	absent("absence by the first leaf as the right neighbour", middle, nil, state.leaf(first))
	absent("absence of a key right of its only neighbour, which is not the last", last, state.leaf(middle), nil)
	absent("absence of a key left of its only neighbour, which is not the first", first, nil, state.leaf(middle))
	left, right := "", ""
	for i := 1; i+1 < len(keys); i++ {
		fork := 0
		for bit(sha([]byte(keys[i-1])), fork) == bit(sha([]byte(keys[i+1])), fork) {
			fork++
		}
		if bit(sha([]byte(keys[i])), fork) {
			right = keys[i]
			absent("absence of a key on its right neighbour's side "+fmt.Sprint(i), right, state.leaf(keys[i-1]), state.leaf(keys[i+1]))
		} else {
			left = keys[i]
			absent("absence of a key on its left neighbour's side "+fmt.Sprint(i), left, state.leaf(keys[i-1]), state.leaf(keys[i+1]))
		}
	}
	if left == "" || right == "" {
		panic("both sides are needed")
	}
	// A key that is truly absent, between two leaves that were there one block ago already.
	for n := 0; ; n++ {
		key := stateKey(6, fmt.Sprint(n))
		at := sort.Search(len(keys), func(i int) bool { return bytes.Compare(sha([]byte(keys[i])), sha([]byte(key))) > 0 })
		if at == 0 || at == len(keys) || old[keys[at-1]] == nil || old[keys[at]] == nil {
			if n < 10_000 {
				continue
			}
			panic("no such gap")
		}
		absent("absence whose left neighbour is of another block", key, old.leaf(keys[at-1]), state.leaf(keys[at]))
		absent("absence whose right neighbour is of another block", key, state.leaf(keys[at-1]), old.leaf(keys[at]))
		return
	}
}

// withBlock puts a block entry of another form into the log, properly proved.
func withBlock(s *street, change func([]any) []any) func([]any) []any {
	return func(p []any) []any {
		b := s.blocks[4]
		parts := change([]any{"drystone/block/1", b.height, b.timeMs, b.state.root(), sha(nil),
			sha([]byte("drystone/nodes/1\n")), 1})
		entry := det(parts)
		if len(parts) == 1 {
			entry = det(parts[0])
		}
		log := s.log.replaced(map[int64][]byte{b.index: entry})
		r := log.receiptFor(entry, b.index, log.size, []signer{nodeA})
		p[2], p[3] = entry, r.build()
		return p
	}
}
