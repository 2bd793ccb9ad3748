package ci_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/waqasm86/llcuda/ci"
)

// childEnv makes the test binary a program that builds one cell: its value is
// "source\noutDir\nmark".
const childEnv = "LLCUDA_CI_TEST_CHILD"

func TestMain(m *testing.M) {
	if which := os.Getenv(engineEnv); which != "" {
		os.Exit(llcudaEngine(which))
	}
	if spec := os.Getenv(childEnv); spec != "" {
		os.Exit(child(strings.Split(spec, "\n")))
	}
	os.Exit(m.Run())
}

// child builds as cmd does, until a signal: 130 says that it was cancelled.
func child(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	s := hostSuite()
	builder, err := ci.NewHost(ci.HostOptions{Env: map[string]string{"PATH": os.Getenv("PATH")}})
	switch which := os.Getenv(childEnv + "_ENGINE"); which {
	case "":
	case "dagger":
		s.image, s.dirs = os.Getenv("LLCUDA_TEST_IMAGE"), containerDirs
		builder, err = ci.NewDagger(ctx, asEngine(which))
	default:
		s.dirs = siblingDirs
		builder, err = ci.NewDagger(ctx, asEngine(which))
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer builder.Close()
	b := &bench{suite: s, nonce: args[2], source: args[0], outDir: args[1]}
	// A direct child: the kernel ends it with its parent.
	p := b.plan(`echo half >"$3/half"; exec sleep ` + args[2])
	_, err = builder.Build(ctx, p, b.job())
	fmt.Println(err)
	if errors.Is(err, context.Canceled) {
		return 130
	}
	return 1
}

// signals is the part of the conformance that needs a process to end.
func signals(t *testing.T, s suite) {
	for _, c := range []struct {
		name     string
		signal   syscall.Signal
		code     int
		leftover []string
	}{
		{"Ctrl-C reaches the whole foreground group and leaves nothing", syscall.SIGINT, 130, nil},
		{"kill -9 leaves only what the next build removes", syscall.SIGKILL, -1, []string{".llcuda-staging-cell"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := s.bench(t, "child")
			mark := "9" + fmt.Sprint(time.Now().UnixNano())
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), childEnv+"="+strings.Join([]string{b.source, b.outDir, mark}, "\n"))
			if s.engine != "" {
				cmd.Env = append(cmd.Env, childEnv+"_ENGINE="+s.engine)
			}
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			var out strings.Builder
			cmd.Stdout, cmd.Stderr = &out, &out
			cmd.WaitDelay = 10 * time.Second
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
			eventually(t, "begun", func() bool { return running("sleep\x00" + mark) })
			who := -cmd.Process.Pid
			if c.signal == syscall.SIGKILL {
				who = cmd.Process.Pid
			}
			if err := syscall.Kill(who, c.signal); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != c.code {
				t.Errorf("exit code %d, want %d\n%s", code, c.code, out.String())
			}
			eventually(t, "stopped: sleep "+mark, func() bool { return !running("sleep\x00" + mark) })
			b.nothingBut(t, c.leftover...)
			if _, err := s.builder(t).Build(t.Context(), b.plan(`test ! -e "$3/half"; echo x >"$3/x"`), b.job()); err != nil {
				t.Fatalf("the next build: %v", err)
			}
			b.nothingBut(t, filepath.Base(b.outDir))
		})
	}
}
