package models

import (
	"fmt"
	"path"
	"slices"
	"sort"
	"strings"

	"github.com/waqasm86/llcuda/internal/lazyregexp"
)

// candidate is a model in a repository: one file, or the parts of a split one.
type candidate struct {
	// file is the path; of a split model the first part's.
	file  string
	parts int
	// label is the quantisation as the name has it, upper-case, with a maker's
	// mark ("UD-Q4_K_XL"); "" where the name has none.
	label string
}

var (
	partName = lazyregexp.New(`^(.*)-([0-9]{5})-of-([0-9]{5})\.(?i:gguf)$`)
	// labelText is a quantisation within a name: llama.cpp's types and the
	// float formats, with what makers add.
	labelText = lazyregexp.New(`(?i)(?:^|[-._ /])((?:UD-)?(?:I?Q[0-9](?:_[0-9A-Z]+)*|TQ[0-9]_[0-9]|MXFP4(?:_MOE)?|NVFP4|BF16|F(?:P)?16|F(?:P)?32))$`)
	// notModel marks files that go beside a model: projectors, importance matrices.
	notModel = lazyregexp.New(`(?i)(?:^|[-._/])(?:mmproj|imatrix)`)
)

// label is the quantisation that a file's name says, "" for none. The name of a
// folder counts where the file's own name says nothing.
func label(file string) string {
	base := strings.TrimSuffix(path.Base(file), path.Ext(file))
	if m := partName.FindStringSubmatch(path.Base(file)); m != nil {
		base = m[1]
	}
	// A maker may put a word after the quantisation ("-Q4_K_M-imat"): cut the
	// name at its separators from the end until something fits.
	for base != "" {
		if m := labelText.FindStringSubmatch(base); m != nil {
			return strings.ToUpper(m[1])
		}
		at := strings.LastIndexAny(base, "-.")
		if at < 0 {
			break
		}
		base = base[:at]
	}
	if dir := path.Dir(file); dir != "." {
		if m := labelText.FindStringSubmatch(dir); m != nil {
			return strings.ToUpper(m[1])
		}
	}
	return ""
}

// partsOf are the paths of all parts of a split model of which file is one, in
// their order; file alone for a model in one file.
func partsOf(file string) []string {
	dir, base := path.Split(file)
	m := partName.FindStringSubmatch(base)
	if m == nil {
		return []string{file}
	}
	n := 0
	if _, err := fmt.Sscanf(m[3], "%d", &n); err != nil || n < 1 {
		return []string{file}
	}
	parts := make([]string, n)
	for i := range parts {
		parts[i] = fmt.Sprintf("%s%s-%05d-of-%s%s", dir, m[1], i+1, m[3], path.Ext(base))
	}
	return parts
}

// candidates are the models among a repository's files.
func candidates(files []string) []candidate {
	var list []candidate
	for _, file := range files {
		if !isGGUF(file) || notModel.MatchString(file) {
			continue
		}
		parts := partsOf(file)
		if parts[0] != file {
			continue
		}
		list = append(list, candidate{file, len(parts), label(file)})
	}
	sort.Slice(list, func(i, j int) bool { return list[i].file < list[j].file })
	return list
}

// pickQuant chooses the file of a quantisation as a careful user would: exactly
// the one that was named, in one file rather than in parts; one with a maker's
// mark only where there is none without. The error is a *QuantError.
func pickQuant(repo, quant string, files []string) (string, error) {
	all := candidates(files)
	with := func(fits func(candidate) bool) []candidate {
		var list []candidate
		for _, c := range all {
			if fits(c) {
				list = append(list, c)
			}
		}
		whole := slices.DeleteFunc(slices.Clone(list), func(c candidate) bool { return c.parts > 1 })
		if len(whole) > 0 {
			return whole
		}
		return list
	}
	fit := with(func(c candidate) bool { return c.label == quant })
	if len(fit) == 0 {
		fit = with(func(c candidate) bool { return strings.TrimPrefix(c.label, "UD-") == quant })
	}
	if len(fit) == 1 {
		return fit[0].file, nil
	}
	e := &QuantError{Repo: repo, Quant: quant}
	for _, c := range fit {
		e.Files = append(e.Files, c.file)
	}
	for _, c := range all {
		if c.label != "" && !slices.Contains(e.Quants, c.label) {
			e.Quants = append(e.Quants, c.label)
		}
	}
	sort.Strings(e.Quants)
	return "", e
}
