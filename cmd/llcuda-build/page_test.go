package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/waqasm86/llcuda/internal/cli"
)

// What is no file is written to, and stays what it is.
func TestAPageDoesNotReplaceAPipe(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "page")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	hold, err := os.OpenFile(pipe, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer hold.Close()
	begin := make(chan []byte, 1)
	go func() {
		buf := make([]byte, 1<<20)
		for n := 0; ; {
			m, err := hold.Read(buf[n:])
			n += m
			if err != nil || bytes.Contains(buf[:n], []byte("</html>")) {
				begin <- buf[:n]
				return
			}
		}
	}()
	var out, errs bytes.Buffer
	code := run(t.Context(), []string{"coverage", "--matrix", "../../matrix/cuda.yaml", "--html", pipe}, cli.NewStreams(nil, &out, &errs, nil))
	if code != 0 {
		t.Fatalf("exit %d: %s", code, errs.String())
	}
	info, err := os.Lstat(pipe)
	if err != nil || info.Mode()&fs.ModeNamedPipe == 0 {
		t.Fatalf("the pipe is now %v, %v", info.Mode(), err)
	}
	if page := <-begin; !bytes.HasPrefix(page, []byte("<!")) {
		t.Errorf("what came through is no page: %.40q", page)
	}
}
