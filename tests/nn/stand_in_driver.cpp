// NVRTC and the CUDA driver as far as prunegap calls them, with the prototypes of nvrtc.h and cuda.h, on a processor.
//
// "Compiling" keeps the source and the options; a launch runs the kernel in the emulation of cuda_block.h. Handles and
// the context have values that do not fit 32 bits, so that a pointer passed as an int is noticed.
#define COUNT 6
#define THREADS 32
#include "cuda_block.h"
#include "subset_sum.cu"
#include <string>

static const size_t PROGRAM = 0x111111111111, MODULE = 0x222222222222, CONTEXT = 0x333333333333, STREAM = 0x444444444444;
static std::string source, complaint = "prunegap.cu(1): error: no kernel";
static std::string options;
static int programs;
static thread_local size_t current = 0;

extern "C" {
int nvrtcCreateProgram(size_t* program, const char* text, const char*, int headers, const char**, const char**) {
    source = text;
    programs++;
    *program = PROGRAM;
    return headers;
}
int nvrtcCompileProgram(size_t program, int count, const char* const* given) {
    options = "";
    for (int i = 0; i < count; i++) options += std::string(given[i]) + " ";
    return program != PROGRAM ? 4 : source.find("__global__") == std::string::npos ? 6 : 0;
}
int nvrtcGetProgramLogSize(size_t program, size_t* size) { return *size = complaint.size() + 1, program != PROGRAM; }
int nvrtcGetProgramLog(size_t program, char* into) { return strcpy(into, complaint.c_str()), program != PROGRAM; }
int nvrtcGetCUBINSize(size_t program, size_t* size) { return *size = 7, program != PROGRAM; }
int nvrtcGetCUBIN(size_t program, char* into) { return memcpy(into, "\x7f" "ELF\0co", 7), program != PROGRAM; }
int nvrtcDestroyProgram(size_t* program) { return programs--, *program != PROGRAM; }
int programs_alive() { return programs; }
const char* options_given() { return options.c_str(); }

int cuCtxGetCurrent(size_t* context) { return *context = current = CONTEXT, 0; }
int cuCtxSetCurrent(size_t context) { return current = context, context != CONTEXT; }
int cuModuleLoadData(size_t* module, const void* image) {
    *module = MODULE;
    return memcmp(image, "\x7f" "ELF\0co", 7) ? 200 : 0;
}
int cuModuleGetFunction(const char** function, size_t module, const char* name) {
    *function = strdup(name);
    return module != MODULE;
}
int cuLaunchKernel(
    const char* function, unsigned x, unsigned y, unsigned z, unsigned threads, unsigned threads_y, unsigned threads_z,
    unsigned shared, size_t stream, void** arguments, void** extra
) {
    if (y != 1 || z != 1 || threads_y != 1 || threads_z != 1 || shared || stream != STREAM || extra) return 1;
    if (current != CONTEXT) return 201;
    if (!strcmp(function, "best_subsets")) return block::launch(best_subsets, x, threads, arguments), 0;
    if (!strcmp(function, "exact_errors")) return block::launch(exact_errors, x, threads, arguments), 0;
    return 500;
}
}
