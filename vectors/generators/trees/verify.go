package main

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"io"
)

// question is one line: kind inclusion, consistency, presence, absence, path or bundle, and the members that it needs.
type question struct {
	Kind    string   `json:"kind"`
	Root    string   `json:"root"`
	Size    uint64   `json:"size"`
	Index   uint64   `json:"index"`
	Leaf    string   `json:"leaf"`
	Path    []string `json:"path"`
	OldSize uint64   `json:"old_size"`
	OldRoot string   `json:"old_root"`
	NewSize uint64   `json:"new_size"`
	NewRoot string   `json:"new_root"`
	Key     string   `json:"key"`
	Value   string   `json:"value"`
	Proof   string   `json:"proof"`
	Name    string   `json:"name"`
	Bundle  string   `json:"bundle"`
}

type answer struct {
	Accepted bool `json:"accepted"`
}

func unhex(text string) []byte { return must(hex.DecodeString(text)) }

func unhexes(list []string) [][]byte {
	result := make([][]byte, 0, len(list))
	for _, text := range list {
		result = append(result, unhex(text))
	}
	return result
}

func vectorInclusion(v inclusionVector) bool {
	return inclusionAccepted(unhex(v.Root), v.Size, v.Index, unhex(v.Leaf), unhexes(v.Path))
}

func vectorConsistency(v consistencyVector) bool {
	return consistencyAccepted(v.OldSize, unhex(v.OldRoot), v.NewSize, unhex(v.NewRoot), unhexes(v.Path))
}

func judge(q question) bool {
	switch q.Kind {
	case "inclusion":
		return inclusionAccepted(unhex(q.Root), q.Size, q.Index, unhex(q.Leaf), unhexes(q.Path))
	case "consistency":
		return consistencyAccepted(q.OldSize, unhex(q.OldRoot), q.NewSize, unhex(q.NewRoot), unhexes(q.Path))
	case "presence":
		return smtAccepted(unhex(q.Root), unhex(q.Key), append([]byte{}, unhex(q.Value)...), unhex(q.Proof))
	case "absence":
		return smtAccepted(unhex(q.Root), unhex(q.Key), nil, unhex(q.Proof))
	case "path":
		_, ok := parsePath(q.Name)
		return ok
	case "bundle":
		_, ok := parseBundle(unhex(q.Bundle))
		return ok
	}
	fail("unknown kind %q", q.Kind)
	return false
}

func verify(in io.Reader, out io.Writer) {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<24)
	answers := bufio.NewWriter(out)
	encoder := json.NewEncoder(answers)
	for lines.Scan() {
		q := question{}
		if err := json.Unmarshal(lines.Bytes(), &q); err != nil {
			fail("%v", err)
		}
		if err := encoder.Encode(answer{judge(q)}); err != nil {
			fail("%v", err)
		}
	}
	if err := lines.Err(); err != nil {
		fail("%v", err)
	}
	if err := answers.Flush(); err != nil {
		fail("%v", err)
	}
}
