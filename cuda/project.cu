// Projection: the sum, the mean or the standard deviation of each line of n elements, a thread a line.
#include "stencil.cuh"

// A sum of integers: high 2^32 + low.
struct Whole {
    i64 high, low;
};

// The whole part of sum / n, and what is left of n. Divisions are towards -infinity.
__device__ inline i64 floor_mean(Whole sum, i64 n, i64& rest)
{
    const auto divide_down = [](i64 a, i64 b) { return a / b - (a % b < 0); };
    const i64 quotient = divide_down(sum.high, n);
    const i64 low = sum.low + (sum.high - quotient * n) * (i64(1) << 32), below = divide_down(low, n);
    rest = low - below * n;
    return i64((u64(quotient) << 32) + u64(below));
}

// sum / n in float64, rounded once: the last bit of a number of more bits than float64 has says that there is more.
template <bool SIGNED> __device__ inline f64 divided(Whole sum, i64 n)
{
    const i64 exact = i64(1) << 53, enough = i64(1) << 55;
    if (sum.high == 0 && -exact <= sum.low && sum.low <= exact) return f64(sum.low) / f64(n);
    i64 rest, whole = floor_mean(sum, n, rest);
    if (!SIGNED && whole < 0) return f64(u64(whole) | u64(rest != 0));
    f64 scale = 1;
    while (rest != 0 && -enough < whole && whole < enough) {
        whole = whole * 256 + rest * 256 / n;
        rest = rest * 256 % n;
        scale /= 256;
    }
    return f64(whole | i64(rest != 0)) * scale;
}

template <bool SIGNED> __device__ inline u64 saturated(Whole sum)
{
    const i64 high = sum.high + (sum.low >> 32);
    if (!SIGNED && high >= i64(1) << 32) return ~u64(0);
    if (SIGNED && high >= i64(1) << 31) return largest<i64>;
    if (SIGNED && high < -(i64(1) << 31)) return u64(1) << 63;
    return (u64(high) << 32) + (u64(sum.low) & 0xFFFFFFFF);
}

// The square of the distance from mean + rest.
template <class In, class Mean> __device__ inline f64 square_apart(In v, Mean mean, f64 rest)
{
    f64 apart;
    if constexpr (same<Mean, f64>) apart = f64(v) - mean;
    else apart = v >= mean ? f64(u64(v) - u64(mean)) : -f64(u64(mean) - u64(v));
    apart -= rest;
    return apart * apart;
}

template <class In, class Mean>
__device__ inline f64 deviation(const In* line, i64 n, i64 inner, Mean mean, f64 rest)
{
    f64 squares = 0;
    for (i64 k = 0; k < n; ++k) squares += square_apart(line[k * inner], mean, rest);
    return sqrt(squares / f64(n));
}

// method: 0 sum (of integers in 64 bits), 1 mean, 2 standard deviation; both in float64. Bytes: sizeof(In) an element,
// twice for deviations.
template <class In>
__global__ void __launch_bounds__(256)
project(const In* __restrict__ in, void* __restrict__ out, i64 count, i64 n, i64 inner, int method)
{
    const i64 stride = i64(gridDim.x) * blockDim.x;
    f64* const numbers = static_cast<f64*>(out);
    for (i64 e = i64(blockIdx.x) * blockDim.x + threadIdx.x; e < count; e += stride) {
        const In* const line = in + e / inner * n * inner + e % inner;
        if constexpr (is_float<In>) {
            f64 sum = -0.0;
            for (i64 k = 0; k < n; ++k) sum += f64(line[k * inner]);
            if (method > 0) sum /= f64(n);
            numbers[e] = method < 2 ? sum : deviation(line, n, inner, sum, 0.0);
        } else {
            constexpr bool wide = sizeof(In) == 8;
            Whole sum = {0, 0};
            for (i64 k = 0; k < n; ++k) {
                const In v = line[k * inner];
                if constexpr (wide) {
                    sum.high += i64(v >> 32);
                    sum.low += i64(v & In(0xFFFFFFFF));
                } else sum.low += i64(v);
            }
            if (method == 0) static_cast<u64*>(out)[e] = saturated<is_signed<In>>(sum);
            if (method == 1) numbers[e] = divided<is_signed<In>>(sum, n);
            if (method == 2) {
                i64 left;
                const i64 mean = floor_mean(sum, n, left);
                const f64 rest = f64(left) / f64(n);
                if constexpr (wide) numbers[e] = deviation(line, n, inner, In(mean), rest);
                else numbers[e] = deviation(line, n, inner, f64(mean), rest);
            }
        }
    }
}
