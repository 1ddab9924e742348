// Vectors whose note, record or key is wrong.
package main

import (
	"bytes"
	"crypto/elliptic"
	"strings"

	"github.com/fxamacker/cbor/v2"
)

type tag4 struct{ exponent, mantissa int }

// MarshalCBOR writes a decimal fraction.
func (t tag4) MarshalCBOR() ([]byte, error) {
	return det(cbor.Tag{Number: 4, Content: []int{t.exponent, t.mantissa}}), nil
}

func badNotes(bad func(name, code, trust string, file []byte)) {
	s := newScene()
	entry := s.records["worked"].entry
	root := s.log.root(3)
	text := checkpoint(origin, 3, root)
	noted := func(name, code, trust, signed string) {
		r := s.good("worked")
		r.finality = []any{1, signed}
		bad(name, code, trust, s.statement("worked", r))
	}
	a, b, c := nodeA.nodeLine(text), nodeB.nodeLine(text), nodeC.nodeLine(text)
	w1, w2 := witness1.witnessLine(text, 1762340460), witness2.witnessLine(text, 1762340461)
	unknown := stranger.nodeLine(text)
	lines := func(l ...line) string { return signedNote(text, ordered(l)...) }

	noted("a note signed by a stranger alone", "receipt-untrusted", "one", lines(unknown))
	noted("a stranger's line beside a good one", "receipt-untrusted", "one", lines(a, unknown))
	noted("a second node that the trust file does not list", "receipt-untrusted", "one", lines(a, b))
	noted("a witness that the trust file does not list", "receipt-untrusted", "one", lines(a, w1))
	noted("one of two needed nodes", "receipt-untrusted", "two-of-three", lines(a, w1))
	noted("witnesses do not count as nodes", "receipt-untrusted", "two-of-three", lines(a, w1, w2))
	noted("nodes do not count as witnesses", "receipt-untrusted", "two-of-three", lines(a, b, c))
	noted("one of two needed witnesses", "receipt-untrusted", "two-witnesses", lines(a, w1))
	noted("one node twice does not make two", "note-malformed", "two-of-three", lines(a, a, w1))
	noted("one witness twice, at two times", "note-malformed", "two-witnesses",
		lines(a, w1, witness1.witnessLine(text, 1762340470)))
	noted("lines in another order", "note-malformed", "two-of-three", func() string {
		all := ordered([]line{a, b, w1})
		return signedNote(text, all[2], all[0], all[1])
	}())
	noted("no signature line", "note-malformed", "one", text+"\n")
	noted("no blank line", "note-malformed", "one", text+a.String())
	noted("nothing after the last line", "note-malformed", "one", strings.TrimSuffix(lines(a), "\n"))
	noted("an empty note", "note-malformed", "one", "")
	noted("a hyphen instead of the dash", "note-malformed", "one", strings.Replace(lines(a), "\u2014", "-", 1))
	noted("two spaces before the signature", "note-malformed", "one", strings.Replace(lines(a), origin+" ", origin+"  ", 1))
	noted("a carriage return", "note-malformed", "one", strings.Replace(lines(a), "\n", "\r\n", 1))
	noted("base64 without padding", "note-malformed", "one", strings.ReplaceAll(lines(a), "=\n", "\n"))
	noted("base64 with stray bits in a signature", "note-malformed", "one", stray(lines(a)))
	noted("a note signature with a bit flipped", "note-malformed", "one", func() string {
		blob := append([]byte{}, a.blob...)
		blob[10] ^= 1
		return lines(line{a.name, blob})
	}())
	noted("a note signature with S above the order", "note-malformed", "one", func() string {
		blob := append([]byte{}, a.blob...)
		return lines(line{a.name, append(blob[:4:4], addOrder(blob[4:])...)})
	}())
	noted("a signature over another text", "note-malformed", "one",
		lines(nodeA.nodeLine(checkpoint(origin, 4, root))))
	noted("a cosignature of another time", "note-malformed", "two-witnesses", func() string {
		blob := append([]byte{}, w1.blob...)
		blob[11] ^= 1
		return lines(a, line{w1.name, blob}, w2)
	}())
	noted("a witness that signed like a node", "note-malformed", "two-witnesses", func() string {
		plain := witness1.nodeLine(text)
		return lines(a, line{w1.name, append(append([]byte{}, w1.blob[:4]...), plain.blob[4:]...)}, w2)
	}())
	noted("a node that signed like a witness", "note-malformed", "one", func() string {
		like := nodeA.witnessLine(text, 1762340460)
		return lines(line{a.name, append(append([]byte{}, a.blob[:4]...), like.blob[4:]...)})
	}())

	other := func(name, code, changed string) {
		noted(name, code, "one", signedNote(changed, nodeA.nodeLine(changed)))
	}
	other("a checkpoint of another log under our key", "receipt-untrusted", checkpoint("other.example/main", 3, root))
	other("a checkpoint with another root", "proof-invalid", checkpoint(origin, 3, sha(nil)))
	other("a checkpoint of another size", "receipt-mismatch", checkpoint(origin, 4, root))
	other("a checkpoint with an extension line", "note-malformed", text+"extension\n")
	other("a checkpoint without a root", "note-malformed", origin+"\n3\n")
	other("a size with a leading zero", "note-malformed", strings.Replace(text, "\n3\n", "\n03\n", 1))
	other("a negative size", "note-malformed", strings.Replace(text, "\n3\n", "\n-3\n", 1))
	other("a size beyond 63 bits", "note-malformed", strings.Replace(text, "\n3\n", "\n9223372036854775808\n", 1))
	other("a root of 31 bytes", "note-malformed", checkpoint(origin, 3, root[:31]))
	wrongEntry := s.log.receiptFor(entry, 1, 3, []signer{nodeA})
	changed := attach(s.records["worked"].raw, map[int]any{394: []any{wrongEntry.build()}})
	changed[len(changed)-1] ^= 1
	bad("a bit flipped in the record's signature", "proof-invalid", "one", changed)
}

// stray sets a bit in base64 that no byte uses.
func stray(text string) string {
	at := strings.LastIndex(text, "=")
	digits := "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	for text[at-1] == '=' {
		at--
	}
	digit := strings.IndexByte(digits, text[at-1])
	return text[:at-1] + string(digits[digit|1]) + text[at:]
}

// badRecords are records that a dishonest node put into its log and signed for.
func badRecords(bad func(name, code, trust string, file []byte)) {
	s := newScene()
	add := func(name string, spec recordSpec) {
		s.add(name, spec.build())
	}
	reading := func(payload []byte) recordSpec {
		return recordSpec{member: meter, seq: 1, contentType: 112, payload: payload}
	}
	call := func(ledger []byte) recordSpec {
		payload := det([]any{ledger, "registry", "enrol", map[string]any{}, 0})
		return recordSpec{member: meter, seq: 1, contentType: 60, payload: payload}
	}
	extra := reading(workedPayload)
	extra.extra = map[any]any{16: "reading"}
	badID := reading(workedPayload)
	badID.member.sub = "m 1"
	codes := []struct {
		name, code string
		spec       recordSpec
	}{
		{"a call for another ledger", "receipt-mismatch", call(sha([]byte("another"))[:8])},
		{"a call that names no ledger", "call-malformed", call([]byte{1})},
		{"a record with a label that no record has", "header-unexpected", extra},
		{"a record whose sender is no id", "id-malformed", badID},
		{"a reading with a relative time", "senml-time-relative", reading(senml(map[any]any{0: "e", 2: 1, 6: 5}))},
		{"a reading that is no pack", "senml-malformed", reading(det(map[int]any{0: "e"}))},
		{"a block entry as a record", "senml-malformed", reading(s.last.entry)},
		{"a sealed record without seal", "sealed-malformed", recordSpec{member: meter, contentType: 16, payload: det([]any{})}},
		{"a record of an unknown content type", "record-malformed", recordSpec{member: meter, contentType: 61, payload: det(1)}},
	}
	for i, c := range codes {
		add(string(rune('a'+i)), c.spec)
	}
	s.last = s.close()
	for i, c := range codes {
		name := string(rune('a' + i))
		bad(c.name, c.code, "one", s.statement(name, s.good(name)))
	}
	s.records["stolen"] = recordSpec{member: meter, seq: 2, contentType: 112, payload: workedPayload}.build()
	r := s.good("a")
	bad("another record's receipt", "proof-invalid", "one", s.statement("stolen", r))
	blockReceipt := s.log.receiptFor(s.last.entry, s.last.index, s.log.size, []signer{nodeA})
	bad("a block entry's receipt for a record", "proof-invalid", "one", s.statement("stolen", blockReceipt))
	s3 := newScene()
	empty := reading(workedPayload).build()
	empty.raw = bytes.Replace(empty.raw, append([]byte{0x58, byte(len(workedPayload))}, workedPayload...), []byte{0xf6}, 1)
	empty.entry = sha(empty.raw)
	s3.add("empty", empty)
	bad("a record without its payload", "receipt-malformed", "one", s3.statement("empty", s3.good("empty")))
	genuine := call(ledgerID[:8])
	s2 := newScene()
	s2.add("call", genuine.build())
	bad("a call replayed on another ledger", "receipt-mismatch", "other-ledger", s2.statement("call", s2.good("call")))
}

// badKeys are good statements with a key that proves nothing.
func badKeys(out *[]vector) {
	s := newScene()
	forged := recordSpec{member: meter, seq: 7, contentType: 112, payload: workedPayload}.build()
	forged.raw[len(forged.raw)-1] ^= 1
	forged.entry = sha(forged.raw)
	s.add("forged", forged)
	impostor := meter2
	impostor.sub = "m-004217" // another key under the same name, kid its own
	s.add("impostor", recordSpec{member: impostor, seq: 8, contentType: 112, payload: workedPayload}.build())
	s.state[stateKey(3, "ewz", "m-004217", impostor.kid())] = det([]any{meter.coseKey(), 0})
	twin := recordSpec{member: module, seq: 9, contentType: 112, payload: workedPayload}
	s.add("es256", twin.build())
	rowless := member{iss: "ewz", sub: "rowless", alg: -8, key: newSigner("", "rowless")}
	s.add("rowless", recordSpec{member: rowless, seq: 1, contentType: 112, payload: workedPayload}.build())
	s.state[rowless.keyState()] = det("no row")
	garbled := member{iss: "ewz", sub: "garbled", alg: -8, key: newSigner("", "garbled")}
	s.add("garbled", recordSpec{member: garbled, seq: 1, contentType: 112, payload: workedPayload}.build())
	s.state[garbled.keyState()] = []byte{0xff}
	mixed := member{iss: "ewz", sub: "mixed", alg: -8, key: newSigner("", "mixed")}
	mixedRecord := recordSpec{member: mixed, seq: 1, contentType: 112, payload: workedPayload,
		extra: map[any]any{1: -7}}
	s.add("mixed", mixedRecord.build())
	s.state[mixed.keyState()] = det([]any{mixed.coseKey(), 0})
	stale := member{iss: "ewz", sub: "unkeyed", alg: -8, key: newSigner("", "unkeyed")}
	s.add("unkeyed", recordSpec{member: stale, seq: 1, contentType: 112, payload: workedPayload}.build())
	broken := member{iss: "ewz", sub: "broken", alg: -8, key: newSigner("", "broken")}
	s.add("broken", recordSpec{member: broken, seq: 1, contentType: 112, payload: workedPayload}.build())
	s.state[broken.keyState()] = det([]any{broken.coseKey()[1:], 0})
	extended := member{iss: "ewz", sub: "extended", alg: -8, key: newSigner("", "extended")}
	s.add("extended", recordSpec{member: extended, seq: 1, contentType: 112, payload: workedPayload}.build())
	s.state[extended.keyState()] = det([]any{extended.coseKey(), true})
	cheat := func(name string, m member, seq int, signature []byte) {
		made := recordSpec{member: m, seq: seq, contentType: 112, payload: workedPayload}.build()
		copy(made.raw[len(made.raw)-64:], signature)
		made.entry = sha(made.raw)
		s.add(name, made)
	}
	last := func(m member, seq int) []byte {
		raw := recordSpec{member: m, seq: seq, contentType: 112, payload: workedPayload}.build().raw
		return bytes.Clone(raw[len(raw)-64:])
	}
	forgedES256 := last(module, 10)
	forgedES256[40] ^= 1
	cheat("es256-forged", module, 10, forgedES256)
	cheat("es256-r-zero", module, 11, append(make([]byte, 32), last(module, 11)[32:]...))
	order := elliptic.P256().Params().N
	cheat("es256-s-order", module, 12, append(last(module, 12)[:32], order.FillBytes(make([]byte, 32))...))
	cheat("eddsa-s", meter, 13, addOrder(last(meter, 13)))
	// Under the neutral element as key, R = S * B verifies for every message: here S is 1.
	neutral := append([]byte{1}, make([]byte, 31)...)
	anything := append(bytes.Clone(basePoint), neutral...)
	weak := func(name string, public []byte) member {
		return member{iss: "ewz", sub: name, alg: -8, key: signer{public: public, secret: meter.key.secret}}
	}
	for _, m := range []member{weak("neutral", neutral), weak("crooked", notCanonical())} {
		s.state[m.keyState()] = det([]any{m.coseKey(), 0})
		made := recordSpec{member: m, seq: 1, contentType: 112, payload: workedPayload, extra: map[any]any{}}.build()
		copy(made.raw[len(made.raw)-64:], anything)
		made.entry = sha(made.raw)
		s.add(m.sub, made)
	}
	s.last = s.close()
	bad := func(name, code, of string, key []byte) {
		*out = append(*out, vector{name, "one", hexed(s.statement(of, s.good(of))), hexed(key), code, nil})
	}
	bad("a record whose own signature is bad, in the log all the same", "signature-invalid", "forged", s.point(meter.keyState()))
	bad("an ES256 signature that is bad", "signature-invalid", "es256-forged", s.point(module.keyState()))
	bad("an ES256 signature with r of zero", "signature-malformed", "es256-r-zero", s.point(module.keyState()))
	bad("an ES256 signature with s of the order", "signature-malformed", "es256-s-order", s.point(module.keyState()))
	bad("a record's signature with S above the order", "signature-malformed", "eddsa-s", s.point(meter.keyState()))
	bad("a device's key of small order, under which everything verifies", "key-malformed", "neutral",
		s.point(weak("neutral", neutral).keyState()))
	bad("a device's key that is not canonical", "key-malformed", "crooked",
		s.point(weak("crooked", notCanonical()).keyState()))
	bad("another device's key", "receipt-mismatch", "worked", s.point(meter2.keyState()))
	bad("a stream's point instead of a key's", "receipt-mismatch", "worked", s.point(stateKey(0, "origin")))
	bad("a registry row with another key under this kid", "receipt-mismatch", "impostor",
		s.point(stateKey(3, "ewz", "m-004217", impostor.kid())))
	bad("a key that is proved not to be there", "receipt-mismatch", "unkeyed", s.point(stale.keyState()))
	bad("a registry row that is none", "receipt-malformed", "rowless", s.point(rowless.keyState()))
	bad("a registry row that is no CBOR", "receipt-malformed", "garbled", s.point(garbled.keyState()))
	bad("a registry row with a status that is no number", "receipt-malformed", "extended", s.point(extended.keyState()))
	bad("a registry row without a COSE_Key", "key-malformed", "broken", s.point(broken.keyState()))
	bad("a record that names another algorithm than its key's", "key-mismatch", "mixed", s.point(mixed.keyState()))
	bad("a key point that is no point", "receipt-malformed", "worked", det([]any{1, 2}))
	good := s.point(meter.keyState())
	good[len(good)-1] ^= 1
	bad("a key point whose receipt is bad", "signature-invalid", "worked", good)
}
