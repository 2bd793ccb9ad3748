// Package sbom turns a bundle and its packed parts into a bill of materials: an
// SPDX 2.3 document (JSON) that names what was built from what, in what, what of
// NVIDIA's is in it or will be asked of the host, under which licences, with the
// hash of each file.
//
// It promises that the same parts and facts make the same bytes: no clock, no
// random namespace. The document's time is the source commit's, its namespace
// ends in the digest of the bundle's app part. Hashes are read from the packed
// part, which is what users get, and not taken from a folder. What is not known
// is NOASSERTION.
//
// It trusts the fragment for what it says of the build; the parts are read by
// the rules of bundles.Walk. A licence is named only where its text was
// recognised; every text in LICENSES/ is in the document whole.
package sbom
