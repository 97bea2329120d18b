// A block of threads as fibres (ucontext), resumed in a random order after every __syncthreads(), so that a missing
// barrier shows; __syncwarp() and votes hold up the threads of a warp.
#ifndef CUDA_HOST_FIBRES_H
#define CUDA_HOST_FIBRES_H
#include <ucontext.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "host.h"

// Sanitizers must be told of every change of stack.
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#else
inline void __sanitizer_start_switch_fiber(void**, const void*, size_t) {}
inline void __sanitizer_finish_switch_fiber(void*, const void**, size_t*) {}
#endif

constexpr size_t STACK = 64 * 1024, WARP = 32;

// What threads must not do ends the program, or where CUDA_HOST_THROWS is defined (in a library) the launch.
[[noreturn]] inline void fail(const std::string& what)
{
#ifdef CUDA_HOST_THROWS
    throw std::runtime_error(what);
#else
    std::fprintf(stderr, "cuda_host: %s\n", what.c_str());
    std::exit(3);
#endif
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
inline thread_local Scheduler scheduler;

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
#endif
