// Serves requests to run CUDA kernels on the CPU, a block at a time: cuda/host.h is the language, cuda/fibres.h a block's
// threads. Shared memory starts each block as NaN, and an access past the launch's dynamic size is an address
// sanitizer report.
//
// The program reads one request from stdin at a time and writes the buffers asked for to stdout: see
// host.py.
#ifndef CUDA_HOST_H
#define CUDA_HOST_H
#include <sanitizer/asan_interface.h>
#include <sys/mman.h>

#include <map>
#include <tuple>

#include "fibres.h"

constexpr size_t MAX_SHARED = 48 * 1024;
alignas(16) double shared_memory[MAX_SHARED / sizeof(double)];

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
