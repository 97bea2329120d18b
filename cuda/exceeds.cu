// Whether elements are greater than a threshold of their own, less an offset.
#include "stencil.cuh"

struct level {
    template <class T> static __device__ T of(T threshold, T, T, T) { return threshold; }
};

template <class T> __device__ inline T deviation(T mean, T squares)
{
    const T variance = squares - mean * mean;
    return sqrt(variance > T(0) ? variance : T(0));
}

struct niblack {
    template <class T> static __device__ T of(T mean, T squares, T k, T) { return mean - k * deviation(mean, squares); }
};

struct sauvola {
    template <class T> static __device__ T of(T mean, T squares, T k, T r)
    {
        return mean * (T(1) + k * (deviation(mean, squares) / r - T(1)));
    }
};

// 2 or 3 sizeof(T) bytes read an element, and 1 written.
template <class T, class Formula>
__global__ void __launch_bounds__(256, 4)  // or the compiler spills to stay at fewer registers
exceeds(const T* __restrict__ in, const T* __restrict__ means, const T* __restrict__ squares, bool* __restrict__ out,
        i64 count, T offset, T k, T r)
{
    const i64 stride = i64(gridDim.x) * blockDim.x;
    for (i64 e = i64(blockIdx.x) * blockDim.x + threadIdx.x; e < count; e += stride)
        out[e] = in[e] > Formula::template of<T>(means[e], squares[e], k, r) - offset;
}
