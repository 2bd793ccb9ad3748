package release

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waqasm86/llcuda/bundles"
)

func TestWhoBecomesLatest(t *testing.T) {
	for _, c := range []struct {
		name, tag, mode string
		public          []string
		latest, pre     bool
	}{
		{"the first", "v1.0.0", "auto", nil, true, false},
		{"a higher version", "v1.2.0", "auto", []string{"v1.1.9", "v1.10.0-rc.1"}, true, false},
		{"a mended older line", "v1.1.10", "auto", []string{"v1.2.0", "v1.1.9"}, false, false},
		{"a mended older line, on purpose", "v1.1.10", "yes", []string{"v1.2.0"}, true, false},
		{"a pre-release", "v2.0.0-rc.1", "auto", []string{"v1.2.0"}, false, true},
		{"a pre-release, on purpose", "v2.0.0-rc.1", "yes", nil, true, false},
		{"a release kept back", "v2.0.0", "no", []string{"v1.2.0"}, false, false},
		{"a tag that is no version", "2026-11", "auto", []string{"v1.2.0"}, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var public []hubRelease
			for _, tag := range c.public {
				public = append(public, hubRelease{Tag: tag, Prerelease: strings.Contains(tag, "-rc")})
			}
			latest, pre, why := standing(c.tag, c.mode, public)
			if latest != c.latest || pre != c.pre || why == "" {
				t.Errorf("latest %v, pre-release %v, because %s", latest, pre, why)
			}
		})
	}
	s := newStand(t)
	_, err := s.publish()
	must(t, err)
	first := s.Latest
	s.tag("v1.1.0-rc.1", "candidate")
	_, err = s.publish()
	must(t, err)
	if s.Latest != first || !s.Releases[1].Pre {
		t.Errorf("latest is %d, the candidate %+v", s.Latest, s.Releases[1])
	}
}

func TestFortyBundlesStayWithinGitHubsLimits(t *testing.T) {
	s := newStand(t)
	s.in.DistDir = t.TempDir()
	for i := range 40 {
		id := fmt.Sprintf("cuda12.4-sm%d", i)
		app := pack(t, s.in.DistDir, id+".tar.zst", map[string]string{"llama-server": id})
		app.Kind = bundles.PartApp
		_, err := bundles.WriteFragment(s.in.DistDir, bundles.Fragment{
			Bundle: bundles.Bundle{ID: id, Cell: id, Platform: "linux/amd64", App: app.key}, Parts: map[string]bundles.Part{app.key: app.Part}})
		must(t, err)
	}
	s.in.Extra = map[string]string{}
	for i := range 45 { // a bill of materials each, and some programs
		path := filepath.Join(t.TempDir(), "x")
		must(t, os.WriteFile(path, fmt.Append(nil, i), 0o644))
		s.in.Extra[fmt.Sprintf("extra%d.json", i)] = path
	}
	for i := range 60 { // years of releases
		s.AddAsset(s.Add(fmt.Sprintf("old%d", i), "", false), bundles.ManifestName, fmt.Appendf(nil, `{"schema":1,"sequence":%d}`, i+1))
	}
	done, err := s.publish()
	must(t, err)
	s.whole("v1")
	if len(done.Plan.Upload) != 88 || done.Plan.Calls >= 200 {
		t.Errorf("%d files, %d calls", len(done.Plan.Upload), done.Plan.Calls)
	}
	calls, changes, busiest := 0, []time.Time{}, 0
	for _, c := range s.Calls {
		if c.At.Before(s.Releases[60].Created.Add(-time.Minute)) {
			continue
		}
		if calls++; c.Change() {
			changes = append(changes, c.At)
		}
	}
	slices.SortFunc(changes, time.Time.Compare)
	for i, from := range changes {
		n := 0
		for _, at := range changes[i:] {
			if at.Sub(from) < time.Minute {
				n++
			}
		}
		busiest = max(busiest, n)
	}
	t.Logf("%d API calls, %d of them change something, at most %d in a minute", calls, len(changes), busiest)
	if calls >= 200 || busiest >= 80 || len(changes) < 90 {
		t.Errorf("%d calls, %d changes, %d in the busiest minute", calls, len(changes), busiest)
	}
}

func TestChangesAreSpread(t *testing.T) {
	clock := newJump()
	p := &pace{clock: clock}
	var at []time.Time
	for range 1000 {
		must(t, p.turn(t.Context(), true))
		at = append(at, clock.Now())
	}
	for i := range at {
		if i >= 75 && at[i].Sub(at[i-75]) < time.Minute {
			t.Fatalf("76 changes in %s", at[i].Sub(at[i-75]))
		}
		if i >= 450 && at[i].Sub(at[i-450]) < time.Hour {
			t.Fatalf("451 changes in %s", at[i].Sub(at[i-450]))
		}
	}
	p.rest(time.Minute)
	before := clock.Now()
	must(t, p.turn(t.Context(), false))
	if clock.Now().Sub(before) < time.Minute {
		t.Error("nobody rests")
	}
}

func TestLimitsOfGitHubAreKnownBeforehand(t *testing.T) {
	draft := &bundles.Manifest{Parts: map[string]bundles.Part{}}
	for i := range 999 {
		draft.Parts[digestOf(fmt.Append(nil, i))] = bundles.Part{Name: fmt.Sprintf("p%d.tar.zst", i), Size: 1}
	}
	big := draft.Parts[digestOf([]byte("0"))]
	big.Size = 2 << 30
	draft.Parts[digestOf([]byte("0"))] = big
	var m misses
	(&publication{dist: &dist{draft: draft}}).limits(&m)
	if err := m.err(); err == nil || len(m.all) != 2 || !strings.Contains(err.Error(), "1002 files") || !strings.Contains(err.Error(), "p0.tar.zst has 2147483648 bytes") {
		t.Errorf("misses %v", err)
	}
}
