// Runs CUDA kernels on the CPU, a block at a time: each thread of a block is a fibre (ucontext), resumed in
// a random order after every __syncthreads(), so that a missing barrier shows. Shared memory starts each
// block as NaN, and an access past the launch's dynamic size is an address sanitizer report.
//
// The program reads one request from stdin at a time and writes the buffers asked for to stdout: see
// host.py.
#ifndef CUDA_HOST_H
#define CUDA_HOST_H
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <ucontext.h>

#include <algorithm>
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
using std::exp, std::fabs, std::ilogb, std::rint, std::scalbn;

struct Dim {
    unsigned x = 0, y = 0, z = 0;
};
Dim threadIdx, blockIdx, blockDim, gridDim;

constexpr size_t MAX_SHARED = 48 * 1024, STACK = 64 * 1024;
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
    int barrier = 0;  // the line it waits at, 0 when it runs or has finished
    bool finished = false;
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
    void pause(int line)
    {
        Fibre& fibre = *current;
        fibre.barrier = line;
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
            fibre.finished = false;
            getcontext(&fibre.context);
            fibre.context.uc_stack.ss_sp = fibre.stack.data();
            fibre.context.uc_stack.ss_size = fibre.stack.size();
            fibre.context.uc_link = nullptr;
            makecontext(&fibre.context, &Scheduler::enter, 0);
            order.push_back(&fibre);
        }
        while (!order.empty()) {
            std::shuffle(order.begin(), order.end(), random);
            for (Fibre* fibre : order) resume(*fibre);
            // As on a device, threads that have returned are not waited for; but those that wait must wait
            // together.
            std::erase_if(order, [](Fibre* fibre) { return fibre->finished; });
            for (Fibre* fibre : order)
                if (fibre->barrier != order[0]->barrier)
                    fail("divergent barriers: lines " + std::to_string(fibre->barrier) + " and " +
                         std::to_string(order[0]->barrier));
        }
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

inline int serve(const std::map<std::string, Launcher>& kernels)
{
    for (;;) {
        std::vector<char*> buffers(read<long long>());
        for (char*& buffer : buffers) {
            const long long size = read<long long>(), sparse = read<long long>();
            buffer = static_cast<char*>(sparse ? std::calloc(size, 1) : std::malloc(size));
            if (!buffer) fail("out of memory");
            if (!sparse) std::memset(buffer, 0xCD, size);
            for (long long pieces = read<long long>(); pieces > 0; --pieces) {
                const long long at = read<long long>();
                const auto bytes = read_bytes(read<long long>());
                std::copy(bytes.begin(), bytes.end(), buffer + at);
            }
        }
        for (long long launches = read<long long>(); launches > 0; --launches) launch(kernels, buffers);
        const long long wanted = read<long long>(), size = read<long long>();
        std::fwrite(buffers.at(wanted), 1, size, stdout);
        std::fflush(stdout);
        for (char* buffer : buffers) std::free(buffer);
    }
}
#endif
