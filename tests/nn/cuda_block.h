// A block of CUDA threads on an ordinary processor: each thread is a coroutine that runs until the next barrier.
//
// A shuffle waits for the threads of its warp, a barrier for those of the block, and nothing else orders them. Which
// thread runs next is drawn at random, unfairly, so that some warps are far ahead of others: a missing barrier shows
// as a wrong result. Threads that wait for each other in vain are an error. Before each block shared memory is filled
// with NaN: what is read must have been written. A file that includes this and then kernels gets `launch`, whose arguments are cuLaunchKernel's.
#include <algorithm>
#include <cmath>
#include <csetjmp>
#include <cstring>
#include <functional>
#include <random>
#include <stdexcept>
#include <utility>
#include <ucontext.h>
#include <vector>

struct Place { int x; };
static Place threadIdx, blockIdx, blockDim;

extern char __start_shared_memory[], __stop_shared_memory[];

namespace block {
enum State { ready, in_warp, in_block, done };
struct Thread {
    ucontext_t begin;
    // Contexts only begin a thread; jumps, which leave signals alone, are a hundred times as fast to change threads.
    jmp_buf place;
    State state;
    bool begun;
};
static std::vector<Thread> threads;
static std::vector<char> stacks;
static jmp_buf scheduler;
static int current;
static double exchange[1024];
static bool votes[1024], voted;
static std::mt19937 random(0);
static std::function<void()> body, at_barrier = [] {};

inline void wait(State state) {
    threads[current].state = state;
    if (!_setjmp(threads[current].place)) _longjmp(scheduler, 1);
}

inline void enter() {
    body();
    threads[current].state = done;
    _longjmp(scheduler, 1);
}

inline void go_on(int thread) {
    current = threadIdx.x = thread;
    if (_setjmp(scheduler)) return;
    if (threads[thread].begun) _longjmp(threads[thread].place, 1);
    threads[thread].begun = true;
    setcontext(&threads[thread].begin);
}

// Make the threads first..last - 1 ready, and return whether all of them had come to `state` or were done.
inline bool released(int first, int last, State state, std::vector<int>& runnable) {
    bool any = false;
    for (int i = first; i < last; i++) {
        if (threads[i].state != state && threads[i].state != done) return false;
        any = any || threads[i].state == state;
    }
    for (int i = first; i < last; i++) {
        if (threads[i].state == done) continue;
        threads[i].state = ready;
        runnable.push_back(i);
    }
    return any;
}

// Orders warps, and the threads of each, differently for every `turn`.
inline std::pair<unsigned, unsigned> key(unsigned thread, unsigned turn) {
    return {(thread / 32 + 1) * 2654435761u ^ turn, (thread + 1) * 2246822519u ^ turn};
}

inline void run_block(int count) {
    std::vector<int> runnable(count);
    for (int i = 0; i < count; i++) runnable[i] = i;
    do {
        unsigned turn = random();
        std::sort(runnable.begin(), runnable.end(), [=](int a, int b) { return key(a, turn) < key(b, turn); });
        while (!runnable.empty()) {
            // The last ones are those of the warp that ran just before: in every other turn it goes on as far as it can.
            if (turn % 2) std::swap(runnable[random() % runnable.size()], runnable.back());
            int thread = runnable.back(), warp = thread / 32 * 32;
            runnable.pop_back();
            go_on(thread);
            if (threads[thread].state != in_block) released(warp, std::min(warp + 32, count), in_warp, runnable);
        }
        voted = std::any_of(votes, votes + count, [](bool vote) { return vote; });
        at_barrier();
    } while (released(0, count, in_block, runnable));
    for (Thread& thread : threads) {
        if (thread.state != done) throw std::logic_error("threads wait for each other in vain");
    }
}

inline void run(int blocks, int count, std::function<void()> kernel) {
    const size_t room = 1 << 16;
    threads.resize(count);
    stacks.resize(room * count);
    body = kernel;
    blockDim.x = count;
    for (blockIdx.x = 0; blockIdx.x < blocks; blockIdx.x++) {
        memset(__start_shared_memory, 0xff, __stop_shared_memory - __start_shared_memory);
        for (int i = 0; i < count; i++) {
            threads[i].state = ready;
            threads[i].begun = false;
            getcontext(&threads[i].begin);
            threads[i].begin.uc_stack.ss_sp = stacks.data() + room * i;
            threads[i].begin.uc_stack.ss_size = room;
            threads[i].begin.uc_link = nullptr;
            makecontext(&threads[i].begin, enter, 0);
        }
        run_block(count);
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
inline void __syncthreads() { block::wait(block::in_block); }
inline int __syncthreads_or(int vote) {
    block::votes[threadIdx.x] = vote;
    __syncthreads();
    int any = block::voted;
    __syncthreads();
    block::votes[threadIdx.x] = false;
    return any;
}
template <class T> inline T __shfl_xor_sync(unsigned, T value, int apart) {
    memcpy(&block::exchange[threadIdx.x], &value, sizeof(T));
    block::wait(block::in_warp);
    T other;
    memcpy(&other, &block::exchange[threadIdx.x ^ apart], sizeof(T));
    block::wait(block::in_warp);
    return other;
}
inline int atomicAdd(int* place, int more) { int before = *place; *place += more; return before; }
