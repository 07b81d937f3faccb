// Inside agent/nvml and the stub library of the tests: what is used of NVML's C interface, declared here so that nothing of
// NVIDIA's is needed to build. Names, values and layouts are those of nvml.h as NVIDIA ships it (NVML API reference,
// docs.nvidia.com/deploy/nvml-api; checked against version 12.9); NVML keeps them, and versions its functions instead.
#pragma once

#include <cstddef>

namespace cloudos::nvml::api {

using Return = int;  // nvmlReturn_t
enum : Return {
  success = 0,
  error_uninitialized = 1,
  error_invalid_argument = 2,
  error_not_supported = 3,
  error_no_permission = 4,
  error_not_found = 6,
  error_insufficient_size = 7,
  error_driver_not_loaded = 9,
  error_timeout = 10,
  error_gpu_is_lost = 15,
  error_reset_required = 16,
  error_operating_system = 17,
  error_lib_rm_version_mismatch = 18,
  error_unknown = 999,
};

using Device = struct DeviceHandle*;      // nvmlDevice_t
using EventSet = struct EventSetHandle*;  // nvmlEventSet_t

struct PciInfo {  // nvmlPciInfo_t
  char bus_id_legacy[16];
  unsigned domain, bus, device, pci_device_id, pci_subsystem_id;
  char bus_id[32];  // "00000000:18:00.0"
};
static_assert(sizeof(PciInfo) == 68);

struct Memory {  // nvmlMemory_t, in bytes
  unsigned long long total, free, used;
};

struct Utilization {  // nvmlUtilization_t, in percent
  unsigned gpu, memory;
};

struct Attributes {  // nvmlDeviceAttributes_t, of a MIG device
  unsigned multiprocessors, copy_engines, decoders, encoders, jpeg, ofa, gpu_slices, compute_slices;
  unsigned long long memory_mib;
};
static_assert(sizeof(Attributes) == 40);

struct EventData {  // nvmlEventData_t
  Device device;
  unsigned long long type, data;  // of an Xid event: its number
  unsigned gpu_instance, compute_instance;
};
static_assert(sizeof(EventData) == 32);

union Value {  // nvmlValue_t
  double d;
  unsigned u;
  unsigned long long ull;
};
struct FieldValue {  // nvmlFieldValue_t
  unsigned field, scope;
  long long timestamp, latency;
  int type;
  Return status;
  Value value;
};
static_assert(sizeof(FieldValue) == 40);

constexpr unsigned nvlinks = 18;                    // NVML_NVLINK_MAX_LINKS
constexpr unsigned temperature_gpu = 0;             // NVML_TEMPERATURE_GPU
constexpr int uncorrected = 1, corrected = 0;       // nvmlMemoryErrorType_t
constexpr int since_driver_load = 0;                // NVML_VOLATILE_ECC
constexpr int link_to_gpu = 0, link_to_switch = 2;  // nvmlIntNvLinkDeviceType_t
constexpr unsigned long long event_xid = 8;         // nvmlEventTypeXidCriticalError
constexpr unsigned no_instance = 0xffffffff;
constexpr unsigned field_recovery_action = 230;  // NVML_FI_DEV_GET_GPU_RECOVERY_ACTION
constexpr unsigned text_size = 96;               // the widest of NVML_DEVICE_{UUID,NAME}_V2_BUFFER_SIZE and the versions'

// X(member, symbol, needed, arguments…): every function that is looked up. All give nvmlReturn_t.
#define CLOUDOS_NVML_FUNCTIONS(X)                                                                        \
  X(init, nvmlInit_v2, true, void)                                                                       \
  X(shutdown, nvmlShutdown, true, void)                                                                  \
  X(driver_version, nvmlSystemGetDriverVersion, true, char*, unsigned)                                   \
  X(cuda_version, nvmlSystemGetCudaDriverVersion_v2, false, int*)                                        \
  X(count, nvmlDeviceGetCount_v2, true, unsigned*)                                                       \
  X(by_index, nvmlDeviceGetHandleByIndex_v2, true, unsigned, Device*)                                    \
  X(uuid, nvmlDeviceGetUUID, true, Device, char*, unsigned)                                              \
  X(name, nvmlDeviceGetName, true, Device, char*, unsigned)                                              \
  X(memory, nvmlDeviceGetMemoryInfo, false, Device, Memory*)                                             \
  X(pci, nvmlDeviceGetPciInfo_v3, true, Device, PciInfo*)                                                \
  X(minor, nvmlDeviceGetMinorNumber, true, Device, unsigned*)                                            \
  X(compute_capability, nvmlDeviceGetCudaComputeCapability, false, Device, int*, int*)                   \
  X(mig_mode, nvmlDeviceGetMigMode, false, Device, unsigned*, unsigned*)                                 \
  X(mig_count, nvmlDeviceGetMaxMigDeviceCount, false, Device, unsigned*)                                 \
  X(mig_by_index, nvmlDeviceGetMigDeviceHandleByIndex, false, Device, unsigned, Device*)                 \
  X(gpu_instance, nvmlDeviceGetGpuInstanceId, false, Device, unsigned*)                                  \
  X(compute_instance, nvmlDeviceGetComputeInstanceId, false, Device, unsigned*)                          \
  X(attributes, nvmlDeviceGetAttributes_v2, false, Device, Attributes*)                                  \
  X(link_state, nvmlDeviceGetNvLinkState, false, Device, unsigned, int*)                                 \
  X(link_remote, nvmlDeviceGetNvLinkRemotePciInfo_v2, false, Device, unsigned, PciInfo*)                 \
  X(link_remote_type, nvmlDeviceGetNvLinkRemoteDeviceType, false, Device, unsigned, int*)                \
  X(ecc_errors, nvmlDeviceGetTotalEccErrors, false, Device, int, int, unsigned long long*)               \
  X(remapped_rows, nvmlDeviceGetRemappedRows, false, Device, unsigned*, unsigned*, unsigned*, unsigned*) \
  X(temperature, nvmlDeviceGetTemperature, false, Device, unsigned, unsigned*)                           \
  X(throttle, nvmlDeviceGetCurrentClocksThrottleReasons, false, Device, unsigned long long*)             \
  X(utilization, nvmlDeviceGetUtilizationRates, false, Device, Utilization*)                             \
  X(power, nvmlDeviceGetPowerUsage, false, Device, unsigned*)                                            \
  X(fields, nvmlDeviceGetFieldValues, false, Device, int, FieldValue*)                                   \
  X(events_make, nvmlEventSetCreate, false, EventSet*)                                                   \
  X(events_register, nvmlDeviceRegisterEvents, false, Device, unsigned long long, EventSet)              \
  X(events_wait, nvmlEventSetWait_v2, false, EventSet, EventData*, unsigned)                             \
  X(events_free, nvmlEventSetFree, false, EventSet)

// The functions, by name; those that an older library lacks are null.
struct Functions {
#define CLOUDOS_NVML_MEMBER(member, symbol, needed, ...) Return (*member)(__VA_ARGS__) = nullptr;
  CLOUDOS_NVML_FUNCTIONS(CLOUDOS_NVML_MEMBER)
#undef CLOUDOS_NVML_MEMBER
};

}  // namespace cloudos::nvml::api
