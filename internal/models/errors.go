package models

import "fmt"

// exitCode is "model not found or damaged", see the README's list.
const exitCode = 6

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

// NotYetError says that a MODEL was understood and cannot be fetched by this
// version.
type NotYetError struct {
	Spec Spec
	// Here says that a file of the name lies in the working directory.
	Here bool
}

func (e *NotYetError) Error() string {
	switch e.Spec.Kind {
	case KindAlias:
		return fmt.Sprintf("%q would be a model of the registry, which this version does not have yet", e.Spec.Raw)
	case KindURL:
		return fmt.Sprintf("%s would have to be downloaded, which this version does not do yet", e.Spec.URL)
	default:
		return fmt.Sprintf("%s would have to be downloaded from Hugging Face, which this version does not do yet", e.Spec.Raw)
	}
}

// Hint says what works instead.
func (e *NotYetError) Hint() string {
	if e.Here {
		return fmt.Sprintf("for the file of that name that lies here, type its path: ./%s", e.Spec.Raw)
	}
	return "download the .gguf file and pass its path, or pass tiny to try the built-in model"
}

// ExitCode is 6: model not found or damaged.
func (e *NotYetError) ExitCode() int { return exitCode }

// NotServableError says that a file is whole GGUF, and no model to serve alone.
type NotServableError struct{ Path, What, Cure string }

func (e *NotServableError) Error() string { return fmt.Sprintf("%s is %s", e.Path, e.What) }

// Hint says how such a file is used.
func (e *NotServableError) Hint() string { return e.Cure }

// ExitCode is 6: model not found or damaged.
func (e *NotServableError) ExitCode() int { return exitCode }
