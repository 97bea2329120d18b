// Runs CUDA kernels on the CPU, a block at a time: each thread of a block is a fibre (ucontext), resumed in
// a random order after every __syncthreads(), so that a missing barrier shows; __syncwarp() and votes hold
// up the threads of a warp. Shared memory starts each block as NaN, and an access past the
// launch's dynamic size is an address sanitizer report.
//
// The program reads one request from stdin at a time and writes the buffers asked for to stdout: see
// host.py.
#ifndef CUDA_HOST_H
#define CUDA_HOST_H
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#define __global__
#define __device__
#define __shared__
#define __launch_bounds__(...)
using std::exp, std::fabs, std::fma, std::ilogb, std::rint, std::scalbn;

struct Dim {
    unsigned x = 0, y = 0, z = 0;
};
Dim threadIdx, blockIdx, blockDim, gridDim;

constexpr size_t MAX_SHARED = 48 * 1024, STACK = 64 * 1024, WARP = 32;
alignas(16) double shared_memory[MAX_SHARED / sizeof(double)];

[[noreturn]] inline void fail(const std::string& what)
{
    std::fprintf(stderr, "cuda_host: %s\n", what.c_str());
    std::exit(3);
}

struct Fibre {
    ucontext_t context;
    std::vector<char> stack = std::vector<char>(STACK);
    void* asan_stack = nullptr;
    Dim index;
    size_t warp = 0;
    int barrier = 0;  // the line it waits at, 0 when it runs or has finished
    bool of_warp = false;  // whether it waits for its warp alone
    bool ready = true, vote = false, finished = false;
};

struct Scheduler {
    ucontext_t main;
    const void* main_stack = nullptr;
    size_t main_size = 0;
    std::vector<Fibre> fibres;
    std::function<void()> body;
    Fibre* current = nullptr;

    // Sanitizers must be told of every change of stack.
    void resume(Fibre& fibre)
    {
        void* saved = nullptr;
        current = &fibre;
        threadIdx = fibre.index;
        fibre.barrier = 0;
        __sanitizer_start_switch_fiber(&saved, fibre.stack.data(), fibre.stack.size());
        swapcontext(&main, &fibre.context);
        __sanitizer_finish_switch_fiber(saved, nullptr, nullptr);
    }
    void pause(int line, bool of_warp = false)
    {
        Fibre& fibre = *current;
        fibre.barrier = line;
        fibre.of_warp = of_warp;
        fibre.ready = false;
        __sanitizer_start_switch_fiber(&fibre.asan_stack, main_stack, main_size);
        swapcontext(&fibre.context, &main);
        __sanitizer_finish_switch_fiber(fibre.asan_stack, &main_stack, &main_size);
    }
    static void enter();

    void run_block(size_t threads, std::mt19937_64& random)
    {
        if (fibres.size() < threads) fibres.resize(threads);
        std::vector<Fibre*> order;
        for (size_t t = 0; t < threads; ++t) {
            Fibre& fibre = fibres[t];
            fibre.index = {unsigned(t % blockDim.x), unsigned(t / blockDim.x), 0};
            fibre.warp = t / WARP;
            fibre.ready = true, fibre.vote = fibre.of_warp = fibre.finished = false;
            getcontext(&fibre.context);
            fibre.context.uc_stack.ss_sp = fibre.stack.data();
            fibre.context.uc_stack.ss_size = fibre.stack.size();
            fibre.context.uc_link = nullptr;
            makecontext(&fibre.context, &Scheduler::enter, 0);
            order.push_back(&fibre);
        }
        size_t turn = 0;
        while (!order.empty()) {
            // A warp runs on until others get their turn, so that some run far ahead.
            std::shuffle(order.begin(), order.end(), random);
            const auto waits = [&](Fibre* fibre) { return fibre->ready && fibre->warp == turn; };
            if (random() % 4 == 0 || std::ranges::none_of(order, waits))
                turn = (*std::ranges::find_if(order, &Fibre::ready))->warp;
            for (Fibre* fibre : order)
                if (waits(fibre)) resume(*fibre);
            // As on a device, threads that have returned are not waited for; but those that wait must wait
            // together.
            std::erase_if(order, [](Fibre* fibre) { return fibre->finished; });
            release(order, threads / WARP + 1);
        }
    }
    // Who may go on: a warp that waits for itself, and when all wait for all, all.
    static void release(const std::vector<Fibre*>& order, size_t warps)
    {
        const auto meet = [](int& line, const Fibre* fibre) {
            if (line && line != fibre->barrier)
                fail("divergent barriers: lines " + std::to_string(line) + " and " +
                     std::to_string(fibre->barrier));
            line = fibre->barrier;
        };
        std::vector<int> lines(warps + 1);
        bool ready = false;
        for (Fibre* fibre : order) {
            if (!fibre->ready) meet(lines[fibre->warp], fibre);
            fibre->ready = fibre->ready || fibre->of_warp;
            ready = ready || fibre->ready;
        }
        if (ready) return;
        for (Fibre* fibre : order) {
            meet(lines[warps], fibre);
            fibre->ready = true;
        }
    }
    bool any_of_warp() const
    {
        const size_t first = current->warp * WARP, last = std::min(first + WARP, fibres.size());
        for (size_t t = first; t < last; ++t)
            if (fibres[t].vote && !fibres[t].finished) return true;
        return false;
    }
};
inline Scheduler scheduler;

inline void Scheduler::enter()
{
    __sanitizer_finish_switch_fiber(nullptr, &scheduler.main_stack, &scheduler.main_size);
    scheduler.body();
    scheduler.current->finished = true;
    __sanitizer_start_switch_fiber(nullptr, scheduler.main_stack, scheduler.main_size);
    setcontext(&scheduler.main);
}

inline void __syncthreads(int line = __builtin_LINE()) { scheduler.pause(line); }
inline void __syncwarp(unsigned = ~0u, int line = __builtin_LINE()) { scheduler.pause(line, true); }
inline int __any_sync(unsigned, bool vote, int line = __builtin_LINE())
{
    scheduler.current->vote = vote;
    scheduler.pause(line, true);
    const bool any = scheduler.any_of_warp();
    scheduler.pause(line, true);  // before anybody votes again
    return any;
}

template <class T> inline T atomicMax(T* place, T value)
{
    const T before = *place;
    *place = std::max(before, value);
    return before;
}
inline int __float_as_int(float v) { return std::bit_cast<int>(v); }
inline long long __double_as_longlong(double v) { return std::bit_cast<long long>(v); }
inline float __int_as_float(int v) { return std::bit_cast<float>(v); }
inline double __longlong_as_double(long long v) { return std::bit_cast<double>(v); }
template <class T> inline T atomicAdd(T* place, T value)
{
    const T before = *place;
    *place += value;
    return before;
}

// A launch's arguments, each in whole words of 8 bytes.
using Raw = std::vector<std::vector<char>>;
using Launcher = std::function<void(const Raw&)>;

template <class T> T argument(const std::vector<char>& raw)
{
    T value;
    const size_t size = std::is_pointer_v<T> ? 8 : sizeof(T);
    if (raw.size() != size)
        fail("an argument of " + std::to_string(raw.size()) + " bytes, not " + std::to_string(size));
    std::memcpy(&value, raw.data(), sizeof(T));
    return value;
}

template <class... P> Launcher launcher(void (*kernel)(P...))
{
    return [kernel](const Raw& raw) {
        if (raw.size() != sizeof...(P)) fail("a wrong number of arguments");
        const auto call = [&]<size_t... I>(std::index_sequence<I...>) { kernel(argument<P>(raw[I])...); };
        call(std::index_sequence_for<P...>{});
    };
}

template <class T> T read()
{
    T value;
    if (std::fread(&value, sizeof(T), 1, stdin) != 1) std::exit(0);
    return value;
}
inline std::vector<char> read_bytes(size_t size)
{
    std::vector<char> bytes(size);
    if (size && std::fread(bytes.data(), 1, size, stdin) != size) fail("a short request");
    return bytes;
}
inline std::string read_string()
{
    const auto bytes = read_bytes(read<long long>());
    return {bytes.begin(), bytes.end()};
}

inline void launch(const std::map<std::string, Launcher>& kernels, const std::vector<char*>& buffers)
{
    const std::string name = read_string();
    const auto found = kernels.find(name);
    if (found == kernels.end()) fail("no kernel " + name);
    gridDim = {unsigned(read<long long>()), 1, 1};
    blockDim.x = read<long long>(), blockDim.y = read<long long>(), blockDim.z = 1;
    const size_t shared = read<long long>();
    std::mt19937_64 random(read<long long>());
    Raw raw(read<long long>());
    for (auto& value : raw) {
        const long long buffer = read<long long>();  // a buffer and an offset, or -1 and the value's bytes
        const long long size = read<long long>();
        if (buffer < 0) value = read_bytes(size);
        else {
            const char* place = buffers.at(buffer) + size;
            value.assign(reinterpret_cast<const char*>(&place), reinterpret_cast<const char*>(&place + 1));
        }
    }
    if (gridDim.x == 0 || blockDim.x * blockDim.y > 256 || shared > MAX_SHARED)
        fail("a bad launch of " + name);
    scheduler.body = [&] { found->second(raw); };
    char* const memory = reinterpret_cast<char*>(shared_memory);
    ASAN_POISON_MEMORY_REGION(memory + shared, MAX_SHARED - shared);
    for (blockIdx.x = 0; blockIdx.x < gridDim.x; ++blockIdx.x) {
        std::memset(memory, 0xFF, shared);
        scheduler.run_block(size_t(blockDim.x) * blockDim.y, random);
    }
    ASAN_UNPOISON_MEMORY_REGION(memory, MAX_SHARED);
}

// Memory larger than there is: pages come when they are touched. (What malloc gives and takes, the sanitizer touches.)
inline void* map_zeros(size_t size)
{
    void* const place = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return place == MAP_FAILED ? nullptr : place;
}

inline int serve(const std::map<std::string, Launcher>& kernels)
{
    for (;;) {
        std::vector<char*> buffers(read<long long>());
        std::vector<std::pair<char*, size_t>> mapped;
        for (char*& buffer : buffers) {
            const long long size = read<long long>(), sparse = read<long long>();
            buffer = static_cast<char*>(sparse ? map_zeros(size) : std::malloc(size));
            if (!buffer) fail("out of memory");
            if (sparse) mapped.emplace_back(buffer, size);
            else std::memset(buffer, 0xCD, size);
            for (long long pieces = read<long long>(); pieces > 0; --pieces) {
                const long long at = read<long long>();
                const auto bytes = read_bytes(read<long long>());
                std::copy(bytes.begin(), bytes.end(), buffer + at);
            }
        }
        for (long long launches = read<long long>(); launches > 0; --launches) launch(kernels, buffers);
        for (long long wanted = read<long long>(); wanted > 0; --wanted) {
            const long long buffer = read<long long>();
            std::fwrite(buffers.at(buffer), 1, read<long long>(), stdout);
        }
        std::fflush(stdout);
        for (char* buffer : buffers)
            if (std::ranges::none_of(mapped, [&](const auto& one) { return one.first == buffer; })) std::free(buffer);
        for (const auto& [buffer, size] : mapped) munmap(buffer, size);
    }
}
#endif
