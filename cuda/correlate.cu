// Correlation with any kernel:
//   out[o, i] = bias[o] + sum over c, t of weights[o, c, t] * in[c, i + t], taps in C order, zeros left out.
#include "stencil.cuh"

constexpr int OUTPUTS = 5;  // outputs a thread in a row: odd, so that 32 threads read 32 different banks
constexpr int ROWS = 2;     // rows a thread

// Six axes: channel (of the output, for `size` and `out_stride`), three leading axes, y, x. Strides in
// elements. table[axis] is where the axis begins in `tables`: entry p is the input's index at padded
// coordinate p, -1 is cval.
struct Geometry {
    i64 size[6], in_stride[6], out_stride[6], table[6], taps[6];
    // Taps for which a tile is loaded at a time; chunk_y is 1 unless a chunk holds whole rows of taps.
    i64 chunk_y, chunk_x;
};

extern __shared__ double shared_memory[];

// Tile: (2 * blockDim.y) rows of (5 * blockDim.x) outputs. Shared: a chunk of weights, then the padded tile.
// For each channel and each tap of the leading axes an element costs
//   sizeof(In) * (1 + (chunk_y - 1) / rows) * (1 + (chunk_x - 1) / columns) bytes read (from the second-level
//   cache, but for the first time), taps_y * taps_x multiply-adds and a fifth as many shared loads;
// once, sizeof(Out) bytes are written.
template <class In, class Acc, class Out>
__global__ void __launch_bounds__(256, 3)  // three blocks a multiprocessor: 80 registers a thread, not 128
correlate(const In* __restrict__ in, Out* __restrict__ out, const Geometry* __restrict__ geometry,
          const int* __restrict__ tables, const Acc* __restrict__ weights, const Acc* __restrict__ bias,
          Acc cval, int truncate)
{
    const Geometry& g = *geometry;
    const int columns = blockDim.x * OUTPUTS, rows = blockDim.y * ROWS;
    const int chunk_y = int(g.chunk_y), chunk_x = int(g.chunk_x), pitch = columns + chunk_x - 1;
    const int thread = threadIdx.y * blockDim.x + threadIdx.x, threads = blockDim.x * blockDim.y;
    const int taps_y = int(g.taps[4]), taps_x = int(g.taps[5]);
    Acc* w = reinterpret_cast<Acc*>(shared_memory);
    Acc* tile = w + chunk_y * chunk_x;

    const i64 tiles_x = ceil_div(g.size[5], columns), tiles_y = ceil_div(g.size[4], rows);
    const i64 tiles = g.size[0] * g.size[1] * g.size[2] * g.size[3] * tiles_y * tiles_x;
    for (i64 t = blockIdx.x; t < tiles; t += gridDim.x) {
        i64 rest = t;
        const int x0 = int(take_digit(rest, tiles_x)) * columns, y0 = int(take_digit(rest, tiles_y)) * rows;
        const i64 i3 = take_digit(rest, g.size[3]), i2 = take_digit(rest, g.size[2]);
        const i64 i1 = take_digit(rest, g.size[1]), o = rest;

        Acc sum[ROWS][OUTPUTS];
        for (int q = 0; q < ROWS; ++q)
            for (int r = 0; r < OUTPUTS; ++r) sum[q][r] = bias[o];

        const i64 planes = g.taps[0] * g.taps[1] * g.taps[2] * g.taps[3];
        for (i64 plane = 0; plane < planes; ++plane) {
            rest = plane;
            const i64 t3 = take_digit(rest, g.taps[3]), t2 = take_digit(rest, g.taps[2]);
            const i64 t1 = take_digit(rest, g.taps[1]), c = rest;
            const i64 s0 = tables[g.table[0] + c], s1 = tables[g.table[1] + i1 + t1];
            const i64 s2 = tables[g.table[2] + i2 + t2], s3 = tables[g.table[3] + i3 + t3];
            const bool exists = s0 >= 0 && s1 >= 0 && s2 >= 0 && s3 >= 0;
            const In* from = in + s0 * g.in_stride[0] + s1 * g.in_stride[1] +
                             s2 * g.in_stride[2] + s3 * g.in_stride[3];
            const Acc* plane_weights = weights + (o * planes + plane) * taps_y * taps_x;

            for (int ty = 0; ty < taps_y; ty += chunk_y)
                for (int tx = 0; tx < taps_x; tx += chunk_x) {
                    const int wide = smaller(chunk_x, taps_x - tx), high = smaller(chunk_y, taps_y - ty);
                    __syncthreads();  // the tile before this one has been used
                    for (int k = thread; k < high * wide; k += threads)
                        w[k] = plane_weights[(ty + k / wide) * taps_x + tx + k % wide];
                    for (int y = threadIdx.y; y < rows + high - 1; y += blockDim.y) {
                        const i64 py = i64(y0) + ty + y;
                        const i64 sy = py < g.size[4] + taps_y - 1 ? tables[g.table[4] + py] : -1;
                        for (int x = threadIdx.x; x < columns + wide - 1; x += blockDim.x) {
                            const i64 px = i64(x0) + tx + x;
                            const i64 sx = px < g.size[5] + taps_x - 1 ? tables[g.table[5] + px] : -1;
                            const bool inside = exists && sy >= 0 && sx >= 0;
                            const i64 at = sy * g.in_stride[4] + sx * g.in_stride[5];
                            tile[y * pitch + x] = inside ? Acc(from[at]) : cval;
                        }
                    }
                    __syncthreads();  // the tile is loaded
                    for (int k = 0; k < high; ++k)
#pragma unroll
                        for (int q = 0; q < ROWS; ++q) {
                            const int y = threadIdx.y + q * blockDim.y + k;
                            const Acc* line = tile + y * pitch + threadIdx.x * OUTPUTS;
                            add_taps<true, OUTPUTS>(line, 1, w + k * wide, wide, sum[q]);
                        }
                }
        }

        // Results go through the tile to memory, so that neighbouring threads write neighbouring elements.
        __syncthreads();  // every sum is made
#pragma unroll
        for (int q = 0; q < ROWS; ++q)
#pragma unroll
            for (int r = 0; r < OUTPUTS; ++r)
                tile[(threadIdx.y + q * blockDim.y) * columns + threadIdx.x * OUTPUTS + r] = sum[q][r];
        __syncthreads();  // the tile holds results
        Out* to = out + o * g.out_stride[0] + i1 * g.out_stride[1] +
                  i2 * g.out_stride[2] + i3 * g.out_stride[3];
        for (int y = threadIdx.y; y < rows && i64(y0) + y < g.size[4]; y += blockDim.y)
            for (int x = threadIdx.x; x < columns && i64(x0) + x < g.size[5]; x += blockDim.x)
                to[(i64(y0) + y) * g.out_stride[4] + (i64(x0) + x) * g.out_stride[5]] =
                    cast_to<Out>(tile[y * columns + x], truncate);
    }
}
