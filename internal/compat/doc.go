// Package compat turns facts of files into floors, floors and a host into
// verdicts, and a manifest and a host into a choice. It is one set of rules for
// the builder, which publishes floors, and for the runner, which judges them.
//
//	facts.File ──Floors──▶ []facts.Floor ──PartFloors──▶ a part's floors
//	floors × facts.Host ──Judge──▶ facts.Candidate, with a reason for every no
//	bundles.Manifest × facts.Host ──Choose──▶ *facts.Choice and all candidates
//
// Everything here is pure: no files, no clock, no environment. The numbers live
// in data/cuda.yaml, each with its source and how sure it is; no driver number
// stands in code. What is not known stays unknown: a verdict that hinges on it
// is "unknown", and is chosen only when that is asked for.
//
// The rules, in the order in which a program meets them:
//
//   - cudart of major N asks for a driver of CUDA N.0 and its first version
//     (minor-version compatibility), whatever the code is.
//   - Machine code (SASS) for X.Y runs on X.Z, Z ≥ Y. With the suffix a only on
//     that very cc, with f within the family; on and for Tegra chips only exactly.
//   - PTX runs where the cc is at least its target and the driver's own CUDA
//     knows its ISA. Minor-version compatibility never helps here.
//   - Within a unit fitting machine code wins, else the PTX with the highest
//     fitting target, and of several for one target the first; what is chosen does
//     not depend on the driver, nor on whether it is of use. Every unit that
//     defines something needs a usable image, or its kernels fail.
//   - zstd machine code asks for a libcuda of CUDA 12.4.
//   - cuBLAS dispatches by device itself: of NVIDIA's own units one that fits is
//     enough, and of a pruned library only the promised ccs are believed.
//
// What a driver really does is in docs/proof/oracle.json: hundreds of programs that
// were started on a GPU, judged again by these rules in every run of the tests.
//
// Trust: facts and floors come from a signed manifest or from a file the user
// named. This package does not open, verify or execute anything, and an absurd
// value in its input gives an absurd verdict, never a panic.
package compat
