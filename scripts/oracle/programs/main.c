// The host's half of an oracle program: runs what every unit defines, one after
// the other, and prints a line for each: its number, the CUDA error, where it was met, the
// error's name, and for which target the code was compiled that ran. With -DLOADER
// the units are in the shared object that is given.
#include <stdio.h>
typedef int run_t(const char **at, const char **name, int *arch);
#ifdef LOADER
#include <dlfcn.h>
#else
extern run_t run_0 __attribute__((weak)), run_1 __attribute__((weak)), run_2 __attribute__((weak)), run_3 __attribute__((weak));
#endif

int main(int argc, char **argv) {
  run_t *runs[4];
#ifdef LOADER
  void *so = argc > 1 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : 0;
  if (!so) {
    fprintf(stderr, "%s\n", argc > 1 ? dlerror() : "usage: loader FILE");
    return 127; // as the loader of a program would
  }
  for (int i = 0; i < 4; i++) {
    char name[8];
    snprintf(name, sizeof name, "run_%d", i);
    runs[i] = (run_t *)dlsym(so, name);
  }
#else
  (void)argc, (void)argv;
  runs[0] = run_0, runs[1] = run_1, runs[2] = run_2, runs[3] = run_3;
#endif
  for (int i = 0; i < 4; i++) {
    if (!runs[i]) continue;
    const char *at = "", *name = "";
    int arch = 0, code = runs[i](&at, &name, &arch);
    printf("%d %d %s %s %d\n", i, code, at, name, arch);
    fflush(stdout);
  }
  return 0;
}
