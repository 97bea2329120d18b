// Serves requests to run CUDA kernels on the CPU, a block at a time: cuda/fibres.h has a block's threads. Shared memory
// starts each block as NaN, and an access past the launch's dynamic size is an address sanitizer report.
//
// The program reads one request from stdin at a time and writes the buffers asked for to stdout: see host.py.
#include "fibres.h"

#include "cuda_host.h"

#include <sanitizer/asan_interface.h>
#include <sys/mman.h>

alignas(16) double shared_memory[MAX_SHARED / sizeof(double)];

void wait_for_block(int line) { __syncthreads(line); }
void wait_for_warp(int line) { __syncwarp(~0u, line); }
int vote_of_warp(bool vote, int line) { return __any_sync(~0u, vote, line); }

namespace harness {
void fail_size(size_t given, size_t wanted)
{
    fail("an argument of " + std::to_string(given) + " bytes, not " + std::to_string(wanted));
}

namespace {
template <class T> T read()
{
    T value;
    if (std::fread(&value, sizeof(T), 1, stdin) != 1) std::exit(0);
    return value;
}
std::vector<char> read_bytes(size_t size)
{
    std::vector<char> bytes(size);
    if (size && std::fread(bytes.data(), 1, size, stdin) != size) fail("a short request");
    return bytes;
}
std::string read_string()
{
    const auto bytes = read_bytes(read<long long>());
    return {bytes.begin(), bytes.end()};
}

void launch(const std::vector<Kernel>& kernels, const std::vector<char*>& buffers)
{
    const std::string name = read_string();
    const auto found = std::ranges::find(kernels, name, &Kernel::name);
    if (found == kernels.end()) fail("no kernel " + name);
    gridDim = {unsigned(read<long long>()), 1, 1};
    blockDim.x = read<long long>(), blockDim.y = read<long long>(), blockDim.z = 1;
    const size_t shared = read<long long>();
    std::mt19937_64 random(read<long long>());
    std::vector<std::vector<char>> values(read<long long>());
    for (auto& value : values) {
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
    if (values.size() != found->arguments) fail("a wrong number of arguments");
    std::vector<Argument> raw;
    for (const auto& value : values) raw.push_back({value.data(), value.size()});
    scheduler.body = [&] { found->call(raw.data()); };
    char* const memory = reinterpret_cast<char*>(shared_memory);
    ASAN_POISON_MEMORY_REGION(memory + shared, MAX_SHARED - shared);
    for (blockIdx.x = 0; blockIdx.x < gridDim.x; ++blockIdx.x) {
        std::memset(memory, 0xFF, shared);
        scheduler.run_block(size_t(blockDim.x) * blockDim.y, random);
    }
    ASAN_UNPOISON_MEMORY_REGION(memory, MAX_SHARED);
}

// Memory larger than there is: pages come when they are touched. (What malloc gives and takes, the sanitizer touches.)
void* map_zeros(size_t size)
{
    void* const place = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return place == MAP_FAILED ? nullptr : place;
}

}  // namespace

int serve(const std::span<const Kernel>* tables, size_t count)
{
    std::vector<Kernel> kernels;
    for (const auto& table : std::span(tables, count)) kernels.insert(kernels.end(), table.begin(), table.end());
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
}  // namespace harness
