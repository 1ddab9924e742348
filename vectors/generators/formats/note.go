package main

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"

	flog "github.com/transparency-dev/formats/log"
	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
)

type noteValid struct {
	Name      string   `json:"name"`
	Note      string   `json:"note"`
	Text      string   `json:"text"`
	Verifiers []string `json:"verifiers"`
	Signers   []string `json:"signers"`
	Size      *uint64  `json:"size,omitempty"`
	Root      string   `json:"root,omitempty"`
}

type noteInvalid struct {
	Name      string   `json:"name"`
	Note      string   `json:"note"`
	Verifiers []string `json:"verifiers"`
	Error     string   `json:"error"`
	Foreign   string   `json:"foreign"`
}

const (
	origin  = "ledger.example/main"
	root    = "xW3b+CgoStPq/DFybhVHzXgtScVzXicgPrdtaMVdfhM="
	text    = origin + "\n9\n" + root + "\n"
	witness = "witness.example/w1"
	moment  = uint64(1762340400)
)

var (
	nodeVkey    = vkey(origin, 1, keySeed)
	witnessVkey = vkey(witness, 4, witnessSeed)
)

// vkey spells a verifier key; NewVerifier of the foreign libraries takes it apart again and checks its id.
func vkey(name string, kind byte, seed []byte) string {
	public := ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
	if kind == 1 {
		text, err := note.NewEd25519VerifierKey(name, public)
		check(err)
		return text
	}
	text := fmt.Sprintf("%s+%08x+%s", name, idOf(name, 4, public), base64.StdEncoding.EncodeToString(append([]byte{kind}, public...)))
	_, err := fnote.NewVerifierForCosignatureV1(text)
	check(err)
	return text
}

// signer is sumdb/note's own signer for a seed.
func signer(name string, seed []byte) note.Signer {
	public := ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
	encoded := base64.StdEncoding.EncodeToString(append([]byte{1}, seed...))
	s, err := note.NewSigner(fmt.Sprintf("PRIVATE+KEY+%s+%08x+%s", name, idOf(name, 1, public), encoded))
	check(err)
	return s
}

// cosignature returns the line of a witness at a fixed time; formats/note verifies it before it is used.
func cosignature(text string, time uint64) string { return claimed(text, time, time) }

// claimed is a cosignature whose blob claims another time than was signed.
func claimed(text string, time, signed uint64) string {
	private := ed25519.NewKeyFromSeed(witnessSeed)
	signature := ed25519.Sign(private, []byte(fmt.Sprintf("cosignature/v1\ntime %d\n%s", signed, text)))
	blob := binary.BigEndian.AppendUint32(nil, idOf(witness, 4, private.Public().(ed25519.PublicKey)))
	blob = binary.BigEndian.AppendUint64(blob, time)
	return "\u2014 " + witness + " " + base64.StdEncoding.EncodeToString(append(blob, signature...)) + "\n"
}

// verifier opens a vkey with the library for its type.
func verifier(text string) note.Verifier {
	if v, err := note.NewVerifier(text); err == nil {
		return v
	}
	v, err := fnote.NewVerifierForCosignatureV1(text)
	check(err)
	return v
}

func open(data string, vkeys []string) (*note.Note, error) {
	verifiers := []note.Verifier{}
	for _, text := range vkeys {
		verifiers = append(verifiers, verifier(text))
	}
	return note.Open([]byte(data), note.VerifierList(verifiers...))
}

func noteVectors() suite {
	valid := []noteValid{}
	add := func(name, data string, vkeys []string) {
		n, err := open(data, vkeys)
		if _, unverified := err.(*note.UnverifiedNoteError); unverified {
			n = &note.Note{Text: err.(*note.UnverifiedNoteError).Note.Text}
		} else {
			check(err)
		}
		v := noteValid{Name: name, Note: data, Text: n.Text, Verifiers: vkeys, Signers: []string{}}
		for _, s := range n.Sigs {
			v.Signers = append(v.Signers, s.Name)
		}
		var c flog.Checkpoint
		if rest, err := c.Unmarshal([]byte(n.Text)); err == nil && len(rest) == 0 {
			v.Size, v.Root = &c.Size, fmt.Sprintf("%x", c.Hash)
		}
		valid = append(valid, v)
	}
	sign := func(text string, signers ...note.Signer) string {
		data, err := note.Sign(&note.Note{Text: text}, signers...)
		check(err)
		return string(data)
	}
	node, other := signer(origin, keySeed), signer("other.example", witnessSeed)
	good := sign(text, node)
	both := []string{nodeVkey, witnessVkey}
	add("worked note", good, []string{nodeVkey})
	add("with a witness", good+cosignature(text, moment), both)
	add("witness first", sign(text, node)[:len(text)+1]+cosignature(text, moment)+good[len(text)+1:], both)
	add("unknown key beside", sign(text, node, other), []string{nodeVkey})
	add("only unknown keys", sign(text, other), []string{nodeVkey})
	add("known name, other key", sign(text, signer(origin, witnessSeed)), []string{nodeVkey})
	add("size 0", sign(origin+"\n0\n"+root+"\n", node), []string{nodeVkey})
	add("size 2**63-1", sign(origin+"\n9223372036854775807\n"+root+"\n", node), []string{nodeVkey})
	add("blank line in the text", sign("a\n\nb\n", node), []string{nodeVkey})
	add("text with letters beyond ASCII", sign("\u00e9\u6c34\U00010151\n", node), []string{nodeVkey})
	add("origin with spaces", sign("go.sum database tree\n31048497\n"+root+"\n", node), []string{nodeVkey})
	return suite{
		Comment: "C2SP signed notes and checkpoints. `signers` are the names whose signatures the foreign program verified, in " +
			"order; `size` and `root` where the text is a checkpoint without extensions. `foreign` is its verdict on what " +
			"Drystone refuses: where it is accepted, the spelling is not the only one, or one key signs twice.",
		Programs: map[string]string{
			"golang.org/x/mod/sumdb/note":         "v0.42.0: notes, node signatures, vkeys of type 1, verdicts",
			"github.com/transparency-dev/formats": "v0.1.1: vkeys of type 4, verifies cosignatures, parses checkpoints",
			"go":                                  "crypto/ed25519 (cosignatures at a fixed time)",
		},
		Valid: valid, Invalid: noteBroken(good, both),
	}
}

func noteBroken(good string, vkeys []string) []noteInvalid {
	all := []noteInvalid{}
	add := func(name, data string) {
		verdict := "accepted"
		if _, err := open(data, vkeys); err != nil {
			verdict = "refused: " + strings.SplitN(err.Error(), "\n", 2)[0]
		}
		all = append(all, noteInvalid{name, data, vkeys, "note-malformed", verdict})
	}
	swap := func(old, new string) string {
		if !strings.Contains(good, old) {
			panic(old)
		}
		return strings.Replace(good, old, new, 1)
	}
	dash := "\u2014 "
	line := good[len(text)+1:]
	add("nothing", "")
	add("text alone", text)
	add("text and a blank line", text+"\n")
	add("no blank line", text+line)
	add("last newline missing", good[:len(good)-1])
	add("blank line at the end", good+"\n")
	add("text changed", swap("\n9\n", "\n8\n"))
	add("signature changed", swap("HwJ/9", "HwJ/8"))
	add("signature by the witness for another text", good+cosignature(origin+"\n8\n"+root+"\n", moment))
	add("witness's time changed", good+claimed(text, moment+1, moment))
	add("witness's line cut", good+dash+witness+" "+base64.StdEncoding.EncodeToString(unhex("00000000"))+"\n")
	add("one key twice", good+line)
	add("one witness at two times", good+cosignature(text, moment)+cosignature(text, moment+1))
	add("hyphen for the dash", swap(dash, "- "))
	add("no space after the dash", swap(dash, "\u2014"))
	add("two spaces before the signature", swap(" IgRP", "  IgRP"))
	add("space at the end of the line", swap("xfw8=", "xfw8= "))
	add("padding missing", swap("xfw8=", "xfw8"))
	add("stray bits in base64", swap("xfw8=", "xfw9="))
	add("base64 for URLs", swap("IgRPD6Pu", "IgRPD6P_"))
	add("name with a plus", swap(dash+"ledger", dash+"led+ger"))
	add("name with a no-break space", swap(dash+"ledger", dash+"led\u00a0ger"))
	add("name missing", swap(dash+origin, dash))
	add("carriage return", swap("\n9", "\r\n9"))
	add("tab in the text", swap("\n9", "\n\t9"))
	add("zero byte in the text", swap("\n9", "\n\x009"))
	add("bell in the name", swap(dash+"ledger", dash+"led\x07ger"))
	return all
}

// idOf derives a key's id; the foreign verifiers check it whenever they open a vkey.
func idOf(name string, kind byte, public ed25519.PublicKey) uint32 {
	sum := sha256.Sum256(append(append([]byte(name+"\n"), kind), public...))
	return binary.BigEndian.Uint32(sum[:])
}
