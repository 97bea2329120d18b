// CUDA's language on the CPU, for kernels that g++ or clang++ compiles: qualifiers, indices, mathematics, atomics.
//
// Threads run one after another, so that atomics are plain. Kernels whose threads wait for each other need
// fibres.h too. Each thread of the process has indices of its own.
#ifndef CUDA_HOST_LANGUAGE_H
#define CUDA_HOST_LANGUAGE_H
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#define __global__
#define __device__
#define __host__
#define __constant__ static const
#define __shared__ static thread_local
#define __forceinline__ inline
#define __restrict__ __restrict
#define __launch_bounds__(...)
using std::abs, std::exp, std::fabs, std::fma, std::ilogb, std::log, std::max, std::min, std::pow, std::rint, std::scalbn,
    std::sqrt;

struct Dim {
    unsigned x = 0, y = 0, z = 0;
};
inline thread_local Dim threadIdx, blockIdx, blockDim, gridDim;

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
#endif
