// Records: good ones of every shape, read by go-cose; bad ones, each wrong in one way.
package main

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/fxamacker/cbor/v2"
)

type recordVector struct {
	Name           string         `json:"name"`
	Record         bin            `json:"record"`
	Write          map[string]any `json:"write,omitempty"`
	Key            bin            `json:"key,omitzero"`
	Expect         map[string]any `json:"expect,omitempty"`
	SignatureError string         `json:"signature_error,omitempty"`
	Error          string         `json:"error,omitempty"`
}

type pack = []map[int]any

type spec struct {
	key         key
	iss, sub    string
	epoch, seq  uint64
	contentType int
	payload     []byte
	content     any
	iat         any
	anchor      []byte
	device      string
}

func (s spec) header() map[any]any {
	who := map[int]any{1: s.iss, 2: s.sub}
	if s.iat != nil {
		who[6] = s.iat
	}
	position := []any{s.epoch, s.seq}
	if s.anchor != nil {
		position = append(position, s.anchor)
	}
	header := map[any]any{1: s.key.alg, 3: s.contentType, 4: s.key.kid(), 15: who, -70001: position}
	if s.device != "" {
		header[-70003] = s.device
	}
	return header
}

func (s spec) build() []byte { return s.key.message(det(s.header()), nil, s.payload) }

func (s spec) vector(name string) recordVector {
	raw := s.build()
	s.key.checkSign1(raw, nil)
	protected := det(s.header())
	signed := sigStructure(protected, nil, s.payload)
	var device any
	if s.device != "" {
		device = s.device
	}
	expect := map[string]any{"alg": s.key.alg, "content_type": s.contentType, "kid": bin(s.key.kid()), "iss": s.iss, "sub": s.sub,
		"iat": s.iat, "epoch": s.epoch, "seq": s.seq, "anchor": orNull(s.anchor), "device": device, "payload": bin(s.payload),
		"signature": bin(raw[len(raw)-64:]), "signed": bin(signed), "id": bin(sha(signed)), "entry": bin(sha(raw)), "content": s.content}
	v := recordVector{Name: name, Record: raw, Key: s.key.coseKey(), Expect: expect}
	if !s.key.highS {
		v.Write = map[string]any{"secret": bin(s.key.secret)}
	}
	return v
}

// workedSpec is the record of docs/spec: a meter's reading, 136 bytes.
func workedSpec() spec {
	payload := det(pack{{-1: 26, 0: "e", 1: "Wh", 2: 48211337, 6: 1762340400}})
	return spec{key: worked, iss: "ewz", sub: "m-004217", seq: 41807, contentType: 112, payload: payload,
		content: []any{[]any{"e", "Wh", 48211337, 1762340400}}}
}

func with(change func(*spec)) spec {
	s := workedSpec()
	change(&s)
	return s
}

func reading(content []any, entries pack) func(*spec) {
	return func(s *spec) { s.payload, s.content = det(entries), content }
}

var sealHeader = map[int]any{1: 3, 3: 112, 4: sha([]byte("group"))[:16]}

func sealed(header map[int]any, iv, ciphertext []byte) []byte {
	return det([]any{det(header), map[int]any{5: iv}, ciphertext})
}

func call(items ...any) []byte { return det(items) }

func goodRecords() []recordVector {
	var all []recordVector
	add := func(name string, change func(*spec)) { all = append(all, with(change).vector(name)) }
	add("worked", func(*spec) {})
	add("decimal kWh", reading([]any{[]any{"e", "kWh", []any{-3, 48211337}, 1762340400}},
		pack{{-1: 26, 0: "e", 1: "kWh", 2: cbor.Tag{Number: 4, Content: []any{-3, 48211337}}, 6: 1762340400}}))
	add("no unit", reading([]any{[]any{"e", nil, 48211337, 1762340400}}, pack{{0: "e", 2: 48211337, 6: 1762340400}}))
	add("no time", reading([]any{[]any{"e", "Wh", 48211337, nil}}, pack{{-1: 26, 0: "e", 1: "Wh", 2: 48211337}}))
	add("text, boolean and bytes", reading([]any{[]any{"s", nil, "on", nil}, []any{"b", nil, true, nil}, []any{"d", nil, map[string]any{"hex": "00ff"}, nil}},
		pack{{0: "s", 3: "on"}, {0: "b", 4: true}, {0: "d", 8: []byte{0, 255}}}))
	var many pack
	var content []any
	for n := range 60 {
		many = append(many, map[int]any{2: n * n, 6: 60 * n})
		content = append(content, []any{"e", "Wh", 48211337 + n*n, 1762340400 + 60*n})
	}
	many[0][-1], many[0][-2], many[0][-3], many[0][-4], many[0][-5] = 26, "e", 1762340400, "Wh", 48211337
	add("60 measurements", reading(content, many))
	add("anchor", func(s *spec) { s.anchor = sha([]byte("head"))[:8] })
	add("iat", func(s *spec) { s.iat = 1762340400 })
	add("anchor and iat", func(s *spec) { s.anchor, s.iat = sha([]byte("head"))[:8], 0 })
	add("attested device", func(s *spec) { s.sub, s.device = "gw-1", "old-meter" })
	add("attested device, anchor", func(s *spec) { s.sub, s.device, s.anchor = "gw-1", "old-meter", make([]byte, 8) })
	add("ES256, low S", func(s *spec) { s.key = nist })
	add("ES256, high S", func(s *spec) { s.key = nistHi })
	for _, seq := range []uint64{0, 23, 24, 255, 256, 65535, 65536, 1<<32 - 1, 1 << 32, 1<<53 - 1} {
		add(fmt.Sprintf("sequence %d", seq), func(s *spec) { s.seq = seq })
	}
	for _, epoch := range []uint64{1, 24, 256, 65536, 1<<32 - 1} {
		add(fmt.Sprintf("epoch %d", epoch), func(s *spec) { s.epoch = epoch })
	}
	for _, id := range []string{"0", "Z", "a.b_c-9", strings.Repeat("a", 23), strings.Repeat("b", 24), strings.Repeat("c", 48)} {
		add("id "+id, func(s *spec) { s.iss, s.sub, s.device = id, id, id })
	}
	add("call", func(s *spec) {
		args := map[string]any{"to": "m-1", "amount": -3, "list": []any{true, "x", []any{}}, "map": map[string]any{"a": 0}}
		s.contentType, s.payload = 60, call(ledger[:8], "token", "move", args, 1000)
		s.content = map[string]any{"ledger": bin(ledger[:8]), "contract": "token", "function": "move", "args": args, "limit": 1000}
	})
	add("sealed", func(s *spec) {
		s.contentType, s.payload, s.content = 16, sealed(sealHeader, make([]byte, 12), make([]byte, 40)), []any{}
	})
	add("sealed call", func(s *spec) {
		header := map[int]any{1: 3, 3: 60, 4: make([]byte, 16)}
		s.contentType, s.payload, s.content = 16, sealed(header, make([]byte, 12), make([]byte, 16)), []any{}
	})
	for _, size := range []int{40, 300, 1000} {
		add(fmt.Sprintf("%d bytes of data", size), reading([]any{[]any{"d", nil, map[string]any{"hex": strings.Repeat("00", size)}, nil}},
			pack{{0: "d", 8: make([]byte, size)}}))
	}
	return all
}

func recordVectors() []recordVector {
	all := goodRecords()
	must(len(all[0].Record) == 136 && strings.HasPrefix(fmt.Sprintf("%x", all[0].Expect["id"]), "fa496f5d0eb2b7a9"), "the worked record")
	return append(append(all, badSignatures()...), badRecords()...)
}

func badSignatures() []recordVector {
	good := workedSpec()
	refuse := func(name string, raw []byte, k key, code string) recordVector {
		return recordVector{Name: name, Record: raw, Key: k.coseKey(), SignatureError: code}
	}
	raw := good.build()
	other7 := with(func(s *spec) { s.key = nist }).build()
	return []recordVector{
		refuse("another's key", raw, other, "signature-invalid"),
		refuse("another algorithm's key", raw, nist, "key-mismatch"),
		refuse("ES256 under an Ed25519 key", other7, worked, "key-mismatch"),
		refuse("signature flipped", flip(raw, len(raw)-1), worked, "signature-invalid"),
		refuse("value flipped", flip(raw, bytes.Index(raw, unhex("1a02dfa589"))+4), worked, "signature-invalid"),
		refuse("sequence flipped", flip(raw, bytes.Index(raw, unhex("19a34f"))+2), worked, "signature-invalid"),
		refuse("signature of zeros", join(raw[:len(raw)-64], make([]byte, 64)), worked, "signature-malformed"),
		refuse("signed with external data", worked.message(det(good.header()), []byte("x"), good.payload), worked, "signature-invalid"),
	}
}

func badRecords() []recordVector {
	var all []recordVector
	add := func(name, code string, raw []byte) {
		all = append(all, recordVector{Name: name, Record: raw, Error: code})
	}
	s := workedSpec()
	raw, protected := s.build(), det(s.header())
	set := func(label, value any) []byte {
		header := s.header()
		header[label] = value
		return worked.message(det(header), nil, s.payload)
	}
	without := func(label any) []byte {
		header := s.header()
		delete(header, label)
		return worked.message(det(header), nil, s.payload)
	}
	spelled := func(name string, protected []byte) {
		must(respelled(protected), "%s is deterministic", name)
		add(name, "cbor-not-deterministic", worked.message(protected, nil, s.payload))
	}
	// The shell.
	add("nothing", "cbor-malformed", nil)
	add("cut in the signature", "cbor-malformed", raw[:100])
	add("cut in the header", "cbor-malformed", raw[:20])
	add("trailing byte", "cbor-malformed", append(bytes.Clone(raw), 0))
	add("tag missing", "cose-malformed", raw[1:])
	add("tag 4 instead", "cose-malformed", join([]byte{0xc4}, raw[1:]))
	add("tag 98, COSE_Sign", "cbor-unsupported", join([]byte{0xd8, 98}, raw[1:]))
	add("tag 18 twice", "cose-malformed", join([]byte{0xd2}, raw))
	add("tag in two bytes", "cbor-not-deterministic", join([]byte{0xd8, 18}, raw[1:]))
	parts := [4][]byte{bstr(protected), empty, bstr(s.payload), raw[len(raw)-66:]}
	add("three elements", "cose-malformed", join([]byte{0xd2, 0x83}, parts[0], parts[1], parts[2]))
	add("five elements", "cose-malformed", join([]byte{0xd2, 0x85}, parts[0], parts[1], parts[2], parts[3], []byte{0xf6}))
	add("indefinite array", "cbor-not-deterministic", join([]byte{0xd2, 0x9f}, parts[0], parts[1], parts[2], parts[3], []byte{0xff}))
	add("header length in three bytes", "cbor-not-deterministic",
		sign1(join([]byte{0x59, 0, byte(len(protected))}, protected), empty, parts[2], parts[3]))
	add("payload length in two bytes", "cbor-not-deterministic", sign1(parts[0], empty, join([]byte{0x58, 22}, s.payload[:22]), parts[3]))
	add("header not wrapped", "cose-malformed", sign1(protected, empty, parts[2], parts[3]))
	add("payload detached", "cose-malformed", sign1(parts[0], empty, []byte{0xf6}, parts[3]))
	add("payload is text", "cose-malformed", sign1(parts[0], empty, det("payload"), parts[3]))
	add("signature of 63 bytes", "cose-malformed", sign1(parts[0], empty, parts[2], bstr(raw[len(raw)-63:])))
	add("signature of 72 bytes, DER", "cose-malformed", sign1(parts[0], empty, parts[2], bstr(make([]byte, 72))))
	add("unprotected is an array", "cose-malformed", sign1(parts[0], []byte{0x80}, parts[2], parts[3]))
	add("unprotected kid too", "cose-malformed", sign1(parts[0], det(map[int]any{4: worked.kid()}), parts[2], parts[3]))
	add("unprotected IV", "header-unexpected", sign1(parts[0], det(map[int]any{5: []byte{0}}), parts[2], parts[3]))
	add("transparent statement", "header-unexpected", sign1(parts[0], det(map[int]any{394: []any{[]byte("receipt")}}), parts[2], parts[3]))
	add("empty protected header", "cose-malformed", sign1([]byte{0x40}, empty, parts[2], parts[3]))
	add("protected header of a map without entries", "cose-malformed", sign1([]byte{0x41, 0xa0}, empty, parts[2], parts[3]))
	add("protected header is an array", "cose-malformed", sign1(bstr([]byte{0x80}), empty, parts[2], parts[3]))
	add("a block entry", "cose-malformed", det([]any{"drystone/block/1", 0, 0, sha(nil), sha(nil), sha(nil), 1}))
	// Another spelling of the header.
	spelled("map head in two bytes", join([]byte{0xb8, 5}, protected[1:]))
	spelled("indefinite map", join([]byte{0xbf}, protected[1:], []byte{0xff}))
	spelled("labels 3 before 1", join(protected[:1], protected[3:6], protected[1:3], protected[6:]))
	spelled("position first", join(protected[:1], protected[len(protected)-10:], protected[1:len(protected)-10]))
	spelled("label twice", join([]byte{0xa6}, protected[1:3], protected[1:]))
	spelled("algorithm in two bytes", join(protected[:1], []byte{1, 0x38, 7}, protected[3:]))
	spelled("content type in three bytes", join(protected[:3], []byte{3, 0x19, 0, 112}, protected[6:]))
	at := len(protected) - 4
	for n, spelling := range []string{"1800" + "19a34f", "00" + "1a0000a34f", "00" + "1b000000000000a34f"} {
		spelled(fmt.Sprintf("position not shortest %d", n), join(protected[:at], unhex(spelling)))
	}
	add("epoch as a float", "cbor-unsupported", worked.message(join(protected[:at], unhex("f9000019a34f")), nil, s.payload))
	add("epoch as a bignum", "cbor-unsupported", worked.message(join(protected[:at], unhex("c2410119a34f")), nil, s.payload))
	add("claims nested too deep", "cbor-too-deep", set(15, nested(20)))
	// Labels.
	for _, label := range []any{1, 3, 4, 15, -70001} {
		add(fmt.Sprintf("label %v missing", label), "record-malformed", without(label))
	}
	add("crit", "header-unexpected", set(2, []any{-70001}))
	for _, label := range []any{5, 6, 7, 16, 33, 394, 395, 396, -1, -70002, -70004, "x"} {
		add(fmt.Sprintf("label %v", label), "header-unexpected", set(label, []byte{0}))
	}
	for _, alg := range []any{-6, -9, -19, -48, 5, "EdDSA", nil, true, []byte{0}} {
		add(fmt.Sprintf("algorithm %v", alg), "algorithm-unsupported", set(1, alg))
	}
	for _, kind := range []any{0, 18, 63, 277, "application/senml+cbor", nil, true} {
		add(fmt.Sprintf("content type %v", kind), "record-malformed", set(3, kind))
	}
	for n, kid := range []any{make([]byte, 3), make([]byte, 8), "kid4", nil} {
		add(fmt.Sprintf("kid %d", n), "record-malformed", set(4, kid))
	}
	badValues(set, add)
	badPayloads(&s, add)
	return all
}

// nested is so many arrays in each other.
func nested(depth int) any {
	var value any
	for range depth {
		value = []any{value}
	}
	return value
}

func badValues(set func(label, value any) []byte, add func(name, code string, raw []byte)) {
	for n, who := range []any{map[int]any{}, map[int]any{1: "ewz"}, map[int]any{2: "m"}, map[int]any{1: "ewz", 2: "m", 7: []byte{0}},
		map[int]any{1: "ewz", 2: "m", 6: -1}, map[int]any{1: "ewz", 2: "m", 6: "now"}, map[int]any{1: "ewz", 2: "m", 6: nil}, []any{"ewz", "m"}, nil} {
		add(fmt.Sprintf("claims %d", n), "record-malformed", set(15, who))
	}
	for n, id := range []any{"", "-a", ".a", "a b", "a:b", "a/b", "\u00e9", "a\n", strings.Repeat("a", 49), []byte("a"), 1, nil} {
		add(fmt.Sprintf("organisation %d", n), "id-malformed", set(15, map[int]any{1: id, 2: "m"}))
		add(fmt.Sprintf("member %d", n), "id-malformed", set(15, map[int]any{1: "ewz", 2: id}))
		add(fmt.Sprintf("device %d", n), "id-malformed", set(-70003, id))
	}
	for n, position := range []any{[]any{}, []any{0}, []any{0, 0, make([]byte, 8), 0}, []any{-1, 0}, []any{0, -1}, []any{uint64(1) << 32, 0},
		[]any{0, uint64(1) << 53}, []any{true, 0}, []any{0, "0"}, []any{0, 0, make([]byte, 7)}, []any{0, 0, make([]byte, 9)}, []any{0, 0, nil}, 0, nil} {
		add(fmt.Sprintf("position %d", n), "record-malformed", set(-70001, position))
	}
}

func badPayloads(s *spec, add func(name, code string, raw []byte)) {
	say := func(name, code string, kind int, payload []byte) {
		add(name, code, with(func(s *spec) { s.contentType, s.payload = kind, payload }).build())
	}
	say("empty pack", "senml-malformed", 112, det(pack{}))
	say("pack is a map", "senml-malformed", 112, det(map[int]any{0: "e", 2: 1}))
	say("pack with a float", "cbor-unsupported", 112, unhex("81a200616502fb3ff199999999999a"))
	say("pack with a relative time", "senml-time-relative", 112, det(pack{{0: "e", 2: 1, 6: 0}}))
	say("pack with Wh but no version", "senml-unit", 112, det(pack{{0: "e", 1: "Wh", 2: 1}}))
	say("pack with percent", "senml-unit", 112, det(pack{{0: "e", 1: "%", 2: 1}}))
	say("pack without name", "senml-name", 112, det(pack{{2: 1}}))
	say("pack whose time falls", "senml-time-falling", 112, det(pack{{0: "e", 2: 1, 6: 1762340400}, {0: "e", 2: 1, 6: 1762340399}}))
	say("pack is no CBOR", "cbor-malformed", 112, []byte{0x81})
	good := []any{ledger[:8], "token", "move", map[string]any{"to": "x"}, 0}
	for index, values := range [][]any{{ledger[:7], ledger, "ledger99"}, {[]byte("token"), nil}, {1}, {[]any{}, nil, map[int]any{1: 2},
		map[string]any{"v": []byte{0}}, map[string]any{"v": nil}, map[string]any{"v": []any{map[int]any{0: 0}}},
		map[string]any{"v": cbor.Tag{Number: 4, Content: []any{-1, 5}}}}, {-1, true, "1"}} {
		for n, value := range values {
			items := append([]any{}, good...)
			items[index] = value
			say(fmt.Sprintf("call, member %d, %d", index, n), "call-malformed", 60, call(items...))
		}
	}
	say("call of four", "call-malformed", 60, call(good[:4]...))
	say("call of six", "call-malformed", 60, call(append(good, 0)...))
	say("call is a map", "call-malformed", 60, det(map[int]any{}))
	say("call with a float", "cbor-unsupported", 60, call(ledger[:8], "token", "move", map[string]any{"v": 1.5}, 0))
	for n, payload := range [][]byte{sealed(map[int]any{1: 1, 3: 112, 4: make([]byte, 16)}, make([]byte, 12), make([]byte, 40)),
		sealed(map[int]any{1: 3, 3: 16, 4: make([]byte, 16)}, make([]byte, 12), make([]byte, 40)),
		sealed(map[int]any{1: 3, 3: 112, 4: make([]byte, 4)}, make([]byte, 12), make([]byte, 40)),
		sealed(map[int]any{1: 3, 3: 112}, make([]byte, 12), make([]byte, 40)),
		sealed(sealHeader, make([]byte, 16), make([]byte, 40)), sealed(sealHeader, make([]byte, 12), make([]byte, 15)),
		det([]any{[]byte{}, map[int]any{5: make([]byte, 12)}, make([]byte, 40)}), det([]any{}), s.payload} {
		say(fmt.Sprintf("sealed %d", n), "sealed-malformed", 16, payload)
	}
	say("reading said to be sealed", "sealed-malformed", 16, s.payload)
	say("reading said to be a call", "call-malformed", 60, s.payload)
}
