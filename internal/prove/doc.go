// Package prove turns an installed bundle and the GPUs of this machine into
// evidence that the one runs on the others, or into the reason why it does not.
//
// The evidence is an act: the bundle's own llama-server loads a small model of
// ours (gguf.ProofModel: F16, Q8_0, Q4_K and Q6_K, so that quantised kernels run)
// and answers one question, once on every GPU, each in a server that sees that GPU
// alone. Then what it did is read back:
//
//   - it used a CUDA device, and every layer of the model lies there: a server
//     that came up on the CPU fails, and so does one that left a layer behind;
//   - what it answered is right: its log-probabilities are the CPU's, within
//     Tolerance. The CPU's are those of the same bundle with all GPUs hidden;
//   - where the bundle was judged native, the driver's compiler was forbidden
//     (CUDA_DISABLE_PTX_JIT=1 CUDA_CACHE_DISABLE=1): a kernel that would need PTX
//     then fails with CUDA error 223. Native is shown, not believed.
//
// On a machine without a GPU the same is done on the CPU, and held against an
// answer that is written down here.
//
// A proof holds for one Identity: these bytes, with these libraries, on this
// driver and these GPUs. Memory keeps those that passed; a failure is never kept.
//
// It trusts the bundle as installed and verified, and what a server says of itself
// as far as it says that something is wrong. It does not choose a bundle and does
// not know what to do when one fails.
package prove
