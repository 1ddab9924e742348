// Vectors for trust files: one good, the others each with one thing wrong.
package main

import (
	"encoding/base64"
	"fmt"
	"strings"
)

type trustVector struct {
	Name   string         `json:"name"`
	Trust  string         `json:"trust"`
	Error  string         `json:"error,omitempty"`
	Expect map[string]any `json:"expect,omitempty"`
}

func trustVectors() []trustVector {
	var out []trustVector
	for _, name := range sortedNames(trusts) {
		out = append(out, trustVector{Name: name, Trust: trusts[name], Expect: trustExpect[name]})
	}
	base := trusts["one"]
	out = append(out, trustVector{Name: "white space and escapes as JSON allows", Expect: trustExpect["one"],
		Trust: " \t\r\n" + strings.Replace(base, `"origin"`, `"\u006frigin" `, 1) + "\n"})
	bad := func(name, text string) {
		out = append(out, trustVector{Name: name, Trust: text, Error: "trust-malformed"})
	}
	edit := func(name, old, new string) {
		text := strings.Replace(base, old, new, 1)
		if text == base {
			panic(name)
		}
		bad(name, text)
	}
	change := func(name string, more map[string]any) {
		bad(name, trustFile(with(trustOf(origin, 1, nodeA, nodeB), more)))
	}
	bad("nothing", "")
	bad("no object", "[]")
	bad("no JSON", "{")
	bad("a byte order mark", "\ufeff"+base)
	bad("something after the end", base+"{}")
	bad("a trailing comma", strings.Replace(base, "}", ",}", 1))
	bad("a comment", base+"// trust me")
	bad("ten thousand brackets", strings.Repeat("[", 10_000))
	edit("an unknown member", "{", `{"note":"x",`)
	edit("a member twice", "{", `{"need":1,`)
	edit("a member twice, once escaped", "{", `{"n\u0065ed":1,`)
	for _, name := range []string{"drystone-trust", "origin", "ledger", "nodes", "need"} {
		members := trustOf(origin, 1, nodeA)
		delete(members, name)
		bad("no member "+name, trustFile(members))
	}
	edit("version 2", `"drystone-trust":1`, `"drystone-trust":2`)
	edit("version true", `"drystone-trust":1`, `"drystone-trust":true`)
	edit("version 1.0", `"drystone-trust":1`, `"drystone-trust":1.0`)
	edit("a need of 1e0", `"need":1`, `"need":1e0`)
	edit("a need of 01", `"need":1`, `"need":01`)
	edit("a need of none", `"need":1`, `"need":0`)
	edit("a negative need", `"need":1`, `"need":-1`)
	edit("a need that cannot be met", `"need":1`, `"need":2`)
	edit("a need that is text", `"need":1`, `"need":"1"`)
	edit("a need that is null", `"need":1`, `"need":null`)
	edit("a need of not a number", `"need":1`, `"need":NaN`)
	edit("a need of twenty digits", `"need":1`, `"need":10000000000000000000`)
	edit("a single quote", `"need"`, `'need'`)
	edit("a control character in text", origin, "ledger\x01example/main")
	edit("a lone surrogate in text", `"origin":"ledger`, `"origin":"\ud800ledger`)
	edit("an unknown escape", `"origin":"ledger`, `"origin":"\x6cedger`)
	edit("an empty origin", `"origin":"`+origin+`"`, `"origin":""`)
	edit("an origin that is a number", `"origin":"`+origin+`"`, `"origin":1`)
	edit("an origin that the nodes' keys do not carry", `"origin":"`+origin+`"`, `"origin":"other.example/main"`)
	edit("a ledger that is a number", `"`+hexed(ledgerID)+`"`, "1")
	edit("a ledger in capitals", hexed(ledgerID), strings.ToUpper(hexed(ledgerID)))
	edit("a ledger of 31 bytes", hexed(ledgerID), hexed(ledgerID[:31]))
	edit("a ledger that is no hexadecimal", hexed(ledgerID), strings.Repeat("g", 64))
	change("no node", map[string]any{"nodes": []string{}})
	change("nodes that are no list", map[string]any{"nodes": nodeA.vkey(1)})
	change("a node that is a number", map[string]any{"nodes": []any{1}})
	change("a node twice", map[string]any{"nodes": []string{nodeA.vkey(1), nodeA.vkey(1)}})
	change("a witness key among the nodes", map[string]any{"nodes": []string{nodeA.vkey(4)}})
	many := []string{}
	for i := range 65 {
		many = append(many, newSigner(origin, fmt.Sprint(i)).vkey(1))
	}
	change("sixty-five nodes", map[string]any{"nodes": many})
	change("a key without an id", map[string]any{"nodes": []string{strings.Replace(nodeA.vkey(1), "+", "", 1)}})
	change("an id that is not the key's", map[string]any{"nodes": []string{strings.Replace(nodeA.vkey(1), fmt.Sprintf("%08x", nodeA.keyID(1)), "00000000", 1)}})
	change("an id in capitals", map[string]any{"nodes": []string{strings.Replace(nodeA.vkey(1), fmt.Sprintf("%08x", nodeA.keyID(1)), strings.ToUpper(fmt.Sprintf("%08x", nodeA.keyID(1))), 1)}})
	change("a key of 31 bytes", map[string]any{"nodes": []string{vkeyOf(origin, 1, nodeA.public[:31])}})
	change("an ML-DSA key", map[string]any{"nodes": []string{vkeyOf(origin, 6, make([]byte, 1312))}})
	change("a key of small order", map[string]any{"nodes": []string{vkeyOf(origin, 1, append([]byte{1}, make([]byte, 31)...))}})
	change("a key that is not on the curve", map[string]any{"nodes": []string{vkeyOf(origin, 1, append([]byte{2}, make([]byte, 31)...))}})
	change("a key that is not canonical", map[string]any{"nodes": []string{vkeyOf(origin, 1, notCanonical())}})
	change("a key with a torsion part", map[string]any{"nodes": []string{vkeyOf(origin, 1, torsion())}})
	w := witness1.vkey(4)
	change("a node key among the witnesses", map[string]any{"witnesses": []string{witness1.vkey(1)}})
	change("a witness twice", map[string]any{"witnesses": []string{w, w}})
	sameName := newSigner(witness1.name, "another key")
	change("two witnesses of one name", map[string]any{"witnesses": []string{w, sameName.vkey(4)}})
	sameKey := fromSeed("witness.example/three", witness1.seed)
	change("one witness key under two names", map[string]any{"witnesses": []string{w, sameKey.vkey(4)}})
	asNode := fromSeed("witness.example/three", nodeA.seed)
	change("a node's key as a witness", map[string]any{"witnesses": []string{asNode.vkey(4)}})
	change("more witnesses needed than listed", map[string]any{"witnesses": []string{w}, "need-witnesses": 2})
	change("witnesses needed, none listed", map[string]any{"need-witnesses": 1})
	change("witnesses that are null", map[string]any{"witnesses": nil})
	badComet(change)
	return out
}

func badComet(change func(string, map[string]any)) {
	comet := func(name string, value any) { change(name, map[string]any{"cometbft": value}) }
	pair := []any{hexed(nodeA.public), 10}
	comet("cometbft that is null", nil)
	comet("cometbft without sets", map[string]any{"chain-id": "x"})
	comet("cometbft with another member", map[string]any{"chain-id": "x", "sets": []any{[]any{pair}}, "y": 1})
	comet("a chain id of 51 characters", map[string]any{"chain-id": strings.Repeat("x", 51), "sets": []any{[]any{pair}}})
	comet("an empty chain id", map[string]any{"chain-id": "", "sets": []any{[]any{pair}}})
	comet("a chain id beyond ASCII", map[string]any{"chain-id": "gr\u00fcn", "sets": []any{[]any{pair}}})
	comet("a chain id that is a number", map[string]any{"chain-id": 1, "sets": []any{[]any{pair}}})
	comet("no validator set", map[string]any{"chain-id": "x", "sets": []any{}})
	comet("sets that are no list", map[string]any{"chain-id": "x", "sets": map[string]any{}})
	comet("sets that are a number", map[string]any{"chain-id": "x", "sets": 1})
	comet("a validator that is a map", map[string]any{"chain-id": "x", "sets": []any{[]any{
		map[string]any{"key": pair[0], "power": 1}}}})
	comet("an empty validator set", map[string]any{"chain-id": "x", "sets": []any{[]any{}}})
	comet("a set that is no list", map[string]any{"chain-id": "x", "sets": []any{1}})
	comet("a validator without power", map[string]any{"chain-id": "x", "sets": []any{[]any{pair[:1]}}})
	comet("a validator that is no pair", map[string]any{"chain-id": "x", "sets": []any{[]any{"x"}}})
	comet("a validator with power 0", map[string]any{"chain-id": "x", "sets": []any{[]any{[]any{pair[0], 0}}}})
	comet("a validator with power true", map[string]any{"chain-id": "x", "sets": []any{[]any{[]any{pair[0], true}}}})
	comet("a validator twice", map[string]any{"chain-id": "x", "sets": []any{[]any{pair, pair}}})
	comet("a validator's key of 31 bytes", map[string]any{"chain-id": "x", "sets": []any{[]any{[]any{hexed(nodeA.public[:31]), 1}}}})
	comet("powers beyond 2**60", map[string]any{"chain-id": "x", "sets": []any{[]any{
		[]any{hexed(nodeA.public), 1 << 60}, []any{hexed(nodeB.public), 1}}}})
}

var trustExpect = map[string]map[string]any{
	"one":              {"origin": origin, "nodes": 1, "need": 1, "witnesses": 0, "need_witnesses": 0},
	"two-of-three":     {"origin": origin, "nodes": 3, "need": 2, "witnesses": 2, "need_witnesses": 1},
	"two-witnesses":    {"origin": origin, "nodes": 1, "need": 1, "witnesses": 2, "need_witnesses": 2},
	"witness-optional": {"origin": origin, "nodes": 1, "need": 1, "witnesses": 1, "need_witnesses": 0},
	"other-ledger":     {"origin": origin, "nodes": 1, "need": 1, "witnesses": 0, "need_witnesses": 0},
	"other-origin":     {"origin": "other.example/main", "nodes": 1, "need": 1, "witnesses": 0, "need_witnesses": 0},
	"cometbft":         {"origin": origin, "nodes": 1, "need": 1, "witnesses": 0, "need_witnesses": 0},
}

// vkeyOf spells a key of any type and length.
func vkeyOf(name string, kind byte, key []byte) string {
	data := append(append([]byte(name+"\n"), kind), key...)
	encoded := base64.StdEncoding.EncodeToString(append([]byte{kind}, key...))
	return fmt.Sprintf("%s+%x+%s", name, sha(data)[:4], encoded)
}

// notCanonical is y = 2**255 - 19 + 3, which is the point with y = 3 to a lenient reader.
func notCanonical() []byte {
	key := make([]byte, 32)
	for i := range key {
		key[i] = 0xff
	}
	key[0], key[31] = 0xf0, 0x7f
	return key
}
