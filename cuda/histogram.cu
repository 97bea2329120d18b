// Reports: the extremes of an array, and its histogram.
#include "stencil.cuh"

extern __shared__ double shared_memory[];

template <class T> __global__ void __launch_bounds__(256) zero(T* __restrict__ out, i64 count)
{
    const i64 stride = i64(gridDim.x) * blockDim.x;
    for (i64 e = i64(blockIdx.x) * blockDim.x + threadIdx.x; e < count; e += stride) out[e] = T(0);
}

// out[row] = (smallest, largest) of the row-th of `rows` equal parts; (low, high) are those of nothing, and of
// NaN. sizeof(T) bytes an element. Shared: the extremes that each of the 256 threads has found.
template <class T>
__global__ void __launch_bounds__(256)
extremes(const T* __restrict__ in, T* __restrict__ out, i64 count, i64 rows, T low, T high)
{
    T* least = reinterpret_cast<T*>(shared_memory);
    T* most = least + blockDim.x;
    const int thread = threadIdx.x;
    const i64 part = ceil_div(count, rows);
    for (i64 row = blockIdx.x; row < rows; row += gridDim.x) {
        T small = low, large = high;
        const i64 end = (row + 1) * part < count ? (row + 1) * part : count;
        for (i64 e = row * part + thread; e < end; e += blockDim.x) {
            const T v = in[e];
            small = v < small ? v : small;  // false for NaN
            large = v > large ? v : large;
        }
        __syncthreads();  // the row before this one is done
        least[thread] = small;
        most[thread] = large;
        for (int half = blockDim.x / 2; half > 0; half /= 2) {
            __syncthreads();  // what is compared has been found
            if (thread < half) {
                if (least[thread + half] < least[thread]) least[thread] = least[thread + half];
                if (most[thread + half] > most[thread]) most[thread] = most[thread + half];
            }
        }
        if (thread == 0) {
            out[2 * row] = least[0];
            out[2 * row + 1] = most[0];
        }
    }
}

// Adds to out[bin] the number of elements of a bin. Integers: bin = value - low. Floating-point numbers: bins
// have `edges` and are `scale` to a unit. sizeof(T) bytes and an atomic addition an element: in shared memory,
// where each block of threads has counts of its own (PRIVATE), or else in the second-level cache.
template <class T, bool PRIVATE>
__global__ void __launch_bounds__(256)
count_values(const T* __restrict__ in, u64* __restrict__ out, i64 count, i64 bins, T low, f64 scale,
             const T* __restrict__ edges)
{
    u32* own = reinterpret_cast<u32*>(shared_memory);
    if constexpr (PRIVATE) {
        for (i64 b = threadIdx.x; b < bins; b += blockDim.x) own[b] = 0;
        __syncthreads();  // every count is zero
    }
    const i64 stride = i64(gridDim.x) * blockDim.x;
    for (i64 e = i64(blockIdx.x) * blockDim.x + threadIdx.x; e < count; e += stride) {
        const T v = in[e];
        i64 bin;
        if constexpr (is_float<T>) {
            if (v != v) continue;
            bin = i64((f64(v) - f64(edges[0])) * scale);
            bin = bin < 0 ? 0 : bin > bins - 1 ? bins - 1 : bin;
            while (bin > 0 && v < edges[bin]) --bin;
            while (bin < bins - 1 && v >= edges[bin + 1]) ++bin;
        } else bin = i64(u64(v) - u64(low));
        if constexpr (PRIVATE) atomicAdd(&own[bin], u32(1));
        else atomicAdd(&out[bin], u64(1));
    }
    if constexpr (PRIVATE) {
        __syncthreads();  // all is counted
        for (i64 b = threadIdx.x; b < bins; b += blockDim.x)
            if (own[b] != 0) atomicAdd(&out[b], u64(own[b]));
    }
}
