// Package models turns what a user typed as MODEL into a model file on disk.
//
// ParseSpec tells by form alone which of the ways of naming a model was meant:
// a path, a registry alias, OWNER/REPO:FILE.gguf, OWNER/REPO:QUANT, a URL, or
// the built-in "tiny". Resolve then finds the file and has its header checked,
// so that a missing, truncated or foreign file is answered in words before a
// server is started.
//
// What is at Hugging Face comes through internal/hub: the cache first, which is
// the one of Python and llama.cpp, then the hub. What the cache has is not looked
// up again unless that is asked for, so that a start costs no request and nothing
// changes under a user's hands. All parts of a split model are brought, of one
// commit, and the first bytes are looked into before gigabytes are.
//
// The registry (registry.json) gives models short names. Its entries say where
// they were confirmed. Where one has a digest the file is held to it, whatever
// the hub says; where it has none the hub's is held to, and Check with Fill
// writes it down. Check asks the hub for every entry as a user would.
//
// A file on this machine that was named by its path is read, never changed; its
// weights are not checksummed, because it comes with no digest to hold it
// against. The same goes for a plain address without #sha256=….
package models
