package bundles

import "fmt"

// HostileError says that an archive holds what no part may hold. Either it
// was not made by Pack, or somebody means harm; nothing of it is to be used.
type HostileError struct {
	// Archive is the name given in UnpackOptions.
	Archive string
	// Entry is the name of the entry as the archive says it; empty where the
	// fault is the archive's as a whole.
	Entry string
	// Reason is what was found, in words.
	Reason string
}

func (e *HostileError) Error() string {
	name := e.Archive
	if name == "" {
		name = "archive"
	}
	if e.Entry == "" {
		return fmt.Sprintf("%s: refused: %s", name, e.Reason)
	}
	return fmt.Sprintf("%s: entry %q refused: %s", name, e.Entry, e.Reason)
}

// ExitCode is 4: download or verification failed.
func (e *HostileError) ExitCode() int { return 4 }

// Hint says what to do.
func (e *HostileError) Hint() string {
	return "this archive was not made by llcuda-build; do not unpack it by other means, and tell the owner of the release source"
}
