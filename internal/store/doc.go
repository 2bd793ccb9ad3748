// Package store turns the parts of a release into an installed bundle: one
// folder that holds llama-server, its backends and its libraries, all of them
// checked, or nothing.
//
// Layout of a store:
//
//	store.json                        marks the folder as a store, with the layout's version
//	lock                              flock(2): whoever writes holds it
//	parts/sha256-<hex>/               an unpacked part, by the digest of its packed file
//	parts/sha256-<hex>.json           what the part is and every file in it; without it the folder does not count
//	bundles/<id>/<release>/<key>/     app part and runtime part together, as hard links into parts/
//	bundles/<id>/<release>/<key>.json what is installed there; without it the folder does not count
//	downloads/                        packed parts on their way in
//	staging/                          whatever is not finished
//	sources/<hex>.json                per release source: highest sequence, last verified manifest
//	sources/<hex>.used.json           per release source: the manifest that was installed from last
//
// <key> is made from the digests of the parts, so two sources that use one tag
// for different bytes, or one bundle with two runtimes, do not share a folder
// and nothing is ever changed below a running server. The files are links and
// not symlinks so that /proc/self/exe, $ORIGIN and llama.cpp's search for
// backends all mean the bundle's own folder; where the file system has no hard
// links they are copies.
//
// What it promises:
//
//   - A bundle is installed when its record exists, and the record is written
//     last: download and hash, and meanwhile unpack into staging; compare the
//     packed file's SHA-256 and the tree's digest; rename; record. A kill -9 or a
//     power cut at any moment leaves either no bundle or a whole one, and debris that
//     the next install or GC removes.
//   - Bytes are hashed once, as they come: the part's list of its files' hashes has
//     the digest that the manifest signs, so the record has them without hashing what
//     is unpacked. Where a part has no such list, its files are hashed.
//   - The line is not idle while there is something to bring: the next part is
//     downloaded as soon as the one before has all its bytes, and waits on disk for
//     its turn to be unpacked. Where the disk has room for one after the other only,
//     that is what is done.
//   - Ten runners at once install once: one lock, the others wait, say so once,
//     and then find the work done.
//   - What is installed is used without writing, so a read-only store works.
//   - A damaged bundle is noticed at its next use (names, types, sizes and
//     times; at a difference in time the bytes are hashed) and made again.
//   - The unpacker meets bytes that nobody has checked yet: libzstd decompresses
//     them (package bundles says how it is held in), all else is Go, writes through
//     an os.Root into a folder in staging, and refuses all that a part cannot hold.
//     Its tree is used only after the hash of all bytes was right.
//   - Only names that a store uses are ever removed, and only below its root:
//     all such work goes through one os.Root, and a folder that has such names
//     but is no store is refused. bundles/ and staging/ are its own with all that
//     is in them.
//
// Who is trusted: the *bundles.Manifest (its signature was checked by
// bundles.Open) for digests and sizes; the user's own account for what is in
// the store between two runs: the quick check finds accidents, not an enemy
// with the user's rights. Hard links mean that a file changed in place in a
// bundle is changed in its part too; mending therefore hashes the part first.
//
// Memory: unpacking takes bundles.MemoryToRead, 128 MiB, at most, and 72 with two
// processors or 108 with more of a part as bundles.Pack makes it; a download over several
// connections takes 32 MiB (package fetch). Neither grows with the part, nor
// with their number: one is unpacked and one downloaded at a time.
//
// It does not choose a bundle, does not know where parts come from, and does
// not run anything.
package store
