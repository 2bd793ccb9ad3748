package models

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLabel(t *testing.T) {
	for file, want := range map[string]string{
		"gemma-3-1b-it-Q4_K_M.gguf":          "Q4_K_M",
		"qwen2.5-1.5b-instruct-q4_k_m.gguf":  "Q4_K_M",
		"tinyllama-1.1b-chat-v1.0.Q8_0.gguf": "Q8_0",
		"m-UD-Q4_K_XL.gguf":                  "UD-Q4_K_XL",
		"m-IQ4_XS.gguf":                      "IQ4_XS",
		"m-IQ2_XXS-00001-of-00002.gguf":      "IQ2_XXS",
		"m-BF16.gguf":                        "BF16",
		"m-fp16.gguf":                        "FP16",
		"Phi-3-mini-4k-instruct-q4.gguf":     "Q4",
		"gpt-oss-20b-MXFP4.gguf":             "MXFP4",
		"m-Q4_0_4_4.gguf":                    "Q4_0_4_4",
		"m-Q4_K_M-imat.gguf":                 "Q4_K_M",
		"UD-Q5_K_XL/m-00001-of-00003.gguf":   "UD-Q5_K_XL",
		"Q8_0/m-Q8_0-00001-of-00003.gguf":    "Q8_0",
		"model.gguf":                         "",
		"faq4.gguf":                          "",
		"Llama-3.2-1B-Instruct.gguf":         "",
	} {
		if got := label(file); got != want {
			t.Errorf("%s: %q, want %q", file, got, want)
		}
	}
}

func TestPickQuant(t *testing.T) {
	repo := []string{
		"README.md", "imatrix.gguf", "mmproj-F16.gguf", "mmproj-model-Q8_0.gguf", "m-imatrix-Q4_0.gguf", ".gitattributes",
		"m-Q4_K_M.gguf", "m-UD-Q4_K_M.gguf", "m-Q4_K_S.gguf", "m-IQ4_XS.gguf", "m-UD-Q2_K_XL.gguf",
		"m-Q8_0.gguf", "parts/m-Q8_0-00001-of-00002.gguf", "parts/m-Q8_0-00002-of-00002.gguf",
		"BF16/m-BF16-00001-of-00002.gguf", "BF16/m-BF16-00002-of-00002.gguf",
		"it-Q5_0.gguf", "base-Q5_0.gguf",
	}
	for _, c := range []struct {
		name, quant, want, hint string
	}{
		{"exactly the one that was named", "Q4_K_M", "m-Q4_K_M.gguf", ""},
		{"a name that is the end of another", "Q4_XS", "", "it has BF16, IQ4_XS, Q4_K_M"},
		{"a name that begins others", "Q4_K", "", "Q4_K_S"},
		{"with a maker's mark", "UD-Q4_K_M", "m-UD-Q4_K_M.gguf", ""},
		{"a maker's mark where there is nothing else", "Q2_K_XL", "m-UD-Q2_K_XL.gguf", ""},
		{"one file rather than parts", "Q8_0", "m-Q8_0.gguf", ""},
		{"parts where there is nothing else", "BF16", "BF16/m-BF16-00001-of-00002.gguf", ""},
		{"no projector", "F16", "", "it has"},
		{"no importance matrix", "Q4_0", "", "it has"},
		{"two that fit", "Q5_0", "", "name the file: o/r:base-Q5_0.gguf, o/r:it-Q5_0.gguf"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := pickQuant("o/r", c.quant, repo)
			if got != c.want {
				t.Fatalf("%q, %v", got, err)
			}
			var quant *QuantError
			if c.want == "" && (!errors.As(err, &quant) || quant.ExitCode() != 6 || !strings.Contains(quant.Hint(), c.hint)) {
				t.Errorf("%v, hint %q", err, Hint(err))
			}
		})
	}
	_, err := pickQuant("o/r", "Q4_0", []string{"model.safetensors"})
	if err == nil || !strings.Contains(Hint(err), "no GGUF model") {
		t.Errorf("%v: %s", err, Hint(err))
	}
}

func TestNear(t *testing.T) {
	names := []string{"gemma-3-1b-Q4_K_M", "gemma-3-4b-Q4_K_M", "llama-3.2-1b-Q4_K_M", "tiny", "tinyllama-1.1b-Q4_K_M"}
	for word, want := range map[string][]string{
		"gemma-3-1b":           {"gemma-3-1b-Q4_K_M"},
		"gemma3":               {"gemma-3-1b-Q4_K_M", "gemma-3-4b-Q4_K_M"},
		"Gemma-3-1b-it-Q4_K_M": {"gemma-3-1b-Q4_K_M", "gemma-3-4b-Q4_K_M"},
		"tinny":                {"tiny"},
		"llama-3.2":            {"llama-3.2-1b-Q4_K_M"},
		"phi":                  nil,
		"":                     {"gemma-3-1b-Q4_K_M", "gemma-3-4b-Q4_K_M", "llama-3.2-1b-Q4_K_M"},
	} {
		if diff := cmp.Diff(want, near(word, names)); diff != "" {
			t.Errorf("%q: %s", word, diff)
		}
	}
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"kitten", "sitting", 3}, {"flaw", "lawn", 2}, {"abc", "abc", 0}} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("%s to %s: %d", c.a, c.b, got)
		}
	}
}

func TestOfHub(t *testing.T) {
	const endpoint = "https://mirror.example"
	for address, want := range map[string][3]string{
		"https://huggingface.co/o/r/resolve/main/m.gguf":              {"o/r", "main", "m.gguf"},
		"https://huggingface.co/o/r/blob/main/q/m.gguf?download=true": {"o/r", "main", "q/m.gguf"},
		"https://hf.co/o/r/resolve/refs%2Fpr%2F1/a%20b.gguf":          {"o/r", "refs/pr/1", "a b.gguf"},
		"https://mirror.example/o/r/resolve/main/m.gguf":              {"o/r", "main", "m.gguf"},
		"https://example.com/o/r/resolve/main/m.gguf":                 {},
		"https://huggingface.co/o/r/tree/main/m.gguf":                 {},
		"https://huggingface.co/datasets/o/r/resolve/main/m.gguf":     {},
		"https://huggingface.co/o/r/resolve/main/..%2F..%2Fm.gguf":    {},
	} {
		repo, revision, file, ok := ofHub(address, endpoint)
		if got := [3]string{repo, revision, file}; ok != (want[0] != "") || ok && got != want {
			t.Errorf("%s: %q, %v", address, got, ok)
		}
	}
}

func TestParts(t *testing.T) {
	want := []string{"q/m-00001-of-00003.gguf", "q/m-00002-of-00003.gguf", "q/m-00003-of-00003.gguf"}
	for _, file := range want {
		if diff := cmp.Diff(want, partsOf(file)); diff != "" {
			t.Error(diff)
		}
	}
	for _, file := range []string{"m.gguf", "m-00001-of-00000.gguf", "m-1-of-3.gguf"} {
		if got := partsOf(file); len(got) != 1 || got[0] != file {
			t.Errorf("%s: %q", file, got)
		}
	}
}
