// Questions one by one on standard input: is this message signed by this key? go-cose answers.
package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"encoding/hex"
	"encoding/json"
	"os"

	"github.com/fxamacker/cbor/v2"
	"github.com/veraison/go-cose"
)

type question struct {
	Message  string `json:"message"`
	Key      string `json:"key"` // COSE_Key
	External string `json:"external"`
}

type answer struct {
	Accepted bool `json:"accepted"`
	ID       bin  `json:"id"` // SHA-256 of the Sig_structure
}

func verifyAll() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	out := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var q question
		check(json.Unmarshal(lines.Bytes(), &q))
		check(out.Encode(q.answer()))
	}
	check(lines.Err())
}

func (q question) answer() answer {
	external, err := hex.DecodeString(q.External)
	check(err)
	data, err := hex.DecodeString(q.Message)
	check(err)
	var message cose.Sign1Message
	if message.UnmarshalCBOR(data) != nil || message.Payload == nil {
		return answer{}
	}
	protected, err := message.Headers.MarshalProtected()
	if err != nil {
		return answer{}
	}
	var wrapped []byte
	check(cbor.Unmarshal(protected, &wrapped))
	id := sha(sigStructure(wrapped, external, message.Payload))
	return answer{message.Verify(external, verifierOf(unhex(q.Key))) == nil, id}
}

func verifierOf(coseKey []byte) cose.Verifier {
	var members map[int]any
	check(cbor.Unmarshal(coseKey, &members))
	x := members[-2].([]byte)
	var verifier cose.Verifier
	var err error
	if members[1] == uint64(1) {
		verifier, err = cose.NewVerifier(cose.AlgorithmEdDSA, ed25519.PublicKey(x))
	} else {
		point := join([]byte{4}, x, members[-3].([]byte))
		public, parseErr := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
		check(parseErr)
		verifier, err = cose.NewVerifier(cose.AlgorithmES256, public)
	}
	check(err)
	return verifier
}
