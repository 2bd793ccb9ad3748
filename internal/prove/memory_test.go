package prove

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func TestAProofIsRememberedForThisMachineOnly(t *testing.T) {
	m := NewMemory(filepath.Join(t.TempDir(), "proofs"))
	id := Identity{Version: Version, Contents: "sha256:a", Runtime: []string{"r"}, Driver: "550", GPUs: []string{"GPU-a"}, CPU: []string{"avx2"}, Native: true}
	if _, ok := m.Recall(id); ok {
		t.Fatal("remembered from nowhere")
	}
	r := Record{Bundle: "b", Release: "v1", Time: time.Unix(1e9, 0).UTC(), Identity: id, Report: Report{Passed: true}}
	if err := m.Keep(r); err != nil {
		t.Fatal(err)
	}
	if got, ok := m.Recall(id); !ok || got.Bundle != "b" || !got.Time.Equal(r.Time) {
		t.Errorf("got %+v, %v", got, ok)
	}
	for name, change := range map[string]func(*Identity){
		"another bundle":        func(id *Identity) { id.Contents = "sha256:b" },
		"another runtime":       func(id *Identity) { id.Runtime = []string{"s"} },
		"another driver":        func(id *Identity) { id.Driver = "580" },
		"one GPU more":          func(id *Identity) { id.GPUs = []string{"GPU-a", "GPU-b"} },
		"another CPU":           func(id *Identity) { id.CPU = []string{"avx512f"} },
		"a proof with compiler": func(id *Identity) { id.Native = false },
		"another proof":         func(id *Identity) { id.Version++ },
	} {
		other := id
		change(&other)
		if _, ok := m.Recall(other); ok {
			t.Errorf("%s is the same", name)
		}
	}
	if all := m.All(); len(all) != 1 || all[0].Bundle != "b" {
		t.Errorf("got %+v", all)
	}
	if err := m.Forget(id); err != nil || len(m.All()) != 0 {
		t.Errorf("not forgotten: %v", err)
	}
	if err := m.Forget(id); err != nil {
		t.Error(err)
	}
}

func TestAFailureIsNotRemembered(t *testing.T) {
	m := NewMemory(t.TempDir())
	if err := m.Keep(Record{}); err == nil {
		t.Error("a proof that failed is kept")
	}
}

func TestTheReferenceHasNothingToDoWithTheGPUs(t *testing.T) {
	m := NewMemory(t.TempDir())
	id := Identity{Version: Version, Contents: "sha256:a", Driver: "550", GPUs: []string{"GPU-a"}, CPU: []string{"avx2"}}
	if m.Reference(id) != nil {
		t.Fatal("remembered from nowhere")
	}
	if err := m.KeepReference(id, written); err != nil {
		t.Fatal(err)
	}
	id.Driver, id.GPUs, id.Native = "580", nil, true
	if a := m.Reference(id); a == nil || len(a.Tokens) != tokens {
		t.Errorf("got %+v", a)
	}
	id.CPU = []string{"avx512f"}
	if m.Reference(id) != nil {
		t.Error("another CPU rounds differently")
	}
}

func TestDamageIsNoMemoryAndClearTakesOnlyWhatIsOurs(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "proofs")
	m, id := NewMemory(dir), Identity{Contents: "sha256:a"}
	if err := m.Keep(Record{Identity: id, Report: Report{Passed: true}}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(m.path(proofPrefix+id.key()), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, ok := m.Recall(id); ok || len(m.All()) != 0 {
		t.Error("half a record passes")
	}
	other := filepath.Join(dir, "mine.txt")
	if err := os.WriteFile(other, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := m.Clear(); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || !slices.ContainsFunc(left, func(e os.DirEntry) bool { return e.Name() == "mine.txt" }) || len(left) != 1 {
		t.Errorf("left: %v, %v", left, err)
	}
	if err := NewMemory(filepath.Join(dir, "none")).Clear(); err != nil {
		t.Error(err)
	}
}

// Asking the memory is all that a proof costs a start once it was made: it must stay far
// below a millisecond.
func BenchmarkRecall(b *testing.B) {
	m := NewMemory(b.TempDir())
	id := Identity{Version: Version, Contents: "sha256:a", Driver: "550", GPUs: []string{"GPU-a"}, CPU: []string{"avx2"}}
	if err := m.Keep(Record{Identity: id, Report: Report{Passed: true, Devices: make([]DeviceReport, 8)}}); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, ok := m.Recall(id); !ok {
			b.Fatal("forgotten")
		}
	}
}
