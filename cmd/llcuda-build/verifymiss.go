package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/waqasm86/llcuda/internal/cli"
	"github.com/waqasm86/llcuda/internal/verify"
)

// Codes of misses that only a part or a release has; the others are package
// verify's.
const (
	missUnreadable = "part-unreadable"
	missSize       = "part-size"
	missDigest     = "part-digest"
	missContents   = "part-contents"
	missFacts      = "facts-differ"
	missBundle     = "bundle-differs"
)

// partMiss is a miss in one of the parts of a release.
type partMiss struct {
	// Part is the part's file name; empty where there is only one.
	Part string `json:"part,omitempty"`
	// Field is the place in the manifest that says otherwise.
	Field string `json:"field,omitempty"`
	verify.Miss
}

// partMissesError says each miss on a line of its own.
func partMissesError(misses []partMiss) error {
	errs := make([]error, len(misses))
	for i, m := range misses {
		text := m.Text
		for _, where := range []string{m.File, m.Part} {
			if where != "" {
				text = where + ": " + text
			}
		}
		errs[i] = &cli.Error{Err: errors.New(text), Cure: m.Fix, Code: cli.ExitFailed}
	}
	return errors.Join(errs...)
}

// difference is one place where two values of the same type differ.
type difference struct{ file, field, published, read string }

// maxDifferences bounds what is told of one part.
const maxDifferences = 20

// differences compares what is published with what was read, field by field, as
// both look in JSON: a field that only one of them has differs too.
func differences(published, read any) ([]difference, error) {
	a, err := plainJSON(published)
	if err != nil {
		return nil, err
	}
	b, err := plainJSON(read)
	if err != nil {
		return nil, err
	}
	var list []difference
	differ("", "", a, b, &list)
	return list, nil
}

func plainJSON(v any) (out any, err error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return out, json.Unmarshal(data, &out)
}

func differ(file, field string, a, b any, list *[]difference) {
	if reflect.DeepEqual(a, b) || len(*list) == maxDifferences {
		return
	}
	switch x := a.(type) {
	case map[string]any:
		if y, ok := b.(map[string]any); ok {
			keys := maps.Clone(x)
			maps.Copy(keys, y)
			for _, k := range slices.Sorted(maps.Keys(keys)) {
				differ(file, joinField(field, k), x[k], y[k], list)
			}
			return
		}
	case []any:
		if y, ok := b.([]any); ok {
			differLists(file, field, x, y, list)
			return
		}
	}
	*list = append(*list, difference{file, field, brief(a), brief(b)})
}

// differLists compares files by their path, other elements by their place.
func differLists(file, field string, x, y []any, list *[]difference) {
	byPath := func(all []any) map[string]any {
		m := map[string]any{}
		for _, v := range all {
			if o, ok := v.(map[string]any); ok {
				if p, ok := o["path"].(string); ok {
					m[p] = o
				}
			}
		}
		return m
	}
	a, b := byPath(x), byPath(y)
	if len(a) == len(x) && len(b) == len(y) && len(a)+len(b) > 0 {
		paths := maps.Clone(a)
		maps.Copy(paths, b)
		for _, p := range slices.Sorted(maps.Keys(paths)) {
			differ(p, field, a[p], b[p], list)
		}
		return
	}
	for i := range max(len(x), len(y)) {
		var p, q any
		if i < len(x) {
			p = x[i]
		}
		if i < len(y) {
			q = y[i]
		}
		differ(file, fmt.Sprintf("%s[%d]", field, i), p, q, list)
	}
}

func joinField(field, k string) string {
	if field == "" {
		return k
	}
	return field + "." + k
}

// brief is a value in a few words.
func brief(v any) string {
	if v == nil {
		return "nothing"
	}
	data, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	if s := string(data); len(s) <= 80 {
		return s
	}
	return string(data[:77]) + "..."
}
