package store

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/internal/fetch"
)

func TestABundleIsInstalledAndThenFoundWithoutWriting(t *testing.T) {
	r, s := newRelease(t), newStore(t)
	in := r.input()
	var last, total int64
	in.Progress = func(done, of int64) {
		if done < last {
			t.Errorf("progress went back from %d to %d", last, done)
		}
		last, total = done, of
	}
	got := install(t, s, in)
	wantTree(t, got.Dir, merged(1))
	wantNames(t, s, oneInstalled...)
	app, rt := r.m.Parts[r.m.Bundles[0].App], r.m.Parts[in.Runtime]
	if last != total || total != app.Size+rt.Size {
		t.Errorf("progress ended at %d of %d", last, total)
	}
	if !got.Fresh || got.ID != bundleID || got.Release != "v1" || got.Source != "dir:test" || got.Runtime != in.Runtime ||
		!got.Time.Equal(in.Now()) || got.Bundle.App != r.m.Bundles[0].App || got.Size < 300_000 {
		t.Errorf("got %+v", got)
	}
	a, err1 := os.Stat(filepath.Join(got.Dir, "libggml-cuda.so"))
	hex, _ := bundles.SHA256Hex(r.m.Bundles[0].App)
	b, err2 := os.Stat(filepath.Join(s.dir, "parts", "sha256-"+hex, "libggml-cuda.so"))
	if err1 != nil || err2 != nil || !os.SameFile(a, b) {
		t.Errorf("not a hard link: %v %v", err1, err2)
	}

	before := snapshot(t, s.dir)
	again := install(t, s, in)
	if again.Fresh || again.Dir != got.Dir || r.requests() != "app1.tar.zst:1 runtime.tar.zst:1" {
		t.Errorf("installed again: %+v, %s", again, r.requests())
	}
	if after := snapshot(t, s.dir); after != before {
		t.Errorf("something was written:\n%s\n%s", before, after)
	}
	if err := s.Verify(t.Context(), again, true); err != nil {
		t.Error(err)
	}
}

func TestAPartWithoutAnUnpackedSizeIsUnpackedWhenItsBytesAreProved(t *testing.T) {
	r, s := newRelease(t), newStore(t)
	app := r.m.Parts[r.m.Bundles[0].App]
	app.Unpacked = 0
	r.m.Parts[r.m.Bundles[0].App] = app
	in := r.input()
	var here atomic.Int64 // the part behind it comes meanwhile
	in.Unpacking = func(part string, _, _ int64) {
		if n := here.Load(); part == app.Name && n < app.Size {
			t.Errorf("unpacked with %d of %d bytes here", n, app.Size)
		}
	}
	in.Progress = func(done, _ int64) { here.Store(done) }
	wantTree(t, install(t, s, in).Dir, merged(1))
	wantNames(t, s, oneInstalled...)
}

func TestAPartIsUnpackedWhileItComes(t *testing.T) {
	r, s := newRelease(t), newStore(t)
	files, want := appFiles(1), merged(1)
	files["large"] = strings.Repeat("0123456789abcdef", 4<<16)
	want["large"] = files["large"]
	r.m.Bundles[0].App = r.add(t, bundles.PartApp, "app-large.tar.zst", files)
	in := r.input()
	app := r.m.Parts[r.m.Bundles[0].App]
	unpacking := make(chan struct{})
	var once sync.Once
	in.Unpacking = func(string, int64, int64) { once.Do(func() { close(unpacking) }) }
	open := in.OpenPart
	in.OpenPart = func(ctx context.Context, p bundles.Part, offset int64) (io.ReadCloser, int64, error) {
		body, total, err := open(ctx, p, offset)
		if err != nil || p.Name != app.Name {
			return body, total, err
		}
		// The last bytes come only when something was unpacked of the others.
		return struct {
			io.Reader
			io.Closer
		}{io.MultiReader(io.LimitReader(body, total-1), waitFor{t, unpacking}, body), body}, total, nil
	}
	wantTree(t, install(t, s, in).Dir, want)
}

// waitFor is a reader without bytes, whose end comes when c is closed.
type waitFor struct {
	t *testing.T
	c <-chan struct{}
}

func (w waitFor) Read([]byte) (int, error) {
	select {
	case <-w.c:
	case <-time.After(20 * time.Second):
		w.t.Error("nothing was unpacked of the bytes that are here")
	}
	return 0, io.EOF
}

func TestAnUpgradeDownloadsOnlyWhatChanged(t *testing.T) {
	r, s := newRelease(t), newStore(t)
	install(t, s, r.input())
	next := *r.m
	next.Release, next.Sequence = "v2", 2
	next.Bundles = slices.Clone(next.Bundles)
	next.Bundles[0].App = r.add(t, bundles.PartApp, "app2.tar.zst", appFiles(50))
	in := r.input()
	in.Manifest = &next
	got := install(t, s, in)
	wantTree(t, got.Dir, merged(50))
	if r.requests() != "app1.tar.zst:1 app2.tar.zst:1 runtime.tar.zst:1" {
		t.Error(r.requests())
	}
}

func TestTheHostsRuntimeAndThePartLiveSideBySide(t *testing.T) {
	r, s := newRelease(t), newStore(t)
	in := r.input()
	in.Runtime = bundles.RuntimeHost
	host := install(t, s, in)
	wantTree(t, host.Dir, appFiles(1))
	own := install(t, s, r.input())
	wantTree(t, own.Dir, merged(1))
	in.Runtime = ""
	if none := install(t, s, in); none.Dir != host.Dir || none.Fresh {
		t.Errorf("no runtime is the same folder as the host's: %+v", none)
	}
	list, err := s.List()
	if err != nil || len(list) != 2 {
		t.Fatal(list, err)
	}
}

func TestAFileSystemWithoutHardLinksGetsCopies(t *testing.T) {
	r, s := newRelease(t), newStore(t)
	s.link = func(_ *os.Root, from, to string) error {
		return &os.LinkError{Op: "link", Old: from, New: to, Err: unix.EXDEV}
	}
	got := install(t, s, r.input())
	wantTree(t, got.Dir, merged(1))
	if err := s.Verify(t.Context(), got, true); err != nil {
		t.Error(err)
	}
	if again := install(t, s, r.input()); again.Fresh {
		t.Error("a copy does not count as whole")
	}
}

func TestDamageIsNoticedAndMended(t *testing.T) {
	t.Parallel()
	keepTime := func(path string, change func() error) error {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		return errors.Join(change(), os.Chtimes(path, info.ModTime(), info.ModTime()))
	}
	flip := func(path string) error {
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		b[len(b)/2] ^= 1
		return os.WriteFile(path, b, 0o644)
	}
	cases := []struct {
		name   string
		damage func(dir string) error
		why    string
		// downloads is true where the bytes are lost, for bundle and part.
		downloads bool
		// fullOnly is true where only reading every byte finds it.
		fullOnly bool
	}{
		{"a missing file", func(d string) error { return os.Remove(d + "/libggml-cuda.so") }, "libggml-cuda.so is missing", false, false},
		{"a missing folder", func(d string) error { return os.RemoveAll(d + "/LICENSES") }, "LICENSES", false, false},
		{"a missing bundle", func(d string) error { return os.RemoveAll(d) }, "", false, false},
		{"a file in its place", func(d string) error {
			return errors.Join(os.RemoveAll(d), os.WriteFile(d, nil, 0o644))
		}, "", false, false},
		{"a missing link", func(d string) error { return os.Remove(d + "/libllama.so.1") }, "libllama.so.1 is missing", false, false},
		{"a link to elsewhere", func(d string) error {
			return errors.Join(os.Remove(d+"/libllama.so.1"), os.Symlink("/etc/passwd", d+"/libllama.so.1"))
		}, `leads to "/etc/passwd"`, false, false},
		{"a link in place of a file", func(d string) error {
			return errors.Join(os.Remove(d+"/llama-server"), os.Symlink("/bin/sh", d+"/llama-server"))
		}, "llama-server is not a file any more", false, false},
		{"one more file", func(d string) error { return os.WriteFile(d+"/libggml-evil.so", nil, 0o644) }, "libggml-evil.so does not belong there", false, false},
		{"another file of the same size", func(d string) error {
			return errors.Join(os.Remove(d+"/LICENSES/llama.cpp"), os.WriteFile(d+"/LICENSES/llama.cpp", []byte("TIM"), 0o644))
		}, "other bytes", false, false},
		{"a truncated file", func(d string) error { return os.Truncate(d+"/libggml-cuda.so", 1000) }, "has 1000 bytes instead of 150000", true, false},
		{"a flipped byte", func(d string) error { return flip(d + "/libcublas.so.12.4") }, "libcublas.so.12.4 has other bytes", true, false},
		{"a lost executable bit", func(d string) error { return os.Chmod(d+"/llama-server", 0o644) }, "llama-server has mode", true, false},
		{"a flipped byte at the old time", func(d string) error {
			p := d + "/libcublas.so.12.4"
			return keepTime(p, func() error { return flip(p) })
		}, "libcublas.so.12.4 has other bytes", true, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r, s := newRelease(t), newStore(t)
			in := r.input()
			got := install(t, s, in)
			before := r.requests()
			if err := c.damage(got.Dir); err != nil {
				t.Fatal(err)
			}
			if c.fullOnly {
				if err := s.Verify(t.Context(), got, false); err != nil {
					t.Errorf("the quick check read bytes: %v", err)
				}
			}
			err := s.Verify(t.Context(), got, c.fullOnly)
			var damaged *DamagedError
			var gone *NotInstalledError
			if c.why != "" && (!errors.As(err, &damaged) || !strings.Contains(err.Error(), c.why) || damaged.ExitCode() != 4) ||
				c.why == "" && !errors.As(err, &damaged) && !errors.As(err, &gone) {
				t.Errorf("verify says %v, want %q", err, c.why)
			}
			in.Full = c.fullOnly
			again := install(t, s, in)
			if !again.Fresh || again.Dir != got.Dir {
				t.Errorf("got %+v", again)
			}
			wantTree(t, got.Dir, merged(1))
			wantNames(t, s, oneInstalled...)
			if err := s.Verify(t.Context(), again, true); err != nil {
				t.Error(err)
			}
			if downloaded := r.requests() != before; downloaded != c.downloads {
				t.Errorf("downloads: %s, before %s", r.requests(), before)
			}
		})
	}
}

func TestADamagedRecordIsMended(t *testing.T) {
	t.Parallel()
	r, s := newRelease(t), newStore(t)
	got := install(t, s, r.input())
	for _, name := range []string{got.record, "parts"} {
		paths := []string{filepath.Join(s.dir, name)}
		if name == "parts" {
			paths, _ = filepath.Glob(filepath.Join(s.dir, "parts", "*.json"))
		}
		for _, p := range paths {
			if err := os.WriteFile(p, []byte("{"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if name == "parts" {
			os.RemoveAll(got.Dir)
		}
		install(t, s, r.input())
		wantTree(t, got.Dir, merged(1))
		wantNames(t, s, oneInstalled...)
	}
}

func TestPartsThatAreNotWhatTheManifestSays(t *testing.T) {
	t.Parallel()
	good := func(r *testRelease) bundles.Part { return r.m.Parts[r.m.Bundles[0].App] }
	hostile := func(t *testing.T, r *testRelease, headers ...tar.Header) {
		packed := tarZst(t, headers...)
		p := good(r)
		p.Name, p.Size, p.Unpacked = "hostile.tar.zst", int64(len(packed)), 1000
		r.m.Bundles[0].App = r.addRaw(p, packed)
	}
	change := func(r *testRelease, f func(p *bundles.Part)) {
		p := good(r)
		f(&p)
		r.m.Parts[r.m.Bundles[0].App] = p
	}
	cases := []struct {
		name  string
		spoil func(t *testing.T, r *testRelease)
		want  string
	}{
		{"a name that leads out", func(t *testing.T, r *testRelease) {
			hostile(t, r, tar.Header{Name: "../../evil", Typeflag: tar.TypeReg, Mode: 0o644, Size: 4})
		}, `".." in the name`},
		{"a link that leads out, then a file through it", func(t *testing.T, r *testRelease) {
			hostile(t, r, tar.Header{Name: "x", Typeflag: tar.TypeSymlink, Linkname: "/etc", Mode: 0o777},
				tar.Header{Name: "x/evil", Typeflag: tar.TypeReg, Mode: 0o644, Size: 4})
		}, "refused"},
		{"a bomb", func(t *testing.T, r *testRelease) {
			hostile(t, r, tar.Header{Name: "zeros", Typeflag: tar.TypeReg, Mode: 0o644, Size: 1 << 20})
		}, "refused"},
		{"no archive at all", func(t *testing.T, r *testRelease) {
			p := good(r)
			p.Name, p.Size = "text.tar.zst", 5
			r.m.Bundles[0].App = r.addRaw(p, []byte("hello"))
		}, "text.tar.zst"},
		{"other contents", func(t *testing.T, r *testRelease) {
			change(r, func(p *bundles.Part) { p.Contents = "sha256:" + strings.Repeat("0", 64) })
		}, "the manifest says sha256:0000"},
		{"fewer bytes than promised", func(t *testing.T, r *testRelease) {
			change(r, func(p *bundles.Part) { p.Unpacked++ })
		}, "it unpacks to"},
		{"a runtime that brings another llama-server", func(t *testing.T, r *testRelease) {
			r.m.Bundles[0].Runtime[1] = r.add(t, bundles.PartRuntime, "rt2.tar.zst", map[string]string{"llama-server*": "mine"})
		}, "holds another llama-server"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r, s := newRelease(t), newStore(t)
			c.spoil(t, r)
			in := r.input()
			if !strings.Contains(c.name, "runtime") {
				in.Runtime = ""
			}
			_, err := s.Install(t.Context(), in)
			var bad *PartError
			if !errors.As(err, &bad) || !strings.Contains(err.Error(), c.want) || bad.ExitCode() != 4 {
				t.Fatalf("got %v", err)
			}
			if list, err := s.List(); len(list) != 0 || err != nil {
				t.Error(list, err)
			}
			if _, err := s.GC(t.Context(), false); err != nil {
				t.Fatal(err)
			}
			wantNames(t, s, "store.json", "lock")
			if _, err := os.Stat(filepath.Join(filepath.Dir(filepath.Dir(s.dir)), "evil")); err == nil {
				t.Error("something was written outside")
			}
		})
	}
}

func TestAHostileArchiveLeavesNothingEvenBeforeGC(t *testing.T) {
	r, s := newRelease(t), newStore(t)
	packed := tarZst(t, tar.Header{Name: "fine", Typeflag: tar.TypeReg, Mode: 0o644, Size: 4},
		tar.Header{Name: "/etc/evil", Typeflag: tar.TypeReg, Mode: 0o644, Size: 4})
	r.m.Bundles[0].App = r.addRaw(bundles.Part{Kind: bundles.PartApp, Name: "h.tar.zst", Size: int64(len(packed)), Contents: "sha256:x"}, packed)
	in := r.input()
	in.Runtime = "" // the download of a right part would stay
	_, err := s.Install(t.Context(), in)
	var h *bundles.HostileError
	if !errors.As(err, &h) || h.Entry != "/etc/evil" {
		t.Fatalf("got %v", err)
	}
	wantNames(t, s, "store.json", "lock")
}

func TestAPartWithOtherBytesThanItsDigest(t *testing.T) {
	r, s := newRelease(t), newStore(t)
	r.mu.Lock()
	r.files["app1.tar.zst"] = slices.Clone(r.files["app1.tar.zst"])
	r.files["app1.tar.zst"][100] ^= 1
	r.mu.Unlock()
	in := r.input()
	in.Runtime = ""
	_, err := s.Install(t.Context(), in)
	var m *fetch.MismatchError
	if !errors.As(err, &m) || m.Name != "app1.tar.zst" {
		t.Fatalf("got %v", err)
	}
	wantNames(t, s, "store.json", "lock")
}

func TestInputsThatMakeNoSense(t *testing.T) {
	for name, spoil := range map[string]func(in *InstallInput){
		"no manifest":           func(in *InstallInput) { in.Manifest = nil },
		"no opener":             func(in *InstallInput) { in.OpenPart = nil },
		"unknown bundle":        func(in *InstallInput) { in.BundleID = "cuda99" },
		"unknown runtime":       func(in *InstallInput) { in.Runtime = "sha256:" + strings.Repeat("0", 64) },
		"app as runtime":        func(in *InstallInput) { in.Runtime = in.Manifest.Bundles[0].App },
		"release that leads up": func(in *InstallInput) { in.Manifest.Release = "../.." },
		"bundle that leads up": func(in *InstallInput) {
			in.Manifest.Bundles[0].ID, in.BundleID = "../x", "../x"
		},
		"missing part": func(in *InstallInput) { delete(in.Manifest.Parts, in.Manifest.Bundles[0].App) },
		"wrong kind": func(in *InstallInput) {
			in.Manifest.Bundles[0].App = in.Runtime
		},
	} {
		r, s := newRelease(t), newStore(t)
		in := r.input()
		spoil(&in)
		if _, err := s.Install(t.Context(), in); err == nil {
			t.Errorf("%s: no error", name)
		}
		if _, err := os.Stat(s.dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: a store was made", name)
		}
	}
}

func TestAFullDiskIsToldBeforeTheDownload(t *testing.T) {
	r, s := newRelease(t), newStore(t)
	in := r.input()
	app, rt := r.m.Parts[r.m.Bundles[0].App], r.m.Parts[in.Runtime]
	// One after the other: the first unpacked, and the second both ways.
	need := max(app.Size+app.Unpacked, app.Unpacked+rt.Size+rt.Unpacked)
	in.Fetch.FreeSpace = func(string) (uint64, error) { return uint64(need - 1), nil }
	_, err := s.Install(t.Context(), in)
	var space *fetch.SpaceError
	if !errors.As(err, &space) || space.Need != need || !strings.Contains(err.Error(), bundleID) {
		t.Fatalf("got %v, want a need of %d", err, need)
	}
	if r.requests() != "" {
		t.Error(r.requests())
	}
	in.Fetch.FreeSpace = func(string) (uint64, error) { return uint64(need), nil }
	install(t, s, in)
}

func TestWaitingIsSaidOnceAndCanBeInterrupted(t *testing.T) {
	r, s := newRelease(t), newStore(t)
	w, err := s.begin(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.end()
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stop")
	in := r.input()
	said := 0
	in.Waiting = func(pid int) {
		said++
		if pid != os.Getpid() {
			t.Errorf("waiting for %d, want %d", pid, os.Getpid())
		}
		cancel(stop)
	}
	if _, err := s.Install(ctx, in); !errors.Is(err, stop) || said != 1 {
		t.Fatalf("said %d times, %v", said, err)
	}
}

func TestAnInterruptedDownloadGoesOn(t *testing.T) {
	r, s := newRelease(t), newStore(t)
	in := r.input()
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stop")
	in.Progress = func(done, total int64) {
		if done > total/2 {
			cancel(stop)
		}
	}
	if _, err := s.Install(ctx, in); !errors.Is(err, stop) {
		t.Fatal(err)
	}
	in.Progress = nil
	got := install(t, s, in)
	wantTree(t, got.Dir, merged(1))
	wantNames(t, s, oneInstalled...)
}
