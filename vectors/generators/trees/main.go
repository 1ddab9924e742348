// Command trees is the second opinion on Drystone's Merkle structures: nothing in it is Drystone's code.
//
//	go run . ../..   writes tree.json, tiles.json and state-proof.json into vectors/
//	go run . verify  reads one JSON question per line, answers each with {"accepted": true or false}
//
// Trees, paths and tiles are computed by golang.org/x/mod/sumdb/tlog, states by celestiaorg/smt; proofs are judged by
// transparency-dev/merkle and cosmos/ics23; paths and bundles also by transparency-dev/tessera. A vector whose foreign
// programs disagree with what is expected of them stops the program.
package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime/debug"
	"strings"
)

// versions looks up the modules that this program was built with: "package" -> "version: what it did".
func versions(roles map[string]string) map[string]string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		fail("built without modules")
	}
	result := map[string]string{}
	for name, role := range roles {
		for _, module := range info.Deps {
			if name == module.Path || strings.HasPrefix(name, module.Path+"/") {
				result[name] = module.Version + ": " + role
			}
		}
		if result[name] == "" {
			fail("no version of %s", name)
		}
	}
	return result
}

func fail(format string, values ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", values...)
	os.Exit(1)
}

func must[T any](value T, err error) T {
	if err != nil {
		fail("%v", err)
	}
	return value
}

func toHex(data []byte) string { return hex.EncodeToString(data) }

func toHexes(list [][]byte) []string {
	result := make([]string, 0, len(list))
	for _, data := range list {
		result = append(result, toHex(data))
	}
	return result
}

func flip(data []byte, bit int) []byte {
	result := append([]byte(nil), data...)
	result[bit/8] ^= 1 << (7 - bit%8)
	return result
}

func main() {
	if len(os.Args) != 2 {
		fail("usage: trees FOLDER | verify")
	}
	if os.Args[1] == "verify" {
		verify(os.Stdin, os.Stdout)
		return
	}
	files := map[string]any{"tree": treeVectors(), "tiles": tileVectors(), "state-proof": stateVectors()}
	for name, file := range files {
		if err := os.WriteFile(filepath.Join(os.Args[1], name+".json"), lines(file), 0o644); err != nil {
			fail("%v", err)
		}
	}
}

// lines writes a vector file as JSON with one vector per line, so that a change shows where it is.
func lines(file any) []byte {
	result := bytes.NewBufferString("{")
	value := reflect.ValueOf(file)
	result.WriteString("\n  \"generator\": \"vectors/generators/trees (Go)\",\n  \"command\": \"go run . ../..\",")
	for at := 0; at < value.NumField(); at++ {
		if at > 0 {
			result.WriteString(",")
		}
		fmt.Fprintf(result, "\n  %q: ", value.Type().Field(at).Tag.Get("json"))
		member := value.Field(at)
		if member.Kind() != reflect.Slice {
			result.Write(compact(member.Interface()))
			continue
		}
		for row := 0; row < member.Len(); row++ {
			fmt.Fprintf(result, "%s\n    %s", map[bool]string{true: "[", false: ","}[row == 0], compact(member.Index(row).Interface()))
		}
		result.WriteString("\n  ]")
	}
	result.WriteString("\n}\n")
	return result.Bytes()
}

func compact(value any) []byte {
	buffer := bytes.Buffer{}
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		fail("%v", err)
	}
	return bytes.TrimSpace(buffer.Bytes())
}
