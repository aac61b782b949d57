// The best subset for a sum, a block of threads for a problem: kernels/subset_sum.py step for step, same bits.
//
// Two values are set aside; the halves of the others give two sorted lists of sums in shared memory, and four walks,
// one for each choice among the two, go over them. What is sequential on a processor is cut into equal parts here:
// a merge of two sorted lists, and a walk over two, is a path whose crossing of any diagonal is found by bisection
// (merge path: Odeh, Green, Mwassi, Shmueli, Birk 2012). Rounded addition is monotone, so that the parts meet exactly.
// Both lists are determined by their values alone; hence walks, ties and the subset are those of the processor.
//
// Compiled for one number of values: -DCOUNT=n (0..24) -DTHREADS=t (a power of two, 32..256), and with --fmad=false.

#define ASIDE (COUNT < 2 ? COUNT : 2)
#define FIRST ((COUNT - ASIDE) / 2)
#define SECOND (COUNT - ASIDE - FIRST)
#define LEFT (1 << FIRST)
#define RIGHT (1 << SECOND)
// Where COUNT is a variable, as in the tests, these are given.
#ifndef MOST
#define MOST COUNT
#define LISTS_ROOM (LEFT + RIGHT + 3 > THREADS ? LEFT + RIGHT + 3 : THREADS)
#define SPARE_ROOM (LEFT / 2 + 1)
#endif
#define WARPS (THREADS / 32)
#define LOG_THREADS (THREADS == 32 ? 5 : THREADS == 64 ? 6 : THREADS == 128 ? 7 : 8)
#define ALL 0xffffffffu

__device__ __forceinline__ double infinite() { return __longlong_as_double(0x7ff0000000000000LL); }

// Write the sorted sums with and without `value` of `size` sorted sums, and +inf behind them.
__device__ __forceinline__ void merge(const double* sums, int size, double value, double* into) {
    int share = (2 * size + THREADS - 1) / THREADS;
    // Odd, so that the threads of a warp write to different banks.
    share += share > 1 && share % 2 == 0;
    int start = min((int)threadIdx.x * share, 2 * size);
    int stop = min(start + share, 2 * size);
    int p = max(0, start - size), high = min(start, size);
    while (p < high) {
        int middle = (p + high) / 2;
        if (sums[middle] <= sums[start - 1 - middle] + value) p = middle + 1; else high = middle;
    }
    double kept = sums[p], moved = sums[start - p] + value;
    for (int k = start; k < stop; k++) {
        bool keep = kept <= moved;
        into[k] = keep ? kept : moved;
        p += keep;
        double next = sums[keep ? p : k + 1 - p];
        kept = keep ? next : kept;
        moved = keep ? moved : next + value;
    }
    if (threadIdx.x == 0) into[2 * size] = infinite();
    __syncthreads();
}

// Write the ascending subset sums of `values` into `into`, +inf behind; `spare` has room for half of them and one.
__device__ __forceinline__ void sorted_sums(const double* values, int count, double* into, double* spare) {
    double* from = count % 2 ? spare : into;
    double* to = count % 2 ? into : spare;
    if (threadIdx.x == 0) {
        from[0] = 0.0;
        from[1] = infinite();
    }
    __syncthreads();
#pragma unroll 1
    for (int depth = 0; depth < count; depth++) {
        merge(from, 1 << depth, values[depth], to);
        double* swapped = from;
        from = to;
        to = swapped;
    }
}

// Return `sum` and the values in the mask, added from the first to the last.
__device__ __forceinline__ double sum_of(double sum, const double* values, int mask, int count) {
#pragma unroll
    for (int i = 0; i < count; i++) sum = mask >> i & 1 ? sum + values[i] : sum;
    return sum;
}

// Return the mask that the processor finds for `total`, where several subsets have this sum.
__device__ __noinline__ int ambiguous_subset(const double* values, int count, double total, double* places) {
    int mask = 0;
    for (int depth = count - 1; depth >= 0; depth--) {
        bool without = false;
        double least = infinite();
        for (int m = threadIdx.x; m < 1 << depth; m += THREADS) {
            double sum = sum_of(0.0, values, m, depth);
            without |= sum == total;
            if (sum + values[depth] == total) least = fmin(least, sum);
        }
        places[threadIdx.x] = least;
        if (__syncthreads_or(without)) continue;
        for (int i = 0; i < THREADS; i++) least = fmin(least, places[i]);
        mask |= 1 << depth;
        total = least;
        __syncthreads();
    }
    return mask;
}

// Return the mask of the subset whose sum is `total`; found[0] is 0 before and after.
__device__ __forceinline__ int subset_of_sum(
    const double* values, int count, double total, int* found, double* places
) {
    // The thread's number gives the choice among the first values, the round the choice among the others.
    int shared_values = min(count, LOG_THREADS);
    double among_first = sum_of(0.0, values, threadIdx.x, shared_values);
#pragma unroll
    for (int round = 0; round < 1 << (count - shared_values); round++) {
        double sum = sum_of(among_first, values + shared_values, round, count - shared_values);
        if (threadIdx.x < 1 << count && sum == total) {
            atomicAdd(&found[0], 1);
            found[1] = round * THREADS + threadIdx.x;
        }
    }
    __syncthreads();
    bool single = found[0] == 1;
    int mask = found[1];
    __syncthreads();
    if (threadIdx.x == 0) found[0] = 0;
    return single ? mask : ambiguous_subset(values, count, total, places);
}

// Return how many of the first `step` moves of the walk for `target` are moves up the left list.
__device__ __forceinline__ int moves_up(const double* left, const double* right, double target, int step) {
    int p = max(0, step - RIGHT), high = min(step, LEFT);
    while (p < high) {
        int middle = (p + high) / 2;
        if (left[middle] + right[RIGHT - step + middle] < target) p = middle + 1; else high = middle;
    }
    return p;
}

// An answer: the first of its walk whose error is least, or within `enough`.
struct Answer {
    double error;
    int step, choice;
};

// Whether an answer comes before another: the first of those within `enough`, else the nearest.
__device__ __forceinline__ bool precedes(Answer one, Answer other, double enough) {
    double e = fmax(one.error, enough), f = fmax(other.error, enough);
    if (e != f) return e < f;
    if (one.step != other.step) return one.step < other.step;
    return one.error != other.error ? one.error < other.error : one.choice < other.choice;
}

// Return the thread's answer: the best of its part of the walk that its number names.
__device__ __forceinline__ Answer walk(
    const double* left, const double* right, double target, double enough, int start, int stop
) {
    int p = moves_up(left, right, target, start);
    int gap = RIGHT - 1 - start + (int)(right - left);
    double a = left[p], b = left[p + gap], bound = infinite();
    Answer best = {bound, 0x7fffffff, (int)threadIdx.x % 4};
    for (int step = start; step < stop; step++) {
        double reached = a + b, error = fabs(reached - target);
        if (error < bound) {
            best.error = error;
            best.step = step;
            bound = error <= enough ? -1.0 : error;
        }
        bool up = reached < target;
        p += up;
        gap--;
        double next = left[p + (up ? 0 : gap)];
        a = up ? next : a;
        b = up ? b : next;
    }
    return best;
}

// Return the first answer of all threads of the block.
__device__ __forceinline__ Answer first_of_block(Answer best, double enough) {
    __shared__ Answer answers[WARPS];
    for (int apart = 16; apart > 0; apart /= 2) {
        Answer other = {
            __shfl_xor_sync(ALL, best.error, apart),
            __shfl_xor_sync(ALL, best.step, apart),
            __shfl_xor_sync(ALL, best.choice, apart),
        };
        if (precedes(other, best, enough)) best = other;
    }
    if (threadIdx.x % 32 == 0) answers[threadIdx.x / 32] = best;
    __syncthreads();
    best = answers[0];
    for (int warp = 1; warp < WARPS; warp++) {
        if (precedes(answers[warp], best, enough)) best = answers[warp];
    }
    return best;
}

// Return the target that is left when the values set aside are chosen by the two bits of `choice`.
__device__ __forceinline__ double target_left(double target, const double* values, int choice) {
    if (COUNT > 0 && (choice & 1)) target -= values[0];
    if (COUNT > 1 && (choice & 2)) target -= values[1];
    return target;
}

extern "C" __global__ void __launch_bounds__(THREADS) best_subsets(
    const double* __restrict__ rows, const double* __restrict__ targets, double within, int* __restrict__ masks
) {
    // Left list, -inf, right list: one array, so that one address serves both.
    __shared__ double lists[LISTS_ROOM], spare[SPARE_ROOM], values[MOST + 1];
    __shared__ int found[2];
    double *left = lists, *right = lists + LEFT + 2;
    long long problem = blockIdx.x;
    if (threadIdx.x < COUNT) values[threadIdx.x] = rows[problem * COUNT + threadIdx.x];
    if (threadIdx.x == 0) {
        right[-1] = -infinite();
        found[0] = 0;
    }
    double target = targets[problem], enough = 0.0;
    __syncthreads();
    if (within > 0.0) {
        for (int i = 0; i < COUNT; i++) enough += fabs(values[i]);
        enough = fmin(within - (COUNT + 2) * 0x1p-52 * (enough + fabs(target)), 1.7e308);
    }
    sorted_sums(values + ASIDE + FIRST, SECOND, right, left);
    sorted_sums(values + ASIDE, FIRST, left, spare);

    // Four walks, each cut into THREADS / 4 parts of equal length.
    const int share = (LEFT + RIGHT + THREADS / 4 - 1) / (THREADS / 4);
    int start = min((int)threadIdx.x / 4 * share, LEFT + RIGHT);
    int stop = min(start + share, LEFT + RIGHT);
    Answer best = walk(left, right, target_left(target, values, threadIdx.x % 4), enough, start, stop);
    best = first_of_block(best, enough);
    int p = moves_up(left, right, target_left(target, values, best.choice), best.step);
    double first_sum = left[p], second_sum = right[RIGHT - 1 - best.step + p];
    // From here on the room of the lists serves sums that several subsets have.
    int first = subset_of_sum(values + ASIDE, FIRST, first_sum, found, lists);
    __syncthreads();
    int second = subset_of_sum(values + ASIDE + FIRST, SECOND, second_sum, found, lists);
    if (threadIdx.x == 0) masks[problem] = best.choice | first << ASIDE | second << (ASIDE + FIRST);
}

// Write |sum of the chosen values - target| of every problem, exact up to one rounding: kernels/exact_sum.py.
extern "C" __global__ void exact_errors(
    const double* __restrict__ rows, const double* __restrict__ targets, const int* __restrict__ masks, int count,
    double* __restrict__ errors
) {
    long long problem = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (problem >= count) return;
    double parts[MOST + 1];
    parts[0] = -targets[problem];
    int length = 1;
    for (int i = 0; i < COUNT; i++) {
        if (!(masks[problem] >> i & 1)) continue;
        double carried = rows[problem * COUNT + i];
        int kept = 0;
        for (int k = 0; k < length; k++) {
            double part = parts[k], total = carried + part, shadow = total - carried;
            double rest = (carried - (total - shadow)) + (part - shadow);
            if (rest != 0.0) parts[kept++] = rest;
            carried = total;
        }
        parts[kept] = carried;
        length = kept + 1;
    }
    double error = 0.0;
    for (int k = 0; k < length; k++) error += parts[k];
    errors[problem] = fabs(error);
}
