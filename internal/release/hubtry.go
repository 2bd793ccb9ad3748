package release

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/google/go-github/v60/github"

	"github.com/waqasm86/llcuda/internal/httpsafe"
)

const (
	// tries is how often something that fails for no reason of ours is tried.
	tries = 6
	// limitTries is how often GitHub may ask us to wait during one request.
	limitTries = 20
	// longestWait is what we wait for GitHub at most: its limits are by the hour.
	longestWait = 65 * time.Minute
)

// HubError says what GitHub would not do for a publisher.
type HubError struct {
	// Doing is what was tried.
	Doing string
	// Status is the HTTP status; 0 = no answer came.
	Status int
	// Message is what GitHub said.
	Message string
	Err     error
}

func (e *HubError) Error() string {
	switch {
	case e.Status == 0:
		return fmt.Sprintf("%s: %v", e.Doing, e.Err)
	case e.Message == "":
		return fmt.Sprintf("%s: HTTP status %d", e.Doing, e.Status)
	}
	return fmt.Sprintf("%s: HTTP status %d: %s", e.Doing, e.Status, e.Message)
}

func (e *HubError) Unwrap() error { return e.Err }

// Hint says what to do.
func (e *HubError) Hint() string {
	switch {
	case strings.Contains(e.Message, "limits requests"):
		return "wait that long, then run the same command again: it goes on where this one stopped"
	case e.Status == http.StatusUnauthorized:
		return "the token is wrong or has expired: set GITHUB_TOKEN (or GH_TOKEN) to a new one"
	case e.Status == http.StatusForbidden:
		return "the token needs the right to write contents of this repository (a workflow: permissions: contents: write)"
	case e.Status == http.StatusNotFound:
		return "check OWNER/REPO; for a private repository the token must be let in"
	case strings.Contains(e.Message, "immutable release"):
		return "GitHub keeps the tag of an immutable release for ever, also a deleted one's: publish under a new tag"
	case e.Status == http.StatusUnprocessableEntity:
		return "GitHub's message says what it refuses; tag rules of the repository may be one reason"
	}
	return "run the same command again: it goes on where this one stopped"
}

// ExitCode is 1: failed.
func (e *HubError) ExitCode() int { return 1 }

func status(err error) int {
	var e *HubError
	if errors.As(err, &e) {
		return e.Status
	}
	return 0
}

// ask makes a request until it is answered. What GitHub limits was not done, so it
// is asked again after the time that GitHub names. After a failure without a
// reason (5xx, no answer) it may have been done: it is asked again only where
// that makes no difference.
func (h *hub) ask(ctx context.Context, again bool, doing string, request func() (*http.Request, error), to any) (http.Header, error) {
	limits := 0
	for attempt := 1; ; attempt++ {
		req, err := request()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", doing, err)
		}
		if err := h.pace.turn(ctx, req.Method != http.MethodGet); err != nil {
			return nil, err
		}
		resp, err := h.once(ctx, req, to) //nolint:bodyclose // go-github has read the body and closed it
		if err == nil {
			return resp.Header, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		failed := hubError(doing, resp, err)
		if wait, ok := h.limited(resp, err, limits); ok {
			if limits++; limits > limitTries || wait > longestWait {
				failed.Message = fmt.Sprintf("GitHub limits requests and wants to be left alone for %s", wait.Round(time.Second))
				return nil, failed
			}
			attempt--
			fmt.Fprintf(h.log, "GitHub limits requests: waiting %s\n", wait.Round(time.Second))
			h.pace.rest(wait)
			continue
		}
		if !again || !passing(failed) || attempt == tries {
			return nil, failed
		}
		if err := h.backOff(ctx, failed, attempt); err != nil {
			return nil, err
		}
	}
}

// backOff waits longer each time: 1, 2, 4, 8, 16 s, and up to half as much again.
func (h *hub) backOff(ctx context.Context, why error, attempt int) error {
	wait := time.Second << (attempt - 1)
	wait += time.Duration(rand.Int64N(int64(wait) / 2))
	fmt.Fprintf(h.log, "trying again in %s: %v\n", wait.Round(time.Millisecond), why)
	return h.pace.clock.Wait(ctx, wait)
}

// passing tells a failure that may pass from an answer.
func passing(e *HubError) bool {
	return e.Status == 0 || e.Status >= 500 || e.Status == http.StatusRequestTimeout
}

// limited tells how long GitHub wants to be left alone, where that is what an
// answer says: Retry-After, the reset of a spent limit, else a minute, and twice
// as much each time (docs.github.com, "Best practices for using the REST API").
func (h *hub) limited(resp *http.Response, err error, before int) (time.Duration, bool) {
	var primary *github.RateLimitError
	var secondary *github.AbuseRateLimitError
	if resp == nil {
		return 0, false
	}
	after, said := httpsafe.RetryAfter(resp.Header, h.pace.clock.Now())
	switch {
	case resp.StatusCode != http.StatusForbidden && resp.StatusCode != http.StatusTooManyRequests:
		return 0, false
	case said:
		return max(after, time.Second), true
	case resp.StatusCode == http.StatusTooManyRequests, errors.As(err, &primary), errors.As(err, &secondary),
		strings.Contains(err.Error(), "secondary rate limit"):
		return time.Minute << min(before, 6), true
	}
	return 0, false
}

func hubError(doing string, resp *http.Response, err error) *HubError {
	e := &HubError{Doing: doing, Err: err}
	var answer *github.ErrorResponse
	if resp != nil && resp.StatusCode/100 != 2 {
		e.Status = resp.StatusCode
	}
	if errors.As(err, &answer) {
		e.Message = answer.Message
		for _, d := range answer.Errors {
			switch text := d.Message; {
			case text != "":
				e.Message += "; " + text
			case d.Code != "":
				e.Message += fmt.Sprintf("; %s %s: %s", d.Resource, d.Field, d.Code)
			}
		}
	}
	return e
}
