// A step of the EDAC scheme. workers/fluids/flow.py has the equations, workers/fluids/loops.py the same expressions for
// the CPU, and workers/fluids/gpu.py the launches of a step:
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

constexpr int WIDTH = 32, HIGH = 8, THREADS = WIDTH * HIGH;  // a tile, and a block of threads, in x and y
constexpr int PITCH = WIDTH + 2, AREA = PITCH * (HIGH + 2);  // a tile with a ring of cells around it

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

// `RANGE` in workers/fluids/gpu.py. Arrays of three are z, y, x.
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
    T force[3], lead;
};

// A march: a tile of 32 x 8 cells goes up, a plane of z at a time, or in two dimensions eight rows at a time.
template <int C> struct March {
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
    __device__ int row(int p, int y) const { return C == 3 ? y0 + y : y0 + p * HIGH + y; }
    __device__ int plane(int p) const { return C == 3 ? p : 0; }

    // Where cell (x, y) of the tile lies in a field at step p. What lies beyond the range and one cell more, or `inside`
    // beyond the range, is never used: any place will do.
    __device__ i64 element(const Range& r, int p, int x, int y, int inside = 0) const
    {
        const int column = larger(smaller(x0 + x, r.last[2] - inside), r.first[2] - 1 + inside);
        return plane(p) * r.plane + smaller(row(p, y), r.last[1] - inside) * r.width + column;
    }
};

// Of the ring around a tile, a cell for each of the first threads: the row below, the one above, and both sides.
__device__ inline int ring_x(int t) { return t < 2 * PITCH ? t % PITCH - 1 : t % 2 * (WIDTH + 1) - 1; }
__device__ inline int ring_y(int t) { return t < 2 * PITCH ? t / PITCH * (HIGH + 1) - 1 : (t - 2 * PITCH) / 2; }

// A tile and its ring on their way to shared memory: both levels of N fields.
template <class T, int N> struct Cargo {
    static constexpr int RING = AREA - THREADS;
    T now[N], before[N], ring_now[N], ring_before[N];

    template <int C>
    __device__ void load(const T* level, const T* level_before, const Range& r, const March<C>& march, int p)
    {
        const int t = thread_number();
        const i64 here = march.element(r, p, threadIdx.x, threadIdx.y);
#pragma unroll
        for (int f = 0; f < N; ++f) {
            now[f] = level[f * r.cells + here];
            before[f] = level_before[f * r.cells + here];
        }
        if (t >= RING) return;
        const i64 there = march.element(r, p, ring_x(t), ring_y(t));
#pragma unroll
        for (int f = 0; f < N; ++f) {
            ring_now[f] = level[f * r.cells + there];
            ring_before[f] = level_before[f * r.cells + there];
        }
    }

    // What the fields will be half a step ahead, the last of them `ahead` of a step.
    __device__ void store(T* tile, T ahead) const
    {
        const int t = thread_number();
#pragma unroll
        for (int f = 0; f < N; ++f) {
            const T part = f < N - 1 ? T(0.5) : ahead;
            tile[f * AREA + (threadIdx.y + 1) * PITCH + threadIdx.x + 1] = fma(part, now[f] - before[f], now[f]);
            if (t < RING)
                tile[f * AREA + (ring_y(t) + 1) * PITCH + ring_x(t) + 1] =
                    fma(part, ring_now[f] - ring_before[f], ring_now[f]);
        }
    }
};

// --- velocity ----------------------------------------------------------------------------------------------------

// A value's neighbours along an axis, and twice the velocity through the faces between: what flows in, what flows out.
template <class T> struct Pair {
    T low, high, in, out;
};

template <class T> __device__ inline T transport(const Pair<T>& n) { return fma(n.out, n.high, -(n.in * n.low)); }
template <class T> __device__ inline T bend(const Pair<T>& n, T e) { return (n.low + n.high) - (e + e); }

// A component after the step; e: its value half a step ahead; along x, the axis B (1 y, 2 z), and in three dimensions
// the third; slope: of the pressure along the component's own AXIS.
template <int C, int AXIS, int B, class T>
__device__ inline T stepped(const Numbers<T>& n, T now, T e, const Pair<T>& x, const Pair<T>& b, const Pair<T>& third,
                            T slope)
{
    T convection = fma(n.c[B], transport(b), n.c[0] * transport(x));
    T diffusion = fma(n.d[B], bend(b, e), n.d[0] * bend(x, e));
    if (C == 3) {
        convection = fma(n.c[3 - B], transport(third), convection);
        diffusion = fma(n.d[3 - B], bend(third, e), diffusion);
    }
    return now + ((diffusion - convection) - fma(n.g[AXIS], slope, -n.force[AXIS]));
}

// All components of the new velocity, less what solids take: (1 - keep) of each. `parts` is what they take of the
// block's own cells, (planes, components, rows, pieces of 32 cells) or (rows, components, pieces).
//
// Bytes a cell from and to memory, in float32: 8 fields read and 3 written are 44; in two dimensions 6 and 2 are 32;
// solids are 12 and 8 more. From the second-level cache, ring and all, 1.6 times as much is read.
// Arithmetic a cell: 30 instructions a component, 20 in two dimensions, and 10.6 (8) to extrapolate. From shared memory
// 25 words are read (15), and 5.3 (4) written.
template <class T, int C, bool SOLID>
__global__ void __launch_bounds__(THREADS, sizeof(T) == 8 ? 2 : C == 3 && SOLID ? 3 : 4)
velocity(const T* __restrict__ now, const T* __restrict__ before, T* __restrict__ out, const T* __restrict__ keep,
         f64* __restrict__ parts, Bits<T>* peaks, Bits<T> limit, const Range range, const Numbers<T> number)
{
    constexpr int N = C + 1, SIZE = N * AREA;
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
        const March<C> march(range, m);
        const int x = march.x0 + threadIdx.x;
        const bool own_x = x >= range.own[2][0] && x < range.own[2][1];
        // In three dimensions a plane is computed when the one above it is there.
        const int first = march.begin - (C == 3), last = march.end + (C == 3);
        Cargo<T, N> cargo;
        T here[C], share[C] = {}, below[6] = {};  // this cell's values now; solids; of the plane below: see the end
        int upper = 0;                            // which of the tiles plane p goes to

        __syncthreads();  // the tiles before these have been used
        cargo.load(now, before, range, march, first);
#pragma unroll 1
        for (int p = first; p <= march.end; ++p) {
            const int middle = upper == 0 ? 2 : upper - 1;
            if (p < last) cargo.store(tiles + upper * SIZE, number.lead);
            T arrived[C], arrived_share[C] = {};
#pragma unroll
            for (int c = 0; c < C; ++c) arrived[c] = cargo.now[c];
            __syncthreads();  // the plane is loaded
            if (p + 1 < last) cargo.load(now, before, range, march, p + 1);
            if (SOLID && p >= march.begin && p < march.end) {
                const i64 at = march.element(range, p, threadIdx.x, threadIdx.y, 1);
#pragma unroll
                for (int c = 0; c < C; ++c) arrived_share[c] = keep[c * range.cells + at];
            }

            const int at = (threadIdx.y + 1) * PITCH + threadIdx.x + 1;
            const T* const U = tiles + middle * SIZE + at;
            const T* const V = U + AREA;
            const T* const P = U + C * AREA;
            if (p > march.begin) {
                T value[C];
                const Pair<T> ux = {U[-1], U[1], U[-1] + U[0], U[0] + U[1]};
                const Pair<T> uy = {U[-PITCH], U[PITCH], V[-1] + V[0], V[PITCH - 1] + V[PITCH]};
                const Pair<T> vx = {V[-1], V[1], U[-PITCH] + U[0], U[1 - PITCH] + U[1]};
                const Pair<T> vy = {V[-PITCH], V[PITCH], V[-PITCH] + V[0], V[0] + V[PITCH]};
                if constexpr (C == 3) {
                    const T* const W = V + AREA;
                    const T* const up = tiles + upper * SIZE + at;
                    const T *const v_up = up + AREA, *const w_up = v_up + AREA;
                    const Pair<T> uz = {below[0], up[0], W[-1] + W[0], w_up[-1] + w_up[0]};
                    const Pair<T> vz = {below[2], v_up[0], W[-PITCH] + W[0], w_up[-PITCH] + w_up[0]};
                    const Pair<T> wx = {W[-1], W[1], below[0] + U[0], below[1] + U[1]};
                    const Pair<T> wy = {W[-PITCH], W[PITCH], below[2] + V[0], below[3] + V[PITCH]};
                    const Pair<T> wz = {below[4], w_up[0], below[4] + W[0], W[0] + w_up[0]};
                    value[0] = stepped<C, 0, 1>(number, here[0], U[0], ux, uy, uz, P[0] - P[-1]);
                    value[1] = stepped<C, 1, 1>(number, here[1], V[0], vx, vy, vz, P[0] - P[-PITCH]);
                    value[2] = stepped<C, 2, 2>(number, here[2], W[0], wx, wz, wy, P[0] - below[5]);
                } else {
                    value[0] = stepped<C, 0, 1>(number, here[0], U[0], ux, uy, uy, P[0] - P[-1]);
                    value[1] = stepped<C, 1, 1>(number, here[1], V[0], vx, vy, vy, P[0] - P[-PITCH]);
                }

                const int q = p - 1, y = march.row(q, threadIdx.y), z = march.plane(q);
                const bool inside = x >= range.first[2] && x < range.last[2] && y < range.last[1];
                const i64 at_q = z * range.plane + y * range.width + x;
                const bool own_line = y >= range.own[1][0] && y < range.own[1][1] &&
                                      (C == 2 || (z >= range.own[0][0] && z < range.own[0][1]));
                f64 took[C];
                bool solid = false;
#pragma unroll
                for (int c = 0; c < C; ++c) {
                    if constexpr (SOLID) {
                        const T left = value[c] * share[c];
                        const bool counts = own_line && own_x;
                        took[c] = counts ? f64(value[c]) - f64(left) : 0.0;
                        solid = solid || (counts && share[c] != T(1));
                        value[c] = left;
                    }
                    if (inside) {
                        out[c * range.cells + at_q] = value[c];
                        const bool computed = (c == 0 ? x : c == 1 ? y : z) != range.given[2 - c];
                        const Bits<T> speed = magnitude(value[c]);
                        if (computed && speed > fastest) fastest = speed;
                    }
                }
                if constexpr (SOLID) {
                    // A warp is a row of the tile: its first lanes add up a component each, in the order of x.
                    const bool any = __any_sync(~0u, solid);
                    if (any) {
#pragma unroll
                        for (int c = 0; c < C; ++c) lines[c * THREADS + thread_number()] = took[c];
                        __syncwarp();  // the row's values are there
                    }
                    const int piece = march.x0 < range.own[2][0] ? pieces : (march.x0 - range.own[2][0]) / WIDTH;
                    if (int(threadIdx.x) < C && own_line && piece < pieces) {
                        const int row = y - range.own[1][0], level = C == 3 ? z - range.own[0][0] : row;
                        const f64* const line = lines + threadIdx.x * THREADS + threadIdx.y * WIDTH;
                        f64 sum = 0;
                        if (any)
                            for (int i = 0; i < WIDTH; ++i) sum += line[i];
                        i64 of_row = i64(level) * C + threadIdx.x;
                        if (C == 3) of_row = of_row * own_rows + row;
                        parts[of_row * pieces + piece] = sum;
                    }
                }
            }
            // The plane is the one below, now: u here and at x + 1, v here and at y + 1, w, and p.
            if constexpr (C == 3) {
                const T* const W = V + AREA;
                const T values[6] = {U[0], U[1], V[0], V[PITCH], W[0], P[0]};
#pragma unroll
                for (int i = 0; i < 6; ++i) below[i] = values[i];
            }
#pragma unroll
            for (int c = 0; c < C; ++c) {
                here[c] = arrived[c];
                share[c] = arrived_share[c];
            }
            upper = upper == 2 ? 0 : upper + 1;
        }
    }
    raise_peak(peaks + 1, fastest);
}

// Sums of the parts of each plane and component (in two dimensions of each row), one block of threads for each.
template <class Sum>
__global__ void __launch_bounds__(THREADS)
plane_sums(const Sum* __restrict__ parts, Sum* __restrict__ sums, i64 count, i64 length)
{
    Sum* const all = reinterpret_cast<Sum*>(shared_memory);
    const int t = thread_number();
    for (i64 i = blockIdx.x; i < count; i += gridDim.x) {
        Sum sum = 0;
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

// The new velocities around a cell: those through its faces.
template <class T, int C> struct Faces {
    T u, east, v, north, top;

    __device__ void load(const T* velocity, const Range& r, i64 at)
    {
        u = velocity[at];
        east = velocity[at + 1];
        v = velocity[r.cells + at];
        north = velocity[r.cells + at + r.width];
        if (C == 3) top = velocity[2 * r.cells + at + r.plane];
    }
};

// The new pressure, times the sponge's factors along z, y and x if there is one.
//
// Bytes a cell from and to memory, in float32: 2 levels of p and 3 velocities read and 1 field written are 24; in two
// dimensions 2, 2 and 1 are 20. So a step moves 68 bytes a cell (52): at 4.3 TB/s it makes 63 (82) thousand million
// cells a second, of which arithmetic would take a fifth of an H100's lanes.
// Arithmetic a cell: 34 instructions, 24 in two dimensions, and 2.7 to extrapolate.
template <class T, int C>
__global__ void __launch_bounds__(THREADS, sizeof(T) == 4 ? 4 : 3)
pressure(const T* __restrict__ now, const T* __restrict__ before, const T* __restrict__ velocity, T* __restrict__ out,
         const T* __restrict__ sponge_z, const T* __restrict__ sponge_y, const T* __restrict__ sponge_x,
         const Bits<T>* peaks, Bits<T> limit, const Range range, const Numbers<T> number)
{
    T* const tiles = reinterpret_cast<T*>(shared_memory);  // three
    if (is_over(peaks, limit)) return;
    for (u32 m = blockIdx.x; m < range.marches; m += gridDim.x) {
        const March<C> march(range, m);
        const int x = march.x0 + threadIdx.x;
        const int first = march.begin - (C == 3), last = march.end + (C == 3);
        Cargo<T, 1> cargo;
        Faces<T, C> faces = {};
        T here = 0, below = 0, bottom = 0;  // p now; of the plane below; w through the face below
        int upper = 0;

        __syncthreads();  // the pressure before this has been used
        cargo.load(now, before, range, march, first);
        if (C == 3) {
            const i64 at = march.element(range, march.begin, threadIdx.x, threadIdx.y, 1);
            bottom = velocity[2 * range.cells + at];
        }
#pragma unroll 1
        for (int p = first; p <= march.end; ++p) {
            const int middle = upper == 0 ? 2 : upper - 1;
            if (p < last) cargo.store(tiles + upper * AREA, T(0.5));
            const T arrived = cargo.now[0];
            Faces<T, C> arrived_faces = faces;
            __syncthreads();  // the plane's pressure is loaded
            if (p + 1 < last) cargo.load(now, before, range, march, p + 1);
            if (p >= march.begin && p < march.end)
                arrived_faces.load(velocity, range, march.element(range, p, threadIdx.x, threadIdx.y, 1));

            const int at = (threadIdx.y + 1) * PITCH + threadIdx.x + 1;
            const T* const P = tiles + middle * AREA + at;
            if (p > march.begin) {
                const T e = P[0], west = P[-1], east = P[1], south = P[-PITCH], north = P[PITCH];
                T advection = number.a[0] * fma(faces.u, e - west, faces.east * (east - e));
                advection = fma(number.a[1], fma(faces.v, e - south, faces.north * (north - e)), advection);
                T diffusion = number.dp[0] * ((west + east) - (e + e));
                diffusion = fma(number.dp[1], (south + north) - (e + e), diffusion);
                T divergence = number.k[0] * (faces.east - faces.u);
                divergence = fma(number.k[1], faces.north - faces.v, divergence);
                if constexpr (C == 3) {
                    const T high = tiles[upper * AREA + at];
                    advection = fma(number.a[2], fma(bottom, e - below, faces.top * (high - e)), advection);
                    diffusion = fma(number.dp[2], (below + high) - (e + e), diffusion);
                    divergence = fma(number.k[2], faces.top - bottom, divergence);
                }
                T value = here + ((diffusion - advection) - divergence);
                const int q = p - 1, y = march.row(q, threadIdx.y), z = march.plane(q);
                if (x >= range.first[2] && x < range.last[2] && y < range.last[1]) {
                    if (sponge_x) value *= (sponge_z[z] * sponge_y[y]) * sponge_x[x];
                    out[z * range.plane + y * range.width + x] = value;
                }
                if constexpr (C == 3) bottom = faces.top;
            }
            below = P[0];
            here = arrived;
            faces = arrived_faces;
            upper = upper == 2 ? 0 : upper + 1;
        }
    }
}

// --- what is beyond the grid -------------------------------------------------------------------------------------

// What can be beyond a face, as in workers/fluids/kinds.py.
enum Kind { CUT, PERIODIC, FIXED, SLIP, OUTFLOW };

// `EDGES` in workers/fluids/gpu.py. Arrays of three are z, y, x; pairs are low, high.
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
// else half a cell to both sides. With the value inside:
//      across     on the face = sign * inside + given     sign 0, or 1 for outflow
//      the rest   beyond      = sign * inside + given     sign 1, or -1 for a given velocity and for outflow's p
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
        const T scale = across ? given.ramp : given.ramp + given.ramp;
        const T* const face = side == 0 ? given.face[AXIS][0] : given.face[AXIS][1];
        value = scale * face[row * columns + smaller(other, columns - 1)];
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
