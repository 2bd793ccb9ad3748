// A unit with a kernel and variables.
__device__ int counter;
__constant__ float table[64];
__global__ void look(float *x) { x[threadIdx.x] = table[threadIdx.x] + atomicAdd(&counter, 1); }
extern "C" void run_b(float *x) { look<<<1, 32>>>(x); }
