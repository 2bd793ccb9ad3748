// Package facts is the vocabulary that every other package speaks: what was
// read from a finished file, what a driver must be for it to run, what is known
// of a host, and the verdict with its reasons. It holds plain values with
// stable JSON and no behaviour beyond it.
//
// The JSON forms are contracts (schema 1): `llcuda-build inspect --json`,
// `llcuda-run doctor --json`, `llcuda-run why --json`, and the facts and floors
// inside a release manifest. A field is added at will, never renamed or given
// another meaning; a reader ignores fields it does not know.
//
// What is not known is absent or null and named in an "unknown" list with its
// reason. A zero, an empty string or a guess never stands for "unknown".
package facts

// Schema is the major version of every JSON document this module writes. A
// reader refuses a document with another one.
const Schema = 1
