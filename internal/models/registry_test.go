package models_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/waqasm86/llcuda/internal/models"
)

func TestTheRegistryOfThisProgram(t *testing.T) {
	data, err := os.ReadFile("registry.json")
	if err != nil {
		t.Fatal(err)
	}
	r, err := models.BuiltinRegistry()
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Models) < 8 {
		t.Errorf("%d models", len(r.Models))
	}
	e, ok := r.Find("gemma-3-1b-q4_k_m")
	if !ok || e.Repo != "unsloth/gemma-3-1b-it-GGUF" || e.Alias != "gemma-3-1b-Q4_K_M" {
		t.Errorf("%+v", e)
	}
	if again, err := r.Encode(); err != nil || !bytes.Equal(again, data) {
		t.Errorf("the file is not as Encode writes it (%v): models check --write would change more than it fills in", err)
	}
	for _, e := range r.Models {
		if _, err := models.ParseSpec(e.Alias); err != nil || e.Alias == models.TinyName {
			t.Errorf("%s cannot be typed: %v", e.Alias, err)
		}
	}
}

func TestARegistryWithMistakesIsRefused(t *testing.T) {
	good := `{"alias":"m-Q8_0","repo":"o/r","file":"m-Q8_0.gguf","quant":"Q8_0","licence":{"name":"MIT"},"gated":false,"sources":["x"]}`
	file := func(models string) string { return `{"schema":1,"models":[` + models + `]}` }
	if _, err := models.ParseRegistry([]byte(file(good))); err != nil {
		t.Fatal(err)
	}
	with := func(old, text string) string {
		if !strings.Contains(good, old) {
			t.Fatal(old)
		}
		return file(strings.Replace(good, old, text, 1))
	}
	for name, c := range map[string]struct{ data, want string }{
		"another schema":          {`{"schema":2,"models":[]}`, "schema 2"},
		"no JSON":                 {`schema: 1`, "reading the registry"},
		"more after the end":      {file(good) + "{}", "reading the registry"},
		"an unknown field":        {with(`"gated"`, `"gatedd"`), "unknown field"},
		"an alias twice":          {file(good + "," + strings.Replace(good, "m-Q8_0", "M-q8_0", 1)), "twice"},
		"an alias that is a path": {with(`"m-Q8_0"`, `"./m"`), "alias"},
		"a file outside":          {with(`"m-Q8_0.gguf"`, `"../m.gguf"`), "no file of a repository"},
		"a repository of no form": {with(`"o/r"`, `"o"`), "no file of a repository"},
		"a digest without a size": {with(`"gated"`, `"sha256":"`+strings.Repeat("0", 64)+`","gated"`), "go together"},
		"a size without a digest": {with(`"gated"`, `"size":5,"gated"`), "go together"},
		"a digest that is none":   {with(`"gated"`, `"size":5,"sha256":"abc","gated"`), "sha256 is none"},
		"a revision by name":      {with(`"gated"`, `"revision":"main","gated"`), "no commit"},
		"no licence":              {with(`"MIT"`, `""`), "no licence"},
		"no source":               {with(`["x"]`, `[]`), "no source"},
	} {
		if _, err := models.ParseRegistry([]byte(c.data)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
