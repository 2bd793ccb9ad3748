package prove

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/internal/serve"
)

// Identity is what a proof holds for. Where any of it changes, the bundle is
// proved again.
type Identity struct {
	Version int `json:"version"`
	// Contents is the digest of the app part's tree.
	Contents string `json:"contents"`
	// Runtime is the runtime part's, or the host's libraries by path, size and
	// time, or nothing.
	Runtime []string `json:"runtime,omitempty"`
	// Driver is the driver's versions, kernel and user side.
	Driver string `json:"driver,omitempty"`
	// GPUs are those that were proved, sorted; none is the CPU.
	GPUs []string `json:"gpus,omitempty"`
	// CPU is what the processor has: it decides which CPU backend is loaded.
	CPU []string `json:"cpu,omitempty"`
	// Native says that the proof ran without the driver's compiler.
	Native bool `json:"native"`
}

// key is a file's name for an identity.
func (id Identity) key() string {
	raw, _ := json.Marshal(id) // strings and numbers
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:16])
}

// Record is a proof that passed.
type Record struct {
	Schema   int       `json:"schema"`
	Bundle   string    `json:"bundle"`
	Release  string    `json:"release"`
	Time     time.Time `json:"time"`
	Identity Identity  `json:"identity"`
	Report   Report    `json:"report"`
}

// Memory is the folder of the proofs that passed. It needs no lock: a record is
// written under a name of its own and renamed.
type Memory struct{ dir string }

// NewMemory is the memory in a folder, which is made when something is kept.
func NewMemory(dir string) Memory { return Memory{dir} }

const (
	proofPrefix     = "proof-"
	referencePrefix = "reference-"
)

// Recall is the proof of an identity. A record that cannot be read is as good as
// none: then it is proved again.
func (m Memory) Recall(id Identity) (Record, bool) {
	var r Record
	if !m.read(proofPrefix+id.key(), &r) || r.Schema != facts.Schema || !r.Report.Passed || !reflect.DeepEqual(r.Identity, id) {
		return Record{}, false
	}
	return r, true
}

// All are the proofs that are remembered, of every machine that this one was.
func (m Memory) All() []Record {
	found, err := filepath.Glob(m.path(proofPrefix + "*"))
	if err != nil {
		return nil // the folder's name is a pattern: nothing can be looked for
	}
	var list []Record
	for _, file := range found {
		var r Record
		if m.read(strings.TrimSuffix(filepath.Base(file), ".json"), &r) && r.Schema == facts.Schema && r.Report.Passed {
			list = append(list, r)
		}
	}
	return list
}

// Keep remembers a proof that passed, and refuses another.
func (m Memory) Keep(r Record) error {
	if !r.Report.Passed {
		return errors.New("a proof that failed is not kept")
	}
	r.Schema = facts.Schema
	return m.write(proofPrefix+r.Identity.key(), r)
}

// Forget drops the proof of an identity: what it says is no longer so.
func (m Memory) Forget(id Identity) error {
	err := os.Remove(m.path(proofPrefix + id.key()))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// reference is the key under which the CPU's answer is kept: it has nothing to
// do with the GPUs.
func (id Identity) reference() Identity {
	return Identity{Version: id.Version, Contents: id.Contents, CPU: id.CPU}
}

type keptReference struct {
	Identity Identity     `json:"identity"`
	Answer   serve.Answer `json:"answer"`
}

// Reference is the CPU's answer, nil where it is not known.
func (m Memory) Reference(id Identity) *serve.Answer {
	var k keptReference
	of := id.reference()
	if !m.read(referencePrefix+of.key(), &k) || !reflect.DeepEqual(k.Identity, of) || len(k.Answer.Tokens) < tokens {
		return nil
	}
	return &k.Answer
}

// KeepReference remembers the CPU's answer.
func (m Memory) KeepReference(id Identity, a serve.Answer) error {
	of := id.reference()
	return m.write(referencePrefix+of.key(), keptReference{of, a})
}

// Clear removes all that was kept, and the folder where nothing else is in it.
func (m Memory) Clear() error {
	entries, err := os.ReadDir(m.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	ours := []string{proofPrefix, referencePrefix, "." + proofPrefix, "." + referencePrefix}
	for _, e := range entries {
		if slices.ContainsFunc(ours, func(prefix string) bool { return strings.HasPrefix(e.Name(), prefix) }) {
			if err := os.Remove(filepath.Join(m.dir, e.Name())); err != nil {
				return err
			}
		}
	}
	_ = os.Remove(m.dir) // stays where it is not empty
	return nil
}

func (m Memory) path(name string) string { return filepath.Join(m.dir, name+".json") }

func (m Memory) read(name string, v any) bool {
	data, err := os.ReadFile(m.path(name))
	return err == nil && json.Unmarshal(data, v) == nil
}

func (m Memory) write(name string, v any) (err error) {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("keeping a proof: %w", err)
	}
	if err := os.MkdirAll(m.dir, 0o755); err != nil {
		return fmt.Errorf("keeping a proof: %w", err)
	}
	f, err := os.CreateTemp(m.dir, "."+name+"-*")
	if err != nil {
		return fmt.Errorf("keeping a proof: %w", err)
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), m.path(name))
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("keeping a proof: %w", err)
	}
	return nil
}
