// Signatures: every class of point and scalar that libraries are known to disagree about.
package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"math/big"
	"sort"

	"filippo.io/edwards25519"
)

type signatureVector struct {
	Name      string `json:"name"`
	Key       bin    `json:"key"`
	Message   bin    `json:"message"`
	Signature bin    `json:"signature"`
	Equation  *bool  `json:"equation,omitempty"`
	KeyError  string `json:"key_error,omitempty"`
	Error     string `json:"error,omitempty"`
}

var (
	fieldPrime = new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	groupOrder = func() *big.Int {
		tail, _ := new(big.Int).SetString("27742317777372353535851937790883648493", 10)
		return tail.Add(tail, new(big.Int).Lsh(big.NewInt(1), 252))
	}()
	torsion8 = unhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a") // of order 8
)

func (b bin) short() string { return hex.EncodeToString(b[:2]) + ".." + hex.EncodeToString(b[31:]) }

func littleEndian(n *big.Int) []byte {
	out := n.FillBytes(make([]byte, 32))
	for i := range 16 {
		out[i], out[31-i] = out[31-i], out[i]
	}
	return out
}

func point(encoding []byte) *edwards25519.Point {
	p, err := new(edwards25519.Point).SetBytes(encoding)
	check(err)
	return p
}

// torsion is n times a point of order 8.
func torsion(n int) *edwards25519.Point {
	sum := edwards25519.NewIdentityPoint()
	for range n {
		sum.Add(sum, point(torsion8))
	}
	return sum
}

// smallOrder is every encoding that some decoder takes for a point of small order: 8 canonical ones, 6 others.
func smallOrder() [][]byte {
	seen := map[string]bool{}
	put := func(encoding []byte) { seen[string(encoding)] = true }
	for n := range 8 {
		canonical := torsion(n).Bytes()
		put(canonical)
		for _, sign := range []byte{0, 0x80} {
			y := bytes.Clone(canonical)
			y[31] &= 0x7f
			value := new(big.Int).SetBytes(reversed(y))
			for _, spelling := range []*big.Int{value, new(big.Int).Add(value, fieldPrime)} {
				if spelling.BitLen() <= 255 {
					encoding := littleEndian(spelling)
					encoding[31] |= sign
					put(encoding)
				}
			}
		}
	}
	var all [][]byte
	for encoding := range seen {
		all = append(all, []byte(encoding))
	}
	sort.Slice(all, func(a, b int) bool { return bytes.Compare(all[a], all[b]) < 0 })
	must(len(all) == 14, "%d encodings of small order", len(all))
	return all
}

func reversed(data []byte) []byte {
	out := bytes.Clone(data)
	for i := range len(out) / 2 {
		out[i], out[len(out)-1-i] = out[len(out)-1-i], out[i]
	}
	return out
}

// canonical says that an encoding decodes and encodes to itself.
func canonical(encoding []byte) bool {
	p, err := new(edwards25519.Point).SetBytes(encoding)
	return err == nil && bytes.Equal(p.Bytes(), encoding)
}

func isSmall(encoding []byte) bool {
	p, err := new(edwards25519.Point).SetBytes(encoding)
	return err == nil && p.MultByCofactor(p).Equal(edwards25519.NewIdentityPoint()) == 1
}

func torsionFree(p *edwards25519.Point) bool {
	// (L - 1) P + P: L itself is no reduced scalar.
	less, err := new(edwards25519.Scalar).SetCanonicalBytes(littleEndian(new(big.Int).Sub(groupOrder, big.NewInt(1))))
	check(err)
	sum := new(edwards25519.Point).ScalarMult(less, p)
	return sum.Add(sum, p).Equal(edwards25519.NewIdentityPoint()) == 1
}

// judge applies the strict rule, with another library than Drystone's, to a raw key and a signature.
func judge(raw, message, signature []byte) (keyError, err string, equation bool) {
	equation = ed25519.Verify(raw, message, signature)
	keyBytes := !isSmall(raw) && (canonical(raw) || notOnCurve(raw))
	if !keyBytes || !canonical(raw) || !torsionFree(point(raw)) {
		keyError = "key-malformed"
	}
	_, scalarErr := new(edwards25519.Scalar).SetCanonicalBytes(signature[32:])
	r := signature[:32]
	switch {
	case scalarErr != nil, isSmall(r), !canonical(r) && !notOnCurve(r):
		err = "signature-malformed"
	case !keyBytes:
		err = "key-malformed"
	case !equation:
		err = "signature-invalid"
	}
	return keyError, err, equation
}

// notOnCurve says that no point has this y, whichever way it is spelled, though y itself is reduced.
func notOnCurve(encoding []byte) bool {
	_, err := new(edwards25519.Point).SetBytes(encoding)
	y := bytes.Clone(encoding)
	y[31] &= 0x7f
	return err != nil && new(big.Int).SetBytes(reversed(y)).Cmp(fieldPrime) < 0
}

func challenge(r, a, message []byte) *edwards25519.Scalar {
	digest := sha512.Sum512(join(r, a, message))
	k, err := new(edwards25519.Scalar).SetUniformBytes(digest[:])
	check(err)
	return k
}

// crafted signs with a key of secret scalar a whose encoding is given, and adds a torsion point to R.
func crafted(a *edwards25519.Scalar, keyEncoding []byte, rEncoding func(*edwards25519.Point) []byte, message []byte, nonce byte) []byte {
	wide := sha512.Sum512([]byte{nonce})
	r, err := new(edwards25519.Scalar).SetUniformBytes(wide[:])
	check(err)
	encoded := rEncoding(new(edwards25519.Point).ScalarBaseMult(r))
	k := challenge(encoded, keyEncoding, message)
	s := new(edwards25519.Scalar).MultiplyAdd(k, a, r)
	return join(encoded, s.Bytes())
}

func signatureVectors() []signatureVector {
	var all []signatureVector
	add := func(name string, raw, message, signature []byte) signatureVector {
		keyError, err, equation := judge(raw, message, signature)
		v := signatureVector{name, okp(raw), message, signature, &equation, keyError, err}
		all = append(all, v)
		return v
	}
	private := worked.ed25519()
	raw := []byte(private.Public().(ed25519.PublicKey))
	message := []byte("drystone")
	good := ed25519.Sign(private, message)
	var seeds []byte
	for n := range byte(24) {
		k := key{-8, sha([]byte{n}), false}
		seeds = append(seeds, n)
		v := add(fmt.Sprintf("ordinary %d", n), k.ed25519().Public().(ed25519.PublicKey), seeds, k.sign(seeds))
		must(v.Error == "" && v.KeyError == "", "an ordinary signature")
	}
	add("another message", raw, []byte("drystones"), good)
	add("another key", other.ed25519().Public().(ed25519.PublicKey), message, good)
	for index := 0; index < 64; index += 9 {
		add(fmt.Sprintf("byte %d flipped", index), raw, message, flip(good, index))
	}
	s := new(big.Int).SetBytes(reversed(good[32:]))
	for n, extra := range []*big.Int{groupOrder, new(big.Int).Lsh(groupOrder, 1), new(big.Int).Lsh(groupOrder, 2), new(big.Int).Lsh(groupOrder, 3)} {
		v := add(fmt.Sprintf("S + %d L", 1<<n), raw, message, join(good[:32], littleEndian(new(big.Int).Add(s, extra))))
		must(v.Error == "signature-malformed", "S + L")
	}
	for _, value := range []*big.Int{groupOrder, big.NewInt(0), new(big.Int).Sub(groupOrder, big.NewInt(1)), new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1))} {
		add("S = "+value.Text(16), raw, message, join(good[:32], littleEndian(value)))
	}
	for n := range int64(19) {
		y := littleEndian(new(big.Int).Add(fieldPrime, big.NewInt(n)))
		add(fmt.Sprintf("R is p + %d", n), raw, message, join(y, good[32:]))
		add(fmt.Sprintf("A is p + %d", n), y, message, good)
	}
	zero := make([]byte, 32)
	secret := sha512.Sum512(worked.secret)
	a, err := new(edwards25519.Scalar).SetBytesWithClamping(secret[:32])
	check(err)
	plain := func(p *edwards25519.Point) []byte { return p.Bytes() }
	for n, encoding := range smallOrder() {
		is := bin(encoding).short()
		add("R of small order "+is, raw, message, join(encoding, good[32:]))
		// S = k a with R the encoding: the equation without cofactor holds when R is the identity.
		k := challenge(encoding, raw, message)
		add("R of small order, S fits "+is, raw, message, join(encoding, new(edwards25519.Scalar).Multiply(k, a).Bytes()))
		add("A of small order "+is, encoding, message, good)
		add("A of small order, S fits "+is, encoding, message, crafted(edwards25519.NewScalar(), encoding, plain, message, byte(n)))
		add("A and R of small order, S = 0 "+is, encoding, message, join(encoding, zero))
	}
	for n := 1; n < 8; n++ {
		mixed := new(edwards25519.Point).Add(point(raw), torsion(n)).Bytes()
		for m := range byte(3) {
			text := append([]byte("drystone"), m)
			add(fmt.Sprintf("A has torsion %d, message %d", n, m), mixed, text, crafted(a, mixed, plain, text, m))
			add(fmt.Sprintf("R has torsion %d, message %d", n, m), raw, text, crafted(a, raw,
				func(p *edwards25519.Point) []byte { return new(edwards25519.Point).Add(p, torsion(n)).Bytes() }, text, m))
			add(fmt.Sprintf("A and R have torsion %d, message %d", n, m), mixed, text, crafted(a, mixed,
				func(p *edwards25519.Point) []byte { return new(edwards25519.Point).Add(p, torsion(n)).Bytes() }, text, m))
		}
	}
	for n := range int64(20) {
		y := littleEndian(big.NewInt(n + 2))
		if notOnCurve(y) {
			add(fmt.Sprintf("R off the curve, y = %d", n+2), raw, message, join(y, good[32:]))
			add(fmt.Sprintf("A off the curve, y = %d", n+2), y, message, good)
		}
	}
	return append(all, es256Vectors()...)
}

func es256Vectors() []signatureVector {
	var all []signatureVector
	message := []byte("drystone")
	add := func(name string, signer key, signature []byte, code string) {
		all = append(all, signatureVector{Name: "ES256: " + name, Key: signer.coseKey(), Message: message, Signature: signature, Error: code})
	}
	good := nist.sign(message)
	r, s := good[:32], good[32:]
	add("low S", nist, good, "")
	add("high S", nist, nistHi.sign(message), "")
	another := key{-7, sha([]byte("another")), false}
	add("another's signature", nist, another.sign(message), "signature-invalid")
	add("r and s exchanged", nist, join(s, r), "signature-invalid")
	add("a flipped bit of r", nist, flip(good, 31), "signature-invalid")
	add("a flipped bit of s", nist, flip(good, 63), "signature-invalid")
	for _, value := range []*big.Int{big.NewInt(0), order, new(big.Int).Add(order, big.NewInt(1)), new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1))} {
		part := value.FillBytes(make([]byte, 32))
		add("r = "+value.Text(16), nist, join(part, s), "signature-malformed")
		add("s = "+value.Text(16), nist, join(r, part), "signature-malformed")
	}
	add("r = 1", nist, join(big.NewInt(1).FillBytes(make([]byte, 32)), s), "signature-invalid")
	add("s = n - 1", nist, join(r, new(big.Int).Sub(order, big.NewInt(1)).Bytes()), "signature-invalid")
	return all
}
