// One pass of a separable filter: out[i] = sum over k of weights[k] * in[table[i + k]] / divisor along one
// axis.
//
// The array is seen as (before, n, after), the pass along n. table (size + taps - 1 entries) maps the
// padded line to the `available` elements of the input, -1 to cval. A pass with after > 1 goes by columns,
// else by rows.
#include "stencil.cuh"

extern __shared__ double shared_memory[];

template <class Acc>
__device__ inline void copy_weights(const Acc* weights, int taps, Acc* w, int thread, int threads)
{
    for (int k = thread; k < taps; k += threads) w[k] = weights[k];
}

// Tile: blockDim.x columns of 8 * blockDim.y outputs. Shared: weights, then the padded tile. An element
// costs sizeof(In) * (1 + (taps - 1) / (8 * blockDim.y)) bytes read, sizeof(Out) written, taps multiply-
// adds (or half as many and as many additions, if symmetric) and taps / 8 + 1 shared loads of values.
template <class In, class Acc, class Out>
__global__ void __launch_bounds__(256)
pass_columns(const In* __restrict__ in, Out* __restrict__ out, const int* __restrict__ table,
             const Acc* __restrict__ weights, int taps, int symmetry, i64 before, i64 available, i64 size,
             i64 after, Acc cval, Acc divisor, int truncate)
{
    constexpr int R = 8;  // outputs a thread, as COLUMN_OUTPUTS in workers/gpu.py
    const int columns = blockDim.x, rows = blockDim.y * R;
    Acc* w = reinterpret_cast<Acc*>(shared_memory);
    Acc* tile = w + taps;
    copy_weights(weights, taps, w, threadIdx.y * columns + threadIdx.x, columns * blockDim.y);

    const i64 tiles_b = ceil_div(after, columns), tiles_i = ceil_div(size, rows);
    for (i64 t = blockIdx.x; t < before * tiles_i * tiles_b; t += gridDim.x) {
        i64 rest = t;
        const i64 b = take_digit(rest, tiles_b) * columns + threadIdx.x;
        const i64 i0 = take_digit(rest, tiles_i) * rows;
        const i64 a = rest;

        __syncthreads();  // the tile before this one has been used
        for (int i = threadIdx.y; i < rows + taps - 1; i += blockDim.y) {
            const int source = i0 + i < size + taps - 1 ? table[i0 + i] : -1;
            const bool inside = source >= 0 && b < after;
            tile[i * columns + threadIdx.x] = inside ? Acc(in[(a * available + source) * after + b]) : cval;
        }
        __syncthreads();  // the tile is loaded

        Acc sum[R];
        weighted_sums<R>(tile + threadIdx.y * R * columns + threadIdx.x, columns, w, taps, symmetry, sum);
        for (int r = 0; r < R; ++r) {
            const i64 i = i0 + threadIdx.y * R + r;
            if (i < size && b < after)
                out[(a * size + i) * after + b] = cast_to<Out>(divide(sum[r], divisor), truncate);
        }
    }
}

// The same for after == 1. Tile: blockDim.y rows of 7 * blockDim.x outputs. Results go through the tile to
// memory, so that neighbouring threads write neighbouring elements. An element costs
// sizeof(In) * (1 + (taps - 1) / (7 * blockDim.x)) bytes read, sizeof(Out) written, multiply-adds as above,
// and of shared memory taps / 7 + 2 loads and 2 stores.
template <class In, class Acc, class Out>
__global__ void __launch_bounds__(256)
pass_rows(const In* __restrict__ in, Out* __restrict__ out, const int* __restrict__ table,
          const Acc* __restrict__ weights, int taps, int symmetry, i64 before, i64 available, i64 size, i64,
          Acc cval, Acc divisor, int truncate)
{
    constexpr int R = 7;  // as ROW_OUTPUTS; odd, so that 32 threads at this stride read 32 different banks
    const int columns = blockDim.x * R, padded = columns + taps - 1;
    Acc* w = reinterpret_cast<Acc*>(shared_memory);
    Acc* line = w + taps + threadIdx.y * padded;
    copy_weights(weights, taps, w, threadIdx.y * blockDim.x + threadIdx.x, blockDim.x * blockDim.y);

    const i64 tiles_i = ceil_div(size, columns), tiles_a = ceil_div(before, blockDim.y);
    for (i64 t = blockIdx.x; t < tiles_a * tiles_i; t += gridDim.x) {
        i64 rest = t;
        const i64 i0 = take_digit(rest, tiles_i) * columns;
        const i64 a = rest * blockDim.y + threadIdx.y;

        // No barrier: a thread overwrites here only what it alone has just stored.
        for (int i = threadIdx.x; i < padded; i += blockDim.x) {
            const int source = i0 + i < size + taps - 1 ? table[i0 + i] : -1;
            line[i] = source >= 0 && a < before ? Acc(in[a * available + source]) : cval;
        }
        __syncthreads();  // the tile is loaded

        Acc sum[R];
        weighted_sums<R>(line + threadIdx.x * R, 1, w, taps, symmetry, sum);
        __syncthreads();  // every sum is made
        for (int r = 0; r < R; ++r) line[threadIdx.x * R + r] = divide(sum[r], divisor);
        __syncthreads();  // the tile holds results
        for (int i = threadIdx.x; i < columns; i += blockDim.x)
            if (i0 + i < size && a < before) out[a * size + i0 + i] = cast_to<Out>(line[i], truncate);
    }
}

// The same for any view and any number of taps, where a tile would not fit shared memory: a thread an
// output. An element costs taps * (sizeof(In) + 4 + sizeof(Acc)) bytes read, value, table and weight, nearly all
// of them from the caches, sizeof(Out) written, and multiply-adds as above.
template <class In, class Acc, class Out>
__global__ void __launch_bounds__(256, 4)  // or the compiler spills to stay at 32 registers
pass_direct(const In* __restrict__ in, Out* __restrict__ out, const int* __restrict__ table,
            const Acc* __restrict__ weights, int taps, int symmetry, i64 before, i64 available, i64 size,
            i64 after, Acc cval, Acc divisor, int truncate)
{
    const i64 stride = i64(gridDim.x) * blockDim.x;
    for (i64 e = i64(blockIdx.x) * blockDim.x + threadIdx.x; e < before * size * after; e += stride) {
        i64 rest = e;
        const i64 b = take_digit(rest, after), i = take_digit(rest, size), a = rest;
        const auto value = [&](int k) {
            const int source = table[i + k];
            return source >= 0 ? Acc(in[(a * available + source) * after + b]) : cval;
        };
        const int middle = taps / 2, last = taps - 1, lead = symmetry != 0 ? middle : last;
        Acc sum = weights[lead] * value(lead);
        for (int k = 0; k < lead; ++k)
            sum += weights[k] * (symmetry != 0 ? value(k) + Acc(symmetry) * value(last - k) : value(k));
        out[e] = cast_to<Out>(divide(sum, divisor), truncate);
    }
}

// Store sums as Out; or, where Result is Acc, as what Out would have kept of them. In place where the sizes
// agree. sizeof(Acc) + sizeof(Result) bytes an element; a rounding, two comparisons and a conversion.
template <class Acc, class Out, class Result>
__global__ void __launch_bounds__(256) cast(const Acc* in, Result* out, i64 count, int truncate)
{
    const i64 stride = i64(gridDim.x) * blockDim.x;
    for (i64 e = i64(blockIdx.x) * blockDim.x + threadIdx.x; e < count; e += stride)
        out[e] = Result(cast_to<Out>(in[e], truncate));
}

// What half precision would have kept of each sum, in place. 2 * sizeof(Acc) bytes an element, about ten operations.
template <class Acc> __global__ void __launch_bounds__(256) halves(Acc* values, i64 count)
{
    const i64 stride = i64(gridDim.x) * blockDim.x;
    for (i64 e = i64(blockIdx.x) * blockDim.x + threadIdx.x; e < count; e += stride)
        values[e] = nearest_half(values[e]);
}
