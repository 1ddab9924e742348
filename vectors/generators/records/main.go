// Command records writes the vectors of signatures, keys, records, streams and vertices. Run it in its own folder:
// `go run . ../..`; `go run . verify` answers questions on standard input (tests/interop). It shares no code with Drystone; what signs, hashes and encodes are the modules in go.mod.
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/fxamacker/cbor/v2"
)

type suite struct {
	Comment   string            `json:"comment"`
	Generator string            `json:"generator"`
	Command   string            `json:"command"`
	Programs  map[string]string `json:"programs"`
	Vectors   any               `json:"vectors"`
}

const (
	goCrypto = "crypto/ed25519, crypto/ecdsa (RFC 6979), crypto/sha256 of Go 1.26"
	goCose   = "v1.3.0: reads and verifies every good message"
	fxCbor   = "v2.9.6: core deterministic encoding"
)

func main() {
	if os.Args[1] == "verify" {
		verifyAll()
		return
	}
	folder := os.Args[1]
	write(folder, "signature", "One signature under one key. `key` is a COSE_Key; `key_error` is what enrolment says to it, "+
		"`error` what verification says; `equation` is the verdict of crypto/ed25519 without the strict rule. The classes "+
		"are those of C2SP/CCTV ed25519 and of ed25519-speccheck (Chalkias, Garillot, Nikolaenko 2020), points made anew.",
		map[string]string{"go": goCrypto, "filippo.io/edwards25519": "v1.1.0: canonical, small order, torsion, reduced S"},
		signatureVectors())
	write(folder, "key", "COSE_Keys with their kid, and proofs of possession for (iss, sub, ledger).",
		map[string]string{"go": goCrypto, "github.com/veraison/go-cose": goCose, "github.com/fxamacker/cbor/v2": fxCbor,
			"filippo.io/edwards25519": "v1.1.0: the key with a torsion part"}, keyVectors())
	write(folder, "record", "Records. A good one is what `write` (secret key and values) gives, and reads as `expect`; "+
		"`key` verifies it, or says `signature_error`.",
		map[string]string{"go": goCrypto, "github.com/veraison/go-cose": goCose, "github.com/fxamacker/cbor/v2": fxCbor},
		recordVectors())
	write(folder, "stream", "Streams: steps [epoch, seq, id, register] with the placement and the state after each; and states "+
		"alone, good or refused.",
		map[string]string{"go": goCrypto + "; the model keeps plain sets of numbers, not runs", "github.com/fxamacker/cbor/v2": fxCbor},
		streamVectors())
	write(folder, "vertex", "Vertices on the ledger `ledger`, and fork evidence. A good one is what `seal` gives.",
		map[string]string{"go": goCrypto, "github.com/veraison/go-cose": goCose, "github.com/fxamacker/cbor/v2": fxCbor,
			"golang.org/x/mod/sumdb/tlog": "v0.42.0: every body root"}, vertexVectors())
}

func write(folder, name, comment string, programs map[string]string, vectors any) {
	s := suite{comment, "vectors/generators/records (Go)", "go run . ../..", programs, vectors}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	check(encoder.Encode(s))
	check(os.WriteFile(filepath.Join(folder, name+".json"), out.Bytes(), 0o644))
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func must(holds bool, what string, args ...any) {
	if !holds {
		panic(fmt.Sprintf(what, args...))
	}
}

func sha(data []byte) []byte {
	digest := sha256.Sum256(data)
	return digest[:]
}

func unhex(text string) []byte {
	data, err := hex.DecodeString(text)
	check(err)
	return data
}

// join never gives nil, which would be null in CBOR.
func join(parts ...[]byte) []byte { return append([]byte{}, bytes.Join(parts, nil)...) }

type bin []byte

func (b bin) MarshalJSON() ([]byte, error) { return json.Marshal(hex.EncodeToString(b)) }

// orNull is null for nil and the hex text for anything else.
func orNull(data []byte) any {
	if data == nil {
		return nil
	}
	return bin(data)
}

var detMode = func() cbor.EncMode {
	mode, err := cbor.CoreDetEncOptions().EncMode()
	check(err)
	return mode
}()

// det is the RFC 8949 section 4.2.1 encoding.
func det(value any) []byte {
	data, err := detMode.Marshal(value)
	check(err)
	return data
}

func head(major byte, argument int) []byte {
	data := det(argument)
	data[0] |= major << 5
	return data
}

func bstr(data []byte) []byte { return join(head(2, len(data)), data) }

// respelled says that the bytes are well-formed CBOR whose deterministic encoding is another.
func respelled(data []byte) bool {
	var value any
	mode, err := cbor.DecOptions{DupMapKey: cbor.DupMapKeyQuiet}.DecMode()
	check(err)
	if mode.Unmarshal(data, &value) != nil {
		return false
	}
	again, err := detMode.Marshal(value)
	return err != nil || !bytes.Equal(again, data)
}
