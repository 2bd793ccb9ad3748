package hub

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// DefaultEndpoint is Hugging Face itself.
const DefaultEndpoint = "https://huggingface.co"

// Env is what the environment says of the hub, by the variables that Python's
// huggingface_hub reads.
type Env struct {
	// Endpoint has no slash at its end.
	Endpoint string
	// Token is "" for none; TokenFrom says where it came from, for messages.
	Token, TokenFrom string
	// Home is $HF_HOME, CacheDir the hub's cache in it ($HF_HUB_CACHE).
	Home, CacheDir string
	// Offline is HF_HUB_OFFLINE.
	Offline bool
}

// FromEnv reads HF_ENDPOINT, HF_TOKEN, HF_TOKEN_PATH, HF_HOME, HF_HUB_CACHE and
// HF_HUB_OFFLINE, with the older names that huggingface_hub still takes, and the
// token that `hf auth login` wrote. The error is an *EndpointError or a *NoHomeError.
func FromEnv(env map[string]string) (Env, error) {
	e := Env{Endpoint: strings.TrimRight(env["HF_ENDPOINT"], "/")}
	if e.Endpoint == "" {
		e.Endpoint = DefaultEndpoint
	}
	cache := env["XDG_CACHE_HOME"]
	if cache == "" {
		cache = filepath.Join(env["HOME"], ".cache")
	}
	e.Home = expand(first(env["HF_HOME"], filepath.Join(cache, "huggingface")), env)
	e.CacheDir = expand(first(env["HF_HUB_CACHE"], env["HUGGINGFACE_HUB_CACHE"], filepath.Join(e.Home, "hub")), env)
	if !filepath.IsAbs(e.CacheDir) && !filepath.IsAbs(env["HOME"]) {
		return e, &NoHomeError{} // else it would be a folder of wherever we were started
	}
	e.Offline = isTrue(first(env["HF_HUB_OFFLINE"], env["TRANSFORMERS_OFFLINE"]))
	if !isTrue(env["HF_HUB_DISABLE_IMPLICIT_TOKEN"]) {
		e.Token, e.TokenFrom = token(env, e.Home)
	}
	u, err := url.Parse(e.Endpoint)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return e, &EndpointError{e.Endpoint}
	}
	return e, nil
}

// NoHomeError says that no variable leads to Hugging Face's cache.
type NoHomeError struct{}

func (e *NoHomeError) Error() string {
	return "no folder for Hugging Face's cache: none of HF_HUB_CACHE, HF_HOME, XDG_CACHE_HOME and HOME names one"
}

// Hint says what to do.
func (e *NoHomeError) Hint() string {
	return "set HF_HOME to the full path of a folder that you can write"
}

// EndpointError is an HF_ENDPOINT that is no address.
type EndpointError struct{ Endpoint string }

func (e *EndpointError) Error() string {
	return fmt.Sprintf("HF_ENDPOINT %q is no http or https address", e.Endpoint)
}

// Hint says what to do.
func (e *EndpointError) Hint() string { return "unset HF_ENDPOINT, or set it to " + DefaultEndpoint }

// ExitCode is 2: wrong usage.
func (e *EndpointError) ExitCode() int { return 2 }

func token(env map[string]string, home string) (token, from string) {
	for _, key := range []string{"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"} {
		if t := cleanToken(env[key]); t != "" {
			return t, key
		}
	}
	path := expand(first(env["HF_TOKEN_PATH"], filepath.Join(home, "token")), env)
	if data, err := os.ReadFile(path); err == nil {
		if t := cleanToken(string(data)); t != "" {
			return t, path
		}
	}
	return "", ""
}

// cleanToken drops the line ends that come with a file; what still could not
// stand in a header is no token.
func cleanToken(s string) string {
	s = strings.NewReplacer("\r", "", "\n", "").Replace(s)
	s = strings.TrimSpace(s)
	if strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return ""
	}
	return s
}

func first(list ...string) string {
	for _, s := range list {
		if s != "" {
			return s
		}
	}
	return ""
}

// isTrue is huggingface_hub's idea of a variable that is on.
func isTrue(s string) bool {
	switch strings.ToUpper(s) {
	case "1", "ON", "YES", "TRUE":
		return true
	}
	return false
}

// expand is Python's expanduser and expandvars: an unset variable stays as it is.
func expand(path string, env map[string]string) string {
	if rest, ok := strings.CutPrefix(path, "~/"); ok || path == "~" {
		path = filepath.Join(env["HOME"], rest)
	}
	return os.Expand(path, func(key string) string {
		if v, ok := env[key]; ok {
			return v
		}
		return "$" + key
	})
}
