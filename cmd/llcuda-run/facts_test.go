package main

import (
	"path/filepath"
	"testing"
)

// Every profile of testdata/hosts is read by why --facts: what stands beside the
// host, its sources, is not looked at.
func TestProfilesAreRead(t *testing.T) {
	files, err := filepath.Glob("../../testdata/hosts/*.json")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		h, err := readFacts(file)
		if err != nil || h.Platform == "" || h.GPUs == nil {
			t.Errorf("%s: %v, %+v", file, err, h)
		}
	}
}
