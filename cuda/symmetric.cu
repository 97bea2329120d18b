// Formulas of a symmetric matrix at each element, whose upper triangle is the arrays a to f, row by row. All in f64, with
// the steps of workers/families/symmetric_cpu.py in the same order.
#include "stencil.cuh"

// The eigenvalues of (a b; b d), the larger first.
__device__ inline void two(f64 a, f64 b, f64 d, f64& high, f64& low)
{
    const f64 middle = (a + d) / 2, half = (a - d) / 2;
    const f64 root = sqrt(b * b + half * half);
    high = middle + root;
    low = middle - root;
}

// cos(acos(r) / 3) for 0 <= r <= 1, by Newton's method from the chord.
__device__ inline f64 cosine_of_third(f64 r)
{
    constexpr f64 flat = 0.8660254037844386;  // sqrt(3) / 2
    f64 x = flat + (1 - flat) * r;
    for (int step = 0; step < 3; ++step) x = (8 * x * x * x + r) / (12 * x * x - 3);
    return x;
}

struct Vector {
    f64 x, y, z;
};

__device__ inline Vector cross(Vector a, Vector b)
{
    return {a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
}

__device__ inline f64 dot(Vector a, Vector b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
__device__ inline f64 magnitude(f64 v) { return v < 0 ? -v : v; }

// The eigenvalues of a matrix of size 3, the largest first: Smith 1961 for the one that is farthest from the others,
// which are of the matrix on the plane normal to its eigenvector (Eberly 2014), so that a double root loses no digits.
__device__ inline void three(const f64 (&a)[6], f64 (&eigen)[3])
{
    constexpr f64 tiny = 1e-300;
    f64 size = 0;
    for (int k = 0; k < 6; ++k) size = size + magnitude(a[k]);
    f64 inverse = 1 / (size > tiny ? size : 1);
    f64 a00 = a[0] * inverse, a01 = a[1] * inverse, a02 = a[2] * inverse, a11 = a[3] * inverse, a12 = a[4] * inverse,
        a22 = a[5] * inverse;
    const f64 mean = (a00 + a11 + a22) / 3;
    a00 = a00 - mean, a11 = a11 - mean, a22 = a22 - mean;
    f64 spread = sqrt((a00 * a00 + a11 * a11 + a22 * a22 + 2 * (a01 * a01 + a02 * a02 + a12 * a12)) / 6);
    inverse = 1 / (spread > 1e-150 ? spread : 1);
    a00 = a00 * inverse, a01 = a01 * inverse, a02 = a02 * inverse, a11 = a11 * inverse, a12 = a12 * inverse,
    a22 = a22 * inverse;
    const f64 det = a00 * (a11 * a22 - a12 * a12) - a01 * (a01 * a22 - a12 * a02) + a02 * (a01 * a12 - a11 * a02);
    const bool last = det < 0;
    const f64 half = magnitude(det) / 2;
    f64 far = 2 * cosine_of_third(half < 1 ? half : 1);
    far = last ? -far : far;

    // The eigenvector: the longest of the cross products of the rows of the matrix less `far` times the identity.
    const Vector p{a00 - far, a01, a02}, q{a01, a11 - far, a12}, s{a02, a12, a22 - far};
    Vector normal = cross(p, q);
    f64 length = dot(normal, normal);
    for (int k = 0; k < 2; ++k) {
        const Vector v = k == 0 ? cross(p, s) : cross(q, s);
        const f64 other = dot(v, v);
        if (other > length) normal = v, length = other;
    }
    inverse = 1 / sqrt(length > 0 ? length : 1);
    normal = {normal.x * inverse, normal.y * inverse, normal.z * inverse};

    // u and v span the plane normal to it.
    const bool wide = magnitude(normal.x) > magnitude(normal.y);
    const f64 root = wide ? normal.x * normal.x + normal.z * normal.z : normal.y * normal.y + normal.z * normal.z;
    inverse = 1 / sqrt(root > 0 ? root : 1);
    const Vector u{wide ? -normal.z * inverse : 0, wide ? 0 : normal.z * inverse, (wide ? normal.x : -normal.y) * inverse};
    const Vector v = cross(normal, u), rows[3] = {{a00, a01, a02}, {a01, a11, a12}, {a02, a12, a22}};
    const Vector b{dot(rows[0], u), dot(rows[1], u), dot(rows[2], u)};
    const Vector c{dot(rows[0], v), dot(rows[1], v), dot(rows[2], v)};
    f64 high, low;
    two(dot(u, b), dot(v, b), dot(v, c), high, low);

    // All are equal where there is no spread; and what is not finite makes NaN.
    const f64 infinity = exp(f64(1000));
    spread = spread > 1e-150 ? spread : 0;
    size = size > tiny ? size : (size == size ? 0 : size);
    size = size < infinity ? size : infinity - infinity;
    far = size * (mean + spread * far), high = size * (mean + spread * high), low = size * (mean + spread * low);
    eigen[0] = last ? high : far;
    eigen[1] = last ? low : high;
    eigen[2] = last ? far : low;
}

__device__ inline void eigenvalues_of(const f64 (&a)[1], f64 (&eigen)[1]) { eigen[0] = a[0]; }
__device__ inline void eigenvalues_of(const f64 (&a)[3], f64 (&eigen)[2]) { two(a[0], a[1], a[2], eigen[0], eigen[1]); }
__device__ inline void eigenvalues_of(const f64 (&a)[6], f64 (&eigen)[3]) { three(a, eigen); }

struct eigenvalues {
    template <class T, int N, int M>
    static __device__ void of(const f64 (&a)[M], const f64*, T* out, i64 i, i64 count)
    {
        f64 eigen[N];
        eigenvalues_of(a, eigen);
        for (int k = 0; k < N; ++k) out[k * count + i] = T(eigen[k]);
    }
};

struct frobenius {
    template <class T, int N, int M>
    static __device__ void of(const f64 (&a)[M], const f64*, T* out, i64 i, i64)
    {
        if constexpr (N == 2) out[i] = T(sqrt(a[0] * a[0] + a[2] * a[2] + 2 * (a[1] * a[1])));
        else {
            const f64 diagonal = a[0] * a[0] + a[3] * a[3] + a[5] * a[5];
            out[i] = T(sqrt(diagonal + 2 * (a[1] * a[1] + a[2] * a[2] + a[4] * a[4])));
        }
    }
};

// numbers: sign, sigma
struct sato {
    template <class T, int N, int M>
    static __device__ void of(f64 (&a)[M], const f64* numbers, T* out, i64 i, i64)
    {
        f64 eigen[N];
        for (int k = 0; k < M; ++k) a[k] = numbers[0] * a[k];
        eigenvalues_of(a, eigen);
        for (int k = 0; k < N; ++k) eigen[k] = eigen[k] < 0 ? 0 : eigen[k];
        const f64 area = numbers[1] * numbers[1];
        out[i] = T(N == 2 ? area * eigen[0] : area * sqrt(eigen[0] * eigen[1]));
    }
};

__device__ inline f64 bell(f64 value, f64 width) { return exp(-(value * value) / (2 * (width * width))); }
__device__ inline f64 at_least(f64 value) { return value < 1e-10 ? 1e-10 : value; }

// numbers: sign, alpha, beta, gamma
struct frangi {
    template <class T, int N, int M>
    static __device__ void of(f64 (&a)[M], const f64* numbers, T* out, i64 i, i64)
    {
        const f64 alpha = numbers[1], beta = numbers[2], gamma = numbers[3];
        f64 eigen[N];
        for (int k = 0; k < M; ++k) a[k] = numbers[0] * a[k];
        eigenvalues_of(a, eigen);
        f64 squares = eigen[0] * eigen[0];
        for (int k = 1; k < N; ++k) squares = squares + eigen[k] * eigen[k];
        const f64 size = sqrt(squares);
        // By magnitude, the smallest first; equal ones in the order that they have.
        for (int last = N - 1; last > 0; --last)
            for (int k = 0; k < last; ++k)
                if (magnitude(eigen[k + 1]) < magnitude(eigen[k])) {
                    const f64 smaller_one = eigen[k + 1];
                    eigen[k + 1] = eigen[k], eigen[k] = smaller_one;
                }
        const f64 y = at_least(eigen[1]), z = at_least(eigen[N - 1]);
        const f64 blob = magnitude(eigen[0]) / (N == 2 ? y : sqrt(y * z));
        const f64 line = N == 2 ? 1 : 1 - bell(y / z, alpha);
        out[i] = T(line * bell(blob, beta) * (1 - bell(size, gamma)));
    }
};

// (M + outputs) * sizeof(T) bytes an element; about 200 operations in f64 for a matrix of size 3.
template <class T, int N, class Formula>
__global__ void __launch_bounds__(256)
symmetric(const T* __restrict__ a, const T* __restrict__ b, const T* __restrict__ c, const T* __restrict__ d,
          const T* __restrict__ e, const T* __restrict__ f, T* __restrict__ out, i64 count,
          const f64* __restrict__ numbers)
{
    constexpr int M = N * (N + 1) / 2;
    const T* const every[] = {a, b, c, d, e, f};
    const i64 stride = i64(gridDim.x) * blockDim.x;
    for (i64 i = i64(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += stride) {
        f64 matrix[M];
#pragma unroll
        for (int k = 0; k < M; ++k) matrix[k] = f64(every[k][i]);
        Formula::template of<T, N>(matrix, numbers, out, i, count);
    }
}
