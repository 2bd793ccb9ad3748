// One translation unit of an oracle program. -DUNIT=N gives its number, one of
// -DKERNEL, -DVARIABLE, -DCONSTANT, -DNOTHING, -DCALLER says what it defines,
// and a caller's -DHELPER is in another unit. run_N uses what the unit defines, on the
// GPU, and says how it went.
#define CAT2(a, b) a##b
#define CAT(a, b) CAT2(a, b)
#define FACE extern "C" __attribute__((visibility("default"))) int CAT(run_, UNIT)

#if defined KERNEL || defined CALLER
#ifdef CALLER
__device__ int helper(int);
#else
__device__ static int helper(int x) { return x; }
#endif
// The kernel tells for which target it was compiled: with it, which image the driver took.
__global__ void CAT(kernel_, UNIT)(int *out) {
#ifdef __CUDA_ARCH__
  *out = helper(__CUDA_ARCH__);
#endif
}
FACE(const char **at, const char **name, int *arch) {
  int *d = nullptr;
  cudaError_t e = cudaMalloc(&d, sizeof *d);
  *at = "malloc";
  if (e == cudaSuccess) {
    CAT(kernel_, UNIT)<<<1, 1>>>(d);
    e = cudaGetLastError();
    *at = "launch";
  }
  if (e == cudaSuccess) {
    e = cudaMemcpy(arch, d, sizeof *arch, cudaMemcpyDeviceToHost);
    *at = "copy";
  }
  *name = cudaGetErrorName(e);
  return e;
}
#endif

#ifdef HELPER
__device__ int helper(int x) { return x; }
#endif

#if defined VARIABLE || defined CONSTANT
#ifdef CONSTANT
__constant__ int CAT(kept_, UNIT)[4];
#else
__device__ int CAT(kept_, UNIT)[4];
#endif
FACE(const char **at, const char **name, int *arch) {
  int there[4] = {1, 2, 3, 4}, back[4] = {};
  *at = "to-symbol";
  cudaError_t e = cudaMemcpyToSymbol(CAT(kept_, UNIT), there, sizeof there);
  if (e == cudaSuccess) {
    *at = "from-symbol";
    e = cudaMemcpyFromSymbol(back, CAT(kept_, UNIT), sizeof back);
  }
  for (int i = 0; i < 4; i++) *arch = e == cudaSuccess && back[i] != there[i] ? -1 : *arch;
  *name = cudaGetErrorName(e);
  return e;
}
#endif
