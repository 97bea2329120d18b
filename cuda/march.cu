// Kernels that march: a block of 8 warps owns a tile of outputs in (y, x), 32 wide, and goes along z. It loads each
// plane once, with the tile's halo, and adds it to all the outputs along z that it is part of, which wait in
// registers. Sums are made in float32; numbers of taps are known to the compiler, weights are parameters, so
// that a multiply-add takes its weight from the constant bank without a load.
//
// One barrier a plane: while the tile of plane p is summed, plane p + 1 goes to the other half of the shared
// memory and plane p + 2 is on its way to registers.
//
//      phase           p            p + 1          p + 2
//      registers   load p + 2     load p + 3
//      raw         store p + 1    store p + 2
//      sums along x    p            p + 1          p + 2
//      y and z         p - 1        p              p + 1
#include "stencil.cuh"

constexpr int WIDTH = 32, WARPS = 8;  // threads in x and y, and outputs in x
template <int Z> constexpr int dense_rows = Z < 7 ? 8 : 6;  // outputs a thread in y

// `BOX` in workers/gpu.py. Arrays are (batches, z, y, x); a block of threads makes `chunk` outputs along z. A padded
// axis has fewer than 2^31 elements, an array may have more.
struct Box {
    i64 batches, available[3], size[3], chunk;
    i64 holes;  // whether the tables have an entry of -1
};

struct alignas(16) Four {
    f32 value[4];
};

extern __shared__ Four shared_memory[];

// Where a tile lies: outputs z0 .. z1, y0 .. y0 + HIGH, x0 .. x0 + 32 of a batch. x is the fastest, so that
// blocks that run at the same time share their halos in the second-level cache.
struct Tile {
    i64 batch;
    int z0, z1, y0, x0;
};

template <int HIGH> __device__ inline i64 count_tiles(const Box& box)
{
    return box.batches * ceil_div(box.size[0], box.chunk) * ceil_div(box.size[1], HIGH) *
           ceil_div(box.size[2], WIDTH);
}

template <int HIGH> __device__ inline Tile find_tile(const Box& box, i64 number)
{
    Tile tile;
    tile.x0 = int(take_digit(number, ceil_div(box.size[2], WIDTH))) * WIDTH;
    tile.y0 = int(take_digit(number, ceil_div(box.size[1], HIGH))) * HIGH;
    tile.z0 = int(take_digit(number, ceil_div(box.size[0], box.chunk)) * box.chunk);
    tile.z1 = smaller(int(box.chunk), int(box.size[0]) - tile.z0) + tile.z0;
    tile.batch = number;
    return tile;
}

// The first number of at least `wide` that is 4 more than a multiple of 8: see sum_rows.
__device__ constexpr int good_pitch(int wide) { return (wide + 3) / 8 * 8 + 4; }

// A plane's part of a padded tile of TALL rows of 32 + HALO columns, on its way through registers. A warp loads a row
// of the 32 at a time, and two rows of the rest.
template <class In, int TALL, int HALO> struct Plane {
    static_assert(HALO <= WIDTH / 2);
    static constexpr int LOADS = (TALL + WARPS - 1) / WARPS;
    static constexpr int SIDE_LOADS = HALO > 0 ? (TALL + 2 * WARPS - 1) / (2 * WARPS) : 0;
    static constexpr int PITCH = good_pitch(WIDTH + HALO);
    static constexpr int SIZE = TALL * PITCH;
    static constexpr int ROWS = (TALL + 2 * WARPS - 1) / (2 * WARPS) * (2 * WARPS);  // as far as threads look

    In value[LOADS + SIDE_LOADS];

    __device__ static int main_row(int k) { return threadIdx.y + k * WARPS; }
    __device__ static int side_row(int k) { return threadIdx.y * 2 + threadIdx.x / 16 + k * 2 * WARPS; }

    // rows: where each of the tile's begins in a plane, in bytes; left, right: this thread's columns in the plane.
    // HOLES: rows may be -1 and columns null, for `outside`.
    template <bool HOLES> __device__ void load(const char* left, const char* right, const i64* rows, In outside)
    {
#pragma unroll
        for (int k = 0; k < LOADS + SIDE_LOADS; ++k) {
            const char* column = k < LOADS ? left : right;
            const i64 offset = rows[k < LOADS ? main_row(k) : side_row(k - LOADS)];
            if (HOLES) value[k] = outside;
            if (!HOLES || (column && offset >= 0)) value[k] = *reinterpret_cast<const In*>(column + offset);
        }
    }

    __device__ void store(f32* tile) const
    {
#pragma unroll
        for (int k = 0; k < LOADS; ++k)
            if (main_row(k) < TALL) tile[main_row(k) * PITCH + threadIdx.x] = f32(value[k]);
        if (int(threadIdx.x % 16) >= HALO) return;
#pragma unroll
        for (int k = 0; k < SIDE_LOADS; ++k)
            if (side_row(k) < TALL) tile[side_row(k) * PITCH + WIDTH + threadIdx.x % 16] = f32(value[LOADS + k]);
    }
};

// The planes a block needs for its tile, one after another.
template <class In, int TALL, int HALO> struct Source {
    const int* table_z;
    const char *left, *right;  // this thread's columns of plane 0, null outside
    i64 plane_bytes;
    bool holes;
    In outside;
    i64* rows;
    Plane<In, TALL, HALO> next;

    // tables: z, y and x, each of size + taps - 1 entries
    __device__ Source(const In* in, const int* tables, const Box& box, const Tile& tile, const int (&taps)[3],
                      In beyond, i64* row_table)
    {
        const int deep = int(box.size[0]) + taps[0] - 1, tall = int(box.size[1]) + taps[1] - 1;
        const int wide = int(box.size[2]) + taps[2] - 1;
        const int* table_y = tables + deep;
        const int* table_x = table_y + tall;
        const int x = tile.x0 + threadIdx.x, far_x = tile.x0 + WIDTH + threadIdx.x % 16;
        // What lies past the tables is never used: any value will do.
        const int near = x < wide ? table_x[x] : 0, far = far_x < wide ? table_x[far_x] : 0;
        const i64 row_bytes = box.available[2] * sizeof(In);
        table_z = tables;
        plane_bytes = box.available[1] * row_bytes;
        const char* batch = reinterpret_cast<const char*>(in) + tile.batch * box.available[0] * plane_bytes;
        left = near >= 0 ? batch + near * sizeof(In) : nullptr;
        right = far >= 0 ? batch + far * sizeof(In) : nullptr;
        holes = box.holes;
        outside = beyond;
        rows = row_table;
        // No barrier: nobody has looked at the rows since that of the last plane but one.
        for (int y = threadIdx.y * WIDTH + threadIdx.x; y < Plane<In, TALL, HALO>::ROWS;
             y += WIDTH * WARPS) {
            const int source = tile.y0 + y < tall ? table_y[tile.y0 + y] : 0;
            rows[y] = source >= 0 ? source * row_bytes : -1;
        }
        __syncthreads();  // the rows are known, and the tile before this one has been used
    }
    __device__ void load(int p)
    {
        const int z = table_z[p];
        const i64 offset = z * plane_bytes;
        if (holes)
            next.template load<true>(left && z >= 0 ? left + offset : nullptr,
                                     right && z >= 0 ? right + offset : nullptr, rows, outside);
        else next.template load<false>(left + offset, right + offset, rows, outside);
    }
};

// to[y][x] = sum over k of w[k] * from[y][x + k], for TALL rows of 32. A thread makes eight neighbours of a row and
// reads four at a time; eight lanes that do so together are four such pieces of two rows, which with these pitches
// lie in all 32 banks. (What is read past the end of a row is not used.)
template <int TALL, int TAPS, int PITCH, int TO_PITCH>
__device__ inline void sum_rows(const f32* from, f32* to, const f32 (&w)[TAPS])
{
    static_assert(PITCH % 8 == 4 && TO_PITCH % 8 == 4);
    constexpr int R = 8, PIECES = WIDTH / R;
    for (int task = threadIdx.y * WIDTH + threadIdx.x; task < TALL * PIECES; task += WIDTH * WARPS) {
        const int row = task / PIECES, x = task % PIECES * R;
        const Four* line = reinterpret_cast<const Four*>(from + row * PITCH + x);
        f32 sum[R];
#pragma unroll
        for (int first = 0; first < R + TAPS - 1; first += 4) {
            const Four four = line[first / 4];
#pragma unroll
            for (int j = first; j < first + 4; ++j)
#pragma unroll
                for (int r = 0; r < R; ++r) {
                    const int k = j - r;
                    if (k == 0) sum[r] = w[0] * four.value[j - first];
                    else if (k > 0 && k < TAPS) sum[r] += w[k] * four.value[j - first];
                }
        }
        Four* line_to = reinterpret_cast<Four*>(to + row * TO_PITCH + x);
        line_to[0] = {{sum[0], sum[1], sum[2], sum[3]}};
        line_to[1] = {{sum[4], sum[5], sum[6], sum[7]}};
    }
}

// The first `high` of a thread's results, one below another.
template <class Out, int R> __device__ inline void store_column(Out* to, i64 stride, int high, const f32 (&value)[R])
{
#pragma unroll
    for (int r = 0; r < R; ++r, to += stride)
        if (r < high) *to = cast_to<Out>(value[r], 0);
}

template <int Z, int Y, int X> struct Weights {
    f32 z[Z], y[Y], x[X];
};

// Three passes of a separable filter, or two (an axis of one tap has none), each with zeros outside where its mode is
// constant. A voxel costs sizeof(In) bytes read from memory and sizeof(Out) written; from the second-level cache
//   (1 + (Y - 1) / 32) * (1 + (X - 1) / 32) * (1 + (Z - 1) / chunk) * sizeof(In) are read.
// Multiply-adds: X * (1 + (Y - 1) / 32) + Y + Z. Words of shared memory: read, (8 + X - 1) / 8 *
// (1 + (Y - 1) / 32) + (4 + Y - 1) / 4; written, as many as are loaded and 1 + (Y - 1) / 32. For 17 taps an axis
// these are 2.25 loads, 59.5 multiply-adds and 13.25 words, of which the compiler makes about 117 instructions: the
// 128 lanes and 32 banks of a multiprocessor take 0.91 and 0.41 cycles. Registers: 4 * (Z - 1) sums that wait and
// 1.5 * ceil((32 + Y - 1) / 8) values on their way.
template <class In, class Out, int Z, int Y, int X>
__global__ void __launch_bounds__(256, Z <= 7 ? 3 : 2)
fused(const In* __restrict__ in, Out* __restrict__ out, const int* __restrict__ tables, const Box box,
      const Weights<Z, Y, X> w, In outside, f32 divisor)
{
    constexpr int R = 4, HIGH = R * WARPS, TALL = HIGH + Y - 1, MIDDLE_PITCH = good_pitch(WIDTH);
    using Input = Source<In, TALL, X - 1>;
    constexpr int RAW = Plane<In, TALL, X - 1>::SIZE, PITCH = Plane<In, TALL, X - 1>::PITCH;
    // Shared: two tiles as they are loaded, two summed along x, the rows of the input.
    f32* raw = reinterpret_cast<f32*>(shared_memory);
    f32* middle = raw + 2 * RAW;
    i64* rows = reinterpret_cast<i64*>(middle + (X > 1 ? 2 * TALL * MIDDLE_PITCH : 0));
    constexpr int LATE = X > 1;  // sums along y and z lag a plane behind those along x

    const i64 tiles = count_tiles<HIGH>(box);
    for (i64 t = blockIdx.x; t < tiles; t += gridDim.x) {
        const Tile tile = find_tile<HIGH>(box, t);
        Input input(in, tables, box, tile, {Z, Y, X}, outside, rows);
        const int first = tile.z0, last = tile.z1 + Z - 1;
        const int x = tile.x0 + threadIdx.x, y = tile.y0 + threadIdx.y * R;
        const int high = x < box.size[2] ? smaller(R, int(box.size[1]) - y) : 0;  // rows that this thread stores
        Out* to = out + ((tile.batch * box.size[0] + tile.z0) * box.size[1] + y) * box.size[2] + x;
        f32 waiting[Z][R] = {};  // sums that lack planes still to come; the first is done next

        input.load(first);
        input.next.store(raw + first % 2 * RAW);
        if (first + 1 < last) input.load(first + 1);
        for (int p = first; p < last + LATE; ++p) {
            const int half = p % 2;
            __syncthreads();  // the plane is loaded, and summed along x the one before it
            if (p + 1 < last) input.next.store(raw + (1 - half) * RAW);
            if (p + 2 < last) input.load(p + 2);
            if constexpr (X > 1)
                if (p < last)
                    sum_rows<TALL, X, PITCH, MIDDLE_PITCH>(raw + half * RAW, middle + half * TALL * MIDDLE_PITCH, w.x);

            // In the first phase these are nobody's numbers: they reach only outputs before z0, which are not stored.
            const f32* column = X > 1 ? middle + (1 - half) * TALL * MIDDLE_PITCH : raw + half * RAW;
            constexpr int STEP = X > 1 ? MIDDLE_PITCH : PITCH;
            f32 value[R];
#pragma unroll
            for (int j = 0; j < R + Y - 1; ++j) {
                const f32 part = column[(threadIdx.y * R + j) * STEP + threadIdx.x];
#pragma unroll
                for (int r = 0; r < R; ++r) {
                    const int k = j - r;
                    if (k == 0) value[r] = Y > 1 ? w.y[0] * part : part;
                    else if (k > 0 && k < Y) value[r] += w.y[k] * part;
                }
            }

            f32 sum[R];
#pragma unroll
            for (int r = 0; r < R; ++r) {
                sum[r] = Z > 1 ? waiting[0][r] + w.z[Z - 1] * value[r] : value[r];
#pragma unroll
                for (int k = 1; k < Z - 1; ++k) waiting[k - 1][r] = waiting[k][r] + w.z[Z - 1 - k] * value[r];
                if (Z > 1) waiting[Z > 1 ? Z - 2 : 0][r] = w.z[0] * value[r];
            }
            if (p - LATE - (Z - 1) >= tile.z0) {
                if (divisor != 1.0f)
                    for (int r = 0; r < R; ++r) sum[r] /= divisor;
                store_column(to, box.size[2], high, sum);
                to += box.size[1] * box.size[2];
            }
        }
    }
}

template <int Z, int Y, int X> struct Kernel {
    f32 w[Z][Y][X];
};

// out[i] = bias + sum over t of w[t] * in[i + t], planes in order, in each the taps in order of (x, y). SKIP leaves out
// taps that are 0, which only infinities and NaN can tell; integers need it not. A voxel costs sizeof(In) bytes
// read from memory and sizeof(Out) written; from the second-level cache
//   (1 + (Y - 1) / 64) * (1 + (X - 1) / 32) * (1 + (Z - 1) / chunk) * sizeof(In) are read.
// Multiply-adds: Z * Y * X; words of shared memory read: X * (8 + Y - 1) / 8, written: as many as are loaded.
// Registers: 8 * Z sums that wait, 8 + Y - 1 values in use, 1.5 * ceil((64 + Y - 1) / 8) on their way.
template <class In, class Out, int Z, int Y, int X, bool SKIP>
__global__ void __launch_bounds__(256, Z * Y * X <= 27 && sizeof(In) > 1 ? 3 : 2)
dense(const In* __restrict__ in, Out* __restrict__ out, const int* __restrict__ tables, const Box box,
      const Kernel<Z, Y, X> kernel, In outside, f32 bias)
{
    constexpr int R = dense_rows<Z>, HIGH = R * WARPS, TALL = HIGH + Y - 1;
    using Input = Source<In, TALL, X - 1>;
    constexpr int RAW = Plane<In, TALL, X - 1>::SIZE, PITCH = Plane<In, TALL, X - 1>::PITCH;
    // Shared: two tiles, the rows of the input.
    f32* raw = reinterpret_cast<f32*>(shared_memory);
    i64* rows = reinterpret_cast<i64*>(raw + 2 * RAW);

    const i64 tiles = count_tiles<HIGH>(box);
    for (i64 t = blockIdx.x; t < tiles; t += gridDim.x) {
        const Tile tile = find_tile<HIGH>(box, t);
        Input input(in, tables, box, tile, {Z, Y, X}, outside, rows);
        const int first = tile.z0, last = tile.z1 + Z - 1;
        const int x = tile.x0 + threadIdx.x, y = tile.y0 + threadIdx.y * R;
        const int high = x < box.size[2] ? smaller(R, int(box.size[1]) - y) : 0;  // rows that this thread stores
        Out* to = out + ((tile.batch * box.size[0] + tile.z0) * box.size[1] + y) * box.size[2] + x;
        f32 sum[Z][R];  // the first is done with this plane, the last begins with it
#pragma unroll
        for (int z = 0; z < Z; ++z)
#pragma unroll
            for (int r = 0; r < R; ++r) sum[z][r] = bias;

        input.load(first);
        input.next.store(raw + first % 2 * RAW);
        if (first + 1 < last) input.load(first + 1);
        for (int p = first; p < last; ++p) {
            const int half = p % 2;
            __syncthreads();  // the plane is loaded
            if (p + 1 < last) input.next.store(raw + (1 - half) * RAW);
            if (p + 2 < last) input.load(p + 2);

            const f32* corner = raw + half * RAW + threadIdx.y * R * PITCH + threadIdx.x;
#pragma unroll
            for (int j = 0; j < X; ++j) {
                f32 window[R + Y - 1];
#pragma unroll
                for (int r = 0; r < R + Y - 1; ++r) window[r] = corner[r * PITCH + j];
#pragma unroll
                for (int k = 0; k < Y; ++k)
#pragma unroll
                    for (int z = 0; z < Z; ++z) {
                        const f32 weight = kernel.w[Z - 1 - z][k][j];
                        if (!SKIP || weight != 0.0f) {
#pragma unroll
                            for (int r = 0; r < R; ++r) sum[z][r] = fma(weight, window[r + k], sum[z][r]);
                        }
                    }
            }

            if (p - (Z - 1) >= tile.z0) {
                store_column(to, box.size[2], high, sum[0]);
                to += box.size[1] * box.size[2];
            }
#pragma unroll
            for (int r = 0; r < R; ++r) {
#pragma unroll
                for (int k = 1; k < Z; ++k) sum[k - 1][r] = sum[k][r];
                sum[Z - 1][r] = bias;
            }
        }
    }
}
