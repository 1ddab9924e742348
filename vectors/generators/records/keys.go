// Keys: Ed25519 and P-256, their COSE_Key, kid, signatures, and proofs of possession.
package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"encoding/asn1"
	"math/big"

	"filippo.io/edwards25519"
	"github.com/veraison/go-cose"
)

var order = elliptic.P256().Params().N

type key struct {
	alg    int
	secret []byte // 32 bytes: seed or scalar
	highS  bool
}

var (
	worked = key{-8, sequence(0, 32), false} // the secret key of the worked record
	other  = key{-8, sequence(1, 33), false}
	nist   = key{-7, sha([]byte("drystone vectors es256")), false}
	nistHi = key{-7, nist.secret, true}
)

func sequence(from, to byte) []byte {
	var out []byte
	for b := from; b < to; b++ {
		out = append(out, b)
	}
	return out
}

func (k key) ed25519() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(k.secret) }

func (k key) ecdsa() *ecdsa.PrivateKey {
	private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), k.secret)
	check(err)
	return private
}

func (k key) coseKey() []byte {
	if k.alg == -8 {
		return okp(k.ed25519().Public().(ed25519.PublicKey))
	}
	point, err := k.ecdsa().PublicKey.Bytes() // 4 | x | y
	check(err)
	return ec2(point[1:33], point[33:])
}

func okp(x []byte) []byte    { return det(map[int]any{1: 1, -1: 6, -2: x}) }
func ec2(x, y []byte) []byte { return det(map[int]any{1: 2, -1: 1, -2: x, -3: y}) }

func (k key) kid() []byte { return sha(k.coseKey())[:4] }

func (k key) sign(message []byte) []byte {
	if k.alg == -8 {
		return ed25519.Sign(k.ed25519(), message)
	}
	der, err := k.ecdsa().Sign(nil, sha(message), crypto.SHA256) // RFC 6979
	check(err)
	var parts struct{ R, S *big.Int }
	_, err = asn1.Unmarshal(der, &parts)
	check(err)
	twin := new(big.Int).Sub(order, parts.S)
	if (parts.S.Cmp(twin) > 0) != k.highS {
		parts.S = twin
	}
	return join(parts.R.FillBytes(make([]byte, 32)), parts.S.FillBytes(make([]byte, 32)))
}

// checkSign1 lets go-cose read a message and verify its signature.
func (k key) checkSign1(data, external []byte) {
	var verifier cose.Verifier
	var err error
	if k.alg == -8 {
		verifier, err = cose.NewVerifier(cose.AlgorithmEdDSA, k.ed25519().Public())
	} else {
		verifier, err = cose.NewVerifier(cose.AlgorithmES256, k.ecdsa().Public())
	}
	check(err)
	var message cose.Sign1Message
	check(message.UnmarshalCBOR(data))
	check(message.Verify(external, verifier))
}

func sigStructure(protected, external, payload []byte) []byte {
	return det([]any{"Signature1", protected, join(external), payload})
}

// sign1 puts a COSE_Sign1 together from items as they are.
func sign1(protected, unprotected, payload, signature []byte) []byte {
	return join([]byte{0xd2, 0x84}, protected, unprotected, payload, signature)
}

var empty = []byte{0xa0}

// message is a signed COSE_Sign1 with an empty unprotected header.
func (k key) message(protected, external, payload []byte) []byte {
	return sign1(bstr(protected), empty, bstr(payload), bstr(k.sign(sigStructure(protected, external, payload))))
}

// --- vectors

type keyVector struct {
	Name   string `json:"name"`
	Key    bin    `json:"key,omitzero"`
	Alg    int    `json:"alg,omitempty"`
	Secret bin    `json:"secret,omitzero"`
	Kid    bin    `json:"kid,omitzero"`
	Proof  bin    `json:"proof,omitzero"`
	Iss    string `json:"iss,omitempty"`
	Sub    string `json:"sub,omitempty"`
	Ledger bin    `json:"ledger,omitzero"`
	Error  string `json:"error,omitempty"`
}

var ledger = sha([]byte("drystone vectors ledger"))

func proofHeader(k key, iss, sub string) map[any]any {
	return map[any]any{1: k.alg, 3: 60, 4: k.kid(), 15: map[int]any{1: iss, 2: sub}}
}

func (k key) proof(header map[any]any, ledger []byte) []byte {
	return k.message(det(header), join([]byte("drystone/enrol/1\n"), ledger), k.coseKey())
}

func keyVectors() []keyVector {
	var all []keyVector
	for _, k := range []key{worked, other, nist} {
		all = append(all, keyVector{Name: "key " + string(rune('a'+len(all))), Key: k.coseKey(), Alg: k.alg, Secret: k.secret, Kid: k.kid()})
	}
	bad := func(name string, data []byte) {
		all = append(all, keyVector{Name: name, Key: data, Error: "key-malformed"})
	}
	raw := []byte(worked.ed25519().Public().(ed25519.PublicKey))
	x, y := nist.coseKey()[8:40], nist.coseKey()[43:]
	p := elliptic.P256().Params().P
	for _, encoding := range smallOrder() {
		bad("small order "+bin(encoding).short(), okp(encoding))
	}
	mixed := new(edwards25519.Point).Add(point(raw), point(torsion8))
	bad("torsion part", okp(mixed.Bytes()))
	bad("y not reduced", okp(littleEndian(new(big.Int).Add(fieldPrime, big.NewInt(3)))))
	bad("off the curve", okp(littleEndian(big.NewInt(2))))
	bad("31 bytes", okp(raw[:31]))
	bad("33 bytes", okp(append(bytes.Clone(raw), 0)))
	bad("curve X25519", det(map[int]any{1: 1, -1: 4, -2: raw}))
	bad("with algorithm", det(map[int]any{1: 1, 3: -8, -1: 6, -2: raw}))
	bad("with kid", det(map[int]any{1: 1, 2: []byte("k"), -1: 6, -2: raw}))
	bad("with private part", det(map[int]any{1: 1, -1: 6, -2: raw, -4: worked.secret}))
	bad("without curve", det(map[int]any{1: 1, -2: raw}))
	bad("labels out of order", join(unhex("a30101215820"), raw, unhex("2006")))
	bad("trailing byte", append(okp(raw), 0))
	bad("P-256, compressed", det(map[int]any{1: 2, -1: 1, -2: x, -3: true}))
	bad("P-256, off the curve", ec2(x, x))
	bad("P-256, x not reduced", ec2(p.Bytes(), y))
	bad("P-256, zero", ec2(make([]byte, 32), make([]byte, 32)))
	bad("P-384", det(map[int]any{1: 2, -1: 2, -2: x, -3: y}))
	bad("secp256k1", det(map[int]any{1: 2, -1: 8, -2: x, -3: y}))
	bad("nothing", []byte{0xa0})
	return append(all, proofVectors()...)
}

func proofVectors() []keyVector {
	var all []keyVector
	add := func(name string, proof []byte, code string) {
		all = append(all, keyVector{Name: "proof: " + name, Proof: proof, Iss: "ewz", Sub: "m-004217", Ledger: ledger, Error: code})
	}
	for _, k := range []key{worked, nist, nistHi} {
		proof := k.proof(proofHeader(k, "ewz", "m-004217"), ledger)
		k.checkSign1(proof, join([]byte("drystone/enrol/1\n"), ledger))
		add("good "+string(rune('a'+len(all))), proof, "")
		all[len(all)-1].Key = k.coseKey()
	}
	header := func(label int, value any) map[any]any {
		h := proofHeader(worked, "ewz", "m-004217")
		h[label] = value
		return h
	}
	good := worked.proof(proofHeader(worked, "ewz", "m-004217"), ledger)
	add("for another ledger", worked.proof(proofHeader(worked, "ewz", "m-004217"), sha(ledger)), "enrolment-proof")
	add("for another member", worked.proof(proofHeader(worked, "ewz", "m-004218"), ledger), "enrolment-proof")
	add("for another organisation", worked.proof(proofHeader(worked, "ewb", "m-004217"), ledger), "enrolment-proof")
	add("another algorithm", worked.proof(header(1, -7), ledger), "enrolment-proof")
	add("another content type", worked.proof(header(3, 112), ledger), "enrolment-proof")
	add("another kid", worked.proof(header(4, other.kid()), ledger), "enrolment-proof")
	add("a label more", worked.proof(header(-70001, []any{0, 0}), ledger), "enrolment-proof")
	add("another's key", worked.message(det(proofHeader(other, "ewz", "m-004217")),
		join([]byte("drystone/enrol/1\n"), ledger), other.coseKey()), "enrolment-proof")
	add("a flipped signature", flip(good, len(good)-1), "enrolment-proof")
	add("no external data", worked.message(det(proofHeader(worked, "ewz", "m-004217")), nil, worked.coseKey()), "enrolment-proof")
	add("unprotected kid", join(good[:2+2+int(good[3])], unhex("a10541aa"), good[2+2+int(good[3])+1:]), "enrolment-proof")
	add("tag missing", good[1:], "cose-malformed")
	add("trailing byte", append(bytes.Clone(good), 0), "cbor-malformed")
	weak := okp(make([]byte, 32))
	weakHeader := header(4, sha(weak)[:4])
	add("key of small order", worked.message(det(weakHeader), join([]byte("drystone/enrol/1\n"), ledger), weak), "key-malformed")
	return all
}

func flip(data []byte, index int) []byte {
	out := bytes.Clone(data)
	out[index] ^= 1
	return out
}
