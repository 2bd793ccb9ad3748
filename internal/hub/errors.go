package hub

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Exit codes of the README's list.
const (
	exitDownload = 4 // download or verification failed
	exitModel    = 6 // model not found or damaged
)

// subject is what a question is about; empty parts are not.
type subject struct{ repo, revision, file string }

func (s subject) String() string {
	name := s.repo
	if s.file != "" {
		name += ":" + s.file
	}
	if s.revision != "" && s.revision != Main {
		name += " (revision " + s.revision + ")"
	}
	return name
}

// RepoError says that the hub shows no such repository. To the anonymous it
// does not say whether there is a private one.
type RepoError struct {
	Endpoint, Repo string
	// TokenFrom is where the token that was sent came from, "" for none.
	TokenFrom string
}

func (e *RepoError) Error() string {
	if e.TokenFrom == "" {
		return fmt.Sprintf("there is no repository %s at %s, or it is private", e.Repo, host(e.Endpoint))
	}
	return fmt.Sprintf("there is no repository %s at %s, or the account of your token may not see it", e.Repo, host(e.Endpoint))
}

// Hint says what to do.
func (e *RepoError) Hint() string {
	page := e.Endpoint + "/" + e.Repo
	if e.TokenFrom == "" {
		return fmt.Sprintf("check the spelling at %s; if it is private, set HF_TOKEN to a token of an account that may read it", page)
	}
	return fmt.Sprintf("check the spelling at %s, and that the account of the token from %s may read it", page, e.TokenFrom)
}

// ExitCode is 6: model not found or damaged.
func (e *RepoError) ExitCode() int { return exitModel }

// GatedError says that a repository wants its licence accepted first.
type GatedError struct {
	Endpoint, Repo string
	// TokenFrom is where the token that was sent came from, "" for none.
	TokenFrom string
}

func (e *GatedError) Error() string {
	if e.TokenFrom == "" {
		return fmt.Sprintf("%s is gated: its files are given to accounts that accepted its licence", e.Repo)
	}
	return fmt.Sprintf("%s is gated, and the account of your token has not been given access", e.Repo)
}

// Hint says what to do, with the page of the licence.
func (e *GatedError) Hint() string {
	page := e.Endpoint + "/" + e.Repo
	if e.TokenFrom == "" {
		return fmt.Sprintf("log in at %s and accept its conditions, then set HF_TOKEN to a token made at %s/settings/tokens", page, e.Endpoint)
	}
	return fmt.Sprintf("accept its conditions at %s with the account of the token from %s (some are granted by hand, later: %s/settings/gated-repos); a fine-grained token must also allow reading gated repositories",
		page, e.TokenFrom, e.Endpoint)
}

// ExitCode is 4: download or verification failed.
func (e *GatedError) ExitCode() int { return exitDownload }

// RevisionError says that a repository has no such branch, tag or commit.
type RevisionError struct{ Endpoint, Repo, Revision string }

func (e *RevisionError) Error() string {
	return fmt.Sprintf("%s has no revision %s", e.Repo, e.Revision)
}

// Hint says where the revisions are listed.
func (e *RevisionError) Hint() string {
	return fmt.Sprintf("its history is at %s/%s/commits/main; its owner may have rewritten it", e.Endpoint, e.Repo)
}

// ExitCode is 6: model not found or damaged.
func (e *RevisionError) ExitCode() int { return exitModel }

// EntryError says that a repository has no such file.
type EntryError struct {
	Endpoint, Repo, File string
	// Near are files of the repository that may have been meant.
	Near []string
}

func (e *EntryError) Error() string { return fmt.Sprintf("%s has no file %s", e.Repo, e.File) }

// Hint names what there is.
func (e *EntryError) Hint() string {
	if len(e.Near) > 0 {
		return "did you mean " + strings.Join(e.Near, ", ") + "?"
	}
	return fmt.Sprintf("its files are listed at %s/%s/tree/main", e.Endpoint, e.Repo)
}

// ExitCode is 6: model not found or damaged.
func (e *EntryError) ExitCode() int { return exitModel }

// TokenError says that the hub does not know the token.
type TokenError struct{ Endpoint, TokenFrom string }

func (e *TokenError) Error() string {
	return fmt.Sprintf("%s does not accept the token from %s", host(e.Endpoint), e.TokenFrom)
}

// Hint says what to do.
func (e *TokenError) Hint() string {
	if strings.HasPrefix(e.TokenFrom, "HF_") || strings.HasPrefix(e.TokenFrom, "HUGGING") {
		return fmt.Sprintf("unset %s (public models need no token), or set it to one from %s/settings/tokens", e.TokenFrom, e.Endpoint)
	}
	return fmt.Sprintf("log in again (hf auth login), or remove %s: public models need no token", e.TokenFrom)
}

// ExitCode is 4: download or verification failed.
func (e *TokenError) ExitCode() int { return exitDownload }

// RefusedError is a 401 or 403 for none of the reasons above.
type RefusedError struct {
	Endpoint, Subject string
	Code              int
	// Message is what the hub says, "" for nothing.
	Message string
}

func (e *RefusedError) Error() string {
	text := fmt.Sprintf("%s refuses %s (HTTP %d)", host(e.Endpoint), e.Subject, e.Code)
	if e.Message != "" {
		text += ": " + e.Message
	}
	return text
}

// Hint says what to do.
func (e *RefusedError) Hint() string {
	return "the token needs the permission to read this repository (HF_TOKEN), or a network in between refuses the hub (HTTPS_PROXY, HF_ENDPOINT)"
}

// ExitCode is 4: download or verification failed.
func (e *RefusedError) ExitCode() int { return exitDownload }

// RateLimitError says that the hub was asked too often from here.
type RateLimitError struct {
	Endpoint string
	// After is when to come back, 0 if the hub did not say.
	After     time.Duration
	Anonymous bool
}

func (e *RateLimitError) Error() string {
	text := fmt.Sprintf("%s limits how often it may be asked from this address or account (HTTP 429)", host(e.Endpoint))
	if e.After > 0 {
		text += fmt.Sprintf(", for another %s", e.After)
	}
	return text
}

// Hint says what to do.
func (e *RateLimitError) Hint() string {
	wait := "wait a few minutes"
	if e.After > 0 {
		wait = fmt.Sprintf("wait %s", e.After)
	}
	if e.Anonymous {
		return wait + " and run the same command again; with a token (HF_TOKEN) the limit is higher than for a shared address"
	}
	return wait + " and run the same command again"
}

// ExitCode is 4: download or verification failed.
func (e *RateLimitError) ExitCode() int { return exitDownload }

// BusyError is a trouble of the hub's own (5xx).
type BusyError struct {
	Endpoint string
	Code     int
	After    time.Duration
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("%s has a problem (HTTP %d)", host(e.Endpoint), e.Code)
}

// Hint says what to do.
func (e *BusyError) Hint() string {
	return "run the same command again later; what is in the cache is served with --offline"
}

// ExitCode is 4: download or verification failed.
func (e *BusyError) ExitCode() int { return exitDownload }

// NotHubError is an answer that no hub gives: a login page of a network, a
// proxy's page, another server behind HF_ENDPOINT.
type NotHubError struct {
	Endpoint string
	// What came, as the end of the sentence "… answered with …".
	What string
}

func (e *NotHubError) Error() string {
	return fmt.Sprintf("%s answered with %s, not as the hub does", host(e.Endpoint), e.What)
}

// Hint says what to do.
func (e *NotHubError) Hint() string {
	if e.Endpoint != DefaultEndpoint {
		return fmt.Sprintf("check HF_ENDPOINT (%s), and that this network lets you through without a login page", e.Endpoint)
	}
	return "a network's login page or a proxy answers in its place: open a page in a browser and log in, or check HTTPS_PROXY"
}

// ExitCode is 4: download or verification failed.
func (e *NotHubError) ExitCode() int { return exitDownload }

// UnreachableError says that no answer came.
type UnreachableError struct {
	Endpoint string
	Err      error
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("%s cannot be reached: %v", host(e.Endpoint), e.Err)
}
func (e *UnreachableError) Unwrap() error { return e.Err }

// Hint says what to do.
func (e *UnreachableError) Hint() string {
	text := "check the network (HTTPS_PROXY where there is a proxy); what is in the cache is served with --offline"
	if e.Endpoint != DefaultEndpoint {
		text = "check HF_ENDPOINT; " + text
	}
	return text
}

// ExitCode is 4: download or verification failed.
func (e *UnreachableError) ExitCode() int { return exitDownload }

// OfflineError says that the cache does not have what was asked for, and that
// nothing may be fetched.
type OfflineError struct {
	Subject string
	// Cached are models that the cache holds, as a user would name them.
	Cached []string
}

func (e *OfflineError) Error() string {
	return e.Subject + " is not in the cache, and offline nothing is fetched"
}

// Hint says what would work.
func (e *OfflineError) Hint() string {
	text := "run it once without --offline and HF_HUB_OFFLINE"
	const most = 5
	switch n := len(e.Cached); {
	case n > most:
		return fmt.Sprintf("%s; of the %d models in the cache: %s, …", text, n, strings.Join(e.Cached[:most], ", "))
	case n > 0:
		return text + "; in the cache there is " + strings.Join(e.Cached, ", ")
	}
	return text
}

// ExitCode is 4: download or verification failed.
func (e *OfflineError) ExitCode() int { return exitDownload }

// WrongBytesError says that a file is not what its digest says.
type WrongBytesError struct {
	Name string
	// Want and Got are "sha256:<hex>" or "<n> bytes".
	Want, Got string
	// Path is set where the file lies in the cache.
	Path string
}

func (e *WrongBytesError) Error() string {
	where := e.Name
	if e.Path != "" {
		where = e.Path
	}
	return fmt.Sprintf("%s is not what was published: want %s, got %s", where, e.Want, e.Got)
}

// Hint says what to do.
func (e *WrongBytesError) Hint() string {
	if e.Path != "" {
		return "the copy in the cache is damaged: run it without --offline, and it is downloaded again"
	}
	return "nothing of it was used; a proxy or a mirror may have changed it: try another network, and check HF_ENDPOINT"
}

// ExitCode is 4: download or verification failed.
func (e *WrongBytesError) ExitCode() int { return exitDownload }

// DownloadError is a failure of the download itself with a cure that fits the
// hub's cache.
type DownloadError struct {
	Err  error
	Cure string
}

func (e *DownloadError) Error() string { return e.Err.Error() }
func (e *DownloadError) Unwrap() error { return e.Err }

// Hint says what to do.
func (e *DownloadError) Hint() string { return e.Cure }

// ExitCode is 4: download or verification failed.
func (e *DownloadError) ExitCode() int { return exitDownload }

// host is what people call an endpoint.
func host(endpoint string) string {
	if u, err := url.Parse(endpoint); err == nil && u.Host != "" {
		return u.Host
	}
	return endpoint
}

// cause leaves the address out of a client's error: it may hold a signature.
func cause(err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		if ue.Timeout() {
			return errors.New("no answer came in time")
		}
		return ue.Err
	}
	return err
}
