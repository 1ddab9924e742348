package main

import (
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/api/layout"
	"golang.org/x/mod/sumdb/tlog"
)

const tesseraPackage = "github.com/transparency-dev/tessera/api"

const tileHeight, tileWidth = 8, 256

type pathVector struct {
	Path  string `json:"path"`
	Level *int64 `json:"level"`
	Index int64  `json:"index"`
	Width int64  `json:"width"`
}

type refusedPath struct {
	Path  string `json:"path"`
	Error string `json:"error"`
}

type growthVector struct {
	Old   int64    `json:"old"`
	New   int64    `json:"new"`
	Tiles []string `json:"tiles"`
}

type tileVector struct {
	Size   int64  `json:"size"`
	Path   string `json:"path"`
	First  string `json:"first"`
	Last   string `json:"last"`
	Sha256 string `json:"sha256"`
}

type bundleVector struct {
	Bundle  string   `json:"bundle"`
	Entries []string `json:"entries"`
}

type refusedBundle struct {
	Name   string `json:"name"`
	Bundle string `json:"bundle"`
	Error  string `json:"error"`
}

type tileFile struct {
	Comment        string            `json:"comment"`
	Programs       map[string]string `json:"programs"`
	Paths          []pathVector      `json:"paths"`
	PathsRefused   []refusedPath     `json:"paths_refused"`
	Growth         []growthVector    `json:"growth"`
	Tiles          []tileVector      `json:"tiles"`
	Bundles        []bundleVector    `json:"bundles"`
	BundlesRefused []refusedBundle   `json:"bundles_refused"`
}

const tileCode = "tile-malformed"

// c2spPath turns tlog's "tile/8/L/N" (entries: "tile/8/data/N") into C2SP's "tile/L/N" ("tile/entries/N").
func c2spPath(tile tlog.Tile) string {
	path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
	return strings.Replace(path, "tile/data/", "tile/entries/", 1)
}

// parsePath asks both libraries about a path; they must agree where it is accepted.
func parsePath(path string) (tlog.Tile, bool) {
	if strings.HasPrefix(path, "tile/data/") || !strings.HasPrefix(path, "tile/") {
		return tlog.Tile{}, false
	}
	inner := strings.Replace("tile/8/"+strings.TrimPrefix(path, "tile/"), "tile/8/entries/", "tile/8/data/", 1)
	tile, err := tlog.ParseTilePath(inner)
	if err != nil {
		return tile, false
	}
	level, index, _ := strings.Cut(strings.TrimPrefix(path, "tile/"), "/")
	if level != "entries" {
		if _, err := layout.ParseTileLevel(level); err != nil {
			return tile, false
		}
	}
	n, width, err := layout.ParseTileIndexPartial(index)
	if err != nil || int64(n) != tile.N || int(width) != tile.W%tileWidth {
		fail("the libraries disagree on %q", path)
	}
	return tile, true
}

func tileVectors() any {
	const largest = 66_000
	file := tileFile{
		Comment: "C2SP tlog-tiles: level null is a bundle of entries, width 256 a full tile. The log of 'tiles' has entry N = " +
			"N as four bytes, big-endian; sha256 is the hash of the tile's bytes. Refused vectors have the code tile-malformed.",
		Programs: versions(map[string]string{
			tlogPackage:    "expected paths, growth and tiles (height 8); verdicts",
			tesseraPackage: "expected paths (with api/layout) and entries of bundles; verdicts",
		}),
	}
	file.paths()
	for _, pair := range [][2]int64{{0, 1}, {0, 255}, {0, 256}, {0, 257}, {1, 2}, {255, 256}, {256, 257}, {200, 700},
		{65_535, 65_536}, {65_530, 65_540}, {65_536, 66_000}, {0, 66_000}} {
		paths := []string{}
		for _, tile := range tlog.NewTiles(tileHeight, pair[0], pair[1]) {
			paths = append(paths, c2spPath(tile))
		}
		file.Growth = append(file.Growth, growthVector{pair[0], pair[1], paths})
	}
	reader := grow(largest)
	for _, size := range []int64{1, 255, 256, 257, 700, 65_536, largest} {
		for _, tile := range tlog.NewTiles(tileHeight, 0, size) {
			if last := tlog.NewTiles(tileHeight, size-1, size); tile.L == 0 && tile.N > 1 && tile.N != last[0].N {
				continue
			}
			data := must(tlog.ReadTileData(tile, reader))
			hash := sha256.Sum256(data)
			file.Tiles = append(file.Tiles, tileVector{size, c2spPath(tile), toHex(data[:32]), toHex(data[len(data)-32:]), toHex(hash[:])})
		}
	}
	file.bundles()
	return file
}

func (file *tileFile) paths() {
	for _, tile := range []tlog.Tile{{L: 0, N: 0, W: 256}, {L: 0, N: 0, W: 1}, {L: 0, N: 999, W: 255}, {L: 0, N: 1000, W: 256},
		{L: 0, N: 1_234_067, W: 256}, {L: 0, N: 1_234_067, W: 8}, {L: 1, N: 255, W: 100}, {L: 2, N: 7, W: 256}, {L: 7, N: 0, W: 1},
		{L: 0, N: 1_000_000, W: 256}, {L: -1, N: 0, W: 256}, {L: -1, N: 123_456, W: 3}, {L: -1, N: 1_234_067_890, W: 200}} {
		tile.H = tileHeight
		path, level := c2spPath(tile), (*int64)(nil)
		tessera := layout.EntriesPath(uint64(tile.N), uint8(tile.W%tileWidth))
		if tile.L >= 0 {
			number := int64(tile.L)
			level = &number
			tessera = layout.TilePath(uint64(tile.L), uint64(tile.N), uint8(tile.W%tileWidth))
		}
		if parsed, ok := parsePath(path); path != tessera || !ok || parsed != tile {
			fail("the libraries disagree on %+v: %s and %s", tile, path, tessera)
		}
		file.Paths = append(file.Paths, pathVector{path, level, tile.N, int64(tile.W)})
	}
	for _, path := range []string{"", "checkpoint", "tile", "tile/", "tile/0", "tile/0/", "tile/0/0", "tile/0/00", "tile/0/0000",
		"/tile/0/000", "tile/0/000/", "tile/00/000", "tile/01/000", "tile/64/000", "tile/-1/000", "tile/a/000", "tile/0/-01",
		"tile/0/x000/001", "tile/0/x001", "tile/0/001/002", "tile/0/X001/002", "tile/0/x01/002", "tile/0/000.p/0",
		"tile/0/000.p/256", "tile/0/000.p/01", "tile/0/000.p/", "tile/0/000.p/-1", "tile/0/000.p", "tile/0/000.P/1",
		"tile/data/000", "tile/entries/0", "tile/entries/0/000", "tile/8/0/000", "tile/0/ 00", "tile/0/+00", "tile/0/000.p/1/2"} {
		if _, ok := parsePath(path); ok {
			fail("the libraries accept %q", path)
		}
		file.PathsRefused = append(file.PathsRefused, refusedPath{path, tileCode})
	}
}

// parseBundle gives a bundle's entries; tlog-tiles wants 1 to 256 of them, which the library leaves to its caller.
func parseBundle(data []byte) ([][]byte, bool) {
	bundle := api.EntryBundle{}
	err := bundle.UnmarshalText(data)
	return bundle.Entries, err == nil && len(bundle.Entries) > 0 && len(bundle.Entries) <= tileWidth
}

func (file *tileFile) bundles() {
	long := strings.Repeat("d", 600)
	for _, bundle := range []string{"\x00\x01a", "\x00\x00", "\x00\x02ab\x00\x00\x00\x01c", "\x02\x58" + long,
		"\x00\x20" + long[:32] + "\x00\x83" + long[:131], strings.Repeat("\x00\x00", 256)} {
		entries, ok := parseBundle([]byte(bundle))
		if !ok {
			fail("the library refuses the bundle %x", bundle)
		}
		file.Bundles = append(file.Bundles, bundleVector{toHex([]byte(bundle)), toHexes(entries)})
	}
	for at, bundle := range []string{"", "\x00", "\x00\x01", "\x00\x02a", "\x00\x01ab", "\x01\x00" + long[:255],
		strings.Repeat("\x00\x00", 257), "\x00\x01a\x00"} {
		if _, ok := parseBundle([]byte(bundle)); ok {
			fail("the library accepts the bundle %x", bundle)
		}
		name := []string{"empty", "half a length", "no entry", "entry cut off", "rest too short for a length", "long entry cut off",
			"257 entries", "half a second length"}[at]
		file.BundlesRefused = append(file.BundlesRefused, refusedBundle{name, toHex([]byte(bundle)), tileCode})
	}
	if len(file.Bundles)+len(file.Paths) > len(file.BundlesRefused)+len(file.PathsRefused) {
		fail("%s", fmt.Sprint("fewer refused than accepted"))
	}
}
