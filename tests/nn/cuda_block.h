// A block of CUDA threads on an ordinary processor: each thread is a coroutine that runs until the next barrier.
//
// The threads run in an order drawn anew after every barrier, so that a race between two barriers shows as a result
// that differs from the right one. Before each block shared memory is filled with NaN: what is read must have been
// written. A file that includes this and then kernels gets `launch`, which takes arguments as cuLaunchKernel does.
#include <algorithm>
#include <cmath>
#include <csetjmp>
#include <cstring>
#include <functional>
#include <random>
#include <utility>
#include <ucontext.h>
#include <vector>

struct Place { int x; };
static Place threadIdx, blockIdx, blockDim;

extern char __start_shared_memory[], __stop_shared_memory[];

namespace block {
static std::vector<ucontext_t> threads;
// Contexts only begin a thread; jumps, which leave signals alone, are a hundred times as fast to change threads.
struct Jump { jmp_buf place; };
static std::vector<Jump> jumps;
static jmp_buf scheduler;
static std::vector<char> stacks, alive;
static int current;
static double exchange[1024];
static bool votes[1024], voted;
static std::mt19937 random(0);
static std::function<void()> body, at_barrier = [] {};

inline void wait() {
    if (!_setjmp(jumps[current].place)) _longjmp(scheduler, 1);
}

inline void enter() {
    body();
    alive[current] = 0;
    _longjmp(scheduler, 1);
}

inline void go_on(bool begins) {
    if (_setjmp(scheduler)) return;
    if (begins) setcontext(&threads[current]);
    _longjmp(jumps[current].place, 1);
}

inline void run(int blocks, int count, std::function<void()> kernel) {
    const size_t room = 1 << 16;
    threads.resize(count);
    jumps.resize(count);
    stacks.resize(room * count);
    body = kernel;
    blockDim.x = count;
    std::vector<int> order(count);
    for (int i = 0; i < count; i++) order[i] = i;
    for (blockIdx.x = 0; blockIdx.x < blocks; blockIdx.x++) {
        alive.assign(count, 1);
        memset(__start_shared_memory, 0xff, __stop_shared_memory - __start_shared_memory);
        for (int i = 0; i < count; i++) {
            getcontext(&threads[i]);
            threads[i].uc_stack.ss_sp = stacks.data() + room * i;
            threads[i].uc_stack.ss_size = room;
            threads[i].uc_link = nullptr;
            makecontext(&threads[i], enter, 0);
        }
        bool begins = true;
        for (bool any = true; any; begins = false) {
            std::shuffle(order.begin(), order.end(), random);
            any = false;
            for (int i : order) {
                if (!alive[i]) continue;
                current = threadIdx.x = i;
                go_on(begins);
                any = any || alive[i];
            }
            at_barrier();
            voted = std::any_of(votes, votes + count, [](bool vote) { return vote; });
        }
    }
}

template <class... A, size_t... I>
void launch(void (*kernel)(A...), int blocks, int threads, void** arguments, std::index_sequence<I...>) {
    run(blocks, threads, [=] { kernel(*static_cast<A*>(arguments[I])...); });
}

template <class... A>
void launch(void (*kernel)(A...), int blocks, int threads, void** arguments) {
    launch(kernel, blocks, threads, arguments, std::index_sequence_for<A...>());
}
}  // namespace block

#define __global__
#define __device__ static
#define __forceinline__ inline
#define __noinline__
#define __restrict__
#define __launch_bounds__(n)
#define __shared__ static __attribute__((section("shared_memory")))

using std::max;
using std::min;
inline double fmin(double a, double b) { return std::fmin(a, b); }
inline double __longlong_as_double(long long bits) { double x; memcpy(&x, &bits, 8); return x; }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned long long)(((unsigned __int128)a * b) >> 64);
}
inline void __syncthreads() { block::wait(); }
// All threads of a block call the following ones together, which CUDA asks of warps only.
inline int __syncthreads_or(int vote) {
    block::votes[threadIdx.x] = vote;
    block::wait();
    int any = block::voted;
    block::votes[threadIdx.x] = false;
    block::wait();
    return any;
}
template <class T> inline T __shfl_xor_sync(unsigned, T value, int apart) {
    memcpy(&block::exchange[threadIdx.x], &value, sizeof(T));
    block::wait();
    T other;
    memcpy(&other, &block::exchange[threadIdx.x ^ apart], sizeof(T));
    block::wait();
    return other;
}
inline int atomicAdd(int* place, int more) { int before = *place; *place += more; return before; }
