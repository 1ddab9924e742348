package main

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand"
	"reflect"

	"github.com/fxamacker/cbor/v2"
)

type cborValid struct {
	Name  string `json:"name"`
	Data  string `json:"data"`
	Value string `json:"value"`
}

type cborInvalid struct {
	Name    string `json:"name"`
	Data    string `json:"data"`
	Error   string `json:"error"`
	Foreign string `json:"foreign"`
}

var (
	enc = func() cbor.EncMode {
		mode, err := cbor.CoreDetEncOptions().EncMode()
		check(err)
		return mode
	}()
	dec = func() cbor.DecMode {
		mode, err := cbor.DecOptions{
			DupMapKey: cbor.DupMapKeyEnforcedAPF, UTF8: cbor.UTF8RejectInvalid, MaxNestedLevels: 64,
			DefaultByteStringType: reflect.TypeOf(cbor.ByteString("")), BigIntDec: cbor.BigIntDecodeValue,
		}.DecMode()
		check(err)
		return mode
	}()
)

func cborVectors() suite {
	valid := []cborValid{}
	for _, v := range handmade() {
		data, err := enc.Marshal(v.value)
		check(err)
		valid = append(valid, cborValid{v.name, hex.EncodeToString(data), diagnose(data)})
	}
	random := rand.New(rand.NewSource(8949))
	for i := range 60 {
		data, err := enc.Marshal(randomValue(random, 0))
		check(err)
		valid = append(valid, cborValid{fmt.Sprintf("random %d", i), hex.EncodeToString(data), diagnose(data)})
	}
	record := unhex(workedRecord)
	valid = append(valid, cborValid{"worked record", workedRecord, diagnose(record)})
	invalid := []cborInvalid{}
	for _, v := range broken {
		data := unhex(v.data)
		invalid = append(invalid, cborInvalid{v.name, v.data, v.code, judge(data)})
	}
	for _, v := range valid {
		invalid = append(invalid, respelt(v)...)
	}
	return suite{
		Comment: "Deterministic CBOR (RFC 8949 section 4.2.1) of the kinds Drystone uses. `value` is diagnostic notation. " +
			"`foreign` is what fxamacker/cbor makes of the bytes: malformed; other spelling (its core deterministic " +
			"encoding of what it decodes differs, or a key stands twice); same spelling (deterministic, but of a kind, tag " +
			"or depth that no Drystone format uses); cannot decode (a map key of a kind that it does not take).",
		Programs: map[string]string{"github.com/fxamacker/cbor/v2": "v2.9.6: expected bytes (core deterministic encoding), " +
			"expected notation (Diagnose), verdicts"},
		Valid: valid, Invalid: invalid,
	}
}

func diagnose(data []byte) string {
	text, err := cbor.Diagnose(data)
	check(err)
	return text
}

// judge returns what fxamacker/cbor makes of the bytes.
func judge(data []byte) string {
	if err := dec.Wellformed(data); err != nil {
		return "malformed"
	}
	var value any
	if err := dec.Unmarshal(data, &value); err != nil {
		switch err.(type) {
		case *cbor.DupMapKeyError:
			return "other spelling"
		case *cbor.SemanticError:
			return "malformed"
		}
		return "cannot decode"
	}
	again, err := enc.Marshal(value)
	if err != nil || !bytes.Equal(again, data) {
		return "other spelling"
	}
	return "same spelling"
}

// respelt returns four other spellings of a valid item.
func respelt(v cborValid) []cborInvalid {
	data := unhex(v.Data)
	all := []cborInvalid{}
	add := func(name, code string, other []byte) {
		all = append(all, cborInvalid{v.Name + ", " + name, hex.EncodeToString(other), code, judge(other)})
	}
	add("a byte after the end", "cbor-malformed", append(bytes.Clone(data), 0))
	add("the last byte missing", "cbor-malformed", data[:len(data)-1])
	major, low := data[0]>>5, data[0]&31
	if major == 7 {
		return all
	}
	longer := map[byte][]byte{24: {0}, 25: {0, 0}, 26: {0, 0, 0, 0}}
	if low < 24 {
		add("a longer head", "cbor-not-deterministic", append([]byte{major<<5 | 24, low}, data[1:]...))
	} else if low < 27 {
		head := append([]byte{major<<5 | (low + 1)}, longer[low]...)
		add("a longer head", "cbor-not-deterministic", append(head, data[1:]...))
	}
	if (major == 4 || major == 5) && low < 24 {
		other := append([]byte{major<<5 | 31}, data[1:]...)
		add("indefinite", "cbor-not-deterministic", append(other, 0xff))
	}
	if (major == 2 || major == 3) && low < 24 {
		other := append([]byte{major<<5 | 31}, data...)
		add("indefinite", "cbor-not-deterministic", append(other, 0xff))
	}
	return all
}

type named struct {
	name  string
	value any
}

func handmade() []named {
	all := []named{}
	for _, n := range []uint64{0, 1, 10, 23, 24, 25, 100, 255, 256, 1000, 65535, 65536, 1000000, 1<<32 - 1, 1 << 32,
		1000000000000, 1<<53 - 1, 1<<63 - 1, 1 << 63, 1<<64 - 1} {
		all = append(all, named{fmt.Sprintf("integer %d", n), n})
	}
	for _, n := range []int64{-1, -10, -24, -25, -100, -256, -257, -1000, -65536, -65537, -70001, -1 << 32, -1<<32 - 1, -1 << 63} {
		all = append(all, named{fmt.Sprintf("integer %d", n), n})
	}
	for _, n := range []int{0, 1, 4, 23, 24, 255, 256} {
		all = append(all, named{fmt.Sprintf("%d bytes", n), make([]byte, n)})
	}
	deep := any(uint64(0))
	for range 16 {
		deep = []any{deep}
	}
	return append(all,
		named{"empty text", ""}, named{"text", "IETF"}, named{"text with a quote", "\"\\"}, named{"text of 24 bytes", "abcdefghijklmnopqrstuvwx"},
		named{"text of two-byte letters", "\u00fc"}, named{"text of three-byte letters", "\u6c34"}, named{"text of four-byte letters", "\U00010151"},
		named{"false", false}, named{"true", true}, named{"null", nil},
		named{"empty array", []any{}}, named{"array", []any{1, []any{2, 3}, []any{4, 5}}},
		named{"array of 25", []any{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25}},
		named{"empty map", map[int]any{}}, named{"map of integers", map[int]any{1: 2, 3: 4}},
		named{"map of text", map[string]any{"a": "A", "b": "B", "c": "C", "d": "D", "e": "E"}},
		named{"map in array", []any{"a", map[string]any{"b": "c"}}},
		named{"label order", map[any]any{1: 0, 15: 0, 394: 0, -1: 0, -70001: 0, "a": 0, "dp": 0}},
		named{"key order across types", map[any]any{10: 0, 100: 0, -1: 0, "z": 0, "aa": 0, cbor.ByteString("q"): 0}},
		named{"decimal fraction", cbor.Tag{Number: 4, Content: []any{-2, 27315}}},
		named{"tag 18", cbor.Tag{Number: 18, Content: []any{[]byte{1}, map[int]any{}, nil, []byte{2}}}},
		named{"depth 16", deep},
	)
}

func randomValue(r *rand.Rand, depth int) any {
	switch kind := r.Intn(10); {
	case kind < 2:
		return r.Uint64() >> r.Intn(64)
	case kind < 4:
		return -1 - int64(r.Uint64()>>(1+r.Intn(63)))
	case kind == 4:
		return []any{true, false, nil}[r.Intn(3)]
	case kind == 5:
		raw := make([]byte, r.Intn(40))
		r.Read(raw)
		return raw
	case kind == 6:
		return "measurement-of-something-long"[:r.Intn(30)]
	case kind == 7 && depth < 4:
		return cbor.Tag{Number: []uint64{4, 18}[r.Intn(2)], Content: randomValue(r, depth+1)}
	case kind == 8 && depth < 4:
		items := make([]any, r.Intn(30))
		for i := range items {
			items[i] = randomValue(r, depth+2)
		}
		return items
	case depth < 4:
		pairs := map[any]any{}
		for range r.Intn(30) {
			var key any = int64(r.Intn(200000) - 100000)
			if r.Intn(3) == 0 {
				key = fmt.Sprint(key)
			}
			pairs[key] = randomValue(r, depth+2)
		}
		return pairs
	}
	return uint64(7)
}

var broken = []struct{ name, data, code string }{
	{"nothing", "", "cbor-malformed"},
	{"head cut", "19ff", "cbor-malformed"},
	{"bytes cut", "42aa", "cbor-malformed"},
	{"text cut", "6261", "cbor-malformed"},
	{"array cut", "8201", "cbor-malformed"},
	{"array of 2**64-1", "9bffffffffffffffff", "cbor-malformed"},
	{"map without a value", "a101", "cbor-malformed"},
	{"tag without content", "d2", "cbor-malformed"},
	{"two items", "0000", "cbor-malformed"},
	{"reserved 28", "1c", "cbor-malformed"},
	{"reserved 30", "7e", "cbor-malformed"},
	{"indefinite integer", "1f", "cbor-malformed"},
	{"indefinite tag", "df", "cbor-malformed"},
	{"break alone", "ff", "cbor-malformed"},
	{"simple 20 in two bytes", "f814", "cbor-malformed"},
	{"text of a lone continuation", "6180", "cbor-malformed"},
	{"text of a surrogate", "63eda080", "cbor-malformed"},
	{"text of an overlong slash", "62c0af", "cbor-malformed"},
	{"text beyond Unicode", "64f4908080", "cbor-malformed"},
	{"keys by length, as RFC 7049", "a30100200019018a00", "cbor-not-deterministic"},
	{"keys out of order", "a202010101", "cbor-not-deterministic"},
	{"key twice", "a201010102", "cbor-not-deterministic"},
	{"text key twice", "a2616101616102", "cbor-not-deterministic"},
	{"same key in two widths", "a20101180102", "cbor-not-deterministic"},
	{"negative before positive", "a220010001", "cbor-not-deterministic"},
	{"23 in two bytes", "1817", "cbor-not-deterministic"},
	{"255 in three bytes", "1900ff", "cbor-not-deterministic"},
	{"65535 in five bytes", "1a0000ffff", "cbor-not-deterministic"},
	{"2**32-1 in nine bytes", "1b00000000ffffffff", "cbor-not-deterministic"},
	{"-24 in two bytes", "3817", "cbor-not-deterministic"},
	{"tag 18 in three bytes", "d90012820101", "cbor-not-deterministic"},
	{"length in two bytes", "5800", "cbor-not-deterministic"},
	{"text in pieces", "7f61616162ff", "cbor-not-deterministic"},
	{"bytes in no pieces", "5fff", "cbor-not-deterministic"},
	{"indefinite inside", "819f01ff", "cbor-not-deterministic"},
	{"indefinite map", "bf0102ff", "cbor-not-deterministic"},
	{"half float 0.0", "f90000", "cbor-unsupported"},
	{"half float 1.5", "f93e00", "cbor-unsupported"},
	{"half float NaN", "f97e00", "cbor-unsupported"},
	{"single float 100000.0", "fa47c35000", "cbor-unsupported"},
	{"double float 1.1", "fb3ff199999999999a", "cbor-unsupported"},
	{"double float 1.0", "fb3ff0000000000000", "cbor-unsupported"},
	{"undefined", "f7", "cbor-unsupported"},
	{"simple 16", "f0", "cbor-unsupported"},
	{"simple 255", "f8ff", "cbor-unsupported"},
	{"bignum 2**64", "c249010000000000000000", "cbor-unsupported"},
	{"bignum 1", "c24101", "cbor-unsupported"},
	{"negative bignum", "c349010000000000000000", "cbor-unsupported"},
	{"time", "c11a514b67b0", "cbor-unsupported"},
	{"bigfloat", "c5822003", "cbor-unsupported"},
	{"encoded CBOR", "d8184464494554", "cbor-unsupported"},
	{"self-described", "d9d9f700", "cbor-unsupported"},
	{"array as key", "a18001", "cbor-unsupported"},
	{"boolean as key", "a1f501", "cbor-unsupported"},
	{"null as key", "a1f601", "cbor-unsupported"},
	{"depth 17", "8181818181818181818181818181818181" + "00", "cbor-too-deep"},
	{"depth 17 of maps", "a100a100a100a100a100a100a100a100a100a100a100a100a100a100a100a100a100" + "00", "cbor-too-deep"},
}
