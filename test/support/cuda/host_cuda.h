// SPDX-License-Identifier: Apache-2.0
// As much of CUDA as our kernels use, for a plain C++17 compiler, so that the very source that the GPU gets is tested
// on a machine without one. A launch goes block by block; within a block each CUDA thread runs until it waits for
// others, then the next one gets its turn (ucontext), so a run is deterministic and a barrier that not all reach is an
// error instead of a hang. Threads that never wait cost no more than a loop. The turns go forwards or backwards: what
// a kernel gives must not depend on it.
#pragma once

#include <ucontext.h>

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

struct uint3 { unsigned x, y, z; };
struct dim3 {
    unsigned x, y, z;
    dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

static uint3 threadIdx, blockIdx;
static dim3 blockDim, gridDim;
static const int warpSize = 32;

namespace host {

enum State { READY, AT_BARRIER, AT_WARP, DONE };

struct Thread {
    State state;
    unsigned mask;      // lanes that a warp operation waits for
    unsigned parity;    // of the number of warp operations so far: which of the two slots is the last one's
    uint64_t slots[2];  // what this lane gave
};

struct Worker {
    ucontext_t context;
    std::unique_ptr<char[]> stack;
    int thread = -1;  // -1: idle
};

static const size_t STACK_BYTES = 128 * 1024;
static std::vector<std::unique_ptr<Worker>> workers;
static std::vector<Thread> threads;
static ucontext_t scheduler;
static Worker *current;
static int thread_count, next_thread;
static bool backwards;
static void (*call)(void **);
static void **call_arguments;

static inline void take_place(int thread) {
    current->thread = thread;
    threadIdx.x = thread % blockDim.x;
    threadIdx.y = thread / blockDim.x % blockDim.y;
    threadIdx.z = thread / blockDim.x / blockDim.y;
}

static void work() {
    while (true) {
        while (next_thread < thread_count) {
            int turn = next_thread++;
            take_place(backwards ? thread_count - 1 - turn : turn);
            call(call_arguments);
            threads[current->thread].state = DONE;
        }
        current->thread = -1;
        Worker *self = current;
        swapcontext(&self->context, &scheduler);
    }
}

static inline void resume(Worker *worker) {
    current = worker;
    if (worker->thread >= 0) take_place(worker->thread);
    swapcontext(&scheduler, &worker->context);
}

static inline void wait(State state) {
    Worker *self = current;
    threads[self->thread].state = state;
    swapcontext(&self->context, &scheduler);
}

static Worker *idle_worker() {
    for (auto &worker : workers)
        if (worker->thread < 0) return worker.get();
    workers.push_back(std::make_unique<Worker>());
    Worker *worker = workers.back().get();
    worker->stack.reset(new char[STACK_BYTES]);
    getcontext(&worker->context);
    worker->context.uc_stack.ss_sp = worker->stack.get();
    worker->context.uc_stack.ss_size = STACK_BYTES;
    worker->context.uc_link = nullptr;
    makecontext(&worker->context, work, 0);
    return worker;
}

// Lets those go on who wait for nobody any more; threads that have ended are not waited for, as on sm_70 and later.
static bool release() {
    bool released = false, all_at_barrier = true;
    for (int first = 0; first < thread_count; first += 32) {
        int end = first + 32 < thread_count ? first + 32 : thread_count;
        for (int i = first; i < end; ++i) {
            if (threads[i].state != DONE && threads[i].state != AT_BARRIER) all_at_barrier = false;
            if (threads[i].state != AT_WARP) continue;
            bool complete = true;
            for (int j = first; j < end; ++j)
                if (threads[i].mask >> (j - first) & 1 && threads[j].state != DONE)
                    complete &= threads[j].state == AT_WARP && threads[j].mask == threads[i].mask;
            if (!complete) continue;
            unsigned mask = threads[i].mask;
            for (int j = first; j < end; ++j)
                if (mask >> (j - first) & 1 && threads[j].state == AT_WARP) threads[j].state = READY;
            released = true;
        }
    }
    if (!released && all_at_barrier)
        for (auto &thread : threads)
            if (thread.state == AT_BARRIER) thread.state = READY, released = true;
    return released;
}

static bool run_block() {
    thread_count = blockDim.x * blockDim.y * blockDim.z;
    next_thread = 0;
    threads.assign(thread_count, Thread{READY, 0, 0, {0, 0}});
    while (next_thread < thread_count) resume(idle_worker());
    while (true) {
        bool busy = false;
        for (auto &worker : workers) busy |= worker->thread >= 0;
        if (!busy) return true;
        if (!release()) return false;
        for (size_t turn = 0; turn < workers.size(); ++turn) {
            Worker *worker = workers[backwards ? workers.size() - 1 - turn : turn].get();
            if (worker->thread >= 0 && threads[worker->thread].state == READY) resume(worker);
        }
    }
}

static inline int lane() { return current->thread & 31; }

// Gives a value to the warp and waits for the other lanes of the mask; each then reads what it wants.
static inline void exchange(unsigned mask, uint64_t value) {
    Thread &self = threads[current->thread];
    self.mask = mask;
    self.parity ^= 1;
    self.slots[self.parity] = value;
    wait(AT_WARP);
}

static inline uint64_t slot_of(int other_lane) {
    const Thread &self = threads[current->thread];
    int other = (current->thread & ~31) + (other_lane & 31);
    return other < thread_count ? threads[other].slots[self.parity] : 0;
}

static inline unsigned gather(unsigned mask, bool vote) {
    exchange(mask, vote);
    unsigned votes = 0;
    int first = current->thread & ~31;
    for (int i = 0; i < 32 && first + i < thread_count; ++i)
        if (mask >> i & 1 && threads[first + i].state != DONE && slot_of(i)) votes |= 1u << i;
    return votes;
}

template <class T> uint64_t to_bits(T value) {
    static_assert(sizeof(T) <= 8, "at most eight bytes travel between lanes");
    uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof(T));
    return bits;
}

template <class T> T from_bits(uint64_t bits) {
    T value;
    std::memcpy(&value, &bits, sizeof(T));
    return value;
}

template <class T> T shuffle(unsigned mask, T value, int from) {
    exchange(mask, to_bits(value));
    return from < 0 ? value : from_bits<T>(slot_of(from));
}

static int block_votes;

static inline void poison_shared();

// Runs one kernel; 0, or 1 when threads wait for ones that never come.
static int launch(void (*caller)(void **), void **arguments, const unsigned *grid, const unsigned *block,
                  int reversed) {
    static std::mutex one_at_a_time;
    std::lock_guard<std::mutex> lock(one_at_a_time);
    gridDim = dim3(grid[0], grid[1], grid[2]);
    blockDim = dim3(block[0], block[1], block[2]);
    backwards = reversed;
    call = caller;
    call_arguments = arguments;
    unsigned count = grid[0] * grid[1] * grid[2];
    for (unsigned turn = 0; turn < count; ++turn) {
        unsigned index = backwards ? count - 1 - turn : turn;
        blockIdx = uint3{index % grid[0], index / grid[0] % grid[1], index / grid[0] / grid[1]};
        poison_shared();
        if (!run_block()) {
            for (auto &worker : workers) worker.release();  // their stacks are in use for ever
            workers.clear();
            return 1;
        }
    }
    return 0;
}

template <class... Arguments, size_t... I>
void apply(void (*kernel)(Arguments...), void **arguments, std::index_sequence<I...>) {
    kernel(*static_cast<std::remove_cv_t<Arguments> *>(arguments[I])...);
}

template <class... Arguments> void invoke(void (*kernel)(Arguments...), void **arguments) {
    apply(kernel, arguments, std::index_sequence_for<Arguments...>{});
}

// Two bytes a parameter for Python to check against: 'p' pointer, 'f' floating, 'i' integer, 's' struct; and bytes.
template <class T> void describe_one(char *&out) {
    *out++ = std::is_pointer<T>::value ? 'p' : std::is_floating_point<T>::value ? 'f' : std::is_integral<T>::value ? 'i' : 's';
    *out++ = static_cast<char>(sizeof(T));
}

template <class... Arguments> int describe(void (*)(Arguments...), char *out) {
    int unused[] = {0, (describe_one<Arguments>(out), 0)...};
    (void)unused;
    return sizeof...(Arguments);
}

}  // namespace host

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __constant__ static
#define __launch_bounds__(...)
// Its own section, so that each block finds shared memory full of rubbish, as on the GPU. A section can't hold the
// statics of templates: declare shared memory in the kernel and hand it on.
#define __shared__ static __attribute__((section("host_shared")))

extern char __start_host_shared[] __attribute__((weak, visibility("hidden")));
extern char __stop_host_shared[] __attribute__((weak, visibility("hidden")));

static inline void host::poison_shared() {
    if (__start_host_shared) std::memset(__start_host_shared, 0xA5, __stop_host_shared - __start_host_shared);
}

#define HOST_KERNEL(name)                                                                                       \
    static void host_call_##name(void **arguments) { host::invoke(name, arguments); }                           \
    extern "C" int host_run_##name(void **arguments, const unsigned *grid, const unsigned *block, int reversed) { \
        return host::launch(host_call_##name, arguments, grid, block, reversed);                           \
    }                                                                                                           \
    extern "C" int host_describe_##name(char *out) { return host::describe(name, out); }

static inline void __syncthreads() { host::wait(host::AT_BARRIER); }
static inline int __syncthreads_count(int vote) {
    if (vote) ++host::block_votes;
    __syncthreads();
    int count = host::block_votes;
    __syncthreads();
    host::block_votes = 0;
    __syncthreads();
    return count;
}
static inline int __syncthreads_or(int vote) { return __syncthreads_count(vote) != 0; }
static inline void __syncwarp(unsigned mask = 0xffffffffu) { host::exchange(mask, 0); }
static inline void __threadfence() {}
static inline void __threadfence_block() {}

static inline unsigned __ballot_sync(unsigned mask, int vote) { return host::gather(mask, vote); }
static inline int __any_sync(unsigned mask, int vote) { return host::gather(mask, vote) != 0; }
static inline int __all_sync(unsigned mask, int vote) { return host::gather(mask, !vote) == 0; }
template <class T> T __shfl_sync(unsigned mask, T value, int from) { return host::shuffle(mask, value, from & 31); }
template <class T> T __shfl_down_sync(unsigned mask, T value, unsigned by) {
    int from = host::lane() + static_cast<int>(by);
    return host::shuffle(mask, value, from < 32 ? from : -1);
}
template <class T> T __shfl_up_sync(unsigned mask, T value, unsigned by) {
    return host::shuffle(mask, value, host::lane() - static_cast<int>(by));
}
template <class T> T __shfl_xor_sync(unsigned mask, T value, int with) {
    return host::shuffle(mask, value, host::lane() ^ with);
}

// One thread runs at a time, so these are atomic already. They give the old value.
template <class T, class V> T atomicAdd(T *at, V value) { T old = *at; *at = old + static_cast<T>(value); return old; }
template <class T, class V> T atomicMax(T *at, V value) { T old = *at; if (static_cast<T>(value) > old) *at = value; return old; }
template <class T, class V> T atomicMin(T *at, V value) { T old = *at; if (static_cast<T>(value) < old) *at = value; return old; }
template <class T, class V> T atomicOr(T *at, V value) { T old = *at; *at = old | static_cast<T>(value); return old; }
template <class T, class V> T atomicAnd(T *at, V value) { T old = *at; *at = old & static_cast<T>(value); return old; }
template <class T, class V> T atomicExch(T *at, V value) { T old = *at; *at = static_cast<T>(value); return old; }
template <class T, class V, class W> T atomicCAS(T *at, V expected, W value) {
    T old = *at;
    if (old == static_cast<T>(expected)) *at = static_cast<T>(value);
    return old;
}

static inline int __popc(unsigned bits) { return __builtin_popcount(bits); }
static inline int __popcll(unsigned long long bits) { return __builtin_popcountll(bits); }
static inline int __ffs(int bits) { return __builtin_ffs(bits); }
static inline int __ffsll(long long bits) { return __builtin_ffsll(bits); }
static inline int __clz(int bits) { return bits ? __builtin_clz(bits) : 32; }
static inline int __clzll(long long bits) { return bits ? __builtin_clzll(bits) : 64; }
static inline unsigned __float_as_uint(float value) { return host::from_bits<unsigned>(host::to_bits(value)); }
static inline int __float_as_int(float value) { return host::from_bits<int>(host::to_bits(value)); }
static inline float __uint_as_float(unsigned bits) { return host::from_bits<float>(bits); }
static inline float __int_as_float(int bits) { return host::from_bits<float>(static_cast<unsigned>(bits)); }
static inline float __fadd_rn(float a, float b) { return a + b; }
static inline float __fsub_rn(float a, float b) { return a - b; }
static inline float __fmul_rn(float a, float b) { return a * b; }
static inline float __fdiv_rn(float a, float b) { return a / b; }
static inline int __float2int_rn(float value) { return static_cast<int>(std::nearbyintf(value)); }
static inline int __float2int_rd(float value) { return static_cast<int>(std::floor(value)); }
static inline float __int2float_rn(int value) { return static_cast<float>(value); }
static inline double __dadd_rn(double a, double b) { return a + b; }
static inline double __dmul_rn(double a, double b) { return a * b; }
template <class T> T __ldg(const T *at) { return *at; }

template <class T> T min(T a, T b) { return b < a ? b : a; }
template <class T> T max(T a, T b) { return a < b ? b : a; }
using std::isfinite;
using std::isinf;
using std::isnan;

struct alignas(4) uchar4 { unsigned char x, y, z, w; };
struct uchar3 { unsigned char x, y, z; };
struct alignas(8) int2 { int x, y; };
struct alignas(8) uint2 { unsigned x, y; };
struct alignas(8) float2 { float x, y; };
struct float3 { float x, y, z; };
struct alignas(16) int4 { int x, y, z, w; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
struct alignas(16) float4 { float x, y, z, w; };
static inline float2 make_float2(float x, float y) { return {x, y}; }
static inline float3 make_float3(float x, float y, float z) { return {x, y, z}; }
static inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
static inline int2 make_int2(int x, int y) { return {x, y}; }
static inline uchar4 make_uchar4(unsigned char x, unsigned char y, unsigned char z, unsigned char w) { return {x, y, z, w}; }
