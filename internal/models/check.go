package models

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/waqasm86/llcuda/internal/hub"
)

// Checked is what the hub says of one entry of a registry.
type Checked struct {
	Entry Entry
	// File is main's, or the pinned commit's where main has other bytes; nil
	// where there is none.
	File *hub.File
	// Err says why a user could not download the entry; nil where they could.
	Err error
	// Notes are differences that keep nobody from the model.
	Notes []string
}

// Check asks the hub for every entry of a registry as a user would: without the
// token where the entry says that none is needed. It asks for each file's size
// and digest, and for its first bytes, which come from where all would. It goes
// on after a miss; the error is ctx's alone.
func Check(ctx context.Context, c *hub.Client, r Registry) ([]Checked, error) {
	anonymous := c.Anonymous()
	list := make([]Checked, 0, len(r.Models))
	for _, e := range r.Models {
		asker := anonymous
		if e.Gated {
			asker = c
		}
		list = append(list, checkEntry(ctx, asker, e))
		if ctx.Err() != nil {
			return list, fmt.Errorf("checking the registry of models: %w", context.Cause(ctx))
		}
	}
	return list, nil
}

func checkEntry(ctx context.Context, c *hub.Client, e Entry) Checked {
	got := Checked{Entry: e}
	s := &search{c: c, want: wanted{repo: e.Repo, revision: hub.Main, file: e.File, sha256: e.SHA256, entry: &e}}
	files, err := s.ask(ctx)
	if err != nil {
		got.Err = err
		return got
	}
	first := files[0]
	got.File = &first
	if e.Size != 0 && first.Size != e.Size {
		got.Err = &SizeError{e, first.Size}
		return got
	}
	if got.Err = checkRemote(ctx, c, first); got.Err != nil {
		return got
	}
	if first.Revision != hub.Main {
		got.Notes = append(got.Notes, "main has other bytes now; the pinned revision still has these")
	}
	if e.SHA256 == "" {
		got.Notes = append(got.Notes, "the entry has no digest yet")
	}
	info, err := c.Info(ctx, e.Repo)
	switch {
	case err != nil:
		got.Notes = append(got.Notes, "what the repository says of itself could not be read: "+err.Error())
	case e.Gated && info.Gated == "":
		got.Notes = append(got.Notes, "the entry says that it is gated, the hub does not")
	case !e.Gated && info.Gated != "":
		got.Notes = append(got.Notes, "the hub says that it is gated, the entry does not")
	}
	return got
}

// SizeError says that the hub's size is not the registry's although the digest is.
type SizeError struct {
	Entry Entry
	Got   int64
}

func (e *SizeError) Error() string {
	return fmt.Sprintf("%s has %d bytes at the hub, the registry says %d", e.Entry.Name(), e.Got, e.Entry.Size)
}

// Hint says what to do.
func (e *SizeError) Hint() string { return "the registry's size is wrong: correct the entry" }

// ExitCode is 1: a check found a miss.
func (e *SizeError) ExitCode() int { return 1 }

// Fill completes the entries that have no digest with what the hub said; it
// changes no value that is there. It says how many it completed.
func (r *Registry) Fill(checked []Checked) int {
	n := 0
	for i, e := range r.Models {
		for _, c := range checked {
			if c.Entry.Alias != e.Alias || c.Err != nil || c.File == nil || e.SHA256 != "" {
				continue
			}
			r.Models[i].Revision, r.Models[i].Size, r.Models[i].SHA256 = c.File.Commit, c.File.Size, c.File.SHA256
			r.Models[i].Sources = append(r.Models[i].Sources, "revision, size, sha256: the hub's X-Repo-Commit, X-Linked-Size and X-Linked-Etag (models check --write)")
			n++
		}
	}
	return n
}

// MissError says that a check found entries that a user could not download.
type MissError struct{ Missed, Of int }

func (e *MissError) Error() string {
	return fmt.Sprintf("%d of %d models of the registry cannot be downloaded", e.Missed, e.Of)
}

// ExitCode is 1: a check found a miss.
func (e *MissError) ExitCode() int { return 1 }

// Misses is the *MissError of a check, nil where everything can be downloaded.
func Misses(checked []Checked) error {
	n := 0
	for _, c := range checked {
		if c.Err != nil {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	return &MissError{n, len(checked)}
}

// Hint is the cure of an error, "" where it has none.
func Hint(err error) string {
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		return hinted.Hint()
	}
	return ""
}

// CheckReport is a check as both programs print it; its JSON is a contract.
type CheckReport struct {
	Schema int            `json:"schema"`
	Hub    string         `json:"hub"`
	Models []CheckedModel `json:"models"`
}

// CheckedModel is one entry in a CheckReport. Revision, Size and SHA256 are the
// hub's.
type CheckedModel struct {
	Alias    string   `json:"alias"`
	Repo     string   `json:"repo"`
	File     string   `json:"file"`
	OK       bool     `json:"ok"`
	Revision string   `json:"revision,omitempty"`
	Size     int64    `json:"size,omitempty"`
	SHA256   string   `json:"sha256,omitempty"`
	Error    string   `json:"error,omitempty"`
	Hint     string   `json:"hint,omitempty"`
	Notes    []string `json:"notes,omitempty"`
}

// Report puts a check into its printed form.
func Report(endpoint string, checked []Checked) CheckReport {
	r := CheckReport{Schema: RegistrySchema, Hub: endpoint, Models: []CheckedModel{}}
	for _, c := range checked {
		m := CheckedModel{Alias: c.Entry.Alias, Repo: c.Entry.Repo, File: c.Entry.File, OK: c.Err == nil, Notes: c.Notes}
		if c.File != nil {
			m.Revision, m.Size, m.SHA256 = c.File.Commit, c.File.Size, c.File.SHA256
		}
		if c.Err != nil {
			m.Error, m.Hint = c.Err.Error(), Hint(c.Err)
		}
		r.Models = append(r.Models, m)
	}
	return r
}

// Render writes the report for people.
func (r CheckReport) Render(w io.Writer) error {
	var b strings.Builder
	for _, m := range r.Models {
		state := "ok    "
		if !m.OK {
			state = "MISSED"
		}
		fmt.Fprintf(&b, "%s  %s  %s:%s\n", state, m.Alias, m.Repo, m.File)
		for _, line := range []string{m.Error, m.Hint} {
			if line != "" {
				fmt.Fprintf(&b, "        %s\n", line)
			}
		}
		for _, note := range m.Notes {
			fmt.Fprintf(&b, "        note: %s\n", note)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
