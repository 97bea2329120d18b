// Means weighted by likeness, from a copy of the data with their whole boundary: bilateral and non-local means. The steps
// are those of workers/families/patches_cpu.py, in the same order.
#include "keys.cuh"
#include "exponential.cuh"

// Keys as the bits of the floating-point numbers that they are of, in place.
template <class K> __global__ void __launch_bounds__(256) numbers(K* __restrict__ keys, i64 count)
{
    constexpr K top = K(K(1) << (8 * sizeof(K) - 1));
    const i64 stride = i64(gridDim.x) * blockDim.x;
    for (i64 e = i64(blockIdx.x) * blockDim.x + threadIdx.x; e < count; e += stride)
        keys[e] = keys[e] & top ? K(keys[e] ^ top) : K(~keys[e]);
}

// exp(-x ln 2 / 2^20) by Schraudolph's line.
template <class T> __device__ inline T falling(T x)
{
    constexpr i32 one = 1072632447, one_single = one - ((1023 - 127) << 20);
    if constexpr (same<T, f32>) return of_bits(i32(one_single - i32(x)) * 8);
    else return of_bits((one - i64(x)) * (1ll << 32));
}

// An element costs about 20 operations and a load for each of its taps.
template <class T>
__global__ void __launch_bounds__(256, 4)  // or the compiler spills to stay at fewer registers
bilateral(const T* __restrict__ padded, T* __restrict__ out, const Windows* __restrict__ geometry,
          const int* __restrict__ offsets, const T* __restrict__ spatial, i64 count, int taps, int centre, T scale, T most)
{
    const i64 stride = i64(gridDim.x) * blockDim.x;
    for (i64 e = i64(blockIdx.x) * blockDim.x + threadIdx.x; e < count; e += stride) {
        const T* window = padded + first_of(*geometry, e);
        const T here = window[centre];
        T sum = here, weights = 1;  // of the element itself
        for (int k = 0; k < taps; ++k) {
            const T v = window[offsets[k]], difference = (v - here) * scale;
            const T away = fma(difference, difference, spatial[k]);
            if (away <= most) {  // NaN is not
                const T weight = half_to(away);
                sum = fma(weight, v, sum);
                weights += weight;
            }
        }
        out[e] = sum / weights;
    }
}

// The axes that are filtered are the last three, others come before them; all as the kernel goes over them.
struct Volumes {
    i64 size[6], stride[6], out_stride[6];
};

// A thread has a run of elements along y, which share the sums of their patches' planes: for each shift and its opposite
// taps^2 (RUN + taps - 1) / RUN squared differences an element, if there are three axes.
// deep, high, wide: of a patch; first: of a patch, from its element; terms: see NonLocalMean.terms
template <class T>
__global__ void __launch_bounds__(128)
non_local(const T* __restrict__ padded, T* __restrict__ out, const Volumes* __restrict__ geometry,
          const int* __restrict__ shifts, int count, i64 runs, i64 begin, i64 first, int deep, int high, int wide,
          const T* __restrict__ terms)
{
    constexpr int RUN = 8;
    const Volumes& g = *geometry;
    const T scale = terms[0], less = terms[1], most = terms[2], own = terms[3];
    const i64 plane = g.stride[3], row = g.stride[4], stride = i64(gridDim.x) * blockDim.x;
    for (i64 run = i64(blockIdx.x) * blockDim.x + threadIdx.x; run < runs; run += stride) {
        i64 rest = run, to = 0;
        const T* here = padded + begin;
        int y0 = 0;
        for (int axis = 5; axis >= 0; --axis) {
            const i64 at = axis == 4 ? RUN * take_digit(rest, ceil_div(g.size[4], RUN)) : take_digit(rest, g.size[axis]);
            if (axis == 4) y0 = int(at);
            here += at * g.stride[axis];
            to += at * g.out_stride[axis];
        }
        const int rows = smaller(RUN, int(g.size[4]) - y0);
        T sum[RUN], weights[RUN];
#pragma unroll
        for (int r = 0; r < RUN; ++r) {
            weights[r] = own;
            if (r < rows) sum[r] = own * here[r * row];
        }
        for (int way = 0; way < 2 * count; ++way) {
            const int shift = shifts[way / 2], back = way % 2 ? shift : 0, other = way % 2 ? -shift : shift;
            T total[RUN] = {};
            for (int y = 0; y < rows + high - 1; ++y) {
                T line = 0;
                for (int x = 0; x < wide; ++x) {
                    const T* patch = here + (first + y * row + x - back);
                    T column = 0;
                    for (int z = 0; z < deep; ++z) {
                        const T difference = patch[z * plane] - patch[z * plane + shift];
                        column = fma(difference, difference, column);
                    }
                    line = x == 0 ? column : line + column;
                }
#pragma unroll
                for (int r = 0; r < RUN; ++r)
                    if (y >= r && y < r + high) total[r] = y == r ? line : total[r] + line;
            }
#pragma unroll
            for (int r = 0; r < RUN; ++r) {
                if (r >= rows) break;
                const T steps = fma(total[r], scale, -less), x = steps < 0 ? T(0) : steps;
                if (x <= most) {  // NaN is not
                    const T weight = falling(x);
                    sum[r] = fma(weight, here[r * row + other], sum[r]);
                    weights[r] += weight;
                }
            }
        }
#pragma unroll
        for (int r = 0; r < RUN; ++r)
            if (r < rows) out[to + r * g.out_stride[4]] = sum[r] / weights[r];
    }
}
