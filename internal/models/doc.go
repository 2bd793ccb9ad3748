// Package models turns what a user typed as MODEL into a model file on disk.
//
// ParseSpec tells by form alone which of the ways of naming a model was meant:
// a path, a registry alias, OWNER/REPO:FILE.gguf, OWNER/REPO:QUANT, a URL, or
// the built-in "tiny". Resolve then finds the file and has its header checked,
// so that a missing, truncated or foreign file is answered in words before a
// server is started.
//
// This version serves files that are there already, and "tiny"; it downloads
// nothing, and says so where it is asked to. Files are read, never changed; a
// model's weights are not checksummed, because a local file comes with no
// digest to hold it against.
package models
