package bundles

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/internal/lazyregexp"
)

var (
	platformForm = lazyregexp.New(`^[a-z0-9]+/[a-z0-9]+$`)
	toolkitForm  = lazyregexp.New(`^\d+\.\d+(\.\d+)?$`)
	sonameForm   = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9._+-]*$`)
	versionForm  = lazyregexp.New(`^\d+(\.\d+)*$`)
	cudaForm     = lazyregexp.New(`^\d+\.\d+$`)
	driverForm   = lazyregexp.New(`^\d+\.\d+(\.\d+)?$`)
	ccForm       = lazyregexp.New(`^\d+\.\d+$`)
	// "8.6", "5.0-6.1", "8.6-8.x", "5.0-7.x", "9.0+"
	ccRangeForm = lazyregexp.New(`^(\d+)\.\d+(\+|-(\d+)\.(\d+|x))?$`)
)

// Validate says everything that is wrong with a manifest: a reference that
// leads nowhere, an id or a name twice, a malformed digest, a size that is not
// positive, a floor that no rule can read. Fields it does not know of can not
// be wrong.
func (m *Manifest) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if err := checkSchema("manifest", m.Schema); err != nil {
		return err
	}
	if err := CheckTag(m.Release); err != nil {
		faults = append(faults, err)
	}
	if m.Sequence < 1 {
		fault("sequence %d: not positive", m.Sequence)
	}
	if len(m.Bundles) == 0 {
		fault("release %q has no bundles", m.Release)
	}
	faults = append(faults, partFaults(m.Parts)...)
	ids := map[string]bool{}
	for _, b := range m.Bundles {
		if ids[b.ID] {
			fault("bundle id %q appears twice", b.ID)
		}
		ids[b.ID] = true
		faults = append(faults, bundleFaults(b, m.Parts)...)
	}
	for _, k := range slices.Sorted(maps.Keys(m.Parts)) {
		if r := m.Parts[k].Release; r != nil && *r == m.Release {
			fault("part %s: its earlier release is this one", m.Parts[k].Name)
		}
	}
	return errors.Join(faults...)
}

// Validate says everything that is wrong with a fragment, by the rules of a manifest.
func (f *Fragment) Validate() error {
	if err := checkSchema("fragment", f.Schema); err != nil {
		return err
	}
	return errors.Join(append(partFaults(f.Parts), bundleFaults(f.Bundle, f.Parts)...)...)
}

func partFaults(parts map[string]Part) []error {
	var faults []error
	names := map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(parts)) {
		p := parts[key]
		fault := func(format string, args ...any) {
			faults = append(faults, fmt.Errorf("part %s (%s): %w", key, p.Name, fmt.Errorf(format, args...)))
		}
		if _, err := SHA256Hex(key); err != nil {
			fault("key: %w", err)
		}
		if err := CheckPartName(p.Name); err != nil {
			fault("%w", err)
		}
		if other, ok := names[p.Name]; ok {
			fault("has the name of part %s", other)
		}
		names[p.Name] = key
		switch p.Kind {
		case PartApp:
			if p.Form != "" {
				fault("an app part has no form, this says %q", p.Form)
			}
		case PartRuntime:
			if p.Form != "lean" && p.Form != "stock" {
				fault("form %q: not lean or stock", p.Form)
			}
		default:
			fault("kind %q: not app or runtime", p.Kind)
		}
		if p.Size <= 0 {
			fault("size %d: not positive", p.Size)
		}
		if p.Unpacked < 0 {
			fault("unpacked size %d: negative", p.Unpacked)
		}
		if _, err := SHA256Hex(p.Contents); err != nil {
			fault("contents: %w", err)
		}
		if p.Release != nil {
			if err := CheckTag(*p.Release); err != nil {
				fault("earlier release: %w", err)
			}
		}
		if p.Glibc != "" && !versionForm.MatchString(p.Glibc) {
			fault("glibc %q: not a version", p.Glibc)
		}
		if p.Glibcxx != "" && !versionForm.MatchString(p.Glibcxx) {
			fault("glibcxx %q: not a version", p.Glibcxx)
		}
		for _, n := range p.Needs {
			if !sonameForm.MatchString(n.Soname) || n.Min != "" && !versionForm.MatchString(n.Min) {
				fault("needs %q at least %q: malformed", n.Soname, n.Min)
			}
		}
		for _, l := range p.Provides {
			if !sonameForm.MatchString(l.Soname) || l.Version != "" && !versionForm.MatchString(l.Version) {
				fault("provides %q version %q: malformed", l.Soname, l.Version)
			}
		}
		for _, f := range p.Floors {
			if err := floorFault(f); err != nil {
				fault("%w", err)
			}
		}
		for _, file := range p.Files {
			if s := pathFault(file.Path); s != "" {
				fault("file %q: %s", file.Path, s)
			}
			if file.Device == nil {
				continue
			}
			for _, f := range file.Device.Floors {
				if err := floorFault(f); err != nil {
					fault("file %q: %w", file.Path, err)
				}
			}
		}
		if p.Lean != nil {
			for cc, s := range p.Lean.Selected {
				if _, err := SHA256Hex(s.Digest); err != nil || !ccForm.MatchString(cc) || s.Units < 0 {
					fault("lean selection for %q: malformed", cc)
				}
			}
		}
	}
	return faults
}

func bundleFaults(b Bundle, parts map[string]Part) []error {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("bundle %q: %w", b.ID, fmt.Errorf(format, args...)))
	}
	if err := CheckBundleID(b.ID); err != nil {
		faults = append(faults, err)
	}
	if b.Cell == "" {
		fault("no cell")
	}
	if !platformForm.MatchString(b.Platform) {
		fault("platform %q: not of the form linux/amd64", b.Platform)
	}
	if b.Toolkit != "" && !toolkitForm.MatchString(b.Toolkit) {
		fault("toolkit %q: not a version", b.Toolkit)
	}
	switch p, ok := parts[b.App]; {
	case !ok:
		fault("app part %q is not in the manifest", b.App)
	case p.Kind != PartApp:
		fault("app part %s is a %s", b.App, p.Kind)
	}
	seen := map[string]bool{}
	for _, r := range b.Runtime {
		if seen[r] {
			fault("runtime %q appears twice", r)
		}
		seen[r] = true
		if r == RuntimeHost {
			continue
		}
		switch p, ok := parts[r]; {
		case !ok:
			fault("runtime part %q is not in the manifest", r)
		case p.Kind != PartRuntime:
			fault("runtime part %s is an %s", r, p.Kind)
		}
	}
	return faults
}

// number reads digits that a form has already matched; a number too large for
// any GPU is the largest.
func number(digits string) int {
	n, err := strconv.Atoi(digits)
	if err != nil {
		return math.MaxInt
	}
	return n
}

// floorFault says why a floor can not be read, nil if it can.
func floorFault(f facts.Floor) error {
	match := ccRangeForm.FindStringSubmatch(f.CC)
	switch {
	case match == nil:
		return fmt.Errorf("floor of %q: not a compute capability or a range of them", f.CC)
	case match[3] != "" && number(match[3]) < number(match[1]):
		return fmt.Errorf("floor of %q: the range ends before it begins", f.CC)
	}
	for _, e := range f.Except {
		if !ccForm.MatchString(e) {
			return fmt.Errorf("floor of %q: exception %q is no compute capability", f.CC, e)
		}
	}
	switch f.Via {
	case facts.ViaSASS, facts.ViaPTX, facts.ViaNone:
	default:
		return fmt.Errorf("floor of %q: via %q is not %s", f.CC, f.Via, strings.Join([]string{facts.ViaSASS, facts.ViaPTX, facts.ViaNone}, ", "))
	}
	if f.MinCUDA != nil && !cudaForm.MatchString(*f.MinCUDA) {
		return fmt.Errorf("floor of %q: CUDA version %q", f.CC, *f.MinCUDA)
	}
	if f.MinDriver != nil && !driverForm.MatchString(*f.MinDriver) {
		return fmt.Errorf("floor of %q: driver version %q", f.CC, *f.MinDriver)
	}
	return nil
}
