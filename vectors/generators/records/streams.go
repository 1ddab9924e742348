// Streams: the model keeps plain sets of numbers per epoch and derives the runs anew after every step.
package main

import (
	"encoding/binary"
	"math/rand"
	"sort"
)

type streamVector struct {
	Name  string `json:"name"`
	Steps []step `json:"steps,omitempty"`
	State bin    `json:"state,omitzero"`
	Runs  any    `json:"runs,omitempty"`
	Error string `json:"error,omitempty"`
}

type step struct {
	Epoch    uint64  `json:"epoch"`
	Seq      uint64  `json:"seq"`
	ID       bin     `json:"id"`
	Register *int64  `json:"register"`
	Kind     string  `json:"kind,omitempty"`
	GapFrom  *uint64 `json:"gap_from"`
	State    bin     `json:"state,omitzero"`
	Error    string  `json:"error,omitempty"`
}

type position struct{ epoch, seq uint64 }

type model struct {
	taken  map[position]*int64 // position to register
	digest []byte
}

func newModel() *model { return &model{map[position]*int64{}, make([]byte, 32)} }

func (m *model) sorted() []position {
	var all []position
	for p := range m.taken {
		all = append(all, p)
	}
	sort.Slice(all, func(a, b int) bool {
		return all[a].epoch < all[b].epoch || all[a].epoch == all[b].epoch && all[a].seq < all[b].seq
	})
	return all
}

type run struct {
	epoch, first, last uint64
	lo, hi             *int64
}

func (m *model) runs() []run {
	var runs []run
	for _, p := range m.sorted() {
		register := m.taken[p]
		if n := len(runs); n > 0 && runs[n-1].epoch == p.epoch && runs[n-1].last+1 == p.seq {
			runs[n-1].last = p.seq
		} else {
			runs = append(runs, run{p.epoch, p.seq, p.seq, nil, nil})
		}
		if last := &runs[len(runs)-1]; register != nil {
			if last.lo == nil {
				last.lo = register
			}
			last.hi = register
		}
	}
	return runs
}

func (m *model) state() []byte {
	runs := []any{}
	for _, r := range m.runs() {
		items := []any{r.epoch, r.first, r.last}
		if r.lo != nil {
			items = append(items, *r.lo, *r.hi)
		}
		runs = append(runs, items)
	}
	return det([]any{m.digest, len(m.taken), runs})
}

// place follows the written rule: taken, order of registers, count of runs; only then does the model change.
func (m *model) place(s step) step {
	at := position{s.Epoch, s.Seq}
	if _, taken := m.taken[at]; taken {
		s.Kind, s.State = "already", m.state()
		return s
	}
	late := false
	var below, above *position
	for _, p := range m.sorted() {
		later := p.epoch > at.epoch || p.epoch == at.epoch && p.seq > at.seq
		late = late || later
		if p.epoch == at.epoch && later && above == nil {
			above = &position{p.epoch, p.seq}
		}
		if p.epoch == at.epoch && !later {
			below = &position{p.epoch, p.seq}
		}
	}
	if late && s.Register != nil {
		low, high := m.edge(below, true), m.edge(above, false)
		over, under := low == nil || *s.Register >= *low, high == nil || *s.Register <= *high
		fits := over && under
		if low != nil && high != nil && *low > *high {
			fits = over || under
		}
		if !fits {
			s.Error = "register-order"
			return s
		}
	}
	m.taken[at] = s.Register
	if len(m.runs()) > 64 {
		delete(m.taken, at)
		s.Error = "stream-gaps"
		return s
	}
	if above == nil {
		expected := uint64(0)
		if below != nil {
			expected = below.seq + 1
		}
		if expected != at.seq {
			s.GapFrom = &expected
		}
	}
	switch {
	case late:
		s.Kind = "late"
	case s.GapFrom != nil:
		s.Kind = "gap"
	default:
		s.Kind = "next"
	}
	preimage := join([]byte("drystone/stream/1\n"), m.digest)
	preimage = binary.BigEndian.AppendUint32(preimage, uint32(s.Epoch))
	preimage = binary.BigEndian.AppendUint64(preimage, s.Seq)
	m.digest = sha(join(preimage, s.ID))
	s.State = m.state()
	return s
}

// edge is the register at the end of the run that holds a position: its last one, or its first.
func (m *model) edge(p *position, last bool) *int64 {
	if p == nil {
		return nil
	}
	for _, r := range m.runs() {
		if r.epoch == p.epoch && r.first <= p.seq && p.seq <= r.last {
			if last {
				return r.hi
			}
			return r.lo
		}
	}
	return nil
}

func steps(registers bool, places ...[2]uint64) []step {
	var all []step
	for _, p := range places {
		s := step{Epoch: p[0], Seq: p[1], ID: sha(det([]any{p[0], p[1], len(all)}))}
		if registers {
			value := int64(p[1]) * 10
			s.Register = &value
		}
		all = append(all, s)
	}
	return all
}

func reg(s []step, index int, value int64) []step {
	s[index].Register = &value
	return s
}

func played(name string, all []step) streamVector {
	m := newModel()
	for n := range all {
		all[n] = m.place(all[n])
	}
	return streamVector{Name: name, Steps: all, State: m.state()}
}

func streamVectors() []streamVector {
	all := []streamVector{
		played("in order", steps(true, [2]uint64{0, 0}, [2]uint64{0, 1}, [2]uint64{0, 2})),
		played("without registers", steps(false, [2]uint64{0, 0}, [2]uint64{0, 1})),
		played("starts late", steps(true, [2]uint64{0, 41807}, [2]uint64{0, 41808})),
		played("gap, filled from both sides", steps(true, [2]uint64{0, 0}, [2]uint64{0, 5}, [2]uint64{0, 1}, [2]uint64{0, 4}, [2]uint64{0, 2}, [2]uint64{0, 3})),
		played("duplicates", steps(true, [2]uint64{0, 0}, [2]uint64{0, 2}, [2]uint64{0, 0}, [2]uint64{0, 2}, [2]uint64{0, 1}, [2]uint64{0, 1})),
		played("epochs apart", steps(true, [2]uint64{0, 0}, [2]uint64{0, 1}, [2]uint64{1, 2}, [2]uint64{1, 0}, [2]uint64{0, 2}, [2]uint64{0, 9}, [2]uint64{3, 0}, [2]uint64{2, 5})),
		played("highest position", steps(true, [2]uint64{1<<32 - 1, 1<<53 - 1})),
		played("a register outside its neighbours", reg(reg(steps(true, [2]uint64{0, 0}, [2]uint64{0, 5}, [2]uint64{0, 3}, [2]uint64{0, 3}, [2]uint64{0, 3}), 2, 51), 3, -1)),
		played("registers across a rollover", reg(reg(reg(steps(true, [2]uint64{0, 0}, [2]uint64{0, 9}, [2]uint64{0, 4}, [2]uint64{0, 4}), 0, 90), 2, 50), 3, 95)),
		played("a register beyond the end may fall", reg(steps(true, [2]uint64{0, 0}, [2]uint64{0, 1}), 1, -5)),
	}
	mixed := steps(false, [2]uint64{0, 3}, [2]uint64{0, 4}, [2]uint64{0, 5}, [2]uint64{0, 2}, [2]uint64{0, 9}, [2]uint64{0, 7})
	all = append(all, played("some without a register", reg(reg(mixed, 1, 40), 4, 90)))
	var gaps [][2]uint64
	for n := range uint64(66) {
		gaps = append(gaps, [2]uint64{0, 2 * n})
	}
	all = append(all, played("too many gaps", steps(true, append(gaps, [2]uint64{0, 1}, [2]uint64{0, 130})...)))
	random := rand.New(rand.NewSource(1))
	for _, registers := range []bool{true, false} {
		var places [][2]uint64
		for range 60 {
			places = append(places, [2]uint64{uint64(random.Intn(3)), uint64(random.Intn(40))})
		}
		all = append(all, played("any order", steps(registers, places...)))
		if !registers {
			all[len(all)-1].Name += ", without registers"
		}
	}
	return append(all, badStates()...)
}

func badStates() []streamVector {
	var all []streamVector
	digest := sha([]byte("digest"))
	bad := func(name string, value any) {
		all = append(all, streamVector{Name: name, State: det(value), Error: "stream-malformed"})
	}
	one := []any{[]any{0, 0, 0}}
	bad("a number", 0)
	bad("a map", map[int]any{})
	bad("two members", []any{digest, 1})
	bad("four members", []any{digest, 1, one, 0})
	bad("a short digest", []any{digest[1:], 1, one})
	bad("a text digest", []any{"digest", 1, one})
	bad("a negative count", []any{digest, -1, one})
	bad("another count", []any{digest, 2, one})
	bad("a digest of nothing", []any{digest, 0, []any{}})
	bad("runs are no array", []any{digest, 1, nil})
	bad("a run of four", []any{digest, 1, []any{[]any{0, 0, 0, 1}}})
	bad("a run of two", []any{digest, 1, []any{[]any{0, 0}}})
	bad("a run that ends before it starts", []any{digest, 1, []any{[]any{0, 2, 1}}})
	bad("an epoch too high", []any{digest, 1, []any{[]any{uint64(1) << 32, 0, 0}}})
	bad("a sequence too high", []any{digest, 1, []any{[]any{0, uint64(1) << 53, uint64(1) << 53}}})
	bad("registers of null", []any{digest, 1, []any{[]any{0, 0, 0, nil, nil}}})
	bad("a register of 64 bits", []any{digest, 1, []any{[]any{0, 0, 0, uint64(1) << 63, 0}}})
	bad("runs that touch", []any{digest, 2, []any{[]any{0, 0, 0}, []any{0, 1, 1}}})
	bad("runs that overlap", []any{digest, 3, []any{[]any{0, 0, 1}, []any{0, 1, 1}}})
	bad("runs out of order", []any{digest, 2, []any{[]any{0, 5, 5}, []any{0, 0, 0}}})
	bad("epochs out of order", []any{digest, 2, []any{[]any{1, 0, 0}, []any{0, 0, 0}}})
	var many []any
	for n := range 65 {
		many = append(many, []any{0, 2 * n, 2 * n})
	}
	bad("65 runs", []any{digest, 65, many})
	all = append(all, streamVector{Name: "nothing at all", State: bin{}, Error: "cbor-malformed"},
		streamVector{Name: "trailing byte", State: append(det([]any{digest, 1, one}), 0), Error: "cbor-malformed"},
		streamVector{Name: "count not shortest", State: join([]byte{0x83}, bstr(digest), []byte{0x18, 1}, det(one)), Error: "cbor-not-deterministic"})
	return all
}
