package bundles

import (
	"fmt"
	"strings"
)

// UntrustedKeyError says that a manifest is signed with a key that is neither
// pinned nor given, or that there is no trusted key at all.
type UntrustedKeyError struct {
	// KeyID is the id that the signature states.
	KeyID string
	// Trusted are the ids of the trusted keys.
	Trusted []string
}

func (e *UntrustedKeyError) Error() string {
	if len(e.Trusted) == 0 {
		return fmt.Sprintf("the manifest is signed with key %s, and no key is trusted: the list of pinned keys is empty until the owner adds one; pass --key", e.KeyID)
	}
	return fmt.Sprintf("the manifest is signed with key %s, which is not trusted (trusted: %s)", e.KeyID, strings.Join(e.Trusted, ", "))
}

// Hint says what to do.
func (e *UntrustedKeyError) Hint() string {
	return "pass --key PUBLICKEY (or set LLCUDA_KEY) with the key that the owner of this release source publishes"
}

// ExitCode is 4: download or verification failed.
func (e *UntrustedKeyError) ExitCode() int { return 4 }

// SignatureError says that a signature is malformed, or is not one of these
// bytes by that key: the manifest or the signature was changed or cut.
type SignatureError struct{ Reason string }

func (e *SignatureError) Error() string { return "the manifest's signature does not hold: " + e.Reason }

// Hint says what to do.
func (e *SignatureError) Hint() string {
	return "try again; if it stays, the release source or something between has changed the file: tell its owner"
}

// ExitCode is 4: download or verification failed.
func (e *SignatureError) ExitCode() int { return 4 }

// ClaimError says that a good signature was made for something else.
type ClaimError struct {
	// What is "repository", "release" or "file", or "comment" where the
	// trusted comment says none of them.
	What, Want, Got string
}

func (e *ClaimError) Error() string {
	if e.What == "comment" {
		return "the manifest is signed, but not as a manifest of bundles: " + e.Got
	}
	return fmt.Sprintf("the manifest is signed for %s %q, not for %q", e.What, e.Got, e.Want)
}

// Hint says what to do.
func (e *ClaimError) Hint() string {
	return "this source serves a file that its owner signed for another place; use the source it was signed for (--from)"
}

// ExitCode is 4: download or verification failed.
func (e *ClaimError) ExitCode() int { return 4 }

// DowngradeError says that a source offers an older release than it did before.
type DowngradeError struct {
	Release string
	// Sequence is the manifest's, Seen the highest seen of this source.
	Sequence, Seen int64
}

func (e *DowngradeError) Error() string {
	return fmt.Sprintf("release %s has sequence %d, and this source has already shown %d: it offers an older release than before", e.Release, e.Sequence, e.Seen)
}

// Hint says what to do.
func (e *DowngradeError) Hint() string {
	return "the source was rolled back or is out of date: try again later; if the older release is what you want, name it: --from SOURCE@TAG"
}

// ExitCode is 4: download or verification failed.
func (e *DowngradeError) ExitCode() int { return 4 }
