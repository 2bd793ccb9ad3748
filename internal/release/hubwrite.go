package release

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/google/go-github/v60/github"
)

// RenamedError says that GitHub stored a file under another name.
type RenamedError struct{ Name, Got string }

func (e *RenamedError) Error() string {
	return fmt.Sprintf("GitHub stores %s as %s, where nobody looks for it", e.Name, e.Got)
}

// Hint says what to do.
func (e *RenamedError) Hint() string { return "give the file a name that GitHub keeps" }

// createDraft makes a draft. Where no answer comes it may have been made: it is
// then looked for before it is made again.
func (h *hub) createDraft(ctx context.Context, want *github.RepositoryRelease) (*hubRelease, error) {
	for attempt := 1; ; attempt++ {
		made := new(hubRelease)
		_, err := h.ask(ctx, false, "making the draft of "+want.GetTagName(), func() (*http.Request, error) {
			return h.api.NewRequest(http.MethodPost, h.at("releases"), want)
		}, made)
		if err == nil {
			return made, nil
		}
		var failed *HubError
		if !errors.As(err, &failed) || !passing(failed) || attempt == tries {
			return nil, err
		}
		if err := h.backOff(ctx, failed, attempt); err != nil {
			return nil, err
		}
		all, err := h.releases(ctx)
		if err != nil {
			return nil, err
		}
		if ours := draftsOf(all, want.GetTagName()); len(ours) > 0 {
			return &ours[0], nil
		}
	}
}

// publish turns a draft into a release. It is one request: what it says of tag,
// commit and latest is all true or all not.
func (h *hub) publish(ctx context.Context, id int64, want *github.RepositoryRelease) error {
	for attempt := 1; ; attempt++ {
		_, err := h.ask(ctx, false, "publishing "+want.GetTagName(), func() (*http.Request, error) {
			return h.api.NewRequest(http.MethodPatch, h.at("releases/%d", id), want)
		}, nil)
		var failed *HubError
		if err == nil || !errors.As(err, &failed) {
			return err
		}
		// It may have been done: the answer was lost, or another run did it.
		if r, gerr := h.byID(ctx, id); gerr == nil && !r.Draft {
			return nil
		}
		if !passing(failed) || attempt == tries {
			return err
		}
		if err := h.backOff(ctx, failed, attempt); err != nil {
			return err
		}
	}
}

// fits tells whether an asset is a file of ours, as far as GitHub says. Its
// digest may be missing; then it is read back before anything is published.
func fits(a Asset, f file) bool {
	return a.Name == f.name && a.State == "uploaded" && a.Size == f.size && (a.Digest == nil || *a.Digest == f.digest)
}

// put brings a file into a draft. After each failure it looks what came of it: an
// upload that ends in 502 may have succeeded, may have left an asset in state
// "starter", which bars its name, or nothing; a name taken (422) is an earlier try.
func (h *hub) put(ctx context.Context, rel *hubRelease, f file, sent func(int64)) error {
	for attempt := 1; ; attempt++ {
		a, err := h.upload(ctx, rel, f, sent)
		if err == nil && fits(a, f) {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil && a.Name != f.name {
			return errors.Join(&RenamedError{f.name, a.Name}, h.removeAsset(ctx, a))
		}
		if err == nil {
			err = &HubError{Doing: "uploading " + f.name, Err: fmt.Errorf("GitHub has %d bytes in state %q with digest %s, not %d bytes with %s", a.Size, a.State, said(a), f.size, f.digest)}
		}
		var failed *HubError
		if !errors.As(err, &failed) {
			return err
		}
		taken := failed.Status == http.StatusUnprocessableEntity
		if !taken && !passing(failed) {
			return err
		}
		have, lerr := h.assets(ctx, rel.ID)
		if lerr != nil {
			return lerr
		}
		left := false
		for _, a := range have {
			if a.Name != f.name {
				continue
			}
			if fits(a, f) {
				return nil
			}
			left = true
			if err := h.removeAsset(ctx, a); err != nil {
				return err
			}
		}
		if attempt == tries || taken && !left && !strings.Contains(failed.Message, "already_exists") {
			return err
		}
		if err := h.backOff(ctx, err, attempt); err != nil {
			return err
		}
	}
}

func said(a Asset) string {
	if a.Digest == nil {
		return "(none)"
	}
	return *a.Digest
}

// upload sends a file once.
func (h *hub) upload(ctx context.Context, rel *hubRelease, f file, sent func(int64)) (Asset, error) {
	at, err := h.uploadAddress(rel, f.name)
	if err != nil {
		return Asset{}, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var bodies []io.Closer
	defer func() {
		for _, b := range bodies {
			b.Close()
		}
	}()
	var a Asset
	_, err = h.ask(ctx, false, "uploading "+f.name, func() (*http.Request, error) {
		var src io.Reader = bytes.NewReader(f.data)
		if f.path != "" {
			file, err := os.Open(f.path)
			if err != nil {
				return nil, err
			}
			bodies = append(bodies, file)
			// No more than was promised, should it have grown.
			src = io.LimitReader(file, f.size)
		}
		body := newSending(src, sent, h.stall, func() { cancel(&StallError{For: h.stall}) })
		bodies = append(bodies, body)
		if f.size == 0 {
			return h.api.NewUploadRequest(at, http.NoBody, 0, "application/octet-stream")
		}
		return h.api.NewUploadRequest(at, body, f.size, "application/octet-stream")
	}, &a)
	if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(cause, context.Canceled) {
		return a, &HubError{Doing: "uploading " + f.name, Err: cause}
	}
	return a, err
}

// uploadAddress is where a release wants its files: an address that the API gave.
// The token follows it, so it is not let out of https.
func (h *hub) uploadAddress(rel *hubRelease, name string) (string, error) {
	base, _, _ := strings.Cut(rel.UploadURL, "{")
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != h.api.BaseURL.Scheme {
		return "", fmt.Errorf("uploading %s: GitHub names the address %q for it", name, rel.UploadURL)
	}
	u.RawQuery = url.Values{"name": {name}}.Encode()
	return u.String(), nil
}

// sending is the body of an upload: it counts, and calls out where it stands still.
type sending struct {
	src   io.Reader
	sent  func(int64)
	n     int64
	stall time.Duration
	dog   *time.Timer
}

func newSending(src io.Reader, sent func(int64), stall time.Duration, stalled func()) *sending {
	return &sending{src: src, sent: sent, stall: stall, dog: time.AfterFunc(stall, stalled)}
}

func (s *sending) Read(b []byte) (int, error) {
	n, err := s.src.Read(b)
	s.n += int64(n)
	if n > 0 && s.sent != nil {
		s.sent(s.n)
	}
	if err != nil { // all of it is on its way; how long the answer may take is the transport's to say
		s.dog.Stop()
		return n, err
	}
	s.dog.Reset(s.stall)
	return n, nil
}

func (s *sending) Close() error { s.dog.Stop(); return nil }

// readBack downloads an asset whose digest GitHub does not say, and hashes it.
func (h *hub) readBack(ctx context.Context, a Asset) (string, error) {
	sum := sha256.New()
	client := *h.client
	if b, ok := client.Transport.(bounded); ok {
		client.Transport = b.next
	}
	g := &getter{client: &client, userAgent: h.api.UserAgent, now: h.pace.clock.Now, etags: map[string]string{}}
	for attempt := 1; ; attempt++ {
		sum.Reset()
		req, err := h.api.NewRequest(http.MethodGet, h.at("releases/assets/%d", a.ID), nil)
		if err != nil {
			return "", err
		}
		req.Header.Set("Accept", "application/octet-stream")
		req.Header.Set("Authorization", "Bearer "+h.token)
		h.calls.Add(1)
		body, _, err := g.from(req.WithContext(ctx), span{})
		if err == nil {
			p := newPatient(body, a.Size, a.Name, h.stall)
			_, err = io.Copy(sum, p)
			_ = p.Close()
		}
		if err == nil {
			return digest(sum.Sum(nil)), nil
		}
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		failed := &HubError{Doing: "reading back " + a.Name, Err: err}
		if attempt == tries {
			return "", failed
		}
		if err := h.backOff(ctx, failed, attempt); err != nil {
			return "", err
		}
	}
}
