package fetch

import (
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// proxy is a real forward proxy that sends every name to one address.
type proxy struct {
	*httptest.Server
	mu    sync.Mutex
	asked []string
}

func newProxy(t *testing.T, to string) *proxy {
	p := &proxy{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.asked = append(p.asked, r.Method+" "+r.Host)
		p.mu.Unlock()
		if r.Method != http.MethodConnect {
			out := r.Clone(r.Context())
			out.URL.Scheme, out.URL.Host, out.RequestURI = "http", to, ""
			resp, err := (&http.Transport{}).RoundTrip(out)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadGateway)
				return
			}
			defer resp.Body.Close()
			for k, v := range resp.Header {
				w.Header()[k] = v
			}
			w.WriteHeader(resp.StatusCode)
			io.Copy(w, resp.Body)
			return
		}
		there, err := net.Dial("tcp", to)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		here, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n")
		go func() {
			io.Copy(there, here)
			there.Close()
		}()
		io.Copy(here, there)
		here.Close()
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *proxy) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.asked, ", ")
}

// The environment is read once a process: each case is a child of its own.
func TestProxiesOfTheEnvironmentAreUsed(t *testing.T) {
	data := randomBytes(50_000)
	plain := serve(t, data)
	safe := httptest.NewTLSServer(http.HandlerFunc(plain.answer))
	t.Cleanup(safe.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: safe.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o644); err != nil {
		t.Fatal(err)
	}
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for _, c := range []struct {
		name, url string
		secure    bool
		env       func(p *proxy) []string
		asked     string
		fails     string
	}{
		{"http through HTTP_PROXY", "http://mirror.example/part", false,
			func(p *proxy) []string { return []string{"HTTP_PROXY=" + p.URL} }, "GET mirror.example", ""},
		{"https through HTTPS_PROXY", "https://example.com/part", true,
			func(p *proxy) []string { return []string{"HTTPS_PROXY=" + p.URL} }, "CONNECT example.com:443", ""},
		{"lower case", "http://mirror.example/part", false,
			func(p *proxy) []string { return []string{"http_proxy=" + p.URL} }, "GET mirror.example", ""},
		{"not a host of NO_PROXY", plain.URL, false,
			func(p *proxy) []string { return []string{"HTTP_PROXY=" + p.URL, "NO_PROXY=127.0.0.1"} }, "", ""},
		{"a proxy that is not there", "https://example.com/part", true,
			func(*proxy) []string { return []string{"HTTPS_PROXY=" + gone.URL} }, "", "hint: the proxy does not work"},
	} {
		t.Run(c.name, func(t *testing.T) {
			to := plain.Listener.Addr().String()
			if c.secure {
				to = safe.Listener.Addr().String()
			}
			p := newProxy(t, to)
			cmd := childCommand(t, childInput{URL: c.url, Dest: filepath.Join(t.TempDir(), "part"), SHA256: hexSum(data), Size: int64(len(data))})
			var env []string
			for _, v := range cmd.Env { // what this machine has is not the test's
				if !strings.Contains(strings.ToLower(v), "_proxy=") {
					env = append(env, v)
				}
			}
			cmd.Env = append(append(env, "SSL_CERT_FILE="+ca), c.env(p)...)
			out, err := cmd.CombinedOutput()
			if (err != nil) != (c.fails != "") || !strings.Contains(string(out), c.fails) {
				t.Errorf("%v: %s", err, out)
			}
			if p.said() != c.asked {
				t.Errorf("the proxy was asked %q, want %q", p.said(), c.asked)
			}
		})
	}
}
