package source

import (
	"fmt"
	"strings"
)

// SpecError says that a source's name cannot be understood.
type SpecError struct{ Spec, Why string }

func (e *SpecError) Error() string {
	if e.Spec == "" {
		return "source: " + e.Why
	}
	return fmt.Sprintf("source %q: %s", e.Spec, e.Why)
}

// Hint lists what can be named.
func (e *SpecError) Hint() string {
	return "--source DIR, --source URL@REF or --source FILE.bundle (or LLCUDA_SOURCE)"
}

// ExitCode is that of a wrong command line.
func (e *SpecError) ExitCode() int { return 2 }

// GitMissingError says that the git program is not there.
type GitMissingError struct{ Err error }

func (e *GitMissingError) Error() string { return fmt.Sprintf("source: git cannot be run: %v", e.Err) }
func (e *GitMissingError) Unwrap() error { return e.Err }

// Hint says what to install.
func (e *GitMissingError) Hint() string {
	return "apt-get install git, or name a folder: --source DIR"
}

// RepositoryError says that a repository could not be read: no network, no such
// repository, no right to read it, or a damaged bundle.
type RepositoryError struct {
	// Repository is its address without credentials, or a bundle's path.
	Repository string
	// Said is what git said last.
	Said string
	Err  error
}

func (e *RepositoryError) Error() string {
	said := e.Said
	if said == "" {
		said = e.Err.Error()
	}
	return fmt.Sprintf("source %s: %s", e.Repository, said)
}

func (e *RepositoryError) Unwrap() error { return e.Err }

// Hint names the way without that repository.
func (e *RepositoryError) Hint() string {
	return "--source DIR (or LLCUDA_SOURCE) builds a llama.cpp that is on this machine already"
}

// RefError says that a repository has no such branch, tag or commit.
type RefError struct {
	Repository, Ref string
	// Known are some of the names that the repository has.
	Known []string
}

func (e *RefError) Error() string {
	if e.Ref == "" {
		return fmt.Sprintf("source %s: it has no HEAD, so a branch, tag or commit must be named", e.Repository)
	}
	return fmt.Sprintf("source %s: no branch, tag or commit %q", e.Repository, e.Ref)
}

// Hint lists names, or says how a commit is named.
func (e *RefError) Hint() string {
	if len(e.Known) > 0 {
		return "it has " + strings.Join(e.Known, ", ")
	}
	return "a commit is named by all 40 digits of its id"
}
