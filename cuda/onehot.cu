// Labels as classes: out[before, class, after] = 1 where in[before, after] is the class, else 0;
// labels above `most` are of no class.
#include "stencil.cuh"

// One byte written an element; labels come from the caches where they are read again.
template <class T>
__global__ void __launch_bounds__(256)
one_hot(const T* __restrict__ in, u8* __restrict__ out, i64 count, i64 classes, i64 after, i64 first,
        i64 most)
{
    const i64 stride = i64(gridDim.x) * blockDim.x;
    for (i64 e = i64(blockIdx.x) * blockDim.x + threadIdx.x; e < count; e += stride) {
        i64 rest = e;
        const i64 j = take_digit(rest, after), k = take_digit(rest, classes);
        out[e] = first + k <= most && u64(in[rest * after + j]) == u64(first + k);
    }
}
