/* A stand-in for libnvidia-ml.so.1, which answers what nvidia-ml-py asks.

   The machine is that of tests/fakecuda: FAKECUDA_NAMES and FAKECUDA_MEMORY_GIB, in PCI order.
   Further variables, where lists have one entry for each card:

   FAKEDRIVER_INIT          the error of nvmlInit (4 no permission, 9 not loaded, 18 mismatch)
   FAKEDRIVER_VERSION       of the driver
   FAKEDRIVER_CUDA          13000 for 13.0
   FAKEDRIVER_CAPABILITY    12.0,8.6
   FAKEDRIVER_USED_MIB      memory in use
   FAKEDRIVER_MODES         compute modes by number
   FAKEDRIVER_REASONS       bits of what holds the clocks down
   FAKEDRIVER_MIG           1 for a card that is in two parts
   FAKEDRIVER_PROCESSES     CARD:PID:MIB,...; MIB is - where it is not available
   FAKEDRIVER_UNSUPPORTED   parts of the names of functions that no card supports
   FAKEDRIVER_MISSING       parts of the names of functions that the driver does not have
   FAKEDRIVER_LOST          CARD:CALLS: a card that is gone after so many calls */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    SUCCESS = 0, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7,
    UNINITIALIZED = 1, FUNCTION_NOT_FOUND = 13, GPU_IS_LOST = 15
};
enum { CARDS = 32, PARTS = 2 };

typedef struct { int index, part; } Device; /* part is -1 for the whole card */
typedef struct { unsigned long long total, free, used; } Memory;
typedef struct {
    char legacy[16];
    unsigned domain, bus, device, id, subsystem;
    char bus_id[32];
} Pci;
typedef struct {
    unsigned pid;
    unsigned long long used;
    unsigned gpu_instance, compute_instance;
} Process;

static Device cards[CARDS], parts[CARDS][PARTS];
static int initialised, calls[CARDS];

static const char *setting(const char *name, const char *otherwise) {
    const char *value = getenv(name);
    return value ? value : otherwise;
}

/* Copies an entry of a list into text; returns whether there is one. */
static int entry(const char *list, int number, char *text, size_t size) {
    while (number-- > 0) {
        list = strchr(list, ',');
        if (!list) return 0;
        list++;
    }
    size_t length = strcspn(list, ",");
    if (length >= size) length = size - 1;
    memcpy(text, list, length);
    text[length] = 0;
    return length > 0;
}

static long number(const char *name, const char *otherwise, int index) {
    char text[32];
    return entry(setting(name, otherwise), index, text, sizeof text) ? atol(text) : 0;
}

static const char *names(void) {
    return setting("FAKECUDA_NAMES", "NVIDIA GeForce RTX 5060 Ti,NVIDIA GeForce RTX 3090");
}

static int count(void) {
    char text[128];
    int found = 0;
    while (found < CARDS && entry(names(), found, text, sizeof text)) found++;
    return found;
}

/* Whether a list in a variable holds a part of a function's name. */
static int listed(const char *variable, const char *function) {
    char text[128];
    for (int n = 0; entry(setting(variable, ""), n, text, sizeof text); n++)
        if (strstr(function, text)) return 1;
    return 0;
}

static int refusal(const char *function) {
    if (!initialised) return UNINITIALIZED;
    if (listed("FAKEDRIVER_MISSING", function)) return FUNCTION_NOT_FOUND;
    return listed("FAKEDRIVER_UNSUPPORTED", function) ? NOT_SUPPORTED : SUCCESS;
}

static int lost(int index) {
    int card, most;
    if (sscanf(setting("FAKEDRIVER_LOST", ""), "%d:%d", &card, &most) != 2) return 0;
    return card == index && calls[index]++ >= most;
}

/* What a function answers about a card before it looks at it. */
static int about(const Device *device, const char *function) {
    int refused = refusal(function);
    if (refused) return refused;
    return lost(device->index) ? GPU_IS_LOST : SUCCESS;
}

#define ASK(device) do { int no = about(device, __func__); if (no) return no; } while (0)
#define ASK_SYSTEM() do { int no = refusal(__func__); if (no) return no; } while (0)

int nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    int error = atoi(setting("FAKEDRIVER_INIT", "0"));
    initialised = !error;
    memset(calls, 0, sizeof calls);
    return error;
}
int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
int nvmlShutdown(void) { initialised = 0; return SUCCESS; }

const char *nvmlErrorString(int error) {
    switch (error) {
    case 4: return "Insufficient Permissions";
    case 9: return "Driver Not Loaded";
    case 15: return "GPU is lost";
    case 18: return "Driver/library version mismatch";
    default: return "Unknown Error";
    }
}

int nvmlSystemGetDriverVersion(char *text, unsigned size) {
    ASK_SYSTEM();
    snprintf(text, size, "%s", setting("FAKEDRIVER_VERSION", "580.159.04"));
    return SUCCESS;
}
int nvmlSystemGetCudaDriverVersion(int *version) {
    ASK_SYSTEM();
    *version = atoi(setting("FAKEDRIVER_CUDA", "13000"));
    return SUCCESS;
}
int nvmlSystemGetProcessName(unsigned pid, char *text, unsigned size) {
    ASK_SYSTEM();
    char path[64];
    snprintf(path, sizeof path, "/proc/%u/comm", pid);
    FILE *file = fopen(path, "r");
    if (!file) return NOT_FOUND;
    char *found = fgets(text, (int)size, file);
    fclose(file);
    if (!found) return NOT_FOUND;
    text[strcspn(text, "\n")] = 0;
    return SUCCESS;
}

int nvmlDeviceGetCount_v2(unsigned *found) {
    ASK_SYSTEM();
    *found = (unsigned)count();
    return SUCCESS;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, Device **device) {
    ASK_SYSTEM();
    if ((int)index >= count()) return INVALID_ARGUMENT;
    cards[index].index = (int)index;
    cards[index].part = -1;
    *device = &cards[index];
    return lost((int)index) ? GPU_IS_LOST : SUCCESS;
}
int nvmlDeviceGetUUID(Device *, char *, unsigned);
int nvmlDeviceGetHandleByUUID(const char *uuid, Device **device) {
  for (unsigned index = 0; nvmlDeviceGetHandleByIndex_v2(index, device) == 0; index++) {
    char text[96];
    if (nvmlDeviceGetUUID(*device, text, sizeof text) == 0 && !strcmp(text, uuid)) return 0;
  }
  return 6; /* not found */
}
int nvmlDeviceGetUUID(Device *device, char *text, unsigned size) {
    ASK(device);
    int n = device->index;
    if (device->part < 0)
        snprintf(text, size, "GPU-%d0000000-0000-0000-0000-00000000000%d", n, n);
    else
        snprintf(text, size, "MIG-%d0000000-0000-0000-0000-00000000000%d", n, device->part);
    return SUCCESS;
}
int nvmlDeviceGetName(Device *device, char *text, unsigned size) {
    ASK(device);
    return entry(names(), device->index, text, size) ? SUCCESS : NOT_FOUND;
}
int nvmlDeviceGetPciInfo_v3(Device *device, Pci *pci) {
    ASK(device);
    memset(pci, 0, sizeof *pci);
    pci->bus = (unsigned)device->index + 1;
    snprintf(pci->legacy, sizeof pci->legacy, "0000:%02X:00.0", pci->bus & 0xff);
    snprintf(pci->bus_id, sizeof pci->bus_id, "00000000:%02X:00.0", pci->bus);
    return SUCCESS;
}
int nvmlDeviceGetMemoryInfo(Device *device, Memory *memory) {
    ASK(device);
    memory->total = (unsigned long long)number("FAKECUDA_MEMORY_GIB", "16,24", device->index) << 30;
    memory->used = (unsigned long long)number("FAKEDRIVER_USED_MIB", "0,0", device->index) << 20;
    memory->free = memory->total - memory->used;
    return SUCCESS;
}
int nvmlDeviceGetComputeMode(Device *device, unsigned *mode) {
    ASK(device);
    *mode = (unsigned)number("FAKEDRIVER_MODES", "0", device->index);
    return SUCCESS;
}
int nvmlDeviceGetCudaComputeCapability(Device *device, int *major, int *minor) {
    ASK(device);
    char text[32];
    const char *all = setting("FAKEDRIVER_CAPABILITY", "12.0,8.6");
    if (!entry(all, device->index, text, sizeof text)) return NOT_SUPPORTED;
    return sscanf(text, "%d.%d", major, minor) == 2 ? SUCCESS : NOT_SUPPORTED;
}

static int is_parted(int index) { return number("FAKEDRIVER_MIG", "", index) == 1; }

int nvmlDeviceGetMigMode(Device *device, unsigned *current, unsigned *pending) {
    ASK(device);
    *current = *pending = (unsigned)is_parted(device->index);
    return SUCCESS;
}
int nvmlDeviceGetMaxMigDeviceCount(Device *device, unsigned *most) {
    ASK(device);
    *most = is_parted(device->index) ? PARTS + 1 : 0;
    return SUCCESS;
}
int nvmlDeviceGetMigDeviceHandleByIndex(Device *device, unsigned index, Device **part) {
    ASK(device);
    if (index >= PARTS) return NOT_FOUND;
    parts[device->index][index].index = device->index;
    parts[device->index][index].part = (int)index;
    *part = &parts[device->index][index];
    return SUCCESS;
}

static int processes(const Device *device, unsigned *most, Process *found) {
    char text[64], mib[32];
    unsigned there = 0;
    for (int n = 0; entry(setting("FAKEDRIVER_PROCESSES", ""), n, text, sizeof text); n++) {
        int card;
        unsigned pid;
        if (sscanf(text, "%d:%u:%31s", &card, &pid, mib) != 3 || card != device->index) continue;
        if (there < *most && found) {
            memset(&found[there], 0, sizeof *found);
            found[there].pid = pid;
            found[there].used = *mib == '-' ? ~0ULL : (unsigned long long)atol(mib) << 20;
        }
        there++;
    }
    int fits = there <= *most && (found || !there);
    *most = there;
    return fits ? SUCCESS : INSUFFICIENT_SIZE;
}
int nvmlDeviceGetComputeRunningProcesses_v3(Device *device, unsigned *most, Process *found) {
    ASK(device);
    return processes(device, most, found);
}
int nvmlDeviceGetComputeRunningProcesses_v2(Device *device, unsigned *most, Process *found) {
    ASK(device);
    return processes(device, most, found);
}
int nvmlDeviceGetGraphicsRunningProcesses_v3(Device *device, unsigned *most, Process *found) {
    (void)found;
    ASK(device);
    *most = 0;
    return SUCCESS;
}

static int reasons(const Device *device, unsigned long long *bits) {
    *bits = (unsigned long long)number("FAKEDRIVER_REASONS", "", device->index);
    return SUCCESS;
}
int nvmlDeviceGetCurrentClocksEventReasons(Device *device, unsigned long long *bits) {
    ASK(device);
    return reasons(device, bits);
}
int nvmlDeviceGetCurrentClocksThrottleReasons(Device *device, unsigned long long *bits) {
    ASK(device);
    return reasons(device, bits);
}
