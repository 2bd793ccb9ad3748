package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// git runs the git program.
type git struct{ env []string }

// gitEnv is base without what would point git elsewhere, with what keeps it
// quiet, unasking and English.
func gitEnv(base []string) []string {
	if base == nil {
		base = (&exec.Cmd{}).Environ()
	}
	var env []string
	for _, kv := range base {
		k, _, _ := strings.Cut(kv, "=")
		switch k {
		case "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR",
			"GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_NAMESPACE", "GIT_PREFIX", "GIT_CEILING_DIRECTORIES",
			"GIT_CONFIG_PARAMETERS", "GIT_CONFIG_COUNT", "GIT_TRACE", "GIT_SHALLOW_FILE", "GIT_GRAFT_FILE":
			continue
		}
		env = append(env, kv)
	}
	return append(env, "GIT_TERMINAL_PROMPT=0", "GIT_CONFIG_NOSYSTEM=1", "GIT_OPTIONAL_LOCKS=0", "LC_ALL=C", "LANGUAGE=")
}

// settings hold for every call. A folder may belong to somebody else (a CI's
// checkout in a container): it is read, and the hooks and monitors that it
// configures are not run (a clean filter of its own configuration would be).
// A connection that moves less than 1 kB/s for a minute is given up.
var settings = [...]string{
	"safe.directory=*", "core.hooksPath=/dev/null", "core.fsmonitor=false", "core.autocrlf=false", "core.eol=lf",
	"protocol.ext.allow=never", "advice.detachedHead=false", "gc.auto=0", "submodule.recurse=false",
	"http.lowSpeedLimit=1000", "http.lowSpeedTime=60",
}

// gitError is a call of git that failed.
type gitError struct {
	args []string
	said string // last lines of stderr
	err  error
}

func (e *gitError) Error() string {
	if e.said == "" {
		return fmt.Sprintf("git %s: %v", e.args[0], e.err)
	}
	return fmt.Sprintf("git %s: %s", e.args[0], e.said)
}

func (e *gitError) Unwrap() error { return e.err }

// run calls git in dir ("" is anywhere) and returns its stdout without the last
// newline. Errors: the context's, *GitMissingError or *gitError.
func (g git) run(ctx context.Context, dir string, args ...string) (string, error) {
	var full []string
	for _, s := range settings {
		full = append(full, "-c", s)
	}
	cmd := exec.CommandContext(ctx, "git", append(full, args...)...)
	cmd.Dir, cmd.Env = dir, g.env
	if path, ok := lookGit(g.env); ok {
		cmd.Path, cmd.Err = path, nil
	} else {
		cmd.Err = exec.ErrNotFound
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	// git's transports are children of their own.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	if cmd.Process != nil && ctx.Err() != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	switch {
	case err == nil:
		return strings.TrimRight(stdout.String(), "\n"), nil
	case ctx.Err() != nil:
		return "", fmt.Errorf("source: git %s: %w", args[0], ctx.Err())
	case errors.Is(err, exec.ErrNotFound):
		return "", &GitMissingError{Err: err}
	}
	return "", &gitError{args: args, said: lastWords(stderr.String()), err: err}
}

// lookGit finds git on the PATH of env.
func lookGit(env []string) (string, bool) {
	for i := len(env) - 1; i >= 0; i-- {
		path, ok := strings.CutPrefix(env[i], "PATH=")
		if !ok {
			continue
		}
		for _, dir := range filepath.SplitList(path) {
			file := filepath.Join(dir, "git")
			if st, err := os.Stat(file); err == nil && filepath.IsAbs(file) && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
				return file, true
			}
		}
		return "", false
	}
	return "", false
}

// lastWords is the line of stderr that says why: git's first "fatal:" line, or
// else the last.
func lastWords(stderr string) string {
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	for _, l := range lines {
		if why, ok := strings.CutPrefix(l, "fatal: "); ok {
			return why
		}
	}
	return strings.TrimPrefix(lines[len(lines)-1], "error: ")
}

// repositoryError makes a failed call of git a *RepositoryError; other errors
// stay as they are. What git said may repeat the address with its credentials.
func repositoryError(address string, err error) error {
	var failed *gitError
	if !errors.As(err, &failed) {
		return err
	}
	clean := redact(address)
	return &RepositoryError{Repository: clean, Said: strings.ReplaceAll(failed.said, address, clean), Err: errors.New("git " + failed.args[0] + " failed")}
}

// commitTime is when a commit was made.
func (g git) commitTime(ctx context.Context, dir, commit string) (time.Time, error) {
	text, err := g.run(ctx, dir, "show", "--no-patch", "--no-show-signature", "--format=%ct", commit)
	if err != nil {
		return time.Time{}, err
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("the time of commit %s: %w", commit, err)
	}
	return time.Unix(seconds, 0).UTC(), nil
}
