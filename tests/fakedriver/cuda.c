/* A libcuda.so.1 without a GPU that behaves as measured: rules/evidence/cuda-facts.md, sections 1, 3
 * and 4. The environment is read at cuInit; the machine is what FAKECUDA_ variables describe. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOST 16
#define SUCCESS 0
#define NOT_INITIALIZED 3
#define NO_DEVICE 100
#define INVALID_DEVICE 101

static pid_t owner; /* who has initialised: a forked child has not */
static int failed;
static int total, visible, physical[MOST], active[MOST];
static char names[MOST][96];
static unsigned long long memory[MOST];

static const char *described(const char *key, const char *otherwise) {
  const char *value = getenv(key);
  return value ? value : otherwise;
}

static void read_machine(void) {
  char text[1024], *rest = NULL;
  total = 0;
  snprintf(text, sizeof text, "%s",
           described("FAKECUDA_NAMES", "NVIDIA GeForce RTX 5060 Ti,NVIDIA GeForce RTX 3090"));
  for (char *one = strtok_r(text, ",", &rest); one && total < MOST; one = strtok_r(NULL, ",", &rest))
    snprintf(names[total++], sizeof names[0], "%s", one);
  snprintf(text, sizeof text, "%s", described("FAKECUDA_MEMORY_GIB", "16,24"));
  int n = 0;
  for (char *one = strtok_r(text, ",", &rest); one && n < total; one = strtok_r(NULL, ",", &rest))
    memory[n++] = strtoull(one, NULL, 10) << 30;
  for (; n < total; n++) memory[n] = memory[n ? n - 1 : 0];
}

static void uuid_of(int card, unsigned char *uuid) {
  memset(uuid, 0, 16);
  uuid[0] = (unsigned char)(card << 4);
  uuid[15] = (unsigned char)card;
}

/* The number of the cards that an entry names by its UUID or a beginning of that, and the last. */
static int named(const char *entry, int *card) {
  int found = 0;
  for (int n = 0; n < total; n++) {
    char uuid[64];
    snprintf(uuid, sizeof uuid, "GPU-%x0000000-0000-0000-0000-00000000000%x", n, n);
    if (!strncmp(uuid, entry, strlen(entry))) found++, *card = n;
  }
  return found;
}

static void read_mask(const char *mask, const int *order) {
  char text[1024], *rest = NULL;
  int by_uuid = -1;
  snprintf(text, sizeof text, "%s", mask);
  visible = 0;
  if (text[0] == ',') return;
  for (char *one = strtok_r(text, ",", &rest); one && visible < MOST; one = strtok_r(NULL, ",", &rest)) {
    char *end = one + strlen(one);
    while (end > one && isspace((unsigned char)end[-1])) *--end = 0;
    if (!strncmp(one, "GPU-", 4)) {
      int card = 0;
      if (by_uuid == 0 || named(one, &card) != 1) return;
      by_uuid = 1;
      physical[visible++] = card;
      continue;
    }
    while (isspace((unsigned char)*one)) one++;
    if (*one == '+') one++;
    long number = strtol(one, &end, 10);
    if (!isdigit((unsigned char)*one) || number >= total || by_uuid == 1) return;
    by_uuid = 0;
    physical[visible++] = order[number];
    if (*end) return;
  }
}

static int ready(void) { return owner == getpid() && owner; }

int cuInit(unsigned flags) {
  (void)flags;
  if (owner && !ready()) return NOT_INITIALIZED; /* CUDA cannot be used again behind a fork */
  if (ready()) return failed;
  read_machine();
  int order[MOST], n = 0;
  const char *wanted = getenv("CUDA_DEVICE_ORDER"), *mask = getenv("CUDA_VISIBLE_DEVICES");
  for (int i = 0; i < total; i++) order[i] = i;
  if (wanted && strcmp(wanted, "PCI_BUS_ID") && strcmp(wanted, "FASTEST_FIRST")) {
    owner = getpid();
    return failed = INVALID_DEVICE;
  }
  if (!wanted || !strcmp(wanted, "FASTEST_FIRST")) {
    char text[256], *rest = NULL;
    snprintf(text, sizeof text, "%s", described("FAKECUDA_FASTEST", "1,0"));
    for (char *one = strtok_r(text, ",", &rest); one && n < total; one = strtok_r(NULL, ",", &rest))
      order[n++] = (int)(strtol(one, NULL, 10) % (total ? total : 1));
  }
  if (mask) read_mask(mask, order);
  else
    for (visible = 0; visible < total; visible++) physical[visible] = order[visible];
  for (int i = 0; i < visible; i++)
    for (int j = 0; j < i; j++)
      if (physical[i] == physical[j]) return owner = getpid(), failed = INVALID_DEVICE;
  if (!visible) return NO_DEVICE; /* not initialised: the mask is read again the next time */
  owner = getpid();
  return failed = SUCCESS;
}

static int ask(int device) {
  if (!ready()) return NOT_INITIALIZED;
  if (failed) return failed;
  return device < 0 || device >= visible ? INVALID_DEVICE : SUCCESS;
}

int cuDeviceGetCount(int *count) {
  if (!ready()) return NOT_INITIALIZED;
  if (failed) return failed;
  *count = visible;
  return SUCCESS;
}
int cuDeviceGet(int *device, int ordinal) {
  int error = ask(ordinal);
  if (!error) *device = ordinal;
  return error;
}
int cuDeviceGetUuid_v2(unsigned char *uuid, int device) {
  int error = ask(device);
  if (!error) uuid_of(physical[device], uuid);
  return error;
}
int cuDeviceGetUuid(unsigned char *uuid, int device) { return cuDeviceGetUuid_v2(uuid, device); }
int cuDeviceGetName(char *name, int size, int device) {
  int error = ask(device);
  if (!error) snprintf(name, (size_t)size, "%s", names[physical[device]]);
  return error;
}
int cuDeviceGetPCIBusId(char *bus, int size, int device) {
  int error = ask(device);
  if (!error) snprintf(bus, (size_t)size, "0000:%02X:00.0", physical[device] + 1);
  return error;
}
int cuDeviceTotalMem_v2(size_t *bytes, int device) {
  int error = ask(device);
  if (!error) *bytes = (size_t)memory[physical[device]];
  return error;
}
int cuDevicePrimaryCtxGetState(int device, unsigned *flags, int *is_active) {
  int error = ask(device);
  if (!error) *flags = 0, *is_active = active[device];
  return error;
}
int cuDevicePrimaryCtxRetain(void **context, int device) {
  int error = ask(device);
  if (!error) active[device] = 1, *context = &active[device];
  return error;
}
int cuCtxCreate_v2(void **context, unsigned flags, int device) {
  (void)flags;
  int error = ask(device); /* no primary context: the driver's state does not show it */
  if (!error) *context = &visible;
  return error;
}
