// Command formats writes the vectors of deterministic CBOR, COSE messages and signed notes. Run it in its own folder:
// `go run . ../..`; with the argument `judge` it tells what fxamacker/cbor makes of each line of hex instead. It shares no code with Drystone; what encodes, signs and judges are the modules in go.mod.
package main

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

type suite struct {
	Comment   string            `json:"comment"`
	Generator string            `json:"generator"`
	Command   string            `json:"command"`
	Programs  map[string]string `json:"programs"`
	Valid     any               `json:"valid"`
	Invalid   any               `json:"invalid"`
}

func main() {
	folder := os.Args[1]
	if folder == "judge" {
		lines := bufio.NewScanner(os.Stdin)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			fmt.Println(judge(unhex(lines.Text())))
		}
		return
	}
	write(folder, "cbor", cborVectors())
	write(folder, "cose", coseVectors())
	write(folder, "note", noteVectors())
}

func write(folder, name string, s suite) {
	s.Generator = "vectors/generators/formats (Go)"
	s.Command = "go run . ../.."
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

func unhex(text string) []byte {
	raw, err := hex.DecodeString(text)
	check(err)
	return raw
}

// keySeed is the secret key 00..1f of the worked record; witnessSeed is all zeros.
var keySeed = func() []byte {
	seed := make([]byte, 32)
	for i := range seed {
		seed[i] = byte(i)
	}
	return seed
}()

var witnessSeed = make([]byte, 32)

const workedRecord = "d2845827a501270318700444be5de2f40fa2016365777a02686d2d3030343231373a00011170820019a34f" +
	"a0581881a500616501625768021a02dfa589061a690b2e3020181a" +
	"58401949788113c28e2ecf5b5010104dea4d5b9712be9874ba7f06cd0002aec77aa8c344321de997b44af9" +
	"b595d78719c0fdf0a5b73c2211140fdeeb0490a90bc80c"
