/* A stand-in for libnvidia-ml.so.1, as much of it as the meter and torch call. The real nvidia-ml-py and torch load it.
 *
 * The text file named by FAKE_NVML_SCRIPT says what it plays, one statement a line; # begins a comment.
 *
 *   clock virtual|real           seconds set with fake_nvml_set_clock (the default, from 0), or CLOCK_MONOTONIC
 *   driver TEXT                  the driver's version
 *   lost_after S                 every call on a device says GPU_IS_LOST from S seconds after the first nvmlInit
 *   reset_after S                the energy counters begin again at 0 then
 *   error FUNCTION CODE [UUID]   what FUNCTION returns, for one device or for all calls
 *   device UUID [KEY VALUE]...   a GPU, in NVML's order; the keys are in `settings` below
 *   mig UUID                     a MIG instance of the device above, whose MIG mode it switches on
 *   process PID|self             a compute process on the device above
 *
 * The power of a device is power_w + ramp_w_per_s * t at t seconds of the clock; its energy counter is the integral of
 * that from t = 0, in millijoules, and moves every period_ms. Build with -DnvmlSomething=hidden to leave a symbol out.
 */

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    SUCCESS = 0,
    UNINITIALIZED = 1,
    INVALID_ARGUMENT = 2,
    NOT_SUPPORTED = 3,
    NOT_FOUND = 6,
    INSUFFICIENT_SIZE = 7,
    GPU_IS_LOST = 15,
};

enum { MOST = 16 };

/* A GPU, or a MIG instance, which has a parent. */
typedef struct node {
    char uuid[96];
    struct node *parent;
    double power_w, ramp_w_per_s, period_ms, limit_w, max_limit_w, sm_mhz, memory_mhz, temperature_c, reasons, mig;
    unsigned int pids[MOST];
    unsigned int process_count;
} node;

static const struct {
    const char *key;
    size_t offset;
    double otherwise;
} settings[] = {
    {"power_w", offsetof(node, power_w), 100},
    {"ramp_w_per_s", offsetof(node, ramp_w_per_s), 0},
    {"period_ms", offsetof(node, period_ms), 20},
    {"limit_w", offsetof(node, limit_w), 350},
    {"max_limit_w", offsetof(node, max_limit_w), 400},
    {"sm_mhz", offsetof(node, sm_mhz), 1410},
    {"memory_mhz", offsetof(node, memory_mhz), 1215},
    {"temperature_c", offsetof(node, temperature_c), 45},
    {"reasons", offsetof(node, reasons), 0}, /* the bit mask; 0x... is understood */
    {"mig", offsetof(node, mig), 0},         /* 1: MIG mode is on */
};

enum { SETTINGS = sizeof settings / sizeof *settings };

static struct {
    char function[64], uuid[96];
    int code;
} errors[MOST];

static node nodes[MOST];
static int node_count, error_count, users, real_clock;
static double virtual_s, started_s, lost_after_s = INFINITY, reset_after_s = INFINITY;
static char driver[80] = "570.0.fake";

void fake_nvml_set_clock(double seconds) { virtual_s = seconds; }

static double now_s(void) {
    struct timespec now;
    if (!real_clock) return virtual_s;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void refuse(const char *line) {
    fprintf(stderr, "fake_nvml: cannot understand: %s\n", line);
    abort();
}

static node *add_node(const char *line, const char *uuid, node *parent) {
    if (!uuid || node_count == MOST) refuse(line);
    node *added = &nodes[node_count++];
    snprintf(added->uuid, sizeof added->uuid, "%s", uuid);
    added->parent = parent;
    for (int i = 0; i < SETTINGS; i++) *(double *)((char *)added + settings[i].offset) = settings[i].otherwise;
    return added;
}

static void set(const char *line, node *device, const char *key, const char *value) {
    for (int i = 0; value && i < SETTINGS; i++) {
        if (strcmp(settings[i].key, key) == 0) {
            *(double *)((char *)device + settings[i].offset) = strtod(value, NULL);
            return;
        }
    }
    refuse(line);
}

static void understand(const char *line, node **device) {
    char copy[1024];
    const char *space = " \t\r\n", *key;
    snprintf(copy, sizeof copy, "%s", line);
    const char *word = strtok(copy, space);
    if (!word || *word == '#') return;
    const char *first = strtok(NULL, space);
    if (!first) refuse(line);
    if (strcmp(word, "clock") == 0) {
        real_clock = strcmp(first, "real") == 0;
    } else if (strcmp(word, "driver") == 0) {
        snprintf(driver, sizeof driver, "%s", first);
    } else if (strcmp(word, "lost_after") == 0) {
        lost_after_s = strtod(first, NULL);
    } else if (strcmp(word, "reset_after") == 0) {
        reset_after_s = strtod(first, NULL);
    } else if (strcmp(word, "error") == 0) {
        const char *code = strtok(NULL, space), *uuid = strtok(NULL, space);
        if (!code || error_count == MOST) refuse(line);
        snprintf(errors[error_count].function, sizeof errors->function, "%s", first);
        snprintf(errors[error_count].uuid, sizeof errors->uuid, "%s", uuid ? uuid : "");
        errors[error_count++].code = atoi(code);
    } else if (strcmp(word, "device") == 0) {
        *device = add_node(line, first, NULL);
        while ((key = strtok(NULL, space))) set(line, *device, key, strtok(NULL, space));
    } else if (strcmp(word, "mig") == 0 && *device) {
        (*device)->mig = 1;
        add_node(line, first, *device);
    } else if (strcmp(word, "process") == 0 && *device && (*device)->process_count < MOST) {
        unsigned int pid = strcmp(first, "self") == 0 ? (unsigned int)getpid() : (unsigned int)atoi(first);
        (*device)->pids[(*device)->process_count++] = pid;
    } else {
        refuse(line);
    }
}

static void read_script(void) {
    static int done;
    char line[1024];
    node *device = NULL;
    const char *name = getenv("FAKE_NVML_SCRIPT");
    if (done++) return;
    FILE *script = name ? fopen(name, "r") : NULL;
    if (!script) refuse("FAKE_NVML_SCRIPT");
    while (fgets(line, sizeof line, script)) understand(line, &device);
    fclose(script);
    started_s = now_s();
}

static int error_of(const char *function, const char *uuid) {
    for (int i = 0; i < error_count; i++) {
        int for_it = !*errors[i].uuid || (uuid && strcmp(errors[i].uuid, uuid) == 0);
        if (for_it && strcmp(errors[i].function, function) == 0) return errors[i].code;
    }
    return SUCCESS;
}

/* What a call returns before it does anything. */
static int enter(const char *function, const node *device) {
    if (!users) return UNINITIALIZED;
    if (!device) return INVALID_ARGUMENT;
    if (now_s() - started_s >= lost_after_s) return GPU_IS_LOST;
    return error_of(function, device->uuid);
}

#define ENTER(name, device)               \
    do {                                  \
        int entered = enter(name, device); \
        if (entered) return entered;      \
    } while (0)

static int whole(const char *function, const node *device, double value, unsigned int *answer) {
    ENTER(function, device);
    *answer = (unsigned int)lround(value);
    return SUCCESS;
}

static int start(const char *function) {
    read_script();
    int code = error_of(function, NULL);
    if (!code) users++;
    return code;
}

int nvmlInitWithFlags(unsigned int flags) {
    (void)flags;
    return start("nvmlInitWithFlags");
}

/* What torch calls, which counts devices by NVML until CUDA has started. */
int nvmlInit(void) { return start("nvmlInit"); }

int nvmlInit_v2(void) { return start("nvmlInit_v2"); }

int nvmlShutdown(void) {
    if (!users) return UNINITIALIZED;
    users--;
    return error_of("nvmlShutdown", NULL);
}

const char *nvmlErrorString(int code) {
    (void)code;
    return "An Error Of The Fake";
}

int nvmlSystemGetDriverVersion(char *version, unsigned int length) {
    if (!users) return UNINITIALIZED;
    snprintf(version, length, "%s", driver);
    return error_of("nvmlSystemGetDriverVersion", NULL);
}

int nvmlDeviceGetCount_v2(unsigned int *count) {
    if (!users) return UNINITIALIZED;
    *count = 0;
    for (int i = 0; i < node_count; i++) *count += !nodes[i].parent;
    return error_of("nvmlDeviceGetCount_v2", NULL);
}

static node *nth(const node *parent, unsigned int index) {
    for (int i = 0; i < node_count; i++) {
        if (nodes[i].parent == parent && index-- == 0) return &nodes[i];
    }
    return NULL;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned int index, node **device) {
    *device = nth(NULL, index);
    return enter("nvmlDeviceGetHandleByIndex_v2", *device);
}

int nvmlDeviceGetUUID(const node *device, char *uuid, unsigned int length) {
    ENTER("nvmlDeviceGetUUID", device);
    snprintf(uuid, length, "%s", device->uuid);
    return SUCCESS;
}

int nvmlDeviceGetMigMode(const node *device, unsigned int *current, unsigned int *pending) {
    *pending = device && device->mig;
    return whole("nvmlDeviceGetMigMode", device, *pending, current);
}

int nvmlDeviceGetMaxMigDeviceCount(const node *device, unsigned int *count) {
    return whole("nvmlDeviceGetMaxMigDeviceCount", device, 7, count);
}

/* The instances fill the odd slots, for a partition may leave slots empty. */
int nvmlDeviceGetMigDeviceHandleByIndex(const node *device, unsigned int index, node **instance) {
    ENTER("nvmlDeviceGetMigDeviceHandleByIndex", device);
    *instance = index % 2 ? nth(device, index / 2) : NULL;
    return *instance ? SUCCESS : NOT_FOUND;
}

static double joules_until(const node *device, double t) {
    return device->power_w * t + device->ramp_w_per_s * t * t / 2;
}

int nvmlDeviceGetTotalEnergyConsumption(const node *device, unsigned long long *millijoules) {
    ENTER("nvmlDeviceGetTotalEnergyConsumption", device);
    if (device->parent) return NOT_SUPPORTED;
    double period_s = device->period_ms / 1000, t = now_s(), from = 0;
    if (t - started_s >= reset_after_s) from = started_s + reset_after_s;
    /* The nudge keeps a clock that was set to a whole number of periods from falling into the one before. */
    double moved = floor(t / period_s + 1e-9) * period_s;
    double joules = moved > from ? joules_until(device, moved) - joules_until(device, from) : 0;
    *millijoules = (unsigned long long)llround(joules * 1000);
    return SUCCESS;
}

int nvmlDeviceGetPowerUsage(const node *device, unsigned int *milliwatts) {
    double watts = device ? device->power_w + device->ramp_w_per_s * now_s() : 0;
    return whole("nvmlDeviceGetPowerUsage", device, watts * 1000, milliwatts);
}

int nvmlDeviceGetEnforcedPowerLimit(const node *device, unsigned int *milliwatts) {
    return whole("nvmlDeviceGetEnforcedPowerLimit", device, device ? device->limit_w * 1000 : 0, milliwatts);
}

int nvmlDeviceGetPowerManagementLimitConstraints(const node *device, unsigned int *least, unsigned int *most) {
    *least = 100000;
    return whole("nvmlDeviceGetPowerManagementLimitConstraints", device, device ? device->max_limit_w * 1000 : 0, most);
}

int nvmlDeviceGetClockInfo(const node *device, int type, unsigned int *mhz) {
    enum { SM = 1 };
    return whole("nvmlDeviceGetClockInfo", device, device ? type == SM ? device->sm_mhz : device->memory_mhz : 0, mhz);
}

int nvmlDeviceGetTemperature(const node *device, int sensor, unsigned int *celsius) {
    (void)sensor;
    return whole("nvmlDeviceGetTemperature", device, device ? device->temperature_c : 0, celsius);
}

int nvmlDeviceGetCurrentClocksEventReasons(const node *device, unsigned long long *mask) {
    ENTER("nvmlDeviceGetCurrentClocksEventReasons", device);
    *mask = (unsigned long long)device->reasons;
    return SUCCESS;
}

int nvmlDeviceGetCurrentClocksThrottleReasons(const node *device, unsigned long long *mask) {
    ENTER("nvmlDeviceGetCurrentClocksThrottleReasons", device);
    *mask = (unsigned long long)device->reasons;
    return SUCCESS;
}

typedef struct {
    unsigned int pid;
    unsigned long long used_bytes;
    unsigned int gpu_instance, compute_instance;
} process;

static int processes_of(const char *function, const node *device, unsigned int *count, process *processes) {
    ENTER(function, device);
    unsigned int room = *count;
    *count = device->process_count;
    if (room < *count) return INSUFFICIENT_SIZE;
    for (unsigned int i = 0; i < *count; i++) processes[i] = (process){.pid = device->pids[i]};
    return SUCCESS;
}

int nvmlDeviceGetComputeRunningProcesses_v2(const node *device, unsigned int *count, process *processes) {
    return processes_of("nvmlDeviceGetComputeRunningProcesses_v2", device, count, processes);
}

int nvmlDeviceGetComputeRunningProcesses_v3(const node *device, unsigned int *count, process *processes) {
    return processes_of("nvmlDeviceGetComputeRunningProcesses_v3", device, count, processes);
}
