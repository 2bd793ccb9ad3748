/* A driver's libcuda for rehearse-release.sh, on a machine without one: it has a
 * T4, and what internal/host asks of it; nothing can be run with it. */
#include <string.h>

#define API __attribute__((visibility("default"))) int

API cuInit(unsigned flags) { (void)flags; return 0; }
API cuDriverGetVersion(int *v) { *v = 12020; return 0; }
API cuDeviceGetCount(int *n) { *n = 1; return 0; }
API cuDeviceGet(int *d, int i) { *d = i; return 0; }
API cuDeviceGetName(char *s, int n, int d) { (void)d; strncpy(s, "Tesla T4", n); return 0; }
API cuDeviceGetAttribute(int *v, int a, int d) { (void)d; *v = a == 75 ? 7 : 5; return 0; }
API cuDeviceTotalMem_v2(unsigned long *n, int d) { (void)d; *n = 15360ul << 20; return 0; }
API cuDeviceGetUuid_v2(char *u, int d) { (void)d; memset(u, 1, 16); return 0; }
API cuDeviceGetPCIBusId(char *s, int n, int d) { (void)d; strncpy(s, "0000:00:04.0", n); return 0; }
