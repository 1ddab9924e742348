package main

import "filippo.io/edwards25519"

// basePoint is B, and so R for S of 1.
var basePoint = edwards25519.NewGeneratorPoint().Bytes()

// torsion is node A's key plus a point of order 8: on the curve, not of prime order.
func torsion() []byte {
	small, err := new(edwards25519.Point).SetBytes([]byte{
		0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
		0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a})
	check(err)
	key, err := new(edwards25519.Point).SetBytes(nodeA.public)
	check(err)
	return new(edwards25519.Point).Add(key, small).Bytes()
}
