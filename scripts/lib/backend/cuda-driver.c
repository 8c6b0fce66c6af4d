// What ggml's CUDA back end calls of NVIDIA's driver, so that it can be linked where no driver is.
#define CALL(name) \
  int name(void) { return 34; }  // CUDA_ERROR_STUB_LIBRARY

CALL(cuDeviceGet)
CALL(cuDeviceGetAttribute)
CALL(cuGetErrorString)
CALL(cuMemAddressFree)
CALL(cuMemAddressReserve)
CALL(cuMemCreate)
CALL(cuMemGetAllocationGranularity)
CALL(cuMemMap)
CALL(cuMemRelease)
CALL(cuMemSetAccess)
CALL(cuMemUnmap)
