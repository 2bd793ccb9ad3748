// Package coverage lays a release out as a grid: which bundle serves which GPU
// on which driver branch, by machine code, by PTX or not at all, and where that
// is less than the matrix promises.
//
//	manifest × promise ──Compute──▶ Grid ──▶ text, JSON, one HTML page
//	plans ──Planned──▶ the manifest that the cells would make
//
// It holds no rule of its own. Every answer is compat.Decide's for a host of
// one GPU and one driver, and so the very answer that llcuda-run would give
// there; the GPUs, the branches and all driver versions come from compat's
// table. Within a branch the answer changes only at versions that the table, a
// floor or the promise names: the grid asks at each of them and joins what is
// alike, so a span speaks for all its drivers.
//
// What it takes for granted, and says on every page: the CUDA libraries that a
// bundle takes from the host are there, and the host has libstdc++ and a
// processor that are new enough. glibc is judged at the promise's. A bundle made
// of the test fixture serves nobody.
//
// A hole is a span that the promise says is native and the release does not
// serve so. A planned manifest is what cells are asked to hold, not what files
// were found to hold: only a release or a dist folder tells that.
//
// Trust: a manifest is taken as it comes; that its signature was checked is the
// caller's business. Every string of it is escaped for HTML, and control
// characters never reach a terminal.
package coverage
