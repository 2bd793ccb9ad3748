//go:build engine

package release

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waqasm86/llcuda/bundles"
)

// emulateScript starts npm's emulator of GitHub (emulate, by people who do not know
// us) on a port, with a repository that a reader may read.
const emulateScript = `
import { createEmulator } from "emulate";
const em = await createEmulator({ service: "github", port: Number(process.argv[1]), seed: {
  tokens: { tok_admin: { login: "admin", scopes: ["repo"] } },
  github: { users: [{ login: "admin" }], repos: [{ owner: "admin", name: "bundles", auto_init: true }] } } });
console.log(em.url);
process.stdin.resume();
process.stdin.on("end", async () => { await em.close(); process.exit(0); });
`

// TestPublishingToNPMsEmulator publishes through an emulator that nobody here wrote:
// drafts, who sees them, tags, paging and "latest" are its. What it does not do is
// put around it: it keeps no bytes of assets, so it knows no digests.
func TestPublishingToNPMsEmulator(t *testing.T) {
	at := startEmulator(t)
	p := &emulated{t: t, at: at, bytes: map[string][]byte{}}
	srv := serve(t, p.serve)
	p.self = srv.URL

	var repo struct {
		Default string `json:"default_branch"`
	}
	p.ask("GET", "/repos/admin/bundles", nil, &repo)
	var head struct{ Sha string }
	p.ask("GET", "/repos/admin/bundles/commits/"+repo.Default, nil, &head)
	if len(head.Sha) != 40 {
		t.Fatalf("head of %q is %q", repo.Default, head.Sha)
	}
	// Forty releases of others, so that the list has pages.
	for i := range 40 {
		p.ask("POST", "/repos/admin/bundles/releases", map[string]any{"tag_name": fmt.Sprintf("other%d", i)}, nil)
	}
	key := newKey(t)
	to := GitHubTarget{Name: "admin/bundles", Commit: head.Sha, Options: Options{Token: "tok_admin", GitHubBaseURL: srv.URL}, clock: newJump()}
	in := PublishInput{DistDir: writeDist(t, "one"), Key: key, Tool: "test", Log: logTo{t}}
	publish := func(tag, llama string) Published {
		t.Helper()
		in.Tag, in.DistDir = tag, writeDist(t, llama)
		p.ask("POST", "/repos/admin/bundles/git/refs", map[string]any{"ref": "refs/tags/" + tag, "sha": head.Sha}, nil)
		done, err := PublishGitHub(t.Context(), in, to)
		must(t, err)
		return done
	}
	// A draft of a killed run, which only writers see.
	p.ask("POST", "/repos/admin/bundles/releases", map[string]any{"tag_name": "v1", "draft": true, "body": marker("v1")}, nil)
	if done := publish("v1", "one"); done.Sequence != 1 || done.Already {
		t.Errorf("%+v", done)
	}
	again, err := PublishGitHub(t.Context(), in, to)
	must(t, err)
	if !again.Already {
		t.Errorf("again: %+v", again)
	}
	if done := publish("v2", "two"); done.Sequence != 2 || len(done.Plan.Refer) != 1 {
		t.Errorf("%+v, plan %+v", done, done.Plan)
	}
	src := parse(t, "github:admin/bundles", to.Options)
	raw, sig, name, err := src.Manifest(t.Context(), "")
	must(t, err)
	m, err := bundles.Open(raw, sig, []bundles.PublicKey{key.Public()}, bundles.Want{Repository: "github:admin/bundles", Release: name})
	must(t, err)
	if m.Release != "v2" || m.Sequence != 2 {
		t.Errorf("latest is %s with sequence %d", m.Release, m.Sequence)
	}
	for k, part := range m.Parts {
		holder := m.Release
		if part.Release != nil {
			holder = *part.Release
		}
		r, _, err := src.Open(t.Context(), holder, part.Name, 0)
		must(t, err)
		data, err := io.ReadAll(r)
		must(t, err)
		if digestOf(data) != k {
			t.Errorf("%s of %s is another", part.Name, holder)
		}
	}
	// It makes no tag when a draft is published (GitHub does): that is noticed.
	in.Tag = "v3"
	if _, err := PublishGitHub(t.Context(), in, to); err == nil || !strings.Contains(err.Error(), "its tag names commit") {
		t.Errorf("error %v", err)
	}
	to.Name = "admin/nothing"
	if _, err := PublishGitHub(t.Context(), in, to); status(err) != 404 {
		t.Errorf("error %v", err)
	}
}

type logTo struct{ t testing.TB }

func (l logTo) Write(b []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

func startEmulator(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	port := l.Addr().(*net.TCPAddr).Port
	must(t, l.Close())
	cmd := exec.Command("node", "--input-type=module", "-e", emulateScript, "--", fmt.Sprint(port))
	cmd.Dir, cmd.Stderr = os.Getenv("LLCUDA_TEST_EMULATE"), os.Stderr
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		in.Close()
		kill := time.AfterFunc(10*time.Second, func() { cmd.Process.Kill() })
		cmd.Wait()
		kill.Stop()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	must(t, err)
	return strings.TrimSpace(line)
}

// emulated is the emulator with the bytes of assets put around it.
type emulated struct {
	t        *testing.T
	at, self string
	mu       sync.Mutex
	bytes    map[string][]byte // by the asset's id
}

func (p *emulated) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	asset, isAsset := strings.CutPrefix(r.URL.Path, "/repos/admin/bundles/releases/assets/")
	if p.mu.Lock(); isAsset && r.Header.Get("Accept") == "application/octet-stream" {
		data, ok := p.bytes[asset]
		p.mu.Unlock()
		if !ok {
			http.NotFound(w, r)
			return
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
		return
	}
	p.mu.Unlock()
	sha := r.Header.Get("Accept") == "application/vnd.github.sha" // which it does not know
	req, err := http.NewRequestWithContext(r.Context(), r.Method, p.at+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return
	}
	req.Header = r.Header.Clone()
	req.Header.Del("Accept-Encoding")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Errorf("%s %s: %v", r.Method, r.URL, err)
		return
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	text = bytes.ReplaceAll(text, []byte(p.at), []byte(p.self))
	var v any
	if json.Unmarshal(text, &v) == nil {
		if m, _ := v.(map[string]any); r.Method == "POST" && strings.HasSuffix(r.URL.Path, "/assets") && m["id"] != nil {
			p.mu.Lock()
			p.bytes[fmt.Sprint(m["id"])] = body
			p.mu.Unlock()
		}
		p.digest(v)
		text, _ = json.Marshal(v)
	}
	for k, vs := range resp.Header {
		if k != "Content-Length" {
			for _, one := range vs {
				w.Header().Add(k, strings.ReplaceAll(one, p.at, p.self))
			}
		}
	}
	if m, _ := v.(map[string]any); sha && resp.StatusCode == 200 {
		text = []byte(fmt.Sprint(m["sha"]))
	}
	w.WriteHeader(resp.StatusCode)
	w.Write(text)
}

// digest says of every asset in a reply what GitHub would.
func (p *emulated) digest(v any) {
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			p.digest(x)
		}
	case map[string]any:
		if v["browser_download_url"] != nil {
			p.mu.Lock()
			v["digest"] = digestOf(p.bytes[fmt.Sprint(v["id"])])
			p.mu.Unlock()
		}
		p.digest(v["assets"])
	}
}

func (p *emulated) ask(method, path string, in, out any) {
	p.t.Helper()
	body, err := json.Marshal(in)
	must(p.t, err)
	req, err := http.NewRequest(method, p.self+path, bytes.NewReader(body))
	must(p.t, err)
	if in == nil {
		req.Body, req.ContentLength = nil, 0
	}
	req.Header.Set("Authorization", "Bearer tok_admin")
	resp, err := http.DefaultClient.Do(req)
	must(p.t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(p.t, err)
	if resp.StatusCode/100 != 2 {
		p.t.Fatalf("%s %s: %s: %s", method, path, resp.Status, text)
	}
	if out != nil {
		must(p.t, json.Unmarshal(text, out))
	}
}
