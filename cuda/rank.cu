// Rank filters, on keys: unsigned integers in the order of the values (NaN the last), in a copy of the data
// with their whole boundary. All values of a window are then at fixed offsets from its first.
#include "keys.cuh"

// Six axes, the leading ones of length 1 where there are fewer. table[axis] is where the axis begins in
// `tables`: entry p is the input's index at padded coordinate p, -1 is cval.
struct Padding {
    i64 size[6], in_stride[6], table[6];
};

// sizeof(T) bytes read and written an element, and six divisions.
template <class T>
__global__ void __launch_bounds__(256)
pad(const T* __restrict__ in, Key<T>* __restrict__ keys, const Padding* __restrict__ geometry,
    const int* __restrict__ tables, i64 count, T cval)
{
    const Padding& g = *geometry;
    const i64 stride = i64(gridDim.x) * blockDim.x;
    for (i64 e = i64(blockIdx.x) * blockDim.x + threadIdx.x; e < count; e += stride) {
        i64 rest = e, at = 0;
        bool inside = true;
        for (int axis = 5; axis >= 0; --axis) {
            const i64 source = tables[g.table[axis] + take_digit(rest, g.size[axis])];
            inside = inside && source >= 0;
            at += source * g.in_stride[axis];
        }
        keys[e] = to_key(inside ? in[at] : cval);
    }
}

template <class K> __device__ inline void put_in_order(K& a, K& b)
{
    const K low = a < b ? a : b;
    b = a < b ? b : a;
    a = low;
}

// The median of what is left of COUNT values, SIZE of them in v: the smallest and the largest of more than
// half of the values are not it, so both are forgotten, and another is taken.
template <int SIZE, int COUNT, class K>
__device__ inline K forget(K (&v)[COUNT / 2 + 2], const K* window, const int* offsets, int next)
{
#pragma unroll
    for (int i = 1; i < SIZE; ++i) put_in_order(v[0], v[i]);
#pragma unroll
    for (int i = 1; i < SIZE - 1; ++i) put_in_order(v[i], v[SIZE - 1]);
    if constexpr (SIZE == 3) return v[1];
    else {
        v[0] = window[offsets[next]];
        return forget<SIZE - 1, COUNT>(v, window, offsets, next + 1);
    }
}

// The median of COUNT (odd) values, in registers: COUNT loads, nearly all of them from the caches, and about
// 3 (COUNT / 2 + 2)^2 / 2 minima and maxima an element.
template <class T, int COUNT>
__global__ void __launch_bounds__(256)
median_of(const Key<T>* __restrict__ keys, T* __restrict__ out, const Windows* __restrict__ geometry,
          const int* __restrict__ offsets, i64 count)
{
    constexpr int SIZE = COUNT / 2 + 2;
    const i64 stride = i64(gridDim.x) * blockDim.x;
    for (i64 e = i64(blockIdx.x) * blockDim.x + threadIdx.x; e < count; e += stride) {
        const Key<T>* window = keys + first_of(*geometry, e);
        Key<T> v[SIZE];
#pragma unroll
        for (int i = 0; i < SIZE; ++i) v[i] = window[offsets[i]];
        out[e] = from_key<T>(forget<SIZE, COUNT>(v, window, offsets, SIZE));
    }
}

// Any rank of any window: the number of values not above a middle says on which side the answer is.
// (1 + bits of the window's range) loads and comparisons a value and element.
template <class T>
__global__ void __launch_bounds__(256)
rank_of(const Key<T>* __restrict__ keys, T* __restrict__ out, const Windows* __restrict__ geometry,
        const int* __restrict__ offsets, i64 count, int taps, int rank)
{
    const i64 stride = i64(gridDim.x) * blockDim.x;
    for (i64 e = i64(blockIdx.x) * blockDim.x + threadIdx.x; e < count; e += stride) {
        const Key<T>* window = keys + first_of(*geometry, e);
        Key<T> low = window[offsets[0]], high = low;
        for (int k = 1; k < taps; ++k) {
            const Key<T> v = window[offsets[k]];
            low = v < low ? v : low;
            high = v > high ? v : high;
        }
        while (low < high) {
            const Key<T> middle = Key<T>(low + Key<T>(high - low) / 2);
            int found = 0;
            for (int k = 0; k < taps; ++k) found += window[offsets[k]] <= middle;
            if (found > rank) high = middle;
            else low = Key<T>(middle + 1);
        }
        out[e] = from_key<T>(low);
    }
}

// As rank_of, among the values of a window that are not `missing`; ranks: by the number of these.
template <class T>
__global__ void __launch_bounds__(256)
rank_of_valid(const Key<T>* __restrict__ keys, T* __restrict__ out, const Windows* __restrict__ geometry,
              const int* __restrict__ offsets, i64 count, int taps, const int* __restrict__ ranks, T missing)
{
    const Key<T> nodata = to_key(missing);
    const i64 stride = i64(gridDim.x) * blockDim.x;
    for (i64 e = i64(blockIdx.x) * blockDim.x + threadIdx.x; e < count; e += stride) {
        const Key<T>* window = keys + first_of(*geometry, e);
        Key<T> low = Key<T>(~Key<T>(0)), high = 0;
        int valid = 0;
        for (int k = 0; k < taps; ++k) {
            const Key<T> v = window[offsets[k]];
            if (v == nodata) continue;
            low = v < low ? v : low;
            high = v > high ? v : high;
            ++valid;
        }
        if (valid == 0) low = high = nodata;
        const int rank = ranks[valid];
        while (low < high) {
            const Key<T> middle = Key<T>(low + Key<T>(high - low) / 2);
            int found = 0;
            for (int k = 0; k < taps; ++k) {
                const Key<T> v = window[offsets[k]];
                found += v != nodata && v <= middle;
            }
            if (found > rank) high = middle;
            else low = Key<T>(middle + 1);
        }
        out[e] = from_key<T>(low);
    }
}
