// Who plays: nodes, witnesses, devices, and the trust files that name them.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/json"
	"math/big"
)

var (
	nodeA    = newSigner(origin, "node a")
	nodeB    = newSigner(origin, "node b")
	nodeC    = newSigner(origin, "node c")
	stranger = newSigner(origin, "stranger")
	witness1 = newSigner("witness.example/one", "witness one")
	witness2 = newSigner("witness.example/two", "witness two")

	// The worked record of formats.md: secret key 00..1f.
	meter   = member{iss: "ewz", sub: "m-004217", alg: -8, key: fromSeed("", counting())}
	meter2  = member{iss: "ewz", sub: "m-000002", alg: -8, key: newSigner("", "meter 2")}
	gateway = member{iss: "ewz", sub: "gw-01", alg: -8, key: newSigner("", "gateway")}
	module  = member{iss: "ewz", sub: "module-7", alg: -7, es256: p256("module")}
	module2 = member{iss: "ewz", sub: "module-7", alg: -7, es256: p256("module"), highS: true}

	ledgerID = sha([]byte("the ledger's genesis block entry"))
)

func counting() []byte {
	seed := make([]byte, 32)
	for i := range seed {
		seed[i] = byte(i)
	}
	return seed
}

func p256(seed string) *ecdsa.PrivateKey {
	curve := elliptic.P256()
	secret := &ecdsa.PrivateKey{D: new(big.Int).SetBytes(sha([]byte(seed)))}
	secret.Curve = curve
	secret.X, secret.Y = curve.ScalarBaseMult(secret.D.Bytes())
	return secret
}

func trustFile(members map[string]any) string {
	data, err := json.Marshal(members)
	check(err)
	return string(data)
}

func trustOf(origin string, need int, nodes ...signer) map[string]any {
	keys := []string{}
	for _, node := range nodes {
		keys = append(keys, node.vkey(1))
	}
	return map[string]any{"drystone-trust": 1, "origin": origin, "ledger": hexed(ledgerID),
		"nodes": keys, "need": need}
}

func with(members map[string]any, more map[string]any) map[string]any {
	for name, value := range more {
		members[name] = value
	}
	return members
}

var trusts = map[string]string{
	"one": trustFile(trustOf(origin, 1, nodeA)),
	"two-of-three": trustFile(with(trustOf(origin, 2, nodeA, nodeB, nodeC), map[string]any{
		"witnesses": []string{witness1.vkey(4), witness2.vkey(4)}, "need-witnesses": 1})),
	"two-witnesses": trustFile(with(trustOf(origin, 1, nodeA), map[string]any{
		"witnesses": []string{witness1.vkey(4), witness2.vkey(4)}, "need-witnesses": 2})),
	"witness-optional": trustFile(with(trustOf(origin, 1, nodeA), map[string]any{
		"witnesses": []string{witness1.vkey(4)}})),
	"other-ledger": trustFile(with(trustOf(origin, 1, nodeA), map[string]any{
		"ledger": hexed(sha([]byte("another ledger")))})),
	"other-origin": trustFile(trustOf("other.example/main", 1, newSigner("other.example/main", "node a"))),
	"cometbft": trustFile(with(trustOf(origin, 1, nodeA), map[string]any{"cometbft": map[string]any{
		"chain-id": "drystone-1", "sets": []any{[]any{[]any{hexed(nodeA.public), 10}, []any{hexed(nodeB.public), 5}}}}})),
}
