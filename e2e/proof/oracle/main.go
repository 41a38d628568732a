// The same log by golang.org/x/mod/sumdb: roots, proofs, tiles and signed notes, for a test that compares.
package main

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// What the test asks: so many leaves, each of which is its number in decimal, and a note with the key that checks it.
type question struct {
	Leaves   int64  `json:"leaves"`
	Note     string `json:"note"`
	Verifier string `json:"verifier"`
	Signer   string `json:"signer"`
}

type proof struct {
	From int64    `json:"from"`
	Size int64    `json:"size"`
	Path []string `json:"path"`
}

type answer struct {
	Roots       []string          `json:"roots"`
	Inclusion   []proof           `json:"inclusion"`
	Consistency []proof           `json:"consistency"`
	Tiles       map[string]string `json:"tiles"`
	Opened      string            `json:"opened"`
	Signed      string            `json:"signed"`
}

type hashes []tlog.Hash

func (all hashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	found := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		if index >= int64(len(all)) {
			return nil, fmt.Errorf("no hash %d", index)
		}
		found[i] = all[index]
	}
	return found, nil
}

func main() {
	var asked question
	if err := json.NewDecoder(bufio.NewReader(os.Stdin)).Decode(&asked); err != nil {
		fail(err)
	}
	told, err := answered(asked)
	if err != nil {
		fail(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(told); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func answered(asked question) (*answer, error) {
	told := &answer{Tiles: map[string]string{}}
	var all hashes
	for n := range asked.Leaves {
		stored, err := tlog.StoredHashes(n, fmt.Append(nil, n), all)
		if err != nil {
			return nil, err
		}
		all = append(all, stored...)
		root, err := tlog.TreeHash(n+1, all)
		if err != nil {
			return nil, err
		}
		told.Roots = append(told.Roots, root.String())
	}
	if err := told.proofs(asked.Leaves, all); err != nil {
		return nil, err
	}
	for _, tile := range tlog.NewTiles(8, 0, asked.Leaves) {
		data, err := tlog.ReadTileData(tile, all)
		if err != nil {
			return nil, err
		}
		// Its name has the height of tiles, which is always 8 here.
		name := "tile/" + strings.TrimPrefix(tile.Path(), "tile/8/")
		told.Tiles[name] = base64.StdEncoding.EncodeToString(data)
	}
	return told, told.notes(asked)
}

// Of a few sizes all proofs, and of the largest some.
func (told *answer) proofs(most int64, all hashes) error {
	for _, size := range []int64{1, 2, 3, 7, 8, 100, most} {
		for from := int64(0); from < size; from += 1 + size/50 {
			record, err := tlog.ProveRecord(size, from, all)
			if err != nil {
				return err
			}
			told.Inclusion = append(told.Inclusion, proof{from, size, texts(record)})
			tree, err := tlog.ProveTree(size, from+1, all)
			if err != nil {
				return err
			}
			told.Consistency = append(told.Consistency, proof{from + 1, size, texts(tree)})
		}
	}
	return nil
}

func texts(path []tlog.Hash) []string {
	all := []string{}
	for _, hash := range path {
		all = append(all, hash.String())
	}
	return all
}

func (told *answer) notes(asked question) error {
	verifier, err := note.NewVerifier(asked.Verifier)
	if err != nil {
		return err
	}
	opened, err := note.Open([]byte(asked.Note), note.VerifierList(verifier))
	if err != nil {
		return err
	}
	told.Opened = opened.Text
	signer, err := note.NewSigner(asked.Signer)
	if err != nil {
		return err
	}
	signed, err := note.Sign(&note.Note{Text: opened.Text}, signer)
	told.Signed = string(signed)
	return err
}
