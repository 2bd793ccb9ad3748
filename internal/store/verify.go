package store

import (
	"context"
	"errors"
	"io/fs"
)

// Verify says whether an installed bundle is what was installed: nil, or a
// [*DamagedError] with the first difference. The quick way looks at names,
// types, sizes and times and reads only files whose time differs (under a
// millisecond for thirty files); full reads every byte. It writes nothing;
// Install mends.
func (s *Store) Verify(ctx context.Context, in Installed, full bool) error {
	root, err := s.root()
	if errors.Is(err, fs.ErrNotExist) {
		return &NotInstalledError{in.ID, in.Release}
	}
	if err != nil {
		return err
	}
	defer root.Close()
	all, _, err := s.records(root)
	if err != nil {
		return err
	}
	for _, e := range all {
		if e.Dir != in.Dir {
			continue
		}
		why, err := compare(ctx, root, e.dir, e.rec.Files, full)
		if err != nil {
			return err
		}
		if why != "" {
			return &DamagedError{in.ID, in.Release, in.Dir, why}
		}
		return nil
	}
	return &NotInstalledError{in.ID, in.Release}
}
