package fetch

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/waqasm86/llcuda/internal/httpsafe"
)

// getter makes requests with a secret in them.
func getter(url string) func(ctx context.Context) (*http.Request, error) {
	return func(ctx context.Context) (*http.Request, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err == nil {
			req.Header.Set("Authorization", "Bearer secret")
		}
		return req, err
	}
}

func TestATokenStaysWithItsHost(t *testing.T) {
	s := serve(t, randomBytes(5_000)) // another port is another host
	s.before = func(n int, w http.ResponseWriter, r *http.Request) bool {
		if got := r.Header.Get("Authorization") + r.Header.Get("Cookie"); got != "" {
			t.Errorf("the other host was told %q", got)
		}
		return false
	}
	home := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Authorization") == "":
			t.Error("a redirect within the host lost the token")
		case r.URL.Path == "/":
			http.Redirect(w, r, "/there", http.StatusFound)
		default:
			http.Redirect(w, r, s.URL+"/part?signature=secret", http.StatusFound)
		}
	}))
	defer home.Close()
	for name, client := range map[string]*http.Client{"no client": nil, "a client of the caller's": {}} {
		t.Run(name, func(t *testing.T) {
			o := s.options(t)
			o.Open = HTTP(client, getter(home.URL))
			if _, err := File(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			wantDone(t, o.Dest, s.data)
		})
	}
}

func TestARedirectLoopIsFinal(t *testing.T) {
	s := serve(t, randomBytes(10))
	s.before = func(n int, w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, "/again?signature=secret", http.StatusFound)
		return true
	}
	_, err := File(t.Context(), s.options(t))
	var loop *httpsafe.RedirectError
	var u *UnfinishedError
	if !errors.As(err, &loop) || !errors.As(err, &u) || u.Hint() != loop.Hint() || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
	if s.count() > 10 {
		t.Errorf("%d requests", s.count())
	}
}

func TestHTTPSIsNotLeftForHTTP(t *testing.T) {
	plain := serve(t, randomBytes(10))
	safe := httptest.NewTLSServer(http.RedirectHandler(plain.URL, http.StatusFound))
	defer safe.Close()
	o := plain.options(t)
	o.Open = HTTP(safe.Client(), getter(safe.URL))
	_, err := File(t.Context(), o)
	var refused *httpsafe.RedirectError
	if !errors.As(err, &refused) || plain.count() != 0 {
		t.Errorf("got %v", err)
	}
}

func TestAPageInPlaceOfTheFileIsNamed(t *testing.T) {
	s := serve(t, randomBytes(5_000))
	s.before = func(n int, w http.ResponseWriter, r *http.Request) bool {
		fmt.Fprint(w, "\n<!DOCTYPE html><title>404 - not here</title>")
		return true
	}
	_, err := File(t.Context(), s.options(t))
	var m *MismatchError
	if !errors.As(err, &m) || !m.Page || !strings.Contains(m.Error(), "a web page in its place") || !strings.Contains(m.Hint(), "log in") {
		t.Errorf("got %v", err)
	}
}

func TestHintsOfTheNetwork(t *testing.T) {
	early := &x509.Certificate{NotBefore: time.Now().Add(time.Hour), NotAfter: time.Now().Add(2 * time.Hour)}
	late := &x509.Certificate{NotAfter: time.Now().Add(-time.Hour)}
	wrap := func(err error) error { return &url.Error{Op: "Get", URL: "https://h/", Err: err} }
	for _, c := range []struct {
		name string
		err  error
		says string
	}{
		{"a clock that is behind", x509.CertificateInvalidError{Cert: early, Reason: x509.Expired}, "set the clock"},
		{"an old certificate", x509.CertificateInvalidError{Cert: late, Reason: x509.Expired}, "tell its owner"},
		{"a proxy's own certificate", x509.UnknownAuthorityError{}, "SSL_CERT_FILE"},
		{"another host's certificate", x509.HostnameError{Certificate: late, Host: "h"}, "something else answers"},
		{"a proxy that is not there", &net.OpError{Op: "proxyconnect", Err: unix.ECONNREFUSED}, "HTTPS_PROXY"},
		{"a proxy that wants a login", errors.New("Proxy Authentication Required"), "the proxy"},
		{"no such name", &net.DNSError{Name: "h.example", IsNotFound: true}, "h.example is not known"},
		{"nobody listens", &net.OpError{Op: "dial", Err: unix.ECONNREFUSED}, "nothing listens"},
		{"no way", &net.OpError{Op: "dial", Err: unix.ENETUNREACH}, "no way there"},
		{"anything else", errors.New("odd"), ""},
	} {
		if got := NetworkHint(wrap(c.err)); !strings.Contains(got, c.says) || c.says == "" && got != "" {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}

func TestAWrongClockIsNamed(t *testing.T) {
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.StartTLS()
	defer s.Close()
	client := s.Client()
	// httptest's certificate is of 1970: this machine's clock says 1960.
	client.Transport.(*http.Transport).TLSClientConfig.Time = func() time.Time { return time.Unix(-300_000_000, 0) }
	o := serve(t, randomBytes(10)).options(t)
	o.Open = HTTP(client, getter(s.URL))
	_, err := File(t.Context(), o)
	var u *UnfinishedError
	if !errors.As(err, &u) || !strings.Contains(u.Hint(), "clock says") {
		t.Errorf("got %v, hint %q", err, cureOf(err))
	}
}

func cureOf(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}

func TestAPageDoesNotCostWhatCame(t *testing.T) {
	s := serve(t, randomBytes(50_000))
	s.before = func(n int, w http.ResponseWriter, r *http.Request) bool {
		if n == 1 { // cut at nine tenths, and then somebody must log in again
			s.sendPart(w, r, 45_000)
		} else {
			fmt.Fprint(w, "<!doctype html><title>log in</title>")
		}
		return true
	}
	o := s.options(t)
	_, err := File(t.Context(), o)
	var m *MismatchError
	if !errors.As(err, &m) || !m.Page {
		t.Errorf("got %v", err)
	}
	s.before = nil
	if _, err := File(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	wantDone(t, o.Dest, s.data)
	if got := s.ranges[len(s.ranges)-1]; got != "bytes=45000-" {
		t.Errorf("the next run asked for %q", got)
	}
}
