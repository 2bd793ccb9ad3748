// Package fetch turns "open this at an offset; it has this many bytes and this
// SHA-256" into a verified file.
//
// It promises:
//
//   - A file has its final name only after every byte of it was hashed and the
//     hash was right. Until then it is "<Dest>.unverified". The rename happens
//     after an fsync (but for [Options.NoSync]), so a power cut does not leave a
//     wrong file under the final name either.
//   - A cut, a stall, a full disk, an interrupt or a kill -9 loses nothing that
//     was written: the next call hashes what is there once and goes on behind it.
//   - Never more than Size bytes are written, whatever the server sends.
//   - Two processes that fetch the same Dest download it once: the second waits
//     on a lock that the kernel drops when the first one dies.
//   - There is no limit on the total time, only on the time without a byte.
//   - Several connections are used where the source can open ranges and where
//     they bring more than one does, which is measured, not assumed. Bytes reach
//     the file in their order all the same: what is on disk is one piece from
//     the start, and its hash grows with it. What was ahead of it is held in
//     memory (at most 8 pieces of 4 MiB) and lost by a kill.
//   - What wants the bytes while they come ([Options.Follow]) reads the file
//     behind the download and never holds it up.
//
// It trusts the caller for Size and SHA256 (they come from a signed manifest or
// from a model registry) and nobody for the bytes: not the server, not a proxy,
// not the partial file that an earlier run left behind. Bytes that do not match
// are thrown away and fetched once more from the start, because a bad partial
// file is the usual reason; the second mismatch is a [MismatchError]. Where the
// server's word of the size shows that it sends something else, a page to log in at
// perhaps, none of that is taken, it is asked once more, and what came before stays.
//
// It does not choose mirrors, and does not know URLs beyond [Resource]. Who
// follows a download sees bytes that nobody has checked, must bear any, and must
// not let what it makes of them be used before File has returned nil: package
// store unpacks into a folder that only gets its name then.
package fetch

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"time"
)

// Opener opens the wanted bytes from offset on. The reader's first byte is the
// byte at offset, always. total is the size of the whole file as the server
// tells it, -1 where it does not.
//
// A server that cannot start at an offset is reported with an error that has
// the method NoResume() bool returning true (see [NoResumeError]); the Opener
// is then called with offset 0 and the bytes already on disk are skipped.
// An error that has Permanent() bool returning true is not tried again, nor is
// one that is fs.ErrNotExist or fs.ErrPermission; one that has RetryAfter()
// time.Duration is tried again no sooner; one with OutOfRange() bool returning
// true says that the file ends before offset and counts as a mismatch. Everything else is taken for a
// passing trouble of the network.
//
// The Opener and its reader must give up when ctx ends. The reader may be
// closed while a Read is under way, as for *os.File and http bodies.
type Opener func(ctx context.Context, offset int64) (body io.ReadCloser, total int64, err error)

// RangeOpener opens the bytes from from up to, not including, to. What an
// [Opener] promises and may say holds here too; a reader that gives more bytes
// is cut.
type RangeOpener func(ctx context.Context, from, to int64) (body io.ReadCloser, total int64, err error)

// Options say what to fetch and how patiently. Open, Dest, Size and SHA256 are
// required.
type Options struct {
	Open Opener
	// Dest is the final path; missing folders above it are made.
	Dest string
	// Name is what messages call the file; the base name of Dest if empty.
	Name string
	// Size is in bytes.
	Size int64
	// SHA256 is 64 hex digits, with or without "sha256:" before them.
	SHA256 string
	// Stall is how long no byte may come before an attempt is given up
	// (opening included). 0 = 30 s.
	Stall time.Duration
	// Retries is how many attempts in a row may bring no byte before File
	// gives up; an attempt that brought some starts the count again. 0 = 5,
	// negative = none.
	Retries int
	// Backoff is the pause before the first retry; it doubles up to 30 times
	// itself. 0 = 500 ms.
	Backoff time.Duration
	// OpenRange, where it is set, lets File use several connections at once
	// where they are faster; nil = one stream.
	OpenRange RangeOpener
	// Connections is the most at once; 0 = 6, 1 = one stream.
	Connections int
	// Follow, where it is set, is run beside the download, in a goroutine of its
	// own, with a reader of the file's bytes from the first on. The reader waits
	// for bytes that are not there yet and ends after Size of them. They are
	// unverified: what Follow makes of them counts only if File returns nil.
	//
	// Where the download fails, the reader fails with its error. Where bytes
	// turned out wrong and the download starts over, the reader fails with
	// ErrStartedOver and Follow is called again, once the first has returned.
	// File returns when Follow has; its error is that of File where the bytes
	// are right, and is dropped where they are not.
	Follow func(ctx context.Context, unverified io.Reader) error
	// NoSync leaves it to the kernel when the file reaches the disk: for a Dest
	// that goes away soon and is only ever used through File, which hashes it
	// again after a power cut.
	NoSync bool
	// Progress is told the bytes that are here, those of earlier runs included,
	// and the size. It is called from the goroutine of File, often; nil = nobody.
	Progress func(done, total int64)
	// Retrying is told why an attempt failed and how long the pause is.
	Retrying func(err error, pause time.Duration)
	// Waiting is called once if another process is fetching the same Dest.
	Waiting func()
	// Log hears details; nil = nobody.
	Log *slog.Logger
	// FreeSpace tells the bytes that an ordinary user may still write below
	// dir. nil = ask the file system.
	FreeSpace func(dir string) (uint64, error)

	// pace is when and how a download is split; tests hurry it.
	pace pace
}

// File makes sure that o.Dest holds exactly the wanted bytes, and returns its
// path. A Dest that is already there is hashed: if it matches nothing is
// opened or written, if not it is replaced.
//
// Errors: [*MismatchError], [*UnfinishedError], [*SpaceError] and [*FileError]
// say what a user can do; the Opener's own error is inside an UnfinishedError.
// When ctx ends, the error is its cause and the partial file stays.
func File(ctx context.Context, o Options) (string, error) {
	o, err := o.complete()
	if err != nil {
		return "", err
	}
	p, err := openPartial(ctx, o)
	if err != nil {
		return "", err
	}
	if p == nil { // Dest is there and right
		return o.Dest, followWhole(ctx, o)
	}
	defer p.close()
	for again := true; ; again = false {
		f := follow(ctx, o, p)
		err := download(ctx, o, p)
		if err == nil {
			err = p.check(o)
		}
		if err == nil {
			if err = p.commit(o.Dest, !o.NoSync); err == nil {
				return o.Dest, f.end(nil)
			}
		}
		var mismatch *MismatchError
		if !errors.As(err, &mismatch) {
			_ = f.end(err) // it failed of err, or does not matter beside it
			return "", err
		}
		if !again {
			_ = f.end(err)
			if mismatch.untaken && p.n > 0 {
				return "", err
			}
			return "", errors.Join(err, p.remove())
		}
		_ = f.end(ErrStartedOver)
		if mismatch.untaken { // what is here is not to blame, and may be right
			o.Log.Warn("not the file, asking again", "file", o.Name, "want", mismatch.Want, "got", mismatch.Got)
			continue
		}
		o.Log.Warn("wrong bytes, starting over", "file", o.Name, "want", mismatch.Want, "got", mismatch.Got)
		if err := p.reset(); err != nil {
			return "", err
		}
	}
}

// complete checks o and fills in the defaults.
func (o Options) complete() (Options, error) {
	if o.Open == nil || o.Dest == "" {
		return o, errors.New("fetch: Open and Dest are required")
	}
	if o.Name == "" {
		o.Name = filepath.Base(o.Dest)
	}
	if o.Size < 0 {
		return o, fmt.Errorf("fetching %s: its size must be known", o.Name)
	}
	o.SHA256 = strings.ToLower(strings.TrimPrefix(o.SHA256, "sha256:"))
	if raw, err := hex.DecodeString(o.SHA256); err != nil || len(raw) != 32 {
		return o, fmt.Errorf("fetching %s: %q is not a SHA-256", o.Name, o.SHA256)
	}
	if o.Stall == 0 {
		o.Stall = 30 * time.Second
	}
	switch {
	case o.Retries == 0:
		o.Retries = 5
	case o.Retries < 0:
		o.Retries = 0
	}
	if o.Backoff == 0 {
		o.Backoff = 500 * time.Millisecond
	}
	if o.Connections == 0 {
		o.Connections = 6
	}
	o.pace = o.pace.complete()
	if o.Progress == nil {
		o.Progress = func(int64, int64) {}
	}
	if o.Retrying == nil {
		o.Retrying = func(error, time.Duration) {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.FreeSpace == nil {
		o.FreeSpace = FreeSpace
	}
	return o, nil
}
