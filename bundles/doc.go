// Package bundles turns finished folders into content-addressed tarballs and
// those into a signed release, and back: a signature and a manifest into a
// *Manifest that may be believed, a tarball into a folder whose every byte is
// accounted for.
//
//	folder      → Pack    → part (tar.zst)        + digests
//	parts       → Compose → Manifest → Sign       → manifest.json, manifest.json.minisig
//	those two   → Open    → *Manifest              (or an error, never both)
//	part        → Unpack  → folder                 + digest of what was written
//
// A part is a list of what is in it (list.go) and a tar in zstd frames of 32 MiB, each
// of which stands alone (frames.go): packing uses all processors, unpacking three of
// them (frameread.go), and every zstd reads it.
//
// # Who is trusted, and for what
//
// The owner of a release source signs each manifest with a minisign key. What
// a runner believes follows from that signature alone:
//
//   - The host that serves the files (GitHub, a mirror, a folder, any proxy
//     between) is trusted for nothing. It can withhold files. It can not
//     change a byte of a manifest, pass off the manifest of another
//     repository, of another release or a different file signed with the same
//     key (the signature's trusted comment binds repository, release and file
//     name, see Claim), nor a part (the manifest binds size and SHA-256 of
//     each).
//   - The file "latest" of a folder or mirror, and GitHub's own "latest", are
//     not signed. Who controls them can point to an old release. A runner
//     gives Open the highest Manifest.Sequence it has seen from a source, and
//     a smaller one is refused (*DowngradeError). A runner that has seen
//     nothing yet can be shown any release that the owner ever signed: it is
//     not protected against that, and against being kept on the newest one it
//     has seen (freeze) neither.
//   - The holder of a trusted key is trusted completely: what it signs is
//     installed and run. There is no key server and no web of trust: a key is
//     pinned in the program (PinnedKeys) or named by the user. Two pinned keys
//     have room so that one can replace the other; a lost key is revoked by
//     removing it here and releasing the runner.
//   - A signed manifest is still checked as if a tired person had written it
//     (Manifest.Validate), and a part is still unpacked as if an enemy had
//     packed it (Unpack): a stolen key or a build machine gone wrong then
//     yields bad files in one folder, not files anywhere else.
//   - The publisher's machine and the images it builds in are trusted. That
//     what was built is what the source says is the business of
//     reproducible bytes (Pack) and of attestations, not of this package.
//   - What decompresses a part sees bytes that nobody has checked yet. Frames as
//     Pack makes them go to libzstd, into a buffer as large as they say, 32 MiB at
//     most (frameread.go looks at each header first); all else, and all of it in a
//     program built without cgo, goes to klauspost/compress. Both have long been
//     fuzzed, here against each other (FuzzFrames).
//
// Nothing here is secret but a private key; an unencrypted key file is written
// for continuous integration only, see WriteKeyFiles. Limits bound every read
// of foreign bytes: see MaxManifestSize, MaxSignatureSize and UnpackOptions.
//
// This package opens no network connection and reads no environment.
package bundles
