// Rank filters, on keys: unsigned integers in the order of the values (NaN the last), in a copy of the data
// with their whole boundary. All values of a window are then at fixed offsets from its first.
#include "keys.cuh"
#include "networks.cuh"

extern __shared__ double shared_memory[];

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

// The bits of the value of a key. kind: 0 unsigned, 1 signed, 2 floating-point numbers
template <class K> __device__ inline K value_of(K key, int kind)
{
    constexpr K top = K(K(1) << (8 * sizeof(K) - 1));
    if (kind == 2) return key & top ? K(key ^ top) : K(~key);
    return kind == 1 ? K(key ^ top) : key;
}

// The median of boxes of A along z, B along y and C along x, by a network: a thread sorts and merges the B x A values
// of a column, which the C threads whose windows hold it read from shared memory. For 5 x 5 x 5: 846 minima and maxima,
// 6 loads, 25 stores and 125 loads of shared memory an element.
template <class K, int A, int B, int C>
__global__ void __launch_bounds__(128)
box_median(const K* __restrict__ keys, K* __restrict__ out, const Windows* __restrict__ geometry, int kind)
{
    constexpr int THREADS = 128, ROWS = 16;  // a tile's columns with its halo, and its rows
    K* lists = reinterpret_cast<K*>(shared_memory);
    const Windows& g = *geometry;
    const i64 nx = g.size[5], ny = g.size[4], wide = THREADS - C + 1;
    const i64 tiles_x = ceil_div(nx, wide), tiles_y = ceil_div(ny, ROWS);
    const i64 tiles = g.size[0] * g.size[1] * g.size[2] * g.size[3] * tiles_y * tiles_x;
    const int t = threadIdx.x;
    for (i64 tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
        i64 volume = tile;
        const i64 x = take_digit(volume, tiles_x) * wide + t, y0 = take_digit(volume, tiles_y) * ROWS;
        const i64 first = (volume * ny + y0) * nx;
        const K* column = keys + first_of(g, first) + x;
        const int rows = smaller(ROWS, int(ny - y0));
        K held[B][A] = {};
        for (int y = 0; y < rows + B - 1; ++y) {
#pragma unroll
            for (int b = 0; b < B - 1; ++b)
#pragma unroll
                for (int a = 0; a < A; ++a) held[b][a] = held[b + 1][a];
            if (x < nx + C - 1)
                Network<A, B, C>::template sort<K>(
                    [&](int z, int) { return column[z * g.stride[3] + y * g.stride[4]]; },
                    [&](int a, K key) { held[B - 1][a] = key; });
            if (y < B - 1) continue;
            __syncthreads();  // the lists of the row before have been read
            Network<A, B, C>::template merge<K>([&](int b, int a) { return held[b][a]; },
                                                [&](int i, K key) { lists[i * THREADS + t] = key; });
            __syncthreads();  // all lists of this row are there
            if (t < wide && x < nx)
                Network<A, B, C>::template select<K>(
                    [&](int c, int i) { return lists[i * THREADS + t + c]; },
                    [&](int, K key) { out[first + (y - B + 1) * nx + x] = value_of(key, kind); });
        }
    }
}

// The digit in whose bin the rank is, and the number of elements below that bin: 256 bins, 16 coarse ones over them.
__device__ inline void find_digit(const int* fine, const int* coarse, int rank, int* found)
{
    int bin = 0, below = 0;
    while (below + coarse[bin] <= rank) below += coarse[bin++];
    bin *= 16;
    while (below + fine[bin] <= rank) below += fine[bin++];
    found[0] = bin;
    found[1] = rank - below;
}

// Any rank of large boxes, whose rows are `width` elements along x: a block counts a window's first digits (of 8 bits)
// in bins that slide along x, 2 taps / width counts an element; then, digit by digit, those of the elements that have the
// digits found before, taps loads each. Shared: bins that slide, bins for later digits, the digit found.
template <class K>
__global__ void __launch_bounds__(128)
rank_counted(const K* __restrict__ keys, K* __restrict__ out, const Windows* __restrict__ geometry,
             const int* __restrict__ offsets, i64 runs, int taps, int width, int rank, int kind)
{
    constexpr int THREADS = 128, RUN = 64;  // of a block, and the neighbouring elements that it finds in turn
    constexpr int BINS = 256 + 16, TOP = 8 * sizeof(K) - 8;
    int* kept = reinterpret_cast<int*>(shared_memory);
    int* later = kept + BINS;
    int* found = later + BINS;
    const int t = threadIdx.x;
    const i64 nx = geometry->size[5], pieces = ceil_div(nx, RUN);
    const auto count = [](int* bins, int digit, int by) {
        atomicAdd(bins + digit, by);
        atomicAdd(bins + 256 + digit / 16, by);
    };
    for (i64 run = blockIdx.x; run < runs; run += gridDim.x) {
        i64 row = run;
        const i64 x0 = take_digit(row, pieces) * RUN, first = row * nx + x0;
        const K* begin = keys + first_of(*geometry, first);
        __syncthreads();  // the run before this one is done
        for (int i = t; i < BINS; i += THREADS) kept[i] = 0;
        __syncthreads();  // every bin is empty
        for (int i = t; i < taps; i += THREADS) count(kept, int(begin[offsets[i]] >> TOP), 1);
        for (int x = 0; x < smaller(RUN, int(nx - x0)); ++x) {
            const K* window = begin + x;
            for (int i = t; x > 0 && i < taps / width; i += THREADS) {
                count(kept, int(window[offsets[i * width] - 1] >> TOP), -1);
                count(kept, int(window[offsets[i * width + width - 1]] >> TOP), 1);
            }
            __syncthreads();  // the window has been counted
            if (t == 0) find_digit(kept, kept + 256, rank, found);
            __syncthreads();  // its first digit is known
            K digits = K(found[0]);
            for (int shift = TOP - 8; shift >= 0; shift -= 8) {
                for (int i = t; i < BINS; i += THREADS) later[i] = 0;
                const int left = found[1];
                __syncthreads();  // every bin is empty
                for (int i = t; i < taps; i += THREADS) {
                    const K key = window[offsets[i]];
                    if (K(key >> shift >> 8) == digits) count(later, int(key >> shift & 255), 1);
                }
                __syncthreads();  // the elements with these digits have been counted
                if (t == 0) find_digit(later, later + 256, left, found);
                __syncthreads();  // the next digit is known
                digits = K(digits << 8 | K(found[0]));
            }
            if (t == 0) out[first + x] = value_of(digits, kind);
        }
    }
}

// Any rank of any window: the number of values not above a middle says on which side the answer is.
// (1 + bits of the window's range) loads and comparisons a value and element.
template <class K>
__global__ void __launch_bounds__(256)
rank_of(const K* __restrict__ keys, K* __restrict__ out, const Windows* __restrict__ geometry,
        const int* __restrict__ offsets, i64 count, int taps, int rank, int kind)
{
    const i64 stride = i64(gridDim.x) * blockDim.x;
    for (i64 e = i64(blockIdx.x) * blockDim.x + threadIdx.x; e < count; e += stride) {
        const K* window = keys + first_of(*geometry, e);
        K low = window[offsets[0]], high = low;
        for (int k = 1; k < taps; ++k) {
            const K v = window[offsets[k]];
            low = v < low ? v : low;
            high = v > high ? v : high;
        }
        while (low < high) {
            const K middle = K(low + K(high - low) / 2);
            int found = 0;
            for (int k = 0; k < taps; ++k) found += window[offsets[k]] <= middle;
            if (found > rank) high = middle;
            else low = K(middle + 1);
        }
        out[e] = value_of(low, kind);
    }
}

// As rank_of, among the values of a window that are not `missing`; ranks: by the number of these.
template <class K>
__global__ void __launch_bounds__(256)
rank_of_valid(const K* __restrict__ keys, K* __restrict__ out, const Windows* __restrict__ geometry,
              const int* __restrict__ offsets, i64 count, int taps, const int* __restrict__ ranks, K nodata,
              int kind)
{
    const i64 stride = i64(gridDim.x) * blockDim.x;
    for (i64 e = i64(blockIdx.x) * blockDim.x + threadIdx.x; e < count; e += stride) {
        const K* window = keys + first_of(*geometry, e);
        K low = K(~K(0)), high = 0;
        int valid = 0;
        for (int k = 0; k < taps; ++k) {
            const K v = window[offsets[k]];
            if (v == nodata) continue;
            low = v < low ? v : low;
            high = v > high ? v : high;
            ++valid;
        }
        if (valid == 0) low = high = nodata;
        const int rank = ranks[valid];
        while (low < high) {
            const K middle = K(low + K(high - low) / 2);
            int found = 0;
            for (int k = 0; k < taps; ++k) {
                const K v = window[offsets[k]];
                found += v != nodata && v <= middle;
            }
            if (found > rank) high = middle;
            else low = K(middle + 1);
        }
        out[e] = value_of(low, kind);
    }
}
