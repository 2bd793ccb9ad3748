package sibling

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// roleEnv makes the test binary the other program: its value is what it does.
const roleEnv = "LLCUDA_SIBLING_TEST"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleEnv); role != "" {
		os.Exit(child(role))
	}
	os.Exit(m.Run())
}

type said struct {
	Text string `json:"text"`
	PID  int    `json:"pid,omitempty"`
}

func child(role string) int {
	switch role {
	case "silent":
		return 0
	case "chatty":
		fmt.Println("Usage: something else altogether")
		return 0
	case "later":
		fmt.Println(`{"program":"llcuda-engine","protocol":99}`)
		_, _ = io.Copy(io.Discard, os.Stdin)
		return 0
	case "parent": // starts a child, says its pid, and waits to be killed
		c, err := Start(context.Background(), Options{Program: os.Args[0], Env: []string{roleEnv + "=echo"}})
		if err != nil {
			fmt.Println(err)
			return 1
		}
		var v said
		_ = c.Send(said{Text: "x"})
		_ = c.Receive(&v)
		fmt.Println(v.PID)
		select {}
	}
	ctx, peer, err := Accept(context.Background(), "llcuda-engine", os.Stdin, os.Stdout)
	if err != nil {
		return 1
	}
	if role == "deaf" { // does not stop when it is asked to
		_ = peer.Send(said{Text: "deaf", PID: os.Getpid()})
		select {}
	}
	for {
		var v said
		if peer.Receive(&v) != nil {
			break
		}
		if v.Text == "die" {
			fmt.Fprintln(os.Stderr, strings.Repeat("long ago\n", 1000)+"fatal error: out of paper")
			return 3
		}
		_ = peer.Send(said{Text: v.Text, PID: os.Getpid()})
	}
	<-ctx.Done()
	_ = peer.Send(said{Text: "bye"})
	return 0
}

func start(t *testing.T, ctx context.Context, role string, grace time.Duration) (*Conn, error) {
	t.Helper()
	c, err := Start(ctx, Options{Program: os.Args[0], Env: []string{roleEnv + "=" + role}, Grace: grace})
	if err == nil {
		t.Cleanup(c.Close)
	}
	return c, err
}

func must(t *testing.T, c *Conn, err error) *Conn {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTheTwoTalkUntilOneHangsUp(t *testing.T) {
	c, err := start(t, t.Context(), "echo", 0)
	c = must(t, c, err)
	long := strings.Repeat("ü", 200_000)
	var v said
	for _, text := range []string{"hello", "two\nlines", long} {
		if err := c.Send(said{Text: text}); err != nil {
			t.Fatal(err)
		}
		if err := c.Receive(&v); err != nil || v.Text != text {
			t.Fatalf("%d bytes came back as %d: %v", len(text), len(v.Text), err)
		}
	}
	if group, err := syscall.Getpgid(v.PID); err != nil || group != v.PID {
		t.Errorf("the child's process group is %d, %v: Ctrl-C of a terminal would reach it", group, err)
	}
	c.HangUp()
	if err := c.Receive(&v); err != nil || v.Text != "bye" {
		t.Errorf("its last word is %q, %v", v.Text, err)
	}
	if err := c.Receive(&v); !errors.Is(err, io.EOF) {
		t.Errorf("after its last word: %v", err)
	}
}

func TestAChildEndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c, err := start(t, ctx, "echo", 0)
	c = must(t, c, err)
	cancel()
	var v said
	if err := c.Receive(&v); err != nil || v.Text != "bye" {
		t.Errorf("%q, %v", v.Text, err)
	}
	if _, err := start(t, ctx, "echo", 0); !errors.Is(err, context.Canceled) {
		t.Errorf("started under a context that is over: %v", err)
	}
}

func TestAChildThatDoesNotStopIsKilled(t *testing.T) {
	c, err := start(t, t.Context(), "deaf", 50*time.Millisecond)
	c = must(t, c, err)
	var v said
	if err := c.Receive(&v); err != nil {
		t.Fatal(err)
	}
	c.Close()
	if err := syscall.Kill(v.PID, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("it lives: %v", err)
	}
}

func TestADeathIsToldWithItsLastWords(t *testing.T) {
	c, err := start(t, t.Context(), "echo", 0)
	c = must(t, c, err)
	if err := c.Send(said{Text: "die"}); err != nil {
		t.Fatal(err)
	}
	var v said
	if err := c.Receive(&v); !errors.Is(err, io.EOF) {
		t.Fatalf("%v", err)
	}
	var died *DiedError
	if err := c.Died(); !errors.As(err, &died) || died.How != "exit status 3" || !strings.HasSuffix(died.Said, "out of paper\n") || len(died.Said) > endingSize {
		t.Errorf("%+v", died)
	}
}

func TestWhatIsNoSiblingIsRefused(t *testing.T) {
	for _, c := range []struct{ role, says, hint string }{
		{"silent", "ended before it answered: exit status 0", "run it again"},
		{"chatty", "does not speak our protocol", "of one build"},
		{"later", "speaks protocol 99, and this program 1", "of one build"},
	} {
		t.Run(c.role, func(t *testing.T) {
			_, err := start(t, t.Context(), c.role, time.Second)
			var hinted interface{ Hint() string }
			if err == nil || !strings.Contains(err.Error(), c.says) || !errors.As(err, &hinted) || !strings.Contains(hinted.Hint(), c.hint) {
				t.Errorf("error %v", err)
			}
		})
	}
	for name, file := range map[string]string{"nothing there": filepath.Join(t.TempDir(), "x"), "no program": os.DevNull} {
		_, err := Start(t.Context(), Options{Program: file})
		var missing *MissingError
		if !errors.As(err, &missing) || missing.Program != file || !strings.Contains(missing.Hint(), "make build") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestKillMinus9OfTheParentEndsTheChild(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = []string{roleEnv + "=parent"}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var line [32]byte
	n, err := out.Read(line[:])
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(line[:n])))
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	limit := time.Now().Add(20 * time.Second)
	for {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || strings.Contains(string(stat), ") Z ") { // nobody may reap it here
			return
		}
		if time.Now().After(limit) {
			t.Fatalf("process %d lives", pid)
		}
		<-time.After(10 * time.Millisecond)
	}
}
