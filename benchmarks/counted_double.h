// A double that counts what is done with it: additions, comparisons, and accesses to shared memory as banks see them.
//
// An access is known by the place in the program and by how often the thread has been there since the last barrier;
// the threads of a half warp that meet there are one request. Shared memory has 32 banks of 4 bytes: a request for 16
// doubles takes as many cycles as the most different doubles that fall on one pair of banks. Include this after
// cuda_block.h and before a kernel; set block::at_barrier to counts::settle.
#include <map>
#include <set>

namespace counts {
static long long additions, comparisons, requests, cycles, lanes;
struct Access { void* site; int times, half; };
inline bool operator<(const Access& a, const Access& b) {
    return std::tie(a.site, a.times, a.half) < std::tie(b.site, b.times, b.half);
}
static std::map<Access, std::map<int, std::set<size_t>>> pending;
static std::map<std::pair<void*, int>, int> visits;

inline void settle() {
    for (auto& [access, banks] : pending) {
        size_t most = 0;
        for (auto& [bank, words] : banks) most = std::max(most, words.size());
        requests++;
        cycles += most;
    }
    pending.clear();
    visits.clear();
}

__attribute__((noinline)) void touch(const void* place) {
    const char* byte = static_cast<const char*>(place);
    if (byte < __start_shared_memory || byte >= __stop_shared_memory) return;
    void* site = __builtin_return_address(0);
    int times = visits[{site, threadIdx.x}]++;
    size_t word = (byte - __start_shared_memory) / 8;
    pending[{site, times, threadIdx.x / 16}][word % 16].insert(word);
    lanes++;
}
}  // namespace counts

#define ALWAYS inline __attribute__((always_inline))

struct Counted {
    double value;
    Counted() = default;
    ALWAYS Counted(double given) : value(given) {}
    ALWAYS Counted(const Counted& other) : value(other.value) { counts::touch(&other); }
    ALWAYS Counted& operator=(const Counted& other) {
        counts::touch(&other);
        counts::touch(this);
        value = other.value;
        return *this;
    }
    ALWAYS Counted& operator+=(const Counted& other);
    ALWAYS Counted& operator-=(const Counted& other);
    ALWAYS Counted operator-() const { return -value; }
};

#define COUNTED(symbol, counter, type) \
    ALWAYS type operator symbol(const Counted& a, const Counted& b) { \
        counts::touch(&a); \
        counts::touch(&b); \
        counts::counter++; \
        return a.value symbol b.value; \
    }
COUNTED(+, additions, Counted)
COUNTED(-, additions, Counted)
COUNTED(*, additions, Counted)
COUNTED(<, comparisons, bool)
COUNTED(>, comparisons, bool)
COUNTED(<=, comparisons, bool)
COUNTED(==, comparisons, bool)
COUNTED(!=, comparisons, bool)
ALWAYS Counted& Counted::operator+=(const Counted& other) { return *this = *this + other; }
ALWAYS Counted& Counted::operator-=(const Counted& other) { return *this = *this - other; }
ALWAYS Counted fabs(const Counted& a) { return std::fabs(a.value); }
ALWAYS Counted fmax(const Counted& a, const Counted& b) { return std::fmax(a.value, b.value); }
ALWAYS Counted fmin(const Counted& a, const Counted& b) { return std::fmin(a.value, b.value); }

#define double Counted
