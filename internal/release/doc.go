// Package release is where releases live: it turns a source and a release's
// name into bytes, and a folder of finished parts into a release in a folder or on
// GitHub.
//
// Reading has three sources behind one interface: GitHub Releases, a folder,
// an HTTP(S) mirror of such a folder. All are trusted for nothing (see package
// bundles): what they give is unverified until bundles.Open and a hash have
// spoken. So this package bounds what it reads into memory, in bytes and in
// silence, keeps a token with the host it is for, and says plainly what went
// wrong; it does not retry, resume, verify, or watch a part's download: that is
// package fetch's, which asks for an offset.
//
// # Layout of a folder or mirror
//
//	latest                 the newest release's tag and a newline
//	<tag>/manifest.json
//	<tag>/manifest.json.minisig
//	<tag>/SHA256SUMS
//	<tag>/<part>
//
// A single <tag>/ folder is a source too. PublishDir writes this layout so
// that a reader, and whoever kills it, never sees half a release: parts are
// staged in a folder beside, flushed, renamed; "latest" follows. A part that an
// earlier release holds stays there, and the manifest says where: an old release
// that others refer to must not be removed.
//
// PublishGitHub promises the same of GitHub: a draft gets every file, GitHub's word
// on each is compared, one request makes it public. GitHub is trusted to be there
// and to say what it stores; what users believe is the signed manifest.
package release
