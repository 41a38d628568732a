// What an archive serves of its log, read by golang.org/x/mod/sumdb: the checkpoint by its key, the tiles by its root, and each
// leaf by its hash in them.
package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type question struct {
	Checkpoint string            `json:"checkpoint"`
	Verifier   string            `json:"verifier"`
	Tiles      map[string][]byte `json:"tiles"`
	Entries    [][]byte          `json:"entries"`
}

// Go puts the height of a tile into its name, C2SP does not.
type served map[string][]byte

func (all served) Height() int { return 8 }

func (all served) SaveTiles([]tlog.Tile, [][]byte) {}

func (all served) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(tiles))
	for i, tile := range tiles {
		name := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		bytes, ok := all[name]
		if !ok {
			return nil, fmt.Errorf("%s is not served", name)
		}
		data[i] = bytes
	}
	return data, nil
}

func main() {
	var asked question
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		fail(err)
	}
	leaves, err := checked(asked)
	if err != nil {
		fail(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(map[string]int64{"leaves": leaves}); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func checked(asked question) (int64, error) {
	verifier, err := note.NewVerifier(asked.Verifier)
	if err != nil {
		return 0, err
	}
	opened, err := note.Open([]byte(asked.Checkpoint), note.VerifierList(verifier))
	if err != nil {
		return 0, err
	}
	lines := strings.Split(opened.Text, "\n")
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return 0, err
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil {
		return 0, err
	}
	reader := tlog.TileHashReader(tlog.Tree{N: size, Hash: root}, served(asked.Tiles))
	var place int64
	for _, bundle := range asked.Entries {
		for len(bundle) > 0 {
			length := int(binary.BigEndian.Uint16(bundle))
			leaf := bundle[2 : 2+length]
			bundle = bundle[2+length:]
			hashes, err := reader.ReadHashes([]int64{tlog.StoredHashIndex(0, place)})
			if err != nil {
				return 0, err
			}
			if hashes[0] != tlog.RecordHash(leaf) {
				return 0, fmt.Errorf("leaf %d is not the one of the tree", place)
			}
			proof, err := tlog.ProveRecord(size, place, reader)
			if err != nil {
				return 0, err
			}
			if err := tlog.CheckRecord(proof, size, root, place, tlog.RecordHash(leaf)); err != nil {
				return 0, err
			}
			place++
		}
	}
	if place != size {
		return 0, fmt.Errorf("%d leaves are served of %d", place, size)
	}
	return size, nil
}
