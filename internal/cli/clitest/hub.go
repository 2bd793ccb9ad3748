package clitest

import (
	"bytes"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/waqasm86/llcuda/internal/gguf"
	"github.com/waqasm86/llcuda/internal/hub/hubtest"
)

// startHub is the command hub: a stand-in for Hugging Face with real models in
// it, small ones, and a cache of the script's own.
func startHub(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: hub")
	}
	var model bytes.Buffer
	ts.Check(gguf.Tiny(&model, gguf.DefaultTiny()))
	h, stop := hubtest.Start()
	ts.Defer(stop)
	h.Do(func() {
		h.Repos["o/tiny-GGUF"] = &hubtest.Repo{Licence: "mit", Files: map[string][]byte{
			"README.md": []byte("a model"), "tiny-F16.gguf": model.Bytes(), "mmproj-F16.gguf": model.Bytes()[:100]}}
		h.Repos["o/gated-GGUF"] = &hubtest.Repo{Gated: "auto", Files: map[string][]byte{"tiny-F16.gguf": model.Bytes()}}
	})
	ts.Setenv("HF_ENDPOINT", h.URL)
	ts.Setenv("HF_HOME", ts.MkAbs("hf"))
}
