module drystone.example/vectors/proof

go 1.26.0

require (
	filippo.io/edwards25519 v1.1.0
	github.com/cosmos/ics23/go v0.11.0
	github.com/fxamacker/cbor/v2 v2.9.6
	github.com/veraison/go-cose v1.3.0
	golang.org/x/mod v0.42.0
)

require (
	github.com/cosmos/gogoproto v1.7.0 // indirect
	github.com/google/go-cmp v0.6.0 // indirect
	github.com/x448/float16 v0.8.4 // indirect
	golang.org/x/crypto v0.26.0 // indirect
	golang.org/x/sys v0.23.0 // indirect
	google.golang.org/protobuf v1.33.0 // indirect
)
