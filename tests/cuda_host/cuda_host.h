// What the kernels of a program see of the harness: cuda/host.h is the language; cuda_host.cpp, which is compiled once for
// all programs, runs the threads of a block and serves requests.
#ifndef CUDA_HOST_H
#define CUDA_HOST_H
#include <span>
#include <utility>

#include "host.h"

constexpr size_t MAX_SHARED = 48 * 1024;
extern double shared_memory[MAX_SHARED / sizeof(double)];

void wait_for_block(int line);
void wait_for_warp(int line);
int vote_of_warp(bool vote, int line);
#ifndef CUDA_HOST_FIBRES_H  // static: fibres.h has functions of these names, which the harness calls
static inline void __syncthreads(int line = __builtin_LINE()) { wait_for_block(line); }
static inline void __syncwarp(unsigned = ~0u, int line = __builtin_LINE()) { wait_for_warp(line); }
static inline int __any_sync(unsigned, bool vote, int line = __builtin_LINE()) { return vote_of_warp(vote, line); }
#endif

namespace harness {
// A launch's argument, in whole words of 8 bytes.
struct Argument {
    const char* bytes;
    size_t size;
};

// A kernel's name, and what calls it with a launch's arguments.
struct Kernel {
    const char* name;
    size_t arguments;
    void (*call)(const Argument*);
};

[[noreturn]] void fail_size(size_t given, size_t wanted);

template <class T> T argument(const Argument& raw)
{
    T value;
    const size_t size = std::is_pointer_v<T> ? 8 : sizeof(T);
    if (raw.size != size) fail_size(raw.size, size);
    std::memcpy(&value, raw.bytes, sizeof(T));
    return value;
}

template <auto KERNEL, class... P, size_t... I>
constexpr Kernel kernel_of(const char* name, void (*)(P...), std::index_sequence<I...>)
{
    return {name, sizeof...(P), [](const Argument* raw) { KERNEL(argument<P>(raw[I])...); }};
}
template <auto KERNEL, class... P> constexpr Kernel kernel(const char* name, void (*shape)(P...))
{
    return kernel_of<KERNEL>(name, shape, std::index_sequence_for<P...>{});
}

// Answers requests to run kernels of some tables, until there is none.
int serve(const std::span<const Kernel>* tables, size_t count);
}  // namespace harness
#endif
