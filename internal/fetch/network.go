package fetch

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// NetworkHint says what to do about an error of the network that net/http
// reported; "" where there is no better advice than to look at the network.
func NetworkHint(err error) string {
	var (
		invalid x509.CertificateInvalidError
		unknown x509.UnknownAuthorityError
		host    x509.HostnameError
		name    *net.DNSError
		op      *net.OpError
	)
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return clockHint(invalid.Cert, time.Now())
	case errors.As(err, &unknown):
		return "a proxy that looks into https signs with a certificate of its own: SSL_CERT_FILE names the file that holds it"
	case errors.As(err, &host):
		return "something else answers in the host's place (a login page of this network?): log in, or check the address (--from)"
	case errors.As(err, &op) && op.Op == "proxyconnect", strings.Contains(urlError(err), "Proxy Authentication Required"):
		return "the proxy does not work: check HTTP_PROXY, HTTPS_PROXY and NO_PROXY"
	case errors.As(err, &name) && name.IsNotFound:
		return fmt.Sprintf("the name %s is not known here: check it, the network, and HTTPS_PROXY if this network has a proxy", name.Name)
	case errors.Is(err, unix.ECONNREFUSED):
		return "check the network and the address (--from): nothing listens there"
	case errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.EHOSTUNREACH):
		return "this machine has no way there: check the network, and HTTPS_PROXY if it has a proxy"
	}
	return ""
}

// urlError is the text of a client's error, "" where there is none.
func urlError(err error) string {
	var ue *url.Error
	if errors.As(err, &ue) {
		return ue.Err.Error()
	}
	return ""
}

// clockHint tells a wrong clock from an old certificate: the clock of a machine
// without a battery starts years ago.
func clockHint(cert *x509.Certificate, now time.Time) string {
	text := now.UTC().Format("2006-01-02 15:04 MST")
	if cert != nil && now.Before(cert.NotBefore) {
		return fmt.Sprintf("this machine's clock says %s, before the server's certificate was made: set the clock", text)
	}
	return fmt.Sprintf("this machine's clock says %s: if that is wrong set it, else the server's certificate has run out: tell its owner", text)
}
