package main

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"encoding/hex"
	"io"
	"math/big"

	"github.com/fxamacker/cbor/v2"
	"github.com/veraison/go-cose"
)

type coseValid struct {
	Name        string `json:"name"`
	Message     string `json:"message"`
	ExternalAAD string `json:"external_aad,omitempty"`
	Detached    string `json:"detached,omitempty"`
	Key         string `json:"key"`
	Covered     string `json:"covered"`
	Protected   string `json:"protected"`
	Plaintext   string `json:"plaintext,omitempty"`
}

type coseInvalid struct {
	Name    string `json:"name"`
	Message string `json:"message"`
	Error   string `json:"error"`
	Foreign string `json:"foreign"`
}

// eavesdropper signs with go-cose's own signer and keeps what go-cose asks it to sign: the Sig_structure.
type eavesdropper struct {
	cose.Signer
	heard []byte
}

func (e *eavesdropper) Sign(random io.Reader, content []byte) ([]byte, error) {
	e.heard = append([]byte{}, content...)
	return e.Signer.Sign(random, content)
}

func signers() (*eavesdropper, string, *eavesdropper, string) {
	edwards := ed25519.NewKeyFromSeed(keySeed)
	one, err := cose.NewSigner(cose.AlgorithmEdDSA, edwards)
	check(err)
	d := new(big.Int).SetBytes(keySeed)
	nist, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), d.FillBytes(make([]byte, 32)))
	check(err)
	two, err := cose.NewSigner(cose.AlgorithmES256, deterministic{nist})
	check(err)
	point, err := nist.PublicKey.Bytes()
	check(err)
	return &eavesdropper{Signer: one}, hex.EncodeToString(edwards.Public().(ed25519.PublicKey)),
		&eavesdropper{Signer: two}, hex.EncodeToString(point[1:])
}

// deterministic signs by RFC 6979, so that the vectors stay the same.
type deterministic struct{ key *ecdsa.PrivateKey }

func (d deterministic) Public() crypto.PublicKey { return d.key.Public() }

func (d deterministic) Sign(_ io.Reader, digest []byte, _ crypto.SignerOpts) ([]byte, error) {
	return d.key.Sign(nil, digest, crypto.SHA256)
}

func coseVectors() suite {
	eddsa, eddsaKey, es256, es256Key := signers()
	valid := []coseValid{worked(eddsaKey)}
	add := func(name string, signer *eavesdropper, key string, message cose.Sign1Message, external []byte, detach bool) {
		message.Headers.Protected.SetAlgorithm(signer.Algorithm())
		check(message.Sign(nil, external, signer))
		v := coseValid{Name: name, Key: key, ExternalAAD: hex.EncodeToString(external), Covered: hex.EncodeToString(signer.heard)}
		if detach {
			v.Detached = hex.EncodeToString(message.Payload)
			message.Payload = nil
		}
		data, err := message.MarshalCBOR()
		check(err)
		protected, err := message.Headers.MarshalProtected()
		check(err)
		var content []byte
		check(cbor.Unmarshal(protected, &content))
		v.Message, v.Protected = hex.EncodeToString(data), hex.EncodeToString(content)
		valid = append(valid, v)
	}
	header := func() cose.Headers {
		return cose.Headers{Protected: cose.ProtectedHeader{int64(4): []byte("kid1")}, Unprotected: cose.UnprotectedHeader{}}
	}
	message := func(payload []byte) cose.Sign1Message { return cose.Sign1Message{Headers: header(), Payload: payload} }
	add("EdDSA", eddsa, eddsaKey, message([]byte("payload")), nil, false)
	add("ES256", es256, es256Key, message([]byte("payload")), nil, false)
	add("empty payload", eddsa, eddsaKey, message([]byte{}), nil, false)
	add("payload of 300 bytes", eddsa, eddsaKey, message(make([]byte, 300)), nil, false)
	add("external data", eddsa, eddsaKey, message([]byte("header")), []byte("drystone/vertex/1\n0123456789abcdef0123456789abcdef"), false)
	add("external data, ES256", es256, es256Key, message([]byte("header")), make([]byte, 256), false)
	add("detached", eddsa, eddsaKey, message([]byte("0123456789abcdef0123456789abcdef")), nil, true)
	labels := message([]byte("labels"))
	labels.Headers.Protected[int64(394)] = int64(0)
	labels.Headers.Protected[int64(-1)] = int64(0)
	labels.Headers.Protected[int64(-70001)] = []any{int64(0), int64(1)}
	add("labels 394, -1, -70001", eddsa, eddsaKey, labels, nil, false)
	receipts := message([]byte("statement"))
	receipts.Headers.Unprotected[int64(394)] = []any{[]byte("receipt")}
	add("receipts unprotected", eddsa, eddsaKey, receipts, nil, false)
	sealed := sealedVectors()
	return suite{
		Comment: "COSE_Sign1 (tag 18) and untagged COSE_Encrypt0 in Drystone's shape. `covered` is the Sig_structure that " +
			"go-cose handed to its signer, or the Enc_structure; `protected` the encoded header map. `foreign` says whether " +
			"go-cose takes the bytes as a COSE_Sign1 at all: Drystone refuses more.",
		Programs: map[string]string{
			"github.com/veraison/go-cose":  "v1.3.0: messages, Sig_structures, signatures, verdicts; verifies the worked record",
			"github.com/fxamacker/cbor/v2": "v2.9.6: Enc_structures and the shells of the COSE_Encrypt0",
			"go":                           "crypto/ed25519, crypto/ecdsa (RFC 6979), crypto/cipher (AES-256-GCM)",
		},
		Valid: map[string]any{"sign1": valid, "encrypt0": sealed}, Invalid: coseBroken(),
	}
}

// worked checks the worked record of the format notes with go-cose and returns what its signature covers.
func worked(key string) coseValid {
	data := unhex(workedRecord)
	var message cose.Sign1Message
	check(message.UnmarshalCBOR(data))
	edwards := ed25519.NewKeyFromSeed(keySeed)
	verifier, err := cose.NewVerifier(cose.AlgorithmEdDSA, edwards.Public())
	check(err)
	check(message.Verify(nil, verifier))
	signer, err := cose.NewSigner(cose.AlgorithmEdDSA, edwards)
	check(err)
	ear := &eavesdropper{Signer: signer}
	again := cose.Sign1Message{Headers: message.Headers, Payload: message.Payload}
	check(again.Sign(nil, nil, ear))
	var content []byte
	check(cbor.Unmarshal(message.Headers.RawProtected, &content))
	return coseValid{Name: "worked record", Message: workedRecord, Key: key, Covered: hex.EncodeToString(ear.heard),
		Protected: hex.EncodeToString(content)}
}

func sealedVectors() []coseValid {
	all := []coseValid{}
	for _, v := range []struct {
		name      string
		plaintext []byte
		place     []any
	}{
		{"reading", unhex("81a500616501625768021a02dfa589061a690b2e3020181a"), []any{"ewz", "m-004217", 0, 41807}},
		{"call", make([]byte, 300), []any{"a", "b", 7, 0}},
		{"nothing", nil, []any{"a", "b", 0, 0}},
	} {
		protected, err := enc.Marshal(map[int]any{1: 3, 3: 112, 4: keySeed[:16]})
		check(err)
		external, err := enc.Marshal(v.place)
		check(err)
		covered, err := enc.Marshal([]any{"Encrypt0", protected, external})
		check(err)
		block, err := aes.NewCipher(keySeed)
		check(err)
		gcm, err := cipher.NewGCM(block)
		check(err)
		iv := keySeed[20:32]
		message, err := enc.Marshal([]any{protected, map[int]any{5: iv}, gcm.Seal(nil, iv, v.plaintext, covered)})
		check(err)
		all = append(all, coseValid{Name: v.name, Message: hex.EncodeToString(message), ExternalAAD: hex.EncodeToString(external),
			Key: hex.EncodeToString(keySeed), Covered: hex.EncodeToString(covered), Protected: hex.EncodeToString(protected),
			Plaintext: hex.EncodeToString(v.plaintext)})
	}
	return all
}

func coseBroken() []coseInvalid {
	protected, err := enc.Marshal(map[int]any{1: -8, 4: []byte("kid1")})
	check(err)
	signature := make([]byte, 64)
	empty := map[int]any{}
	tagged := func(number uint64, items ...any) []byte {
		data, err := enc.Marshal(cbor.Tag{Number: number, Content: items})
		check(err)
		return data
	}
	header := func(pairs map[any]any) []byte {
		data, err := enc.Marshal(pairs)
		check(err)
		return data
	}
	untagged, err := enc.Marshal([]any{protected, empty, []byte{}, signature})
	check(err)
	good := tagged(18, protected, empty, []byte("p"), signature)
	all := []coseInvalid{}
	add := func(name, code string, data []byte) {
		var message cose.Sign1Message
		verdict := "refused"
		if message.UnmarshalCBOR(data) == nil {
			verdict = "accepted"
		}
		all = append(all, coseInvalid{name, hex.EncodeToString(data), code, verdict})
	}
	add("without a tag", "cose-malformed", untagged)
	add("tag of COSE_Sign", "cbor-unsupported", tagged(98, protected, empty, []byte{}, signature))
	add("tag of a decimal fraction", "cose-malformed", tagged(4, protected, empty, []byte{}, signature))
	add("three elements", "cose-malformed", tagged(18, protected, empty, signature))
	add("five elements", "cose-malformed", tagged(18, protected, empty, []byte{}, signature, nil))
	add("protected is a map", "cose-malformed", tagged(18, map[int]any{1: -8}, empty, []byte{}, signature))
	add("protected is empty", "cose-malformed", tagged(18, []byte{}, empty, []byte{}, signature))
	add("protected is an empty map", "cose-malformed", tagged(18, unhex("a0"), empty, []byte{}, signature))
	add("protected is an array", "cose-malformed", tagged(18, unhex("80"), empty, []byte{}, signature))
	add("protected with a long head", "cbor-not-deterministic", tagged(18, unhex("a1013807"), empty, []byte{}, signature))
	add("protected with keys by length", "cbor-not-deterministic", tagged(18, unhex("a30127200019018a00"), empty, []byte{}, signature))
	add("protected with a key twice", "cbor-not-deterministic", tagged(18, unhex("a201270127"), empty, []byte{}, signature))
	add("protected with a byte after it", "cbor-malformed", tagged(18, unhex("a1012700"), empty, []byte{}, signature))
	add("protected indefinite", "cbor-not-deterministic", tagged(18, unhex("bf0127ff"), empty, []byte{}, signature))
	add("protected with a float", "cbor-unsupported", tagged(18, unhex("a2012718f9f93c00"), empty, []byte{}, signature))
	add("label of bytes", "cose-malformed", tagged(18, header(map[any]any{1: -8, cbor.ByteString("x"): 1}), empty, []byte{}, signature))
	add("crit protected", "header-unexpected", tagged(18, header(map[any]any{1: -8, 2: []any{4}, 4: []byte("k")}), empty, []byte{}, signature))
	add("crit unprotected", "header-unexpected", tagged(18, protected, map[int]any{2: []any{4}}, []byte{}, signature))
	add("label in both headers", "cose-malformed", tagged(18, protected, map[int]any{4: []byte("kid2")}, []byte{}, signature))
	add("unprotected is an array", "cose-malformed", tagged(18, protected, []any{}, []byte{}, signature))
	add("unprotected is null", "cose-malformed", tagged(18, protected, nil, []byte{}, signature))
	add("unprotected out of order", "cbor-not-deterministic", append(append(append([]byte{0xd2, 0x84, 0x40 | byte(len(protected))}, protected...),
		unhex("a206000500")...), append([]byte{0x40, 0x58, 0x40}, signature...)...))
	add("payload is text", "cose-malformed", tagged(18, protected, empty, "text", signature))
	add("payload is a map", "cose-malformed", tagged(18, protected, empty, empty, signature))
	add("signature of 63 bytes", "cose-malformed", tagged(18, protected, empty, []byte{}, signature[1:]))
	add("signature of 65 bytes", "cose-malformed", tagged(18, protected, empty, []byte{}, append([]byte{0}, signature...)))
	add("signature empty", "cose-malformed", tagged(18, protected, empty, []byte{}, []byte{}))
	add("signature is text", "cose-malformed", tagged(18, protected, empty, []byte{}, string(signature)))
	add("tag in two bytes", "cbor-not-deterministic", append([]byte{0xd8, 18}, good[1:]...))
	add("array indefinite", "cbor-not-deterministic", append(append([]byte{0xd2, 0x9f}, good[2:]...), 0xff))
	add("byte after the end", "cbor-malformed", append(append([]byte{}, good...), 0))
	add("last byte missing", "cbor-malformed", good[:len(good)-1])
	add("nothing", "cbor-malformed", []byte{})
	return all
}
