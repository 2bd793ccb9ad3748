package models

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"strings"
	"time"

	"github.com/waqasm86/llcuda/internal/gguf"
	"github.com/waqasm86/llcuda/internal/hub"
)

// wanted is a model of the hub: a file, or a quantisation that stands for one.
type wanted struct {
	repo, revision string
	file, quant    string
	// sha256 is what the first file must be, "" where nothing but the hub says.
	sha256 string
	// entry is the registry's, nil where the model was named without it.
	entry *Entry
}

func (w wanted) name() string {
	if w.file == "" {
		return w.repo + ":" + w.quant
	}
	return w.repo + ":" + w.file
}

// wantedOf says what of the hub a spec means; nothing yet for a URL.
func wantedOf(spec Spec) (wanted, error) {
	w := wanted{repo: spec.Owner + "/" + spec.Repo, revision: hub.Main, file: spec.File, quant: spec.Quant}
	if spec.Kind != KindAlias {
		return w, nil
	}
	r, err := BuiltinRegistry()
	if err != nil {
		return w, err
	}
	entry, ok := r.Find(spec.Alias)
	if !ok {
		names := make([]string, len(r.Models))
		for i, e := range r.Models {
			names[i] = e.Alias
		}
		st, err := os.Stat(spec.Raw)
		return w, &AliasError{spec.Alias, near(spec.Alias, append(names, TinyName)), err == nil && st.Mode().IsRegular()}
	}
	w.repo, w.file, w.sha256, w.entry = entry.Repo, entry.File, entry.SHA256, &entry
	return w, nil
}

// search brings one wanted model.
type search struct {
	c    *hub.Client
	o    Options
	want wanted
}

// find takes the model from the cache if it is there and right, else from the hub.
func (s *search) find(ctx context.Context) (Model, error) {
	if !s.o.Refresh || s.c.Offline() {
		m, ok, err := s.cached(ctx)
		if ok || err != nil {
			return m, err
		}
	}
	if s.c.Offline() {
		e := &hub.OfflineError{Subject: s.want.name()}
		for _, f := range s.c.List() {
			e.Cached = append(e.Cached, f.Name())
		}
		return Model{}, e
	}
	files, err := s.ask(ctx)
	if err != nil {
		return Model{}, err
	}
	return s.download(ctx, files)
}

// cached is the model as the cache has it, each file held against its digest
// once. One that is damaged counts as absent where it can be downloaded again.
func (s *search) cached(ctx context.Context) (Model, bool, error) {
	first, ok := s.lookup()
	if !ok {
		return Model{}, false, nil
	}
	for i, file := range partsOf(first.Path) {
		part := first
		if file != first.Path {
			if part, ok = s.c.Lookup(first.Repo, first.Commit, file); !ok {
				return Model{}, false, nil
			}
		}
		want := part.SHA256
		if i == 0 && s.want.sha256 != "" && file == first.Path {
			want = s.want.sha256
		}
		if want == "" && !s.c.Offline() {
			return Model{}, false, nil // the hub knows its digest
		}
		if want == "" {
			s.o.Note(fmt.Sprintf("%s was not checked: the cache does not say what it should be", part.Link))
			continue
		}
		name := path.Base(file)
		err := s.c.Verify(ctx, part, want, func(done, total int64) { s.o.Progress(name, "checking", done, total) })
		s.o.Finished(name)
		var wrong *hub.WrongBytesError
		if errors.As(err, &wrong) && !s.c.Offline() {
			s.o.Note(err.Error() + ": it is downloaded again")
			return Model{}, false, nil
		}
		if err != nil {
			return Model{}, false, err
		}
	}
	m, err := local(ctx, first.Link)
	m.Origin = &first.File
	return m, true, err
}

// lookup finds the wanted file in the cache without asking anybody.
func (s *search) lookup() (hub.Cached, bool) {
	w := s.want
	if w.file == "" {
		var names []string
		for _, f := range s.c.Files(w.repo, w.revision) {
			names = append(names, f.Path)
		}
		file, err := pickQuant(w.repo, w.quant, names)
		if err != nil {
			return hub.Cached{}, false
		}
		return s.c.Lookup(w.repo, w.revision, file)
	}
	f, ok := s.c.Lookup(w.repo, w.revision, w.file)
	if w.sha256 == "" || ok && f.SHA256 == w.sha256 {
		return f, ok
	}
	// Main has moved on, or is unknown here: the bytes decide.
	if f, ok := s.c.Find(w.repo, w.file, w.sha256); ok {
		return f, true
	}
	return f, ok && f.SHA256 == "" // a file without a link is held against the digest
}

// ask asks the hub which files the model is: one, or all parts of it.
func (s *search) ask(ctx context.Context) ([]hub.File, error) {
	w := s.want
	if w.file == "" {
		list, err := s.c.Tree(ctx, w.repo, w.revision)
		if err != nil {
			return nil, err
		}
		names := make([]string, len(list))
		for i, e := range list {
			names[i] = e.Path
		}
		if w.file, err = pickQuant(w.repo, w.quant, names); err != nil {
			return nil, err
		}
	}
	first, err := s.stat(ctx, w)
	if err != nil {
		return nil, s.suggest(ctx, err)
	}
	var files []hub.File
	for _, file := range partsOf(w.file) {
		f := first
		if file != w.file {
			// Of the same commit: parts of two would not fit together.
			if f, err = s.c.Stat(ctx, w.repo, first.Commit, file); err != nil {
				return nil, err
			}
			f.Revision = first.Revision
		}
		files = append(files, f)
	}
	return files, nil
}

// stat asks for the wanted file. The registry's bytes are looked for on main
// first, where other programs look, then at the commit that had them.
func (s *search) stat(ctx context.Context, w wanted) (hub.File, error) {
	f, err := s.c.Stat(ctx, w.repo, w.revision, w.file)
	if w.sha256 == "" || err == nil && f.SHA256 == w.sha256 {
		return f, err
	}
	var gone *hub.EntryError
	if err != nil && !errors.As(err, &gone) {
		return f, err
	}
	if w.entry == nil {
		if err == nil {
			err = &hub.WrongBytesError{Name: f.Name(), Want: "sha256:" + w.sha256, Got: "sha256:" + f.SHA256}
		}
		return f, err
	}
	if w.entry.Revision != "" {
		pinned, perr := s.c.Stat(ctx, w.repo, w.entry.Revision, w.file)
		if perr == nil && pinned.SHA256 == w.sha256 {
			return pinned, nil
		}
		if err != nil {
			err = perr
		}
	}
	if err == nil {
		err = &ChangedError{*w.entry, f.SHA256}
	}
	return f, err
}

// suggest adds what may have been meant to "no such file".
func (s *search) suggest(ctx context.Context, err error) error {
	var entry *hub.EntryError
	if !errors.As(err, &entry) {
		return err
	}
	list, lerr := s.c.Tree(ctx, entry.Repo, hub.Main)
	if lerr != nil {
		return err // what is missing was said; the listing would have been a courtesy
	}
	var names []string
	for _, c := range candidates(paths(list)) {
		names = append(names, c.file)
	}
	more := *entry
	for _, file := range near(entry.File, names) {
		more.Near = append(more.Near, entry.Repo+":"+file)
	}
	return &more
}

func paths(list []hub.Entry) []string {
	names := make([]string, len(list))
	for i, e := range list {
		names[i] = e.Path
	}
	return names
}

// download brings all files of a model into the cache.
func (s *search) download(ctx context.Context, files []hub.File) (Model, error) {
	fo := hub.FetchOptions{FreeSpace: s.o.FreeSpace}
	if err := s.c.Space(files, fo); err != nil {
		return Model{}, err
	}
	fresh := false
	for _, f := range files {
		_, there := s.c.Find(f.Repo, f.Path, f.SHA256)
		fresh = fresh || !there
	}
	if fresh {
		s.licence(ctx, files[0])
		if err := checkRemote(ctx, s.c, files[0]); err != nil {
			return Model{}, err
		}
	}
	first := ""
	for _, f := range files {
		name := path.Base(f.Path)
		fo.Progress = func(done, total int64) { s.o.Progress(name, "downloading", done, total) }
		fo.Retrying = func(err error, pause time.Duration) {
			s.o.Note(fmt.Sprintf("%s: %v; trying again in %s", name, err, pause.Round(100*time.Millisecond)))
		}
		fo.Waiting = func() { s.o.Note("waiting for another download of " + name + " to finish") }
		link, err := s.c.Fetch(ctx, f, fo)
		s.o.Finished(name)
		if err != nil {
			return Model{}, err
		}
		if first == "" {
			first = link
		}
	}
	m, err := local(ctx, first)
	m.Origin = &files[0]
	return m, err
}

// licence tells a user under which terms the file is that is about to come.
func (s *search) licence(ctx context.Context, f hub.File) {
	entry := s.want.entry
	if entry == nil {
		if r, err := BuiltinRegistry(); err == nil {
			if e, ok := r.of(f.Repo, f.Path); ok {
				entry = &e
			}
		}
	}
	if entry != nil {
		s.o.Note(fmt.Sprintf("%s comes under this licence: %s", f.Name(), entry.Licence))
		return
	}
	// What the repository says is a courtesy: without it the page is named.
	licence := "see " + s.c.Endpoint() + "/" + f.Repo
	if info, err := s.c.Info(ctx, f.Repo); err == nil && info.Licence != "" {
		licence = info.Licence + ", says its repository"
	}
	s.o.Note(fmt.Sprintf("%s comes under this licence: %s", f.Name(), licence))
}

// prefixSize is how much of a file is read before all of it is: the header of
// a model with a small vocabulary, and the beginning of any.
const prefixSize = 1 << 20

// errBeyond marks what lies behind the prefix.
var errBeyond = errors.New("not read yet")

// checkRemote looks into the first bytes of a file at the hub, so that a file
// that is no model, or of a version that llama.cpp does not read, is not
// downloaded first. A header that is longer is checked after the download.
func checkRemote(ctx context.Context, c *hub.Client, f hub.File) error {
	head, err := c.Prefix(ctx, f, min(prefixSize, f.Size))
	var away *hub.UnreachableError
	var busy *hub.BusyError
	if ctx.Err() == nil && (errors.As(err, &away) || errors.As(err, &busy)) {
		return nil // a slow line or a moment's trouble: the download has patience for both, and checks what comes
	}
	if err != nil {
		return err
	}
	_, err = gguf.Check(prefix{bytes.NewReader(head), int64(len(head))}, f.Size)
	var damaged *gguf.DamagedError
	switch {
	case err == nil, errors.Is(err, errBeyond):
		return nil
	case errors.As(err, &damaged):
		named := *damaged
		named.File = f.Name()
		if strings.HasPrefix(named.Cure, "the download") {
			named.Cure = "the file is broken at the hub: choose another file or repository"
		}
		return &named
	}
	return err
}

// prefix is a file of which only the beginning is here.
type prefix struct {
	*bytes.Reader
	n int64
}

func (p prefix) ReadAt(b []byte, at int64) (int, error) {
	if at+int64(len(b)) <= p.n {
		return p.Reader.ReadAt(b, at)
	}
	if at >= p.n {
		return 0, errBeyond
	}
	n, err := p.Reader.ReadAt(b[:p.n-at], at)
	if err == nil {
		err = errBeyond
	}
	return n, err
}
