package clitest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/internal/compat"
	"github.com/waqasm86/llcuda/internal/release"
)

// Repository is what a release made by the command "release" is signed for.
const Repository = "github:owner/repo"

func newKey(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: newkey FILE")
	}
	key, err := bundles.GenerateKey(nil)
	ts.Check(err)
	ts.Check(bundles.WriteKeyFiles(ts.MkAbs(args[0]), key, ""))
}

// makeDist packs a folder as `llcuda-build build` does. TOOLKIT "cpu" is a
// bundle without CUDA; FACTS.json are the facts of its files, a list of
// facts.File, which stand for what would have been read from real ones. With
// host, what they need of CUDA comes from the host; with image it was built in a
// container, as only such bundles go to GitHub.
func makeDist(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 4 {
		ts.Fatalf("usage: mkdist DIST ID TOOLKIT FOLDER [FACTS.json] [fixture] [host] [image] [stock:FOLDER]")
	}
	dist, id, toolkit, folder := ts.MkAbs(args[0]), args[1], args[2], ts.MkAbs(args[3])
	if toolkit == "cpu" {
		toolkit = ""
	}
	b := bundles.Bundle{ID: id, Cell: id, Platform: "linux/amd64", Toolkit: toolkit, Image: bundles.Image{Ref: "host"},
		Source: bundles.Source{URL: "https://example.org/llama.cpp", Commit: "de3ff81"}}
	part := bundles.Part{Kind: bundles.PartApp, Name: id + ".tar.zst", CPU: "x86-64", Glibc: "2.17"}
	parts := map[string]bundles.Part{}
	for _, arg := range args[4:] {
		if dir, ok := strings.CutPrefix(arg, "stock:"); ok {
			part.Needs = compat.Needs(part.Files)
			key, stock := packStock(ts, dist, ts.MkAbs(dir), part.Needs)
			parts[key], b.Runtime = stock, []string{bundles.RuntimeHost, key}
			continue
		}
		switch arg {
		case "fixture":
			b.Source = bundles.Source{Fixture: true}
			continue
		case "image": // as if built in the matrix's own
			b.Image = bundles.Image{Ref: "docker.io/library/debian:bullseye-slim"}
			continue
		case "host":
			part.Needs, b.Runtime = compat.Needs(part.Files), []string{bundles.RuntimeHost}
			continue
		}
		ts.Check(json.Unmarshal([]byte(ts.ReadFile(arg)), &part.Files))
		part.Floors = compat.PartFloors(part.Files)
	}
	// A script's files have no mode; in a bundle it counts.
	ts.Check(os.Chmod(filepath.Join(folder, "llama-server"), 0o755))
	// Two bundles are two parts.
	ts.Check(os.WriteFile(filepath.Join(folder, bundles.InfoName), fmt.Appendf(nil, "{\"cell\": %q}\n", id), 0o644))
	var packed bytes.Buffer
	p, err := bundles.Pack(context.Background(), folder, &packed, bundles.PackOptions{Level: 1})
	ts.Check(err)
	ts.Check(os.MkdirAll(dist, 0o755))
	ts.Check(os.WriteFile(filepath.Join(dist, part.Name), packed.Bytes(), 0o644))
	b.App, part.Size, part.Contents, part.Unpacked = p.Digest, p.Size, p.Contents, p.Unpacked
	parts[p.Digest] = part
	_, err = bundles.WriteFragment(dist, bundles.Fragment{Schema: facts.Schema, Bundle: b, Parts: parts})
	ts.Check(err)
}

// packStock packs a folder as a stock runtime part that provides what is needed.
func packStock(ts *testscript.TestScript, dist, folder string, needs []bundles.Need) (string, bundles.Part) {
	var packed bytes.Buffer
	p, err := bundles.Pack(context.Background(), folder, &packed, bundles.PackOptions{Level: 1})
	ts.Check(err)
	part := bundles.Part{Kind: bundles.PartRuntime, Form: "stock", Name: "stock.tar.zst", Size: p.Size, Contents: p.Contents, Unpacked: p.Unpacked}
	for _, n := range needs {
		part.Provides = append(part.Provides, bundles.Library{Soname: n.Soname})
	}
	ts.Check(os.MkdirAll(dist, 0o755))
	ts.Check(os.WriteFile(filepath.Join(dist, part.Name), packed.Bytes(), 0o644))
	return p.Digest, part
}

func publish(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: release FOLDER TAG DIST KEY")
	}
	key, err := bundles.ParsePrivateKey([]byte(ts.ReadFile(args[3])), "")
	ts.Check(err)
	_, err = release.PublishDir(context.Background(), release.PublishInput{Path: ts.MkAbs(args[0]), Tag: args[1],
		DistDir: ts.MkAbs(args[2]), Key: key, Repository: Repository, Tool: "test"})
	ts.Check(err)
}
