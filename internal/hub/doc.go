// Package hub turns a repository, a revision and a file name of Hugging Face
// into a verified file in Hugging Face's own cache.
//
// It promises:
//
//   - The cache is the one of Python's huggingface_hub, in its layout
//     (models--OWNER--REPO/{blobs,refs,snapshots}) and under its locks: what
//     Python downloaded is used, and what is downloaded here Python finds.
//   - A file is used only after its SHA-256 was compared once, with what the hub
//     says or with what the caller knows. Hugging Face's own clients do not
//     compare it. That a file was right is remembered with its size, time and
//     inode, so that the next start does not read gigabytes again.
//   - The token is put on requests to the hub's own origin (scheme, host and
//     port) and on no other, whatever redirects say.
//   - Each refusal of the hub has its own type that says what to do: a missing
//     repository, revision or file, a licence to accept, a token that is wrong,
//     a limit on requests, a captive portal in place of the hub.
//   - Offline nothing is asked; what the cache holds is used.
//
// It trusts the hub for which bytes a name stands for, unless the caller brings
// a digest, and nobody for the bytes themselves: not the storage that the hub
// redirects to, not a mirror, not what another program left in the cache.
// Names in the hub's answers become paths only where they stay inside a repository.
//
// It chooses no file and knows no model: that is internal/models.
//
// The protocol and the layout were read from huggingface_hub's source (commit
// ee0a451, 2026-08): file_download.py, constants.py, utils/_http.py.
package hub
