package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/waqasm86/llcuda/bundles"
)

// installRuns is how often an install and its rivals run.
const installRuns = 3

// installFrom installs a release from a server of this process that sends line
// bytes a second in all and each to a connection, 0 = as fast as it goes. Each
// of parts is what one part of the bundle is made of: the app's, then the runtime's.
// The rival is the slower of what has to be done anyway: curl, which only
// downloads, and tar, which only unpacks. The aim is a ratio of 0.91: at most
// 1.1 times as long as the slower of the two.
func installFrom(line, each float64, parts ...folder) func(context.Context, bench) (samples, samples, string, error) {
	return func(ctx context.Context, b bench) (ours, rival samples, name string, err error) {
		dir, key, packed, err := b.release(ctx, parts)
		if err != nil {
			return nil, nil, "", err
		}
		url, stop, err := serveFolder(ctx, dir, line, each)
		if err != nil {
			return nil, nil, "", err
		}
		defer stop()
		home := filepath.Join(b.work, "home")
		pull := command{argv: []string{"env", "LLCUDA_HOME=" + home, filepath.Join(filepath.Dir(b.bin), "llcuda-run"),
			"pull", "--no-proof", "--cpu", "--from", url, "--key", key}}
		if ours, err = times(ctx, installRuns, func() error { return os.RemoveAll(home) }, pull); err != nil {
			return nil, nil, "", err
		}
		out := filepath.Join(b.work, "out")
		get := []string{"curl", "-sf", "--output-dir", b.work}
		var unpackers []command
		for i, part := range packed {
			here := filepath.Join(out, fmt.Sprint(i))
			get = append(get, "-O", url+"/v1/"+part)
			unpackers = append(unpackers, command{argv: []string{"tar", "-I", "zstd -d --long=27", "-xf", filepath.Join(b.work, part), "-C", here}})
		}
		download, err := times(ctx, installRuns, nil, command{argv: get})
		if err != nil {
			return nil, nil, "", err
		}
		empty := func() error {
			err := os.RemoveAll(out)
			for i := range packed {
				err = errors.Join(err, os.MkdirAll(filepath.Join(out, fmt.Sprint(i)), 0o755))
			}
			return err
		}
		if err := empty(); err != nil {
			return nil, nil, "", err
		}
		// An install is on the disk when it says so: tar's files have to be, too.
		unpack, err := times(ctx, installRuns, empty, append(unpackers, command{argv: []string{"sync", "-f", out}})...)
		if err != nil {
			return nil, nil, "", err
		}
		name = fmt.Sprintf("the slower of curl (%s) and tar, sync (%s)", seconds(download.best()), seconds(unpack.best()))
		if download.best() > unpack.best() {
			return ours, download, name, nil
		}
		return ours, unpack, name, nil
	}
}

// release makes a signed release of one bundle with these parts, once, and gives
// the names of its packed parts.
func (b bench) release(ctx context.Context, parts []folder) (dir, key string, packed []string, err error) {
	dir = filepath.Join(b.work, "release")
	for _, part := range parts {
		dir += "-" + part.name
		packed = append(packed, fmt.Sprintf("bench-%s-of-%d.tar.zst", part.name, len(parts)))
	}
	keyFile := dir + ".pub"
	if text, err := os.ReadFile(keyFile); err == nil {
		return dir, string(text), packed, nil
	}
	if err := os.MkdirAll(filepath.Join(dir, "v1"), 0o755); err != nil {
		return "", "", nil, err
	}
	m := bundles.Manifest{Schema: 1, Release: "v1", Sequence: 1, Tool: "bench", Parts: map[string]bundles.Part{}}
	cell := bundles.Bundle{ID: "cpu", Cell: "cpu", Platform: "linux/amd64", Image: bundles.Image{Ref: "host"}}
	for i, from := range parts {
		digest, part, err := b.packPart(ctx, from, filepath.Join(dir, "v1", packed[i]))
		if err != nil {
			return "", "", nil, err
		}
		part.Kind = bundles.PartApp
		if i == 0 {
			cell.App = digest
		} else {
			part.Kind, part.Form = bundles.PartRuntime, "stock"
			cell.Runtime = append(cell.Runtime, digest)
		}
		m.Parts[digest] = part
	}
	m.Bundles = []bundles.Bundle{cell}
	raw, err := json.Marshal(m)
	if err != nil {
		return "", "", nil, err
	}
	signer, err := bundles.GenerateKey(nil)
	if err != nil {
		return "", "", nil, err
	}
	sig, err := bundles.Sign(raw, signer, bundles.Claim{Release: "v1", File: bundles.ManifestName})
	if err != nil {
		return "", "", nil, err
	}
	key = signer.Public().String()
	for name, data := range map[string][]byte{filepath.Join(dir, "v1", bundles.ManifestName): raw, filepath.Join(dir, "v1", bundles.SignatureName): sig,
		filepath.Join(dir, bundles.LatestName): []byte("v1\n"), keyFile: []byte(key)} {
		if err := os.WriteFile(name, data, 0o644); err != nil {
			return "", "", nil, err
		}
	}
	return dir, key, packed, nil
}

// packPart packs a folder into out, in a process of its own: what it
// needs would count as that of whoever is started from here (getrusage gives a
// child the peak of the process it was forked from).
func (b bench) packPart(ctx context.Context, f folder, out string) (digest string, part bundles.Part, err error) {
	name := filepath.Base(out)
	from, err := f.dir(b, strings.TrimSuffix(name, ".tar.zst"))
	if err != nil {
		return "", bundles.Part{}, err
	}
	packing, err := b.pack(f.level, from, out)
	if err != nil {
		return "", bundles.Part{}, err
	}
	said, err := exec.CommandContext(ctx, packing.argv[0], packing.argv[1:]...).Output()
	if err != nil {
		return "", bundles.Part{}, err
	}
	var p bundles.Packed
	if err := json.Unmarshal(said, &p); err != nil {
		return "", bundles.Part{}, err
	}
	return p.Digest, bundles.Part{Name: name, Size: p.Size, Contents: p.Contents, Unpacked: p.Unpacked}, nil
}

// serveFolder is an HTTP server on loopback with a limit in bytes a second.
func serveFolder(ctx context.Context, dir string, line, each float64) (url string, stop func(), err error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	all := &limit{rate: line}
	files := http.FileServer(http.Dir(dir))
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if line > 0 {
			w = limited{w, all}
		}
		if each > 0 { // a connection asks for one thing after the other
			w = limited{w, &limit{rate: each}}
		}
		files.ServeHTTP(w, r)
	})}
	go func() { _ = server.Serve(l) }() // it ends with Close
	return "http://" + l.Addr().String(), func() { _ = server.Close() }, nil
}

// limit lets bytes through at a rate, whoever sends them.
type limit struct {
	rate float64
	mu   sync.Mutex
	next time.Time
}

func (l *limit) wait(n int) {
	l.mu.Lock()
	now := time.Now()
	if late := now.Add(-50 * time.Millisecond); l.next.Before(late) { // a timer is late now and then
		l.next = late
	}
	l.next = l.next.Add(time.Duration(float64(n) / l.rate * float64(time.Second)))
	until := l.next
	l.mu.Unlock()
	time.Sleep(time.Until(until))
}

type limited struct {
	http.ResponseWriter
	limit *limit
}

func (w limited) Write(b []byte) (n int, err error) {
	for len(b) > 0 && err == nil {
		k := min(len(b), 64<<10)
		w.limit.wait(k)
		k, err = w.ResponseWriter.Write(b[:k])
		n, b = n+k, b[k:]
	}
	return n, err
}

// ReadFrom is what http.ServeContent gives a file's bytes to: the kernel sends them
// (sendfile), as it does for nginx, and copies of ours take no processor away from
// the install that is measured.
func (w limited) ReadFrom(r io.Reader) (n int64, err error) {
	all, limits := r.(*io.LimitedReader) // sendfile looks through one of these
	to, sends := w.ResponseWriter.(io.ReaderFrom)
	if !limits || !sends {
		return io.Copy(struct{ io.Writer }{w}, r)
	}
	for all.N > 0 && err == nil {
		k, sent := min(all.N, 64<<10), int64(0)
		w.limit.wait(int(k))
		sent, err = to.ReadFrom(&io.LimitedReader{R: all.R, N: k})
		if n, all.N = n+sent, all.N-sent; sent < k {
			break
		}
	}
	return n, err
}
