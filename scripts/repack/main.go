// Command repack makes a part and a fragment of a folder that was changed after it
// was built: how the proof on a GPU gets bundles that are broken on purpose.
//
//	repack -fragment DIST/CELL.bundle.json -id ID -to DIST2 [-lie SM] FOLDER
//
// With -lie the fragment keeps the facts of the bundle that was not changed, and
// says that on this SM it is the faster of two: a runner that trusts what is
// published takes it first, and only a proof on the GPU can tell.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/internal/compat"
	"github.com/waqasm86/llcuda/internal/inspect"
)

func main() {
	fragment := flag.String("fragment", "", "the fragment of the bundle that was changed")
	id := flag.String("id", "", "the id of the new bundle")
	to := flag.String("to", "", "the folder for the part and the fragment")
	lie := flag.String("lie", "", "keep the facts of the bundle that was not changed, and call it faster on this `SM`")
	flag.Parse()
	if err := repack(context.Background(), *fragment, *id, *to, flag.Arg(0), *lie); err != nil {
		fmt.Fprintln(os.Stderr, "repack:", err)
		os.Exit(1)
	}
}

func repack(ctx context.Context, fragment, id, to, dir, lie string) error {
	if fragment == "" || id == "" || to == "" || dir == "" {
		return errors.New("usage: repack -fragment FILE -id ID -to DIST [-lie SM] FOLDER")
	}
	f, err := bundles.ReadFragment(fragment)
	if err != nil {
		return err
	}
	part := f.Parts[f.Bundle.App]
	if lie == "" {
		report, err := inspect.Dir(dir)
		if err != nil {
			return err
		}
		part.Files, part.Floors = nil, nil
		for _, file := range report.Files {
			if file.ELF != nil {
				if file.Device != nil {
					file.Device.Floors = compat.Floors(file)
				}
				part.Files = append(part.Files, file)
			}
		}
		part.Needs, part.Floors = compat.Needs(report.Files), compat.PartFloors(part.Files)
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(to, ".part-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	packed, err := bundles.Pack(ctx, dir, tmp, bundles.PackOptions{Level: 3})
	if err := errors.Join(err, tmp.Chmod(0o644), tmp.Close()); err != nil {
		return err
	}
	part.Name = fmt.Sprintf("%s-%.12s.tar.zst", id, strings.TrimPrefix(packed.Digest, "sha256:"))
	part.Size, part.Contents, part.Unpacked = packed.Size, packed.Contents, packed.Unpacked
	if err := os.Rename(tmp.Name(), filepath.Join(to, part.Name)); err != nil {
		return err
	}
	f.Bundle.ID, f.Bundle.App = id, packed.Digest
	if lie != "" {
		f.Bundle.Faster = []string{lie}
	}
	f.Schema, f.Parts = facts.Schema, map[string]bundles.Part{packed.Digest: part}
	_, err = bundles.WriteFragment(to, f)
	return err
}
