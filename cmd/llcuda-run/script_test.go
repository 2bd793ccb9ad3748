package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/internal/cli"
	"github.com/waqasm86/llcuda/internal/cli/clitest"
)

var update = flag.Bool("update", false, "rewrite the golden texts of the scripts")

// hostVariable names the file with the host that the program sees in a script;
// without it there is neither driver nor GPU, whatever this machine has.
const hostVariable = "LLCUDA_TEST_HOST"

func TestMain(m *testing.M) {
	if as := os.Getenv(pretendVariable); as != "" {
		os.Exit(pretend(as, os.Args[1:]))
	}
	testscript.Main(m, map[string]func(){
		"llcuda-run":        program,
		"fake-llama-server": fakeServer,
		"keep":              clitest.Keep,
	})
}

// program is main with another host.
func program() {
	ctx, stop := cli.WithSignals(context.Background())
	code := run(ctx, os.Args[1:], cli.NewStreams(os.Stdin, os.Stdout, os.Stderr, os.Environ()), scriptHost)
	stop()
	os.Exit(code)
}

func scriptHost(context.Context) facts.Host {
	h := facts.Host{Platform: "linux/amd64", GPUs: []facts.GPU{}, Libc: "2.36", Glibcxx: "3.4.30", CPU: []string{"avx2"},
		Unknown: map[string]string{"driver": "no NVIDIA driver found"}}
	if file := os.Getenv(hostVariable); file != "" {
		data, err := os.ReadFile(file)
		h = facts.Host{}
		var profile struct{ Host *facts.Host } // one of testdata/hosts
		if err == nil {
			err = json.Unmarshal(data, &profile)
		}
		if profile.Host != nil {
			h = *profile.Host
		} else if err == nil {
			err = json.Unmarshal(data, &h)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "the script's host:", err)
			os.Exit(99)
		}
	}
	return h
}

// chat asks the server whose URL is in a file: chat FILE TEXT.
func chat(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: chat FILE TEXT")
	}
	url := strings.TrimSpace(ts.ReadFile(args[0])) + "/v1/chat/completions"
	body := fmt.Sprintf(`{"messages":[{"role":"user","content":%q}]}`, args[1])
	response, err := http.Post(url, "application/json", strings.NewReader(body))
	ts.Check(err)
	defer response.Body.Close()
	_, err = io.Copy(ts.Stdout(), response.Body)
	ts.Check(err)
}

func TestScripts(t *testing.T) {
	samples, err := filepath.Abs("../../internal/inspect/testdata")
	if err != nil {
		t.Fatal(err)
	}
	hosts, err := filepath.Abs("../../testdata/hosts")
	if err != nil {
		t.Fatal(err)
	}
	answer, err := filepath.Abs("../../internal/prove/answer.json")
	if err != nil {
		t.Fatal(err)
	}
	commands := clitest.Commands()
	commands["chat"] = chat
	testscript.Run(t, testscript.Params{
		Dir:                "testdata/script",
		Cmds:               commands,
		UpdateScripts:      *update,
		RequireUniqueNames: true,
		Setup: func(e *testscript.Env) error {
			// With -race each program would wait a second at its end.
			e.Setenv("GORACE", "atexit_sleep_ms=0")
			e.Setenv("SAMPLES", samples)
			e.Setenv("HOSTS", hosts)
			e.Setenv(fakeAnswer, answer)
			e.Setenv("LLCUDA_HOME", filepath.Join(e.WorkDir, "store"))
			// What a bundle needs for its llama-server to be the fake one.
			server := filepath.Join(e.WorkDir, "cpu", "llama-server")
			if err := os.MkdirAll(filepath.Dir(server), 0o755); err != nil {
				return err
			}
			return os.WriteFile(server, []byte("#!/bin/sh\nexec fake-llama-server \"$@\"\n"), 0o755)
		},
	})
}
