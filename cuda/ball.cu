// The smallest sum of an element and what a ball adds to it, over the elements that the ball covers.
#include "keys.cuh"

// a + b, the largest integer where that is too large.
template <class T> __device__ inline T add_saturated(T a, T b)
{
    if constexpr (is_float<T>) return a + b;
    else return b > T(largest<T> - a) ? largest<T> : T(a + b);
}

// taps loads an element, nearly all of them from the caches. `in` has its whole boundary.
template <class T>
__global__ void __launch_bounds__(256, 4)  // or the compiler spills to stay at fewer registers
lowest_sum(const T* __restrict__ in, T* __restrict__ out, const Windows* __restrict__ windows,
           const i64* __restrict__ offsets, const T* __restrict__ adds, int taps, i64 count)
{
    const i64 stride = i64(gridDim.x) * blockDim.x;
    for (i64 e = i64(blockIdx.x) * blockDim.x + threadIdx.x; e < count; e += stride) {
        const T* const window = in + first_of(*windows, e);
        T best = add_saturated(window[offsets[0]], adds[0]);
        for (int k = 1; k < taps; ++k) {
            const T sum = add_saturated(window[offsets[k]], adds[k]);
            best = sum < best ? sum : best;
        }
        out[e] = best;
    }
}
