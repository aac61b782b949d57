// Small subsets that meet many sums in turn: `shaped_subsets` of kernels/smallest.py, same bits.
//
// The sums of one output wait for each other, since each makes up for the errors before it; those of different outputs
// do not. So a block of threads takes one output and goes through its sums, sharing out the pairs, triples and
// quadruples of a sum among its threads. A sum that four values do not meet ends the block's work: the processor
// searches all subsets and starts the block again behind it.
//
// Compiled with -DTHREADS=t (a power of two, 64..256) and with --fmad=false.

#define MOST 40
#define PAIRS (MOST * (MOST - 1) / 2)
#define WARPS (THREADS / 32)
#define ALL 0xffffffffu

__device__ __forceinline__ double infinite() { return __longlong_as_double(0x7ff0000000000000LL); }

// A subset of up to four values, six bits for each, in the order in which the processor lists them.
struct Choice {
    double key;
    int places;
};

// Return the choice of least key of all threads, the first of those with equal keys; `shared` holds WARPS choices.
__device__ __forceinline__ Choice first_of_block(Choice best, Choice* shared) {
    for (int apart = 16; apart > 0; apart /= 2) {
        Choice other = {__shfl_xor_sync(ALL, best.key, apart), __shfl_xor_sync(ALL, best.places, apart)};
        if (other.key < best.key || (other.key == best.key && other.places < best.places)) best = other;
    }
    if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = best;
    __syncthreads();
    best = shared[0];
    for (int warp = 1; warp < WARPS; warp++) {
        Choice other = shared[warp];
        if (other.key < best.key || (other.key == best.key && other.places < best.places)) best = other;
    }
    __syncthreads();
    return best;
}

__device__ __forceinline__ long long bit(int places) { return 1LL << (places & 63); }

// What a sum asks for: errors of at most `within`, and little of `carried` left.
struct Goal {
    double sum, within, price, carried;
};

// Keep a choice if its error is allowed and leaves less than the best so far.
__device__ __forceinline__ void consider(Choice& best, double error, int places, const Goal& goal) {
    double left_over = fabs(goal.carried + error);
    if (left_over < best.key && fabs(error) <= goal.within) best = {left_over, places};
}

// Return the mask of the subset of up to two values that costs least, -1 where none is within the tolerance.
__device__ long long frugal_subset(
    const double* values, int count, const unsigned short* pairs, const Goal& goal, Choice* shared
) {
    double cost = infinite();
    long long mask = -1;
    if (fabs(goal.sum) <= goal.within) {
        cost = (goal.carried - goal.sum) * (goal.carried - goal.sum);
        mask = 0;
    }
    if (cost > goal.price) {
        Choice best = {infinite(), 0};
        if (threadIdx.x < count) consider(best, values[threadIdx.x] - goal.sum, threadIdx.x, goal);
        best = first_of_block(best, shared);
        if (best.key * best.key + goal.price < cost) {
            cost = best.key * best.key + goal.price;
            mask = bit(best.places);
        }
    }
    if (cost > 2.0 * goal.price) {
        Choice best = {infinite(), 0};
        for (int k = threadIdx.x; k < PAIRS; k += THREADS) {
            int a = pairs[k] >> 6, b = pairs[k] & 63;
            if (b < count) consider(best, values[b] - (goal.sum - values[a]), pairs[k], goal);
        }
        best = first_of_block(best, shared);
        if (best.key * best.key + 2.0 * goal.price < cost) mask = bit(best.places >> 6) | bit(best.places);
    }
    return mask;
}

// Return the mask of the nearest three values, or else four, if they are within the tolerance, -1 if not.
__device__ long long three_or_four(
    const double* values, int count, const unsigned short* pairs, const Goal& goal, Choice* shared
) {
    Choice best = {infinite(), 0};
    for (int k = threadIdx.x; k < PAIRS; k += THREADS) {
        int a = pairs[k] >> 6, b = pairs[k] & 63;
        for (int c = b + 1; c < count; c++) {
            double error = fabs(values[c] - (goal.sum - values[a] - values[b]));
            if (error < best.key) best = {error, pairs[k] << 6 | c};
        }
    }
    best = first_of_block(best, shared);
    if (best.key <= goal.within) return bit(best.places >> 12) | bit(best.places >> 6) | bit(best.places);
    best = {infinite(), 0};
    for (int k = threadIdx.x; k < PAIRS; k += THREADS) {
        int a = pairs[k] >> 6, b = pairs[k] & 63;
        for (int c = b + 1; c < count; c++) {
            double rest = goal.sum - values[a] - values[b] - values[c];
            for (int d = c + 1; d < count; d++) {
                double error = fabs(values[d] - rest);
                if (error < best.key) best = {error, (pairs[k] << 6 | c) << 6 | d};
            }
        }
    }
    best = first_of_block(best, shared);
    if (!(best.key <= goal.within)) return -1;
    return bit(best.places >> 18) | bit(best.places >> 12) | bit(best.places >> 6) | bit(best.places);
}

// Go through the sums of output `blockIdx.x`, from place begin[output] (input i of the part, tap t: i taps + t) on.
//
// Input i has `counts[i]` candidates of value factors[i, k] draws[i, k, g], the sums goals[i, g] of outputs * taps
// weights g, and serves the outputs of groups[i]. Written are masks[i, g], and for every output the error carried and
// the place where it ended: inputs * taps, or that of a sum that four values do not meet.
extern "C" __global__ void __launch_bounds__(THREADS) shaped_subsets(
    const double* __restrict__ factors, const int* __restrict__ draws, const int* __restrict__ counts,
    const int* __restrict__ groups, const double* __restrict__ goals, const double* __restrict__ within,
    const double* __restrict__ price, double* __restrict__ carried, int* __restrict__ begin,
    long long* __restrict__ masks, int inputs, int outputs, int taps
) {
    __shared__ double values[MOST];
    __shared__ Choice shared[WARPS];
    __shared__ unsigned short pairs[PAIRS];
    for (int a = threadIdx.x; a < MOST; a += THREADS) {
        for (int b = a + 1; b < MOST; b++) pairs[a * (2 * MOST - a - 1) / 2 + b - a - 1] = a << 6 | b;
    }
    int group = blockIdx.x / outputs, weights = outputs * taps;
    double sum_of_errors = carried[blockIdx.x];
    int place = begin[blockIdx.x];
    for (; place < inputs * taps; place++) {
        long long i = place / taps;
        if (groups[i] != group) continue;
        int count = counts[i], g = blockIdx.x % outputs * taps + place % taps;
        if (threadIdx.x < count) {
            long long k = i * MOST + threadIdx.x;
            values[threadIdx.x] = factors[k] * draws[k * weights + g];
        }
        __syncthreads();
        Goal goal = {goals[i * weights + g], within[i], price[i], sum_of_errors};
        long long mask = frugal_subset(values, count, pairs, goal, shared);
        if (mask < 0) mask = three_or_four(values, count, pairs, goal, shared);
        if (mask < 0) break;
        double sum = 0.0;
        for (int k = 0; k < count; k++) sum = mask >> k & 1 ? sum + values[k] : sum;
        sum_of_errors += sum - goal.sum;
        if (threadIdx.x == 0) masks[i * weights + g] = mask;
        __syncthreads();
    }
    if (threadIdx.x == 0) {
        carried[blockIdx.x] = sum_of_errors;
        begin[blockIdx.x] = place;
    }
}
