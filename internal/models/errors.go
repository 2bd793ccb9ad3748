package models

import (
	"fmt"
	"strings"
)

// Exit codes of the README's list.
const (
	exitDownload = 4 // download or verification failed
	exitCode     = 6 // model not found or damaged
)

// NotFoundError says that there is no model where it should be.
type NotFoundError struct {
	Path string
	// Why ends the sentence "no model at PATH: …".
	Why  string
	Cure string
	// Err is the file system's error, nil where it had none.
	Err error
}

func (e *NotFoundError) Error() string { return fmt.Sprintf("no model at %s: %s", e.Path, e.Why) }
func (e *NotFoundError) Unwrap() error { return e.Err }

// Hint says what to do.
func (e *NotFoundError) Hint() string { return e.Cure }

// ExitCode is 6: model not found or damaged.
func (e *NotFoundError) ExitCode() int { return exitCode }

// AliasError says that the registry has no such name.
type AliasError struct {
	Alias string
	// Near are names of the registry that may have been meant.
	Near []string
	// Here says that a file of the name lies in the working directory.
	Here bool
}

func (e *AliasError) Error() string { return fmt.Sprintf("no model is called %q", e.Alias) }

// Hint names what may have been meant.
func (e *AliasError) Hint() string {
	switch {
	case e.Here:
		return fmt.Sprintf("for the file of that name that lies here, type its path: ./%s", e.Alias)
	case len(e.Near) > 0:
		return fmt.Sprintf("did you mean %s? `llcuda-run models` lists all", strings.Join(e.Near, ", "))
	}
	return "`llcuda-run models` lists the names; " + forms
}

// ExitCode is 6: model not found or damaged.
func (e *AliasError) ExitCode() int { return exitCode }

// QuantError says that a repository has no file, or several, of a quantisation.
type QuantError struct {
	Repo, Quant string
	// Files fit; Quants are what the repository has.
	Files, Quants []string
}

func (e *QuantError) Error() string {
	if len(e.Files) > 0 {
		return fmt.Sprintf("%s has %d models of the quantisation %s", e.Repo, len(e.Files), e.Quant)
	}
	return fmt.Sprintf("%s has no model of the quantisation %s", e.Repo, e.Quant)
}

// Hint names what to type.
func (e *QuantError) Hint() string {
	switch {
	case len(e.Files) > 0:
		names := make([]string, len(e.Files))
		for i, file := range e.Files {
			names[i] = e.Repo + ":" + file
		}
		return "name the file: " + strings.Join(names, ", ")
	case len(e.Quants) > 0:
		return "it has " + strings.Join(e.Quants, ", ")
	}
	return "it has no GGUF model: look for a repository that has (their names often end in -GGUF)"
}

// ExitCode is 6: model not found or damaged.
func (e *QuantError) ExitCode() int { return exitCode }

// ChangedError says that the hub has other bytes than the registry says.
type ChangedError struct {
	Entry Entry
	// Got is the hub's digest.
	Got string
}

func (e *ChangedError) Error() string {
	return fmt.Sprintf("%s has changed: the registry says sha256:%s, the hub sha256:%s", e.Entry.Name(), e.Entry.SHA256, e.Got)
}

// Hint says how to use the new file all the same.
func (e *ChangedError) Hint() string {
	return fmt.Sprintf("update llcuda-run; or take what the hub has now: %s", e.Entry.Name())
}

// ExitCode is 4: download or verification failed.
func (e *ChangedError) ExitCode() int { return exitDownload }

// URLError is a download from an address that is not the hub's.
type URLError struct {
	URL  string
	Err  error
	Cure string
}

func (e *URLError) Error() string { return fmt.Sprintf("downloading %s: %v", e.URL, e.Err) }
func (e *URLError) Unwrap() error { return e.Err }

// Hint says what to do.
func (e *URLError) Hint() string { return e.Cure }

// ExitCode is 4: download or verification failed.
func (e *URLError) ExitCode() int { return exitDownload }

// NotServableError says that a file is whole GGUF, and no model to serve alone.
type NotServableError struct{ Path, What, Cure string }

func (e *NotServableError) Error() string { return fmt.Sprintf("%s is %s", e.Path, e.What) }

// Hint says how such a file is used.
func (e *NotServableError) Hint() string { return e.Cure }

// ExitCode is 6: model not found or damaged.
func (e *NotServableError) ExitCode() int { return exitCode }
