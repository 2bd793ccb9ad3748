package models_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/waqasm86/llcuda/internal/hub"
	"github.com/waqasm86/llcuda/internal/hub/hubtest"
	"github.com/waqasm86/llcuda/internal/models"
)

func entry(alias, repo, file string, data []byte) models.Entry {
	e := models.Entry{Alias: alias, Repo: repo, File: file, Quant: "Q8_0", Licence: models.Licence{Name: "MIT"}, Sources: []string{"here"}}
	if data != nil {
		e.Revision, e.Size, e.SHA256 = hubtest.Commit, int64(len(data)), hubtest.Sum(data)
	}
	return e
}

func TestCheckAsksAsAUserWould(t *testing.T) {
	h := hubtest.New(t)
	good, other := tiny(t), withKeys(t, tiny(t), func(put func(string, uint32, any)) { put("x", 8, "other") })
	h.Repos["o/good"] = &hubtest.Repo{Files: map[string][]byte{"m.gguf": good}}
	h.Repos["o/moved"] = &hubtest.Repo{Commit: strings.Repeat("d", 40), Files: map[string][]byte{"m.gguf": other},
		Older: map[string]map[string][]byte{hubtest.Commit: {"m.gguf": good}}}
	h.Repos["o/dropped"] = &hubtest.Repo{Commit: strings.Repeat("d", 40), Files: map[string][]byte{"n.gguf": other},
		Older: map[string]map[string][]byte{hubtest.Commit: {"m.gguf": good}}}
	h.Repos["o/gated"] = &hubtest.Repo{Gated: "auto", Granted: true, Files: map[string][]byte{"m.gguf": good}}
	h.Repos["o/page"] = &hubtest.Repo{Files: map[string][]byte{"m.gguf": []byte("<!DOCTYPE html>" + strings.Repeat(" ", 100))}}
	h.Repos["o/split"] = &hubtest.Repo{Files: map[string][]byte{"m-00001-of-00002.gguf": split(t)["BF16/m-BF16-00001-of-00002.gguf"]}}
	gated := entry("gated-and-says-so", "o/gated", "m.gguf", good)
	gated.Gated = true
	longer := entry("another-size", "o/good", "m.gguf", good)
	longer.Size++
	moved := entry("other-bytes", "o/moved", "m.gguf", good)
	moved.Revision = ""
	r := models.Registry{Schema: 1, Models: []models.Entry{
		entry("good", "o/good", "m.gguf", good),
		entry("without-a-digest", "o/good", "m.gguf", nil),
		entry("moved-and-pinned", "o/moved", "m.gguf", good),
		entry("dropped-and-pinned", "o/dropped", "m.gguf", good),
		moved,
		entry("gated", "o/gated", "m.gguf", good),
		gated,
		entry("missing", "o/none", "m.gguf", nil),
		entry("another-file", "o/good", "n.gguf", nil),
		longer,
		entry("no-model", "o/page", "m.gguf", nil),
		entry("half-a-model", "o/split", "m-00001-of-00002.gguf", nil),
	}}
	u := newUser(t, h)
	u.env.Token, u.env.TokenFrom = hubtest.Token, "HF_TOKEN"
	c, err := hub.New(u.env)
	if err != nil {
		t.Fatal(err)
	}
	list, err := models.Check(t.Context(), c, r)
	if err != nil || len(list) != len(r.Models) {
		t.Fatalf("%d of %d: %v", len(list), len(r.Models), err)
	}
	want := map[string]struct{ miss, note string }{
		"good":               {},
		"without-a-digest":   {note: "no digest yet"},
		"moved-and-pinned":   {note: "main has other bytes now"},
		"dropped-and-pinned": {note: "main has other bytes now"},
		"other-bytes":        {miss: "has changed"},
		"gated":              {miss: "is gated"},
		"gated-and-says-so":  {},
		"missing":            {miss: "no repository"},
		"another-file":       {miss: "has no file"},
		"another-size":       {miss: "bytes at the hub"},
		"no-model":           {miss: "web page"},
		"half-a-model":       {miss: "has no file m-00002-of-00002.gguf"},
	}
	missed := 0
	for _, got := range list {
		w := want[got.Entry.Alias]
		if w.miss != "" {
			missed++
		}
		if (got.Err != nil) != (w.miss != "") || got.Err != nil && (!strings.Contains(got.Err.Error(), w.miss) || models.Hint(got.Err) == "") {
			t.Errorf("%s: %v", got.Entry.Alias, got.Err)
		}
		if notes := strings.Join(got.Notes, "; "); !strings.Contains(notes, w.note) || w.note == "" && notes != "" {
			t.Errorf("%s: notes %q", got.Entry.Alias, notes)
		}
	}
	if err := models.Misses(list); err == nil || !strings.Contains(err.Error(), "7 of 12") || missed != 7 {
		t.Errorf("%v, %d", err, missed)
	}
	for _, req := range h.Requests() {
		if req.Auth != "" && !strings.Contains(req.Path, "o/gated") {
			t.Errorf("a token was sent for %s", req.Path)
		}
	}
}

func TestFillWritesOnlyWhatIsMissing(t *testing.T) {
	h := hubtest.New(t)
	h.Repos["o/r"] = &hubtest.Repo{Files: map[string][]byte{"m.gguf": tiny(t)}}
	r := models.Registry{Schema: 1, Models: []models.Entry{
		entry("empty", "o/r", "m.gguf", nil), entry("full", "o/r", "m.gguf", tiny(t)), entry("missing", "o/r", "n.gguf", nil),
	}}
	before := r.Models[1]
	c, err := hub.New(newUser(t, h).env)
	if err != nil {
		t.Fatal(err)
	}
	list, err := models.Check(t.Context(), c, r)
	if err != nil {
		t.Fatal(err)
	}
	if n := r.Fill(list); n != 1 {
		t.Errorf("filled %d", n)
	}
	e := r.Models[0]
	if e.SHA256 != hubtest.Sum(tiny(t)) || e.Size != int64(len(tiny(t))) || e.Revision != hubtest.Commit || !strings.Contains(e.Sources[1], "X-Linked-Etag") {
		t.Errorf("%+v", e)
	}
	if r.Models[1].Sources[0] != before.Sources[0] || len(r.Models[1].Sources) != 1 || r.Models[2].SHA256 != "" {
		t.Errorf("changed: %+v", r.Models)
	}
	data, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := models.ParseRegistry(data); err != nil {
		t.Error(err)
	}
}

func TestCheckWithoutANetworkMissesEverything(t *testing.T) {
	h := hubtest.New(t)
	h.Fault = func(w http.ResponseWriter, _ *http.Request) bool { hubtest.Portal(w, http.StatusOK); return true }
	c, err := hub.New(newUser(t, h).env)
	if err != nil {
		t.Fatal(err)
	}
	r, err := models.BuiltinRegistry()
	if err != nil {
		t.Fatal(err)
	}
	list, err := models.Check(t.Context(), c, r)
	if err != nil || len(list) != len(r.Models) {
		t.Fatalf("%d, %v", len(list), err)
	}
	for _, got := range list {
		if got.Err == nil {
			t.Errorf("%s passed", got.Entry.Alias)
		}
	}
}
