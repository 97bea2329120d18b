// Explicit steps of the heat equation. workers/models/heat/cpu.py has the same expressions, with the same bits: no
// multiply-adds are fused (`kernels.options`). Arrays of three are z, y, x; positions are the block's own.
#include "stencil.cuh"

constexpr int THREADS = 256;

enum Kind { CUT, PERIODIC, FIXED, INSULATED };

// Magnitudes as integers: in the same order, NaN above infinity.
__device__ inline i32 magnitude(f32 v) { return __float_as_int(v) & largest<i32>; }
__device__ inline i64 magnitude(f64 v) { return __double_as_longlong(v) & largest<i64>; }
template <class T> using Bits = decltype(magnitude(T()));

// `RANGE` in workers/models/heat/gpu.py: strides in elements, and what a step computes.
struct Range {
    i64 stride[3];
    int first[3], last[3];
};

template <class T> struct Numbers {
    T c[3], source;  // diffusivity dt / h^2, dt source
};

template <class T> __device__ inline T bend(const T* at, i64 step, T e) { return (at[-step] + at[step]) - (e + e); }

// peaks[1] is this step's largest magnitude, peaks[0] that of the step before: beyond the limit later steps do nothing.
template <class T, int DIMENSIONS>
__global__ void __launch_bounds__(THREADS)
heat_step(const T* now, T* next, Bits<T>* peaks, Bits<T> limit, const Range r, const Numbers<T> n)
{
    if (peaks[0] > limit) return;
    const i64 wide = r.last[2] - r.first[2], high = r.last[1] - r.first[1], deep = r.last[0] - r.first[0];
    Bits<T> peak = 0;
    for (i64 i = i64(blockIdx.x) * THREADS + threadIdx.x; i < deep * high * wide; i += i64(gridDim.x) * THREADS) {
        i64 rest = i, at = (r.first[2] + take_digit(rest, wide)) * r.stride[2];
        at += (r.first[1] + take_digit(rest, high)) * r.stride[1];
        at += (r.first[0] + rest) * r.stride[0];
        const T* const here = now + at;
        const T e = *here;
        T change = n.c[2] * bend(here, r.stride[2], e) + n.c[1] * bend(here, r.stride[1], e);
        if (DIMENSIONS == 3) change = change + n.c[0] * bend(here, r.stride[0], e);
        const T value = e + (change + n.source);
        next[at] = value;
        const Bits<T> size = magnitude(value);
        if (size > peak) peak = size;
    }
    // Most are no news, and a look is cheaper than a turn at the one place that all of them share.
    if (peak > *const_cast<const volatile Bits<T>*>(peaks + 1)) atomicMax(peaks + 1, peak);
}

// `ENDS` in workers/models/heat/gpu.py: the lines of cells along an axis, and both their ends.
template <class T> struct Ends {
    i64 along, stride[2];
    int count[2], edge[2], kind[2];
    T given[2];
};

// Fill the ghost cells at both ends of an axis. A thread makes a line of cells.
template <class T>
__global__ void __launch_bounds__(THREADS)
heat_ghosts(T* level, const Bits<T>* peaks, Bits<T> limit, const Ends<T> e)
{
    if (peaks[0] > limit) return;
    const i64 all = i64(e.count[0]) * e.count[1];
    for (i64 i = i64(blockIdx.x) * THREADS + threadIdx.x; i < all; i += i64(gridDim.x) * THREADS) {
        T* const line = level + i / e.count[1] * e.stride[0] + i % e.count[1] * e.stride[1];
        for (int side = 0; side < 2; ++side) {
            const int ghost = side ? e.edge[1] : e.edge[0] - 1;
            const T inside = line[(side ? ghost - 1 : ghost + 1) * e.along];
            if (e.kind[side] == PERIODIC) line[ghost * e.along] = line[(side ? e.edge[0] : e.edge[1] - 1) * e.along];
            if (e.kind[side] == FIXED) line[ghost * e.along] = (e.given[side] + e.given[side]) - inside;
            if (e.kind[side] == INSULATED) line[ghost * e.along] = inside;
        }
    }
}
