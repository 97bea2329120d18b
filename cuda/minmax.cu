// Minima over windows, on keys (`pad` of rank.cu makes them, with their whole boundary). A pass takes the lowest of
// some elements at fixed offsets; a box is a pass or two along each axis, a footprint is two windows for each chord.
#include "keys.cuh"

// Keys in the order that the lowest is wanted of: the largest value is the lowest of keys turned round, and 1 more
// than the key of a floating-point number is 0 for NaN, which then is the lowest.
template <class K> struct Turn {
    K more, flip;
    __device__ K to(K key) const { return K(K(key + more) ^ flip); }
    __device__ K back(K key) const { return K(K(key ^ flip) - more); }
};

constexpr int ROW_ITEMS = 4;  // of a row that a thread makes: it finds the row's place once

// taps loads an element, nearly all of them from the caches.
template <class T>
__global__ void __launch_bounds__(256)
lowest(const Key<T>* __restrict__ keys, T* __restrict__ out, const Windows* __restrict__ geometry,
       const i64* __restrict__ offsets, int taps, i64 rows, Key<T> more, Key<T> flip)
{
    const Turn<Key<T>> turn{more, flip};
    const Windows& g = *geometry;
    const i64 n = g.size[5], tile = i64(ROW_ITEMS) * blockDim.x, tiles = ceil_div(n, tile);
    for (i64 t = blockIdx.x; t < rows * tiles; t += gridDim.x) {
        i64 row = t;
        const i64 first = take_digit(row, tiles) * tile + threadIdx.x;
        const Key<T>* window = keys;
        i64 rest = row;
#pragma unroll 1
        for (int axis = 4; axis >= 0; --axis) window += take_digit(rest, g.size[axis]) * g.stride[axis];
#pragma unroll 1
        for (int item = 0; item < ROW_ITEMS; ++item) {
            const i64 x = first + i64(item) * blockDim.x;
            if (x >= n) break;
            Key<T> best = turn.to(window[x * g.stride[5] + offsets[0]]);
            for (int k = 1; k < taps; ++k) {
                const Key<T> key = turn.to(window[x * g.stride[5] + offsets[k]]);
                best = key < best ? key : best;
            }
            out[row * n + x] = from_key<T>(turn.back(best));
        }
    }
}
