// Command proof writes the vectors of receipts, completeness proofs, state points and trust files. Run it in its own
// folder: `go run . ../..`; `go run . verify` judges proofs, one JSON question a line. It shares no code with Drystone; what signs, hashes and proves are the modules in go.mod.
package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"sort"
)

type suite struct {
	Comment   string            `json:"comment"`
	Generator string            `json:"generator"`
	Command   string            `json:"command"`
	Programs  map[string]string `json:"programs"`
	Trusts    map[string]string `json:"trusts,omitempty"`
	Vectors   any               `json:"vectors"`
}

var programs = map[string]string{
	"github.com/veraison/go-cose":  "v1.3.0: verifies every good record and receipt",
	"golang.org/x/mod/sumdb/tlog":  "v0.42.0: makes and checks every inclusion path and root",
	"golang.org/x/mod/sumdb/note":  "v0.42.0: makes and opens every node's note line, parses every node key",
	"github.com/cosmos/ics23/go":   "v0.11.0: accepts every good state proof",
	"github.com/fxamacker/cbor/v2": "v2.9.6: core deterministic encoding",
	"go":                           "crypto/ed25519, crypto/ecdsa (RFC 6979)",
}

func main() {
	if os.Args[1] == "verify" {
		answerQuestions()
		return
	}
	folder := os.Args[1]
	write(folder, "receipt", "Transparent statements: a record with receipts. `file` and `key` (a point that proves the "+
		"sender's key) are hex; `trust` names one of `trusts`. `expect` or the `error` code.", receiptVectors())
	write(folder, "completeness", "Completeness proofs of one stream between two blocks.", completenessVectors())
	write(folder, "point", "Single state values, present or absent, at a block.", pointVectors())
	write(folder, "trust", "Trust files as text.", trustVectors())
}

func write(folder, name, comment string, vectors any) {
	s := suite{Comment: comment, Generator: "vectors/generators/proof (Go)", Command: "go run . ../..",
		Programs: programs, Vectors: vectors}
	if name != "trust" {
		s.Trusts = trusts
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	check(encoder.Encode(s))
	check(os.WriteFile(filepath.Join(folder, name+".json"), out.Bytes(), 0o644))
}

func sortedNames(files map[string]string) []string {
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}
