// A step of the EDAC scheme. workers/models/edac/flow.py has the equations, workers/models/edac/runs.py the same
// expressions for the CPU, and workers/models/edac/gpu.py the launches of a step:
//
//      velocity    all components, from both levels of velocity and pressure
//      ghosts      of the velocity, beyond the grid's faces
//      pressure    from both its levels and the new velocity
//      ghosts      of the pressure
//
// A block's state is (3, fields, z, y, x), with fields u, v, (w,) p; in two dimensions z has length 1. Positions are the
// block's own, of 32 bits; elements are counted in 64.
//
// Multiply-adds are fused where it says fma, and nowhere else (`kernels.options`). So a cell's bits do not depend on
// which tile it is in, on how the compiler unrolls or on the GPU's generation; and tests on the CPU see these bits.
#include "stencil.cuh"

constexpr int WIDTH = 32, WARPS = 8, THREADS = WIDTH * WARPS;  // of a block of threads, in x and y
template <class T> constexpr int rows = sizeof(T) == 4 ? 2 : 1;  // of cells, one above another, that a thread makes

extern __shared__ f64 shared_memory[];

__device__ inline int larger(int a, int b) { return a > b ? a : b; }
__device__ inline int thread_number() { return threadIdx.y * WIDTH + threadIdx.x; }

// --- the largest velocity ----------------------------------------------------------------------------------------

// Magnitudes as integers: in the same order, NaN above infinity. So their largest can be found in any order.
__device__ inline i32 magnitude(f32 v) { return __float_as_int(v) & largest<i32>; }
__device__ inline i64 magnitude(f64 v) { return __double_as_longlong(v) & largest<i64>; }
template <class T> using Bits = decltype(magnitude(T()));

// peaks[1] is this step's, peaks[0] that of the step before. Once a step goes beyond the limit the ones after it do
// nothing: the state stays as that step left it.
template <class B> __device__ inline bool is_over(const B* peaks, B limit) { return peaks[0] > limit; }

template <class B> __device__ inline void raise_peak(B* peak, B mine)
{
    B* const all = reinterpret_cast<B*>(shared_memory);
    const int t = thread_number();
    __syncthreads();  // the tiles have been used
    all[t] = mine;
    for (int half = THREADS / 2; half > 0; half /= 2) {
        __syncthreads();  // the larger ones so far are known
        if (t < half && all[t + half] > all[t]) all[t] = all[t + half];
    }
    if (t == 0) atomicMax(peak, all[0]);
}

// --- the way through a block -------------------------------------------------------------------------------------

// `RANGE` in workers/models/edac/gpu.py. Arrays of three are z, y, x.
struct Range {
    i64 cells, plane, width;  // elements of a field, a plane, a row
    int first[3], last[3];    // what is computed: one cell more on all sides is there to be read
    int own[3][2];            // the block's own cells
    int given[3];             // where the velocity along an axis is given by the grid's face, or -1
    int origin;               // of the tiles along x: `first`, or before it
    int across, down;         // tiles along x, and in three dimensions along y
    int chunk;                // steps of a march
    u32 marches;
};

// Velocities are solved for from values half a step ahead (Adams-Bashforth), driven by a pressure `lead` of a step
// ahead. x first.
template <class T> struct Numbers {
    T c[3], d[3], g[3], a[3], dp[3], k[3];  // dt/4h, nu dt/h^2, dt/h, dt/2h, nu_p dt/h^2, c^2 dt/h
    T lead;
};

// `STREAM` in workers/models/edac/gpu.py: of the face whose given velocities the flow in a sponge is drawn to.
struct Stream {
    int axis, rows, columns;
    int positions[3];  // of a block along z, y, x
};

// A tile of 32 x 8 R cells, with a ring of cells around it.
template <int R> struct Tile {
    static constexpr int HIGH = WARPS * R, PITCH = WIDTH + 2, AREA = PITCH * (HIGH + 2), RING = AREA - WIDTH * HIGH;
    static_assert(RING <= THREADS);

    // Where this thread's first cell is.
    __device__ static int own() { return (threadIdx.y * R + 1) * PITCH + threadIdx.x + 1; }

    // Of the ring, a cell for each of the first threads: the row below, the one above, and both sides.
    __device__ static int ring_x(int t) { return t < 2 * PITCH ? t % PITCH - 1 : t % 2 * (WIDTH + 1) - 1; }
    __device__ static int ring_y(int t) { return t < 2 * PITCH ? t / PITCH * (HIGH + 1) - 1 : (t - 2 * PITCH) / 2; }
    __device__ static int ring(int t) { return (ring_y(t) + 1) * PITCH + ring_x(t) + 1; }
};

// A march: a tile goes up, a plane of z at a time, or in two dimensions its own height of rows at a time.
template <int C, int R> struct March {
    static constexpr int HIGH = Tile<R>::HIGH;
    int x0, y0, begin, end;

    __device__ March(const Range& r, u32 number)
    {
        x0 = r.origin + int(number % r.across) * WIDTH;
        number /= r.across;
        y0 = r.first[1];
        begin = 0;
        end = (r.last[1] - r.first[1] + HIGH - 1) / HIGH;
        if (C == 3) {
            y0 += int(number % r.down) * HIGH;
            number /= r.down;
            begin = r.first[0];
            end = r.last[0];
        }
        begin += int(number) * r.chunk;
        end = smaller(begin + r.chunk, end);
    }
    __device__ int plane(int p) const { return C == 3 ? p : 0; }
    __device__ int row(int p) const { return C == 3 ? y0 : y0 + p * HIGH; }

    // The element of a field that the tile begins with at step p.
    __device__ i64 element(const Range& r, int p) const { return plane(p) * r.plane + row(p) * r.width + x0; }

    // How many elements further cell (x, y) of the tile is. What lies beyond the range and one cell more is never used:
    // any place will do.
    __device__ int offset(const Range& r, int p, int x, int y) const
    {
        const int column = larger(smaller(x, r.last[2] - x0), r.first[2] - 1 - x0);
        return smaller(y, r.last[1] - row(p)) * int(r.width) + column;
    }
};

// A tile and its ring on their way to shared memory: both levels of N fields.
template <class T, int N, int R> struct Cargo {
    T now[R][N], before[R][N], ring_now[N], ring_before[N];

    template <int C>
    __device__ void load(const T* level, const T* level_before, const Range& r, const March<C, R>& march, int p)
    {
        const i64 first = march.element(r, p);
        int at[R];
#pragma unroll
        for (int i = 0; i < R; ++i) at[i] = march.offset(r, p, threadIdx.x, threadIdx.y * R + i);
#pragma unroll
        for (int f = 0; f < N; ++f) {
            const T* const field = level + (f * r.cells + first);
            const T* const field_before = level_before + (f * r.cells + first);
#pragma unroll
            for (int i = 0; i < R; ++i) {
                now[i][f] = field[at[i]];
                before[i][f] = field_before[at[i]];
            }
        }
        const int t = thread_number();
        if (t >= Tile<R>::RING) return;
        const int there = march.offset(r, p, Tile<R>::ring_x(t), Tile<R>::ring_y(t));
#pragma unroll
        for (int f = 0; f < N; ++f) {
            ring_now[f] = (level + (f * r.cells + first))[there];
            ring_before[f] = (level_before + (f * r.cells + first))[there];
        }
    }

    // What the fields will be half a step ahead, the last of them `ahead` of a step.
    __device__ void store(T* tile, T ahead) const
    {
        const int t = thread_number();
#pragma unroll
        for (int f = 0; f < N; ++f) {
            T* const field = tile + f * Tile<R>::AREA;
            const T part = f < N - 1 ? T(0.5) : ahead;
#pragma unroll
            for (int i = 0; i < R; ++i)
                field[Tile<R>::own() + i * Tile<R>::PITCH] = fma(part, now[i][f] - before[i][f], now[i][f]);
            if (t < Tile<R>::RING)
                field[Tile<R>::ring(t)] = fma(part, ring_now[f] - ring_before[f], ring_now[f]);
        }
    }
};

// A component's velocity at (z, y, x), drawn to the stream's. The sponge has factors for centres, then for low faces.
template <class T>
__device__ inline T drawn(const Stream& s, const T* sponge_z, const T* sponge_y, const T* sponge_x, const T* stream, T ramp,
                          int component, int z, int y, int x, T value)
{
    const T across = sponge_z[(component == 2 ? s.positions[0] : 0) + z] *
                     sponge_y[(component == 1 ? s.positions[1] : 0) + y];
    const T kept = across * sponge_x[(component == 0 ? s.positions[2] : 0) + x];
    if (kept >= T(1)) return value;
    const int one = smaller(s.axis == 0 ? y : z, s.rows - 1), other = smaller(s.axis == 2 ? y : x, s.columns - 1);
    const T wanted = ramp * stream[(component * s.rows + one) * s.columns + other];
    return fma(value - wanted, kept, wanted);
}

// --- velocity ----------------------------------------------------------------------------------------------------

// A value's neighbours along an axis, and twice the velocity through the faces between: what flows in, what flows out.
template <class T> struct Pair {
    T low, high, in, out;
};

template <class T> __device__ inline T transport(const Pair<T>& n) { return fma(n.out, n.high, -(n.in * n.low)); }
template <class T> __device__ inline T bend(const Pair<T>& n, T e) { return (n.low + n.high) - (e + e); }

// A component after the step; e: its value half a step ahead; along x, the axis B (1 y, 2 z), and in three dimensions
// the third; slope: of the pressure along the component's own AXIS; push: what the force adds.
template <int C, int AXIS, int B, class T>
__device__ inline T stepped(const Numbers<T>& n, T now, T e, const Pair<T>& x, const Pair<T>& b, const Pair<T>& third,
                            T slope, T push)
{
    T convection = fma(n.c[B], transport(b), n.c[0] * transport(x));
    T diffusion = fma(n.d[B], bend(b, e), n.d[0] * bend(x, e));
    if (C == 3) {
        convection = fma(n.c[3 - B], transport(third), convection);
        diffusion = fma(n.d[3 - B], bend(third, e), diffusion);
    }
    return now + ((diffusion - convection) - fma(n.g[AXIS], slope, -push));
}

// What a thread's cells need of the plane below: u there and at x + 1, v there and at y + 1, w, and p.
template <class T, int R> struct Below {
    T u[R], east[R], v[R + 1], w[R], p[R];

    __device__ void take(const T* tile)
    {
        constexpr int PITCH = Tile<R>::PITCH, AREA = Tile<R>::AREA;
#pragma unroll
        for (int i = 0; i < R; ++i) {
            u[i] = tile[i * PITCH];
            east[i] = tile[i * PITCH + 1];
            v[i] = tile[i * PITCH + AREA];
            w[i] = tile[i * PITCH + 2 * AREA];
            p[i] = tile[i * PITCH + 3 * AREA];
        }
        v[R] = tile[R * PITCH + AREA];
    }
};

// All components of the new velocity, less what solids take: (1 - factor) of each. `parts` is what they take of the
// block's own cells, (planes, components, rows, pieces of 32 cells) or (rows, components, pieces).
//
// Bytes a cell from and to memory, in float32: 8 fields read and 3 written are 44; in two dimensions 6 and 2 are 32;
// solids are 12 and 8 more. From the second-level cache 1.45 times as much is read, for the ring.
// Instructions a cell for compute capability 9.0: 245, of which 100 are arithmetic and 26 read shared memory; in two
// dimensions 165, 52 and 12. (Solids: 380 and 290, where there are any.) Addresses of 64 bits are most of the rest.
template <class T, int C, bool SOLID>
__global__ void __launch_bounds__(THREADS, C == 2 && sizeof(T) == 4 ? 3 : 2)
velocity(const T* __restrict__ now, const T* __restrict__ before, T* __restrict__ out, const T* __restrict__ factor,
         f64* __restrict__ parts, const T* __restrict__ pushes, const T* __restrict__ sponge_z,
         const T* __restrict__ sponge_y, const T* __restrict__ sponge_x, const T* __restrict__ stream,
         const T* __restrict__ ramp, Bits<T>* peaks, Bits<T> limit, const Range range, const Numbers<T> number,
         const Stream drawn_to)
{
    constexpr int R = rows<T>, N = C + 1, PITCH = Tile<R>::PITCH, AREA = Tile<R>::AREA, SIZE = N * AREA;
    // Shared: three tiles, and what solids take.
    T* const tiles = reinterpret_cast<T*>(shared_memory);
    f64* const lines = reinterpret_cast<f64*>(tiles + 3 * SIZE);
    const int own_rows = range.own[1][1] - range.own[1][0];
    const int pieces = (range.own[2][1] - range.own[2][0] + WIDTH - 1) / WIDTH;

    if (is_over(peaks, limit)) {
        if (blockIdx.x == 0 && thread_number() == 0) peaks[1] = peaks[0];
        return;
    }
    Bits<T> fastest = 0;
    for (u32 m = blockIdx.x; m < range.marches; m += gridDim.x) {
        const March<C, R> march(range, m);
        const int x = march.x0 + threadIdx.x;
        // In three dimensions a plane is computed when the one above it is there.
        const int first = march.begin - (C == 3), last = march.end + (C == 3);
        Cargo<T, N, R> cargo;
        T here[R][C], share[R][C] = {};  // these cells' values now; solids
        Below<T, R> below = {};
        int lower = 0, middle = SIZE, upper = 2 * SIZE;  // the tiles of planes p - 2, p - 1 and p

        __syncthreads();  // the tiles before these have been used
        cargo.load(now, before, range, march, first);
#pragma unroll 1
        for (int p = first; p <= march.end; ++p) {
            if (p < last) cargo.store(tiles + upper, number.lead);
            T arrived[R][C], arrived_share[R][C] = {};
#pragma unroll
            for (int i = 0; i < R; ++i)
#pragma unroll
                for (int c = 0; c < C; ++c) arrived[i][c] = cargo.now[i][c];
            __syncthreads();  // the plane is loaded
            if (p + 1 < last) cargo.load(now, before, range, march, p + 1);
            if (SOLID && p >= march.begin && p < march.end) {
                const i64 element = march.element(range, p);
#pragma unroll
                for (int i = 0; i < R; ++i) {
                    const int at = march.offset(range, p, threadIdx.x, threadIdx.y * R + i);
#pragma unroll
                    for (int c = 0; c < C; ++c) arrived_share[i][c] = (factor + (c * range.cells + element))[at];
                }
            }

            const T* const column = tiles + middle + Tile<R>::own();
            if (p > march.begin) {
                T value[R][C];
#pragma unroll
                for (int i = 0; i < R; ++i) {
                    const T* const U = column + i * PITCH;
                    const T* const V = U + AREA;
                    const T* const P = U + C * AREA;
                    const Pair<T> ux = {U[-1], U[1], U[-1] + U[0], U[0] + U[1]};
                    const Pair<T> uy = {U[-PITCH], U[PITCH], V[-1] + V[0], V[PITCH - 1] + V[PITCH]};
                    const Pair<T> vx = {V[-1], V[1], U[-PITCH] + U[0], U[1 - PITCH] + U[1]};
                    const Pair<T> vy = {V[-PITCH], V[PITCH], V[-PITCH] + V[0], V[0] + V[PITCH]};
                    if constexpr (C == 3) {
                        const T* const W = V + AREA;
                        const T* const up = tiles + upper + Tile<R>::own() + i * PITCH;
                        const T *const v_up = up + AREA, *const w_up = v_up + AREA;
                        const Pair<T> uz = {below.u[i], up[0], W[-1] + W[0], w_up[-1] + w_up[0]};
                        const Pair<T> vz = {below.v[i], v_up[0], W[-PITCH] + W[0], w_up[-PITCH] + w_up[0]};
                        const Pair<T> wx = {W[-1], W[1], below.u[i] + U[0], below.east[i] + U[1]};
                        const Pair<T> wy = {W[-PITCH], W[PITCH], below.v[i] + V[0], below.v[i + 1] + V[PITCH]};
                        const Pair<T> wz = {below.w[i], w_up[0], below.w[i] + W[0], W[0] + w_up[0]};
                        value[i][0] = stepped<C, 0, 1>(number, here[i][0], U[0], ux, uy, uz, P[0] - P[-1], pushes[0]);
                        value[i][1] = stepped<C, 1, 1>(number, here[i][1], V[0], vx, vy, vz, P[0] - P[-PITCH], pushes[1]);
                        value[i][2] = stepped<C, 2, 2>(number, here[i][2], W[0], wx, wz, wy, P[0] - below.p[i], pushes[2]);
                    } else {
                        value[i][0] = stepped<C, 0, 1>(number, here[i][0], U[0], ux, uy, uy, P[0] - P[-1], pushes[0]);
                        value[i][1] = stepped<C, 1, 1>(number, here[i][1], V[0], vx, vy, vy, P[0] - P[-PITCH], pushes[1]);
                    }
                }

                const int q = p - 1, z = march.plane(q);
                const i64 element = march.element(range, q);
#pragma unroll
                for (int i = 0; i < R; ++i) {
                    const int row = threadIdx.y * R + i, y = march.row(q) + row;
                    const int at = row * int(range.width) + threadIdx.x;
                    if constexpr (SOLID) {
                        const bool own_line = y >= range.own[1][0] && y < range.own[1][1] &&
                                              (C == 2 || (z >= range.own[0][0] && z < range.own[0][1]));
                        const bool counts = x >= range.own[2][0] && x < range.own[2][1];
                        f64 took[C];
                        bool solid = false;
#pragma unroll
                        for (int c = 0; c < C; ++c) {
                            const T left = value[i][c] * share[i][c];
                            took[c] = counts ? f64(value[i][c]) - f64(left) : 0.0;
                            solid = solid || (counts && share[i][c] != T(1));
                            value[i][c] = left;
                        }
                        // A warp is a row of 32 cells: its first lanes add up a component each, in the order of x.
                        const bool any = __any_sync(~0u, solid);
                        if (any) {
                            __syncwarp();  // the row's values before these have been used
#pragma unroll
                            for (int c = 0; c < C; ++c) lines[c * THREADS + thread_number()] = took[c];
                            __syncwarp();  // the row's values are there
                        }
                        const int piece = march.x0 < range.own[2][0] ? pieces : (march.x0 - range.own[2][0]) / WIDTH;
                        if (int(threadIdx.x) < C && own_line && piece < pieces) {
                            const int own_y = y - range.own[1][0], level = C == 3 ? z - range.own[0][0] : own_y;
                            const f64* const line = lines + threadIdx.x * THREADS + threadIdx.y * WIDTH;
                            f64 sum = 0;
                            if (any)
                                for (int j = 0; j < WIDTH; ++j) sum += line[j];
                            i64 of_row = i64(level) * C + threadIdx.x;
                            if (C == 3) of_row = of_row * own_rows + own_y;
                            parts[of_row * pieces + piece] = sum;
                        }
                    }
                    if (x >= range.first[2] && x < range.last[2] && y < range.last[1]) {
#pragma unroll
                        for (int c = 0; c < C; ++c) {
                            if (stream && (!SOLID || share[i][c] == T(1)))
                                value[i][c] = drawn(drawn_to, sponge_z, sponge_y, sponge_x, stream, *ramp, c, z, y, x,
                                                    value[i][c]);
                            (out + (c * range.cells + element))[at] = value[i][c];
                            const bool computed = (c == 0 ? x : c == 1 ? y : z) != range.given[2 - c];
                            const Bits<T> speed = magnitude(value[i][c]);
                            if (computed && speed > fastest) fastest = speed;
                        }
                    }
                }
            }
            if constexpr (C == 3) below.take(column);
#pragma unroll
            for (int i = 0; i < R; ++i)
#pragma unroll
                for (int c = 0; c < C; ++c) {
                    here[i][c] = arrived[i][c];
                    share[i][c] = arrived_share[i][c];
                }
            const int next = lower;
            lower = middle;
            middle = upper;
            upper = next;
        }
    }
    raise_peak(peaks + 1, fastest);
}

// Sums of the parts of each plane and component (in two dimensions of each row), one block of threads for each; if any
// step was made, that is: peaks[0] is that of the step before the first.
template <class T>
__global__ void __launch_bounds__(THREADS)
plane_sums(const f64* __restrict__ parts, f64* __restrict__ sums, i64 count, i64 length, const Bits<T>* peaks,
           Bits<T> limit)
{
    f64* const all = shared_memory;
    const int t = thread_number();
    if (is_over(peaks, limit)) return;
    for (i64 i = blockIdx.x; i < count; i += gridDim.x) {
        f64 sum = 0;
        for (i64 e = t; e < length; e += THREADS) sum += parts[i * length + e];
        __syncthreads();  // the sums before these have been used
        all[t] = sum;
        for (int half = THREADS / 2; half > 0; half /= 2) {
            __syncthreads();  // the sums of so many are known
            if (t < half) all[t] += all[t + half];
        }
        if (t == 0) sums[i] = all[0];
    }
}

// --- pressure ----------------------------------------------------------------------------------------------------

// The new velocities through the faces of a thread's cells.
template <class T, int C, int R> struct Faces {
    T u[R], east[R], v[R + 1], top[R];

    __device__ void load(const T* velocity, const Range& r, const March<C, R>& march, int p)
    {
        velocity += march.element(r, p);
        int at[R + 1];
#pragma unroll
        for (int i = 0; i <= R; ++i) {
            at[i] = march.offset(r, p, threadIdx.x, threadIdx.y * R + i);
            v[i] = (velocity + r.cells)[at[i]];
        }
#pragma unroll
        for (int i = 0; i < R; ++i) {
            u[i] = velocity[at[i]];
            east[i] = velocity[march.offset(r, p, threadIdx.x + 1, threadIdx.y * R + i)];
            if (C == 3) top[i] = (velocity + (2 * r.cells + r.plane))[at[i]];
        }
    }
};

// The new pressure, times the sponge's factors along z, y and x if there is one.
//
// Bytes a cell from and to memory, in float32: 2 levels of p and 3 velocities read and 1 field written are 24; in two
// dimensions 2, 2 and 1 are 20. Instructions a cell: 140, of which 40 are arithmetic; in two dimensions 145 and 30.
//
// So a step moves 68 bytes a cell (52) in 385 instructions (310): at 4.3 TB/s it would make 63 (82) thousand million
// cells a second, for which an H100 at 1.75 GHz needs five sixths of what its multiprocessors can issue.
template <class T, int C>
__global__ void __launch_bounds__(THREADS, 3)
pressure(const T* __restrict__ now, const T* __restrict__ before, const T* __restrict__ velocity, T* __restrict__ out,
         const T* __restrict__ sponge_z, const T* __restrict__ sponge_y, const T* __restrict__ sponge_x,
         const Bits<T>* peaks, Bits<T> limit, const Range range, const Numbers<T> number)
{
    constexpr int R = rows<T>, PITCH = Tile<R>::PITCH, AREA = Tile<R>::AREA;
    T* const tiles = reinterpret_cast<T*>(shared_memory);  // three
    if (is_over(peaks, limit)) return;
    for (u32 m = blockIdx.x; m < range.marches; m += gridDim.x) {
        const March<C, R> march(range, m);
        const int x = march.x0 + threadIdx.x;
        const int first = march.begin - (C == 3), last = march.end + (C == 3);
        Cargo<T, 1, R> cargo;
        Faces<T, C, R> faces = {};
        T here[R] = {}, below[R] = {}, bottom[R] = {};  // p now; of the plane below; w through the faces below
        int lower = 0, middle = AREA, upper = 2 * AREA;  // the tiles of planes p - 2, p - 1 and p

        __syncthreads();  // the pressure before this has been used
        cargo.load(now, before, range, march, first);
        if (C == 3) {
            const T* const w = velocity + (2 * range.cells + march.element(range, march.begin));
#pragma unroll
            for (int i = 0; i < R; ++i)
                bottom[i] = w[march.offset(range, march.begin, threadIdx.x, threadIdx.y * R + i)];
        }
#pragma unroll 1
        for (int p = first; p <= march.end; ++p) {
            if (p < last) cargo.store(tiles + upper, T(0.5));
            T arrived[R];
#pragma unroll
            for (int i = 0; i < R; ++i) arrived[i] = cargo.now[i][0];
            Faces<T, C, R> arrived_faces = faces;
            __syncthreads();  // the plane's pressure is loaded
            if (p + 1 < last) cargo.load(now, before, range, march, p + 1);
            if (p >= march.begin && p < march.end) arrived_faces.load(velocity, range, march, p);

            const int q = p - 1, z = march.plane(q);
            T* const to = out + march.element(range, q);
#pragma unroll
            for (int i = 0; i < R; ++i) {
                const T* const P = tiles + middle + Tile<R>::own() + i * PITCH;
                const T e = P[0], u = faces.u[i], east = faces.east[i], v = faces.v[i], north = faces.v[i + 1];
                if (p > march.begin) {
                    T carried = number.a[0] * fma(east, P[1] + e, -(u * (P[-1] + e)));
                    carried = fma(number.a[1], fma(north, P[PITCH] + e, -(v * (P[-PITCH] + e))), carried);
                    T diffusion = number.dp[0] * ((P[-1] + P[1]) - (e + e));
                    diffusion = fma(number.dp[1], (P[-PITCH] + P[PITCH]) - (e + e), diffusion);
                    T divergence = number.k[0] * (east - u);
                    divergence = fma(number.k[1], north - v, divergence);
                    if constexpr (C == 3) {
                        const T top = faces.top[i], above = tiles[upper + Tile<R>::own() + i * PITCH];
                        carried = fma(number.a[2], fma(top, above + e, -(bottom[i] * (below[i] + e))), carried);
                        diffusion = fma(number.dp[2], (below[i] + above) - (e + e), diffusion);
                        divergence = fma(number.k[2], top - bottom[i], divergence);
                        bottom[i] = top;
                    }
                    T value = here[i] + ((diffusion - carried) - divergence);
                    const int row = threadIdx.y * R + i, y = march.row(q) + row;
                    if (x >= range.first[2] && x < range.last[2] && y < range.last[1]) {
                        if (sponge_x) value *= (sponge_z[z] * sponge_y[y]) * sponge_x[x];
                        to[row * int(range.width) + threadIdx.x] = value;
                    }
                }
                below[i] = e;
                here[i] = arrived[i];
            }
            faces = arrived_faces;
            const int next = lower;
            lower = middle;
            middle = upper;
            upper = next;
        }
    }
}

// --- what is beyond the grid -------------------------------------------------------------------------------------

// What can be beyond a face, as in workers/models/edac/kinds.py.
enum Kind { CUT, PERIODIC, FIXED, SLIP, OUTFLOW };

// `EDGES` in workers/models/edac/gpu.py. Arrays of three are z, y, x; pairs are low, high.
struct Edges {
    i64 cells, plane, width;
    int first[3], last[3];       // what is known
    int edge[3][2], kind[3][2];  // the grid's indices 0 and n, and what is beyond them
    int fills[3][2];             // whether it is to be filled
    int face[3][2][2];           // lengths of the given velocities' axes, 1 if they hold for all
    int components;
    int fields[2];  // those to be filled: first, last
    u32 ends[3];    // how many there are, of all fields
};

template <class T> struct Given {
    const T* face[3][2];  // (components, one axis, other axis)
    T ramp;
};

// What ends a line of cells: the value on the grid's face and the one beyond it, or twice the one beyond.
template <class T> struct End {
    T face, beyond;
};

template <int AXIS, class T>
__device__ T filled(const Edges& e, const Given<T>& given, const T* values, int field, int z, int y, int x);

__device__ inline bool is_across(const Edges& e, int axis, int field)
{
    return field == 2 - axis && field < e.components && e.kind[axis][0] != PERIODIC;
}

// The end on a side (0 low, 1 high) of the line along AXIS through (z, y, x). A velocity across a face lies on it, all
// else half a cell to both sides. With the value inside, and the one a cell deeper:
//      across     on the face = sign * inside + given     sign 0, or 1 for outflow
//      the rest   beyond      = sign * inside             sign 1, or -1 for outflow's p
//      given      beyond      = deeper / 3 - 2 inside + 8/3 given: on a parabola through the face
template <int AXIS, class T>
__device__ inline End<T> line_end(const Edges& e, const Given<T>& given, const T* values, int field, int side, int z,
                                  int y, int x)
{
    const int kind = e.kind[AXIS][side], low = e.edge[AXIS][0], high = e.edge[AXIS][1];
    const bool across = is_across(e, AXIS, field), velocity = field < e.components;
    const bool other_side = kind == PERIODIC;
    const int from = (side == 0) != other_side ? low + (across ? 1 : 0) : high - 1;
    const T inside = filled<AXIS + 1>(e, given, values, field, AXIS == 0 ? from : z, AXIS == 1 ? from : y,
                                      AXIS == 2 ? from : x);
    if (other_side) return {inside, inside};
    T sign = 1, value = 0;
    if (across) sign = kind == OUTFLOW ? 1 : 0;
    else if (kind == (velocity ? FIXED : OUTFLOW)) sign = -1;
    if (velocity && kind == FIXED) {
        const int one = AXIS == 0 ? y : z, other = AXIS == 2 ? y : x;
        const int rows = e.face[AXIS][side][0], columns = e.face[AXIS][side][1];
        const i64 row = i64(field) * rows + smaller(one, rows - 1);
        const bool bent = !across && high - low > 1;
        const T scale = across ? given.ramp : bent ? given.ramp * T(8.0 / 3) : given.ramp + given.ramp;
        const T* const face = side == 0 ? given.face[AXIS][0] : given.face[AXIS][1];
        value = scale * face[row * columns + smaller(other, columns - 1)];
        if (bent) {
            const int in = side == 0 ? from + 1 : from - 1;
            const T deeper = filled<AXIS + 1>(e, given, values, field, AXIS == 0 ? in : z, AXIS == 1 ? in : y,
                                              AXIS == 2 ? in : x);
            value = (T(1.0 / 3) * deeper - (inside + inside)) + value;
            return {value, value};
        }
    }
    value = sign * inside + value;
    return {value, across && side == 0 ? (value + value) - inside : value};
}

// A field's value when it is filled along x, y, and z down to AXIS: later axes take what earlier ones have put into
// their ends. Only values that nobody overwrites are read.
template <int AXIS, class T>
__device__ T filled(const Edges& e, const Given<T>& given, const T* values, int field, int z, int y, int x)
{
    if constexpr (AXIS == 3) return values[field * e.cells + z * e.plane + y * e.width + x];
    else {
        const int i = AXIS == 0 ? z : AXIS == 1 ? y : x;
        const int low = e.edge[AXIS][0], faces = is_across(e, AXIS, field) ? 1 : 0;
        if (e.fills[AXIS][0] && i < low + faces) {
            const End<T> end = line_end<AXIS>(e, given, values, field, 0, z, y, x);
            return faces && i == low ? end.face : end.beyond;
        }
        if (e.fills[AXIS][1] && i >= e.edge[AXIS][1]) return line_end<AXIS>(e, given, values, field, 1, z, y, x).face;
        return filled<AXIS + 1>(e, given, values, field, z, y, x);
    }
}

// Put an end in place; returns the magnitude of a velocity on the low face, which belongs to the grid.
template <int AXIS, class T>
__device__ inline Bits<T> fill_end(const Edges& e, const Given<T>& given, T* values, int field, int side, int z, int y,
                                   int x)
{
    if (!e.fills[AXIS][side]) return 0;
    const bool across = is_across(e, AXIS, field);
    const End<T> end = line_end<AXIS>(e, given, values, field, side, z, y, x);
    const i64 step = AXIS == 0 ? e.plane : AXIS == 1 ? e.width : 1;
    T* const at = values + field * e.cells + z * e.plane + y * e.width + x + e.edge[AXIS][side] * step;
    if (side == 1) *at = end.face;
    else at[-step] = end.beyond;
    if (!across || side == 1) return 0;
    *at = end.face;
    return magnitude(end.face);
}

// Fill fields beyond the grid's faces, as if first along x, then y, then z. A thread makes one end of a line of cells.
template <class T>
__global__ void __launch_bounds__(THREADS)
ghosts(T* values, const T* z_low, const T* z_high, const T* y_low, const T* y_high, const T* x_low, const T* x_high,
       const T* ramp, Bits<T>* peaks, Bits<T> limit, const Edges e)
{
    if (peaks && is_over(peaks, limit)) return;
    const Given<T> given = {{{z_low, z_high}, {y_low, y_high}, {x_low, x_high}}, *ramp};
    // With the ghost cells
    const int y0 = e.first[1] - e.fills[1][0], x0 = e.first[2] - e.fills[2][0];
    const u32 high = e.last[1] + e.fills[1][1] - y0, wide = e.last[2] + e.fills[2][1] - x0;
    const u32 deep = e.last[0] - e.first[0], tall = e.last[1] - e.first[1];
    const u32 all = e.ends[0] + e.ends[1] + e.ends[2];
    for (u32 n = blockIdx.x * THREADS + thread_number(); n < all; n += gridDim.x * THREADS) {
        u32 rest = n;
        Bits<T> speed = 0;
        if (rest < e.ends[0]) {
            const int x = x0 + int(rest % wide);
            rest /= wide;
            const int y = y0 + int(rest % high);
            rest /= high;
            fill_end<0>(e, given, values, e.fields[0] + int(rest / 2), int(rest % 2), 0, y, x);
        } else if ((rest -= e.ends[0]) < e.ends[1]) {
            const int x = x0 + int(rest % wide);
            rest /= wide;
            const int z = e.first[0] + int(rest % deep);
            rest /= deep;
            const int field = e.fields[0] + int(rest / 2);
            if (is_across(e, 0, field) && e.fills[0][0] && z == e.edge[0][0]) continue;  // made along z
            speed = fill_end<1>(e, given, values, field, int(rest % 2), z, 0, x);
            if (x < e.first[2] || x >= e.last[2]) speed = 0;
        } else {
            rest -= e.ends[1];
            const int side = int(rest % 2);
            rest /= 2;
            const int y = e.first[1] + int(rest % tall);
            rest /= tall;
            const int z = e.first[0] + int(rest % deep), field = e.fields[0] + int(rest / deep);
            if (is_across(e, 0, field) && e.fills[0][0] && z == e.edge[0][0]) continue;
            if (is_across(e, 1, field) && e.fills[1][0] && y == e.edge[1][0]) continue;  // made along y
            speed = fill_end<2>(e, given, values, field, side, z, y, 0);
        }
        // Most are no news, and a look is cheaper than a turn at the one place that all of them share.
        if (peaks && speed > *const_cast<const volatile Bits<T>*>(peaks + 1)) atomicMax(peaks + 1, speed);
    }
}
