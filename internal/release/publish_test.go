package release

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waqasm86/llcuda/bundles"
)

// TestMain is the publisher's program when asked to be: see startPublisher.
func TestMain(m *testing.M) {
	if os.Getenv("LLCUDA_TEST_PUBLISH") == "" {
		os.Exit(m.Run())
	}
	text, err := os.ReadFile(os.Getenv("LLCUDA_TEST_KEY"))
	if err == nil {
		var key bundles.PrivateKey
		if key, err = bundles.ParsePrivateKey(text, ""); err == nil {
			in := PublishInput{Path: os.Getenv("LLCUDA_TEST_PATH"), Tag: os.Getenv("LLCUDA_TEST_TAG"), DistDir: os.Getenv("LLCUDA_TEST_DIST"),
				Key: key, Repository: repository, Tool: "test", Log: stopper{os.Getenv("LLCUDA_TEST_STOP")}}
			if hub := os.Getenv("LLCUDA_TEST_HUB"); hub != "" {
				_, err = PublishGitHub(context.Background(), in, GitHubTarget{Name: "owner/repo", clock: hasty{time.Now()},
					Options: Options{Token: secret, GitHubBaseURL: hub}})
			} else {
				_, err = PublishDir(context.Background(), in)
			}
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// stopper reports each step, and stands still at one of them.
type stopper struct{ at string }

func (s stopper) Write(b []byte) (int, error) {
	os.Stdout.Write(b)
	if s.at != "" && strings.HasPrefix(string(b), s.at) {
		select {}
	}
	return len(b), nil
}

// child is what a publisher's program is to publish; with hub to that GitHub.
type child struct {
	PublishInput
	hub string
}

type publisher struct {
	cmd *exec.Cmd
	out *bufio.Scanner
}

func startPublisher(t testing.TB, in child, keyFile, stop string) *publisher {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "LLCUDA_TEST_HUB="+in.hub, "LLCUDA_TEST_PUBLISH=1", "LLCUDA_TEST_KEY="+keyFile, "LLCUDA_TEST_PATH="+in.Path,
		"LLCUDA_TEST_TAG="+in.Tag, "LLCUDA_TEST_DIST="+in.DistDir, "LLCUDA_TEST_STOP="+stop)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	return &publisher{cmd, bufio.NewScanner(out)}
}

// until reads steps up to one with this beginning; "" reads to the end.
func (p *publisher) until(step string) (steps []string) {
	for p.out.Scan() {
		steps = append(steps, p.out.Text())
		if step != "" && strings.HasPrefix(p.out.Text(), step) {
			break
		}
	}
	return steps
}

func (p *publisher) kill() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
}

func tree(t testing.TB, dir string) []string {
	t.Helper()
	var all []string
	must(t, filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, p)
			all = append(all, rel)
		}
		return err
	}))
	return all
}

func TestPublishedReleaseVerifiesAndHasNoStrays(t *testing.T) {
	key := newKey(t)
	dir := published(t, key)
	want := []string{"latest"}
	for _, tag := range []string{"v1", "v2"} {
		if tag == "v1" { // v2 has the same runtime and refers to it
			want = append(want, "v1/SHA256SUMS", "v1/cublas-12.4.tar.zst")
		} else {
			want = append(want, "v2/SHA256SUMS")
		}
		for _, f := range []string{"llama-cuda12.4-all.tar.zst", "llama-cuda12.4-sm75.tar.zst", "manifest.json", "manifest.json.minisig"} {
			want = append(want, tag+"/"+f)
		}
	}
	if diff := cmp.Diff(want, tree(t, dir)); diff != "" {
		t.Errorf("files differ:\n%s", diff)
	}
	s := parse(t, dir, Options{})
	one, two := verified(t, s, "v1", key), verified(t, s, "", key)
	if one.Sequence != 1 || two.Sequence != 2 || two.Release != "v2" {
		t.Errorf("sequences %d and %d of %s", one.Sequence, two.Sequence, two.Release)
	}
	data, err := os.ReadFile(filepath.Join(dir, "v1", bundles.SumsName))
	must(t, err)
	sums, err := bundles.ParseSums(data)
	must(t, err)
	for _, sum := range sums {
		data, err := os.ReadFile(filepath.Join(dir, "v1", sum.Name))
		must(t, err)
		if digestOf(data) != "sha256:"+sum.SHA256 {
			t.Errorf("SHA256SUMS is wrong about %s", sum.Name)
		}
	}
	if len(sums) != 4 {
		t.Errorf("SHA256SUMS has %d lines", len(sums))
	}
}

func TestPublishingTheSameAgainChangesNothing(t *testing.T) {
	key := newKey(t)
	path, dist := t.TempDir(), writeDist(t, "same")
	in := PublishInput{Path: path, Tag: "v1", DistDir: dist, Key: key, Repository: repository, Tool: "1.0"}
	first, err := PublishDir(t.Context(), in)
	must(t, err)
	info, err := os.Stat(filepath.Join(path, "v1", bundles.ManifestName))
	must(t, err)
	in.Tool = "1.1" // a newer program is no other content
	again, err := PublishDir(t.Context(), in)
	must(t, err)
	if first.Already || !again.Already {
		t.Errorf("first %+v, again %+v", first, again)
	}
	again.Already = false
	if diff := cmp.Diff(first, again); diff != "" {
		t.Errorf("results differ:\n%s", diff)
	}
	if now, err := os.Stat(filepath.Join(path, "v1", bundles.ManifestName)); err != nil || !os.SameFile(info, now) || !now.ModTime().Equal(info.ModTime()) {
		t.Errorf("the manifest was written again (%v)", err)
	}
	// And the parts have a life of their own.
	part := filepath.Join(dist, "cublas-12.4.tar.zst")
	f, err := os.OpenFile(part, os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteAt([]byte("overwritten"), 0)
	must(t, errors.Join(err, f.Close()))
	verified(t, parse(t, path, Options{}), "", key)
}

func TestPublishingAnOldReleaseAgainLeavesLatestAlone(t *testing.T) {
	key := newKey(t)
	path, dist := t.TempDir(), writeDist(t, "one")
	in := PublishInput{Path: path, Tag: "v1", DistDir: dist, Key: key, Repository: repository}
	_, err := PublishDir(t.Context(), in)
	must(t, err)
	in2 := in
	in2.Tag, in2.DistDir = "v2", writeDist(t, "two")
	_, err = PublishDir(t.Context(), in2)
	must(t, err)
	_, err = PublishDir(t.Context(), in)
	must(t, err)
	if data, err := os.ReadFile(filepath.Join(path, bundles.LatestName)); err != nil || string(data) != "v2\n" {
		t.Errorf("latest is %q, %v", data, err)
	}
}

func TestOtherContentUnderATakenTagIsRefused(t *testing.T) {
	key := newKey(t)
	path, dist := t.TempDir(), writeDist(t, "one")
	in := PublishInput{Path: path, Tag: "v1", DistDir: dist, Key: key, Repository: repository}
	_, err := PublishDir(t.Context(), in)
	must(t, err)
	before := tree(t, path)
	for name, change := range map[string]func(in *PublishInput){
		"other parts":      func(in *PublishInput) { in.DistDir = writeDist(t, "two") },
		"other key":        func(in *PublishInput) { in.Key = newKey(t) },
		"other repository": func(in *PublishInput) { in.Repository = "github:owner/other" },
		"a bundle less": func(in *PublishInput) {
			in.DistDir = writeDist(t, "one")
			os.Remove(bundles.FragmentPath(in.DistDir, "cuda12.4-all"))
		},
		"taken by something": func(in *PublishInput) { in.Tag = "v3"; os.Mkdir(filepath.Join(path, "v3"), 0o755) },
	} {
		t.Run(name, func(t *testing.T) {
			other := in
			change(&other)
			_, err := PublishDir(t.Context(), other)
			var e *ExistsError
			if !errors.As(err, &e) || e.Hint() == "" {
				t.Errorf("error %v, want an *ExistsError", err)
			}
		})
	}
	if diff := cmp.Diff(before, tree(t, path)); diff != "" {
		t.Errorf("something changed:\n%s", diff)
	}
	// A published part that rotted is not "the same content".
	must(t, os.WriteFile(filepath.Join(path, "v1", "cublas-12.4.tar.zst"), []byte("rot"), 0o644))
	if _, err := PublishDir(t.Context(), in); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("error %v", err)
	}
}

func TestUnfitDistIsRefusedBeforeAnythingIsWritten(t *testing.T) {
	for name, spoil := range map[string]func(dist string) error{
		"a part is missing": func(d string) error { return os.Remove(filepath.Join(d, "cublas-12.4.tar.zst")) },
		"a part is cut":     func(d string) error { return os.Truncate(filepath.Join(d, "cublas-12.4.tar.zst"), 40) },
		"a part is a folder": func(d string) error {
			p := filepath.Join(d, "cublas-12.4.tar.zst")
			os.Remove(p)
			return os.Mkdir(p, 0o755)
		},
		"a byte of a part flipped": func(d string) error { return flip(filepath.Join(d, "cublas-12.4.tar.zst")) },
		"no fragment": func(d string) error {
			os.Remove(bundles.FragmentPath(d, "cuda12.4-all"))
			return os.Remove(bundles.FragmentPath(d, "cuda12.4-sm75"))
		},
		"a fragment is no JSON": func(d string) error { return os.WriteFile(bundles.FragmentPath(d, "cuda12.4-all"), []byte("{"), 0o644) },
		"contents of another tree": func(d string) error {
			p := bundles.FragmentPath(d, "cuda12.4-sm75")
			f, err := bundles.ReadFragment(p)
			if err != nil {
				return err
			}
			part := f.Parts[f.Bundle.App]
			part.Contents = "sha256:" + strings.Repeat("0", 64)
			f.Parts[f.Bundle.App] = part
			_, err = bundles.WriteFragment(d, f)
			return err
		},
		"an earlier release that is not there": func(d string) error {
			p := bundles.FragmentPath(d, "cuda12.4-sm75")
			f, err := bundles.ReadFragment(p)
			if err != nil {
				return err
			}
			part, gone := f.Parts[f.Bundle.App], "v0"
			part.Release = &gone
			f.Parts[f.Bundle.App] = part
			_, err = bundles.WriteFragment(d, f)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			path, dist := t.TempDir(), writeDist(t, "x")
			must(t, spoil(dist))
			if _, err := PublishDir(t.Context(), PublishInput{Path: path, Tag: "v1", DistDir: dist, Key: newKey(t)}); err == nil {
				t.Error("published")
			} else if !strings.Contains(err.Error(), "v1") {
				t.Errorf("the error does not name the release: %v", err)
			}
			if all := tree(t, path); len(all) > 0 {
				t.Errorf("wrote %v", all)
			}
		})
	}
	for name, in := range map[string]PublishInput{
		"no key":     {Tag: "v1"},
		"a bad tag":  {Tag: "../v1", Key: newKey(t)},
		"latest":     {Tag: "latest", Key: newKey(t)},
		"no tag":     {Key: newKey(t)},
		"hidden tag": {Tag: ".staging-v1", Key: newKey(t)},
	} {
		in.Path, in.DistDir = t.TempDir(), writeDist(t, "x")
		if _, err := PublishDir(t.Context(), in); err == nil {
			t.Errorf("%s: published", name)
		}
	}
}

func flip(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	data[len(data)/2] ^= 1
	return os.WriteFile(path, data, 0o644)
}

func TestPartOfAnEarlierReleaseIsNotCopied(t *testing.T) {
	key := newKey(t)
	path, dist := t.TempDir(), writeDist(t, "one")
	in := PublishInput{Path: path, Tag: "v1", DistDir: dist, Key: key, Repository: repository}
	_, err := PublishDir(t.Context(), in)
	must(t, err)
	earlier := "v1"
	for _, id := range []string{"cuda12.4-all", "cuda12.4-sm75"} {
		f, err := bundles.ReadFragment(bundles.FragmentPath(dist, id))
		must(t, err)
		for k, p := range f.Parts {
			if p.Kind == bundles.PartRuntime {
				p.Release = &earlier
				f.Parts[k] = p
			}
		}
		_, err = bundles.WriteFragment(dist, f)
		must(t, err)
	}
	must(t, os.Remove(filepath.Join(dist, "cublas-12.4.tar.zst")))
	in.Tag = "v2"
	_, err = PublishDir(t.Context(), in)
	must(t, err)
	if _, err := os.Stat(filepath.Join(path, "v2", "cublas-12.4.tar.zst")); err == nil {
		t.Error("the part was copied")
	}
	_, err = PublishDir(t.Context(), in)
	must(t, err)
}

func TestDryRunWritesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "not", "there")
	var log bytes.Buffer
	in := PublishInput{Path: path, Tag: "v1", DistDir: writeDist(t, "x"), Key: newKey(t), DryRun: true, Log: &log}
	p, err := PublishDir(t.Context(), in)
	if err != nil || p.Parts != 3 || p.Bytes == 0 || !strings.Contains(log.String(), "dry run") {
		t.Errorf("%+v, %v, log %q", p, err, log.String())
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("made the folder")
	}
	in.Path = published(t, in.Key)
	before := tree(t, in.Path)
	in.Tag = "v3"
	p, err = PublishDir(t.Context(), in)
	if err != nil || p.Sequence != 3 {
		t.Errorf("%+v, %v", p, err)
	}
	if diff := cmp.Diff(before, tree(t, in.Path)); diff != "" {
		t.Errorf("something changed:\n%s", diff)
	}
}

func TestFullDiskIsNamedInBytes(t *testing.T) {
	dir := t.TempDir()
	must(t, CheckSpace(dir, 1))
	err := CheckSpace(dir, 1<<62)
	var e *SpaceError
	if !errors.As(err, &e) || e.Dir != dir || e.Need != 1<<62 || e.Free <= 0 || !strings.Contains(e.Error(), fmt.Sprint(e.Free)) || e.Hint() == "" {
		t.Errorf("error %v", err)
	}
	if err := spaceFor(dir, 5, 5); err != nil {
		t.Errorf("exactly enough: %v", err)
	}
}

func TestTwoPublishersWaitForEachOther(t *testing.T) {
	key := newKey(t)
	path := t.TempDir()
	var wg sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		in := PublishInput{Path: path, Tag: fmt.Sprintf("v%d", i), DistDir: writeDist(t, fmt.Sprint(i)), Key: key, Repository: repository}
		wg.Go(func() { _, errs[i] = PublishDir(t.Context(), in) })
	}
	wg.Wait()
	must(t, errors.Join(errs...))
	seen := map[int64]bool{}
	s := parse(t, path, Options{})
	for i := range errs {
		seen[verified(t, s, fmt.Sprintf("v%d", i), key).Sequence] = true
	}
	if len(seen) != 4 || verified(t, s, "", key).Sequence != 4 {
		t.Errorf("sequences %v", seen)
	}
}

func TestWaitingPublisherEndsWithItsContext(t *testing.T) {
	dir := t.TempDir()
	s, err := lockShelf(t.Context(), dir, io.Discard)
	must(t, err)
	defer s.unlock()
	ctx, cancel := context.WithCancel(t.Context())
	// Told that it waits, it is called off.
	_, err = lockShelf(ctx, dir, writerFunc(func(b []byte) { cancel() }))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

type writerFunc func([]byte)

func (f writerFunc) Write(b []byte) (int, error) { f(b); return len(b), nil }

// TestKilledPublisherLeavesWholeReleasesOnly kills a publisher (SIGKILL) after
// each of its steps, and at moments spread over its whole run. At every moment
// a reader finds either the old release or the new one, whole; a second run
// finishes the work and leaves nothing behind.
func TestKilledPublisherLeavesWholeReleasesOnly(t *testing.T) {
	key := newKey(t)
	keyFile := filepath.Join(t.TempDir(), "key")
	must(t, bundles.WriteKeyFiles(keyFile, key, ""))
	one, two := writeDist(t, "one"), writeDist(t, "two")

	fresh := func() PublishInput {
		path := t.TempDir()
		_, err := PublishDir(t.Context(), PublishInput{Path: path, Tag: "v1", DistDir: one, Key: key, Repository: repository, Tool: "test"})
		must(t, err)
		return PublishInput{Path: path, Tag: "v2", DistDir: two, Key: key, Repository: repository, Tool: "test"}
	}
	// What one undisturbed run says, how long it takes, and what it leaves.
	in := fresh()
	began := time.Now()
	whole := startPublisher(t, child{PublishInput: in}, keyFile, "")
	steps := whole.until("")
	must(t, whole.cmd.Wait())
	took := time.Since(began)
	want := tree(t, in.Path)
	if len(steps) < 12 {
		t.Fatalf("only %d steps: %q", len(steps), steps)
	}

	check := func(name string, in PublishInput) {
		s := parse(t, in.Path, Options{})
		// A reader, while the killed publisher's remains lie about.
		if m := verified(t, s, "", key); m.Release != "v1" && m.Release != "v2" {
			t.Errorf("%s: latest is %s", name, m.Release)
		}
		if _, err := os.Stat(filepath.Join(in.Path, "v2")); err == nil {
			verified(t, s, "v2", key)
		}
		again := startPublisher(t, child{PublishInput: in}, keyFile, "")
		again.until("")
		must(t, again.cmd.Wait())
		if m := verified(t, s, "", key); m.Release != "v2" || m.Sequence != 2 {
			t.Errorf("%s: after the second run latest is %s, sequence %d", name, m.Release, m.Sequence)
		}
		if diff := cmp.Diff(want, tree(t, in.Path)); diff != "" {
			t.Errorf("%s: files differ:\n%s", name, diff)
		}
	}
	strays := 0
	for _, step := range steps {
		in := fresh()
		p := startPublisher(t, child{PublishInput: in}, keyFile, step)
		p.until(step)
		p.kill()
		if diff := cmp.Diff(want, tree(t, in.Path)); diff != "" && strings.Contains(strings.Join(tree(t, in.Path), " "), stagingPrefix) {
			strays++
		}
		check("killed after "+step, in)
	}
	if strays < 5 {
		t.Errorf("only %d kills left a staging folder: the test does not kill where it means to", strays)
	}
	const moments = 13
	for i := range moments {
		in := fresh()
		p := startPublisher(t, child{PublishInput: in}, keyFile, "")
		timer := time.AfterFunc(took*time.Duration(i)/moments, func() { p.cmd.Process.Kill() })
		p.until("")
		p.cmd.Wait()
		timer.Stop()
		check(fmt.Sprintf("killed at %d/%d of its time", i, moments), in)
	}
}
