package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"aead.dev/minisign"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/matrix"
)

// install.sh runs in a PATH of its own: this machine's coreutils, and in place of
// curl, wget, minisign, uname and getconf what a case wants of them. The first
// three are this test's program under another name.
const pretendVariable = "LLCUDA_TEST_PRETEND"

func pretend(as string, args []string) int {
	value := func(flag string) string {
		if i := slices.Index(args, flag); i >= 0 && i+1 < len(args) {
			return args[i+1]
		}
		return ""
	}
	err := func() error {
		if as == "minisign" {
			return pretendMinisign(value("-m"), value("-x"), value("-P"))
		}
		to := value(map[string]string{"curl": "-o", "wget": "-O"}[as])
		r, err := http.Get(args[len(args)-1])
		if err != nil {
			return err
		}
		defer r.Body.Close()
		if r.StatusCode != http.StatusOK {
			return fmt.Errorf("%s answers %s", args[len(args)-1], r.Status)
		}
		data, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		return os.WriteFile(to, data, 0o644)
	}()
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", as, err)
		return 1
	}
	return 0
}

func pretendMinisign(file, sig, key string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(sig)
	if err != nil {
		return err
	}
	if strings.Contains(key, "\n") { // the real one takes no more than the key
		return fmt.Errorf("base64 conversion failed")
	}
	var public minisign.PublicKey
	if err := public.UnmarshalText([]byte(key)); err != nil {
		return err
	}
	r := minisign.NewReader(strings.NewReader(string(data)))
	if _, err := io.Copy(io.Discard, r); err != nil {
		return err
	}
	var parsed minisign.Signature
	if err := parsed.UnmarshalText(text); err != nil {
		return err
	}
	if !r.Verify(public, text) {
		return fmt.Errorf("no signature by that key")
	}
	fmt.Println(parsed.TrustedComment)
	return nil
}

const asset = "llcuda-run-linux-amd64"

// installer is a folder of releases with one release, v1, and a PATH.
type installer struct {
	releases, path, prefix, script string
	key                            bundles.PrivateKey
}

func newInstaller(t *testing.T, programs map[string]string) *installer {
	t.Helper()
	root := t.TempDir()
	in := &installer{filepath.Join(root, "releases"), filepath.Join(root, "path"), filepath.Join(root, "a prefix"), filepath.Join(root, "install.sh"), bundles.PrivateKey{}}
	in.pin(t)
	var err error
	if in.key, err = bundles.GenerateKey(nil); err != nil {
		t.Fatal(err)
	}
	in.write(t, "latest", "v1\n")
	in.release(t, "#!/bin/sh\necho llcuda-run version v1\n", bundles.Claim{Repository: "github:o/r", Release: "v1", File: asset})
	if err := os.Mkdir(in.path, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"sh", "cat", "chmod", "cp", "mkdir", "mktemp", "mv", "rm", "sed", "sha256sum", "sort"} {
		if programs[name] != "" {
			continue
		}
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path, filepath.Join(in.path, name)); err != nil {
			t.Fatal(err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{"uname": `[ "$1" = -s ] && echo Linux || echo x86_64`, "getconf": "echo glibc 2.31"}
	for name, script := range programs {
		all[name] = script
	}
	for name, script := range all {
		if script == "real" {
			script = fmt.Sprintf("%s=%s exec '%s' \"$@\"", pretendVariable, name, self)
		}
		if err := os.WriteFile(filepath.Join(in.path, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return in
}

// pin makes the script with these keys pinned, whatever the committed one pins.
func (in *installer) pin(t *testing.T, keys ...bundles.PrivateKey) {
	t.Helper()
	text, err := os.ReadFile("../../install.sh")
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, k := range keys {
		words = append(words, k.Public().String())
	}
	line := regexp.MustCompile(`(?m)^PINNED='.*'$`)
	if n := len(line.FindAll(text, -1)); n != 1 {
		t.Fatalf("install.sh has %d lines PINNED='…'", n)
	}
	text = line.ReplaceAll(text, []byte("PINNED='"+strings.Join(words, " ")+"'"))
	if err := os.WriteFile(in.script, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

func (in *installer) write(t *testing.T, name, text string) {
	t.Helper()
	file := filepath.Join(in.releases, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// release writes the program, its sum and its signature for a claim.
func (in *installer) release(t *testing.T, program string, claim bundles.Claim) {
	t.Helper()
	sum := sha256.Sum256([]byte(program))
	sig, err := bundles.Sign([]byte(program), in.key, claim)
	if err != nil {
		t.Fatal(err)
	}
	in.write(t, "v1/"+asset, program)
	in.write(t, "v1/SHA256SUMS", strings.Repeat("0", 64)+"  other\n"+hex.EncodeToString(sum[:])+"  "+asset+"\n")
	in.write(t, "v1/"+asset+".minisig", string(sig))
}

func (in *installer) run(t *testing.T, from string, env []string, args ...string) (said string, ok bool) {
	t.Helper()
	c := exec.CommandContext(t.Context(), "sh", append([]string{in.script}, args...)...)
	c.Env = append([]string{"PATH=" + in.path, "HOME=/nonexistent", "PREFIX=" + in.prefix, "LLCUDA_FROM=" + from}, env...)
	out, err := c.CombinedOutput()
	return string(out), err == nil
}

func (in *installer) installed() bool {
	found, _ := filepath.Glob(filepath.Join(in.prefix, "bin", "*"))
	hidden, _ := filepath.Glob(filepath.Join(in.prefix, "bin", ".*"))
	return len(found) == 1 && len(hidden) == 0 && filepath.Base(found[0]) == "llcuda-run"
}

func TestInstallScriptInstallsWhatItChecked(t *testing.T) {
	for _, c := range []struct {
		name     string
		programs map[string]string
		server   bool
		below    string
		// comment goes before the key, as in a .pub file.
		signed, comment bool
	}{
		{"from a folder of releases", nil, false, "", false, false},
		{"from one release's own folder", nil, false, "/v1", false, false},
		{"from a mirror, with curl", map[string]string{"curl": "real"}, true, "", false, false},
		{"from a mirror, with wget alone", map[string]string{"wget": "real"}, true, "/", false, false},
		{"signed, from a mirror", map[string]string{"curl": "real", "minisign": "real"}, true, "", true, false},
		{"signed, from one release's own folder", map[string]string{"minisign": "real"}, false, "/v1", true, false},
		{"signed, the key as the text of its file", map[string]string{"minisign": "real"}, false, "", true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := newInstaller(t, c.programs)
			from := in.releases
			if c.server {
				server := httptest.NewServer(http.FileServer(http.Dir(in.releases)))
				t.Cleanup(server.Close)
				from = server.URL
			}
			var env []string
			want := []string{"SHA-256 is as in SHA256SUMS", "installed llcuda-run version v1", "is not on PATH", "To remove it: rm "}
			if c.signed {
				key := in.key.Public().String()
				if c.comment {
					key = "untrusted comment: minisign public key\n" + key + "\n"
				}
				env = []string{"LLCUDA_KEY=" + key}
				want = append(want, "the signature holds: llcuda repository=github:o/r release=v1 file="+asset)
			} else {
				want = append(want, "the signature was not checked: no key is pinned yet")
			}
			said, ok := in.run(t, from+c.below, env)
			if !ok || !in.installed() {
				t.Fatalf("it did not install:\n%s", said)
			}
			for _, w := range want {
				if !strings.Contains(said, w) {
					t.Errorf("it does not say %q:\n%s", w, said)
				}
			}
			// Again, over what is there.
			if said, ok := in.run(t, from+c.below, env); !ok || !in.installed() {
				t.Errorf("the second time:\n%s", said)
			}
		})
	}
}

func TestInstallScriptRefusesInOneSentence(t *testing.T) {
	claim := bundles.Claim{Repository: "github:o/r", Release: "v1", File: asset}
	for _, c := range []struct {
		name     string
		programs map[string]string
		env      []string
		change   func(*testing.T, *installer)
		from     string
		want     string
	}{
		{name: "on ARM", programs: map[string]string{"uname": `[ "$1" = -s ] && echo Linux || echo aarch64`}, want: "there are no bundles for ARM yet"},
		{name: "on Windows", programs: map[string]string{"uname": "echo MINGW64_NT-10.0"}, want: "inside WSL 2"},
		{name: "on a Mac", programs: map[string]string{"uname": "echo Darwin"}, want: "and this is Darwin"},
		{name: "on musl", programs: map[string]string{"getconf": "exit 1"}, want: "another C library"},
		{name: "on an old glibc", programs: map[string]string{"getconf": "echo glibc 2.17"}, want: "needs glibc 2.28 or newer, and this system has 2.17"},
		{name: "an unencrypted mirror", from: "http://example.org/releases", want: "is not encrypted"},
		{name: "a folder that is not there", from: "/nonexistent", want: "is no folder"},
		{name: "nothing to fetch with", from: "https://example.org", want: "neither curl nor wget"},
		{name: "a changed program", change: func(t *testing.T, in *installer) { in.write(t, "v1/"+asset, "#!/bin/sh\necho gotcha\n") }, want: "nothing was installed"},
		{name: "sums that do not name it", change: func(t *testing.T, in *installer) { in.write(t, "v1/SHA256SUMS", "") }, want: "does not name " + asset},
		{name: "a tag that climbs", change: func(t *testing.T, in *installer) { in.write(t, "latest", "../v1\n") }, want: "which is no tag"},
		{name: "a program that does not run", change: func(t *testing.T, in *installer) { in.release(t, "#!/bin/sh\nexit 1\n", claim) }, want: "does not run here"},
		{name: "a folder where nothing may run", programs: map[string]string{"chmod": "exit 0"}, want: "TMPDIR="},
		{name: "a key and no minisign", env: []string{"LLCUDA_KEY=RWx"}, want: "minisign is not here to check with"},
		{name: "another key", programs: map[string]string{"minisign": "real"}, env: []string{"LLCUDA_KEY=OTHER"}, want: "does not hold: nothing was installed"},
		{name: "a signature for another file", programs: map[string]string{"minisign": "real"}, env: []string{"LLCUDA_KEY=OURS"},
			change: func(t *testing.T, in *installer) {
				in.release(t, "#!/bin/sh\n", bundles.Claim{Release: "v1", File: "llcuda-build-linux-amd64"})
			}, want: "is signed for something else"},
		{name: "a signature for another release", programs: map[string]string{"minisign": "real"}, env: []string{"LLCUDA_KEY=OURS"},
			change: func(t *testing.T, in *installer) {
				in.release(t, "#!/bin/sh\n", bundles.Claim{Release: "v0", File: asset})
			}, want: "is signed for something else"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := newInstaller(t, c.programs)
			if c.change != nil {
				c.change(t, in)
			}
			from := c.from
			if from == "" {
				from = in.releases
			}
			other, err := bundles.GenerateKey(nil)
			if err != nil {
				t.Fatal(err)
			}
			for i, e := range c.env {
				c.env[i] = strings.NewReplacer("OURS", in.key.Public().String(), "OTHER", other.Public().String()).Replace(e)
			}
			said, ok := in.run(t, from, c.env)
			if ok || !strings.Contains(said, c.want) {
				t.Errorf("ok %v, it does not say %q:\n%s", ok, c.want, said)
			}
			if _, err := os.Stat(in.prefix); err == nil {
				t.Error("it made something in the prefix")
			}
		})
	}
}

// Two keys are pinned while one replaces the other: either will do.
func TestInstallScriptTakesEitherPinnedKey(t *testing.T) {
	in := newInstaller(t, map[string]string{"minisign": "real"})
	other, err := bundles.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		keys []bundles.PrivateKey
		ok   bool
	}{{[]bundles.PrivateKey{other, in.key}, true}, {[]bundles.PrivateKey{in.key, other}, true}, {[]bundles.PrivateKey{other}, false}} {
		var given []string
		for _, k := range c.keys {
			given = append(given, k.Public().String())
		}
		in.pin(t, c.keys...)
		said, ok := in.run(t, in.releases, nil)
		in.pin(t)
		// llcuda-run takes such a list as well (bundles.KeysIn).
		said2, ok2 := in.run(t, in.releases, []string{"LLCUDA_KEY=" + strings.Join(given, " ")})
		for said, ok := range map[string]bool{"pinned: " + said: ok, "given: " + said2: ok2} {
			if ok != c.ok || ok && !strings.Contains(said, "the signature holds") {
				t.Errorf("%d keys: ok %v\n%s", len(c.keys), ok, said)
			}
		}
	}
}

func TestInstallScriptLeavesNothingOnAFullDisk(t *testing.T) {
	in := newInstaller(t, map[string]string{"cp": `case $2 in *.new.*) echo half > "$2"; echo "cp: No space left on device" >&2; exit 1 ;; esac; exec /bin/cp "$@"`})
	if said, ok := in.run(t, in.releases, nil); ok || !strings.Contains(said, "No space left") {
		t.Errorf("ok %v\n%s", ok, said)
	}
	if found, err := os.ReadDir(filepath.Join(in.prefix, "bin")); err != nil || len(found) > 0 {
		t.Errorf("it left %v, %v", found, err)
	}
}

// A script whose download was cut off must do nothing, wherever it was cut.
func TestInstallScriptCutOffDoesNothing(t *testing.T) {
	whole, err := os.ReadFile("../../install.sh")
	if err != nil {
		t.Fatal(err)
	}
	in := newInstaller(t, nil)
	last := strings.LastIndex(string(whole), "main \"$@\"")
	for n := 500; n < last; n += 500 {
		c := exec.CommandContext(t.Context(), "sh")
		c.Stdin = strings.NewReader(string(whole[:n]))
		c.Env = []string{"PATH=" + in.path, "PREFIX=" + in.prefix, "LLCUDA_FROM=" + in.releases}
		_ = c.Run() // a syntax error or nothing at all
		if _, err := os.Stat(in.prefix); err == nil {
			t.Fatalf("the first %d bytes installed something", n)
		}
	}
}

// What the script repeats of other files must stay what they say.
func TestInstallScriptRepeatsThePinnedKeysAndThePromise(t *testing.T) {
	text, err := os.ReadFile("../../install.sh")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := bundles.PinnedKeys()
	if err != nil {
		t.Fatal(err)
	}
	var pinned []string
	for _, k := range keys {
		pinned = append(pinned, k.String())
	}
	m, err := matrix.Load(matrix.DefaultName, matrix.Default())
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"PINNED='" + strings.Join(pinned, " ") + "'", "GLIBC=" + m.Promise()[0].Glibc, "FILE=" + asset} {
		if !strings.Contains(string(text), "\n"+line+"\n") {
			t.Errorf("install.sh has no line %s", line)
		}
	}
}
