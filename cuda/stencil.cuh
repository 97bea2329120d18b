// What the kernels share: number types, casts, weighted sums over a line of values, and the cut of work
// into tiles. No header is included, so that NVRTC needs no toolkit, and g++ compiles the same text for the
// tests.

using u8 = unsigned char;
using u16 = unsigned short;
using u32 = unsigned int;
using u64 = unsigned long long;
using i8 = signed char;
using i16 = short;
using i32 = int;
using i64 = long long;
using f32 = float;
using f64 = double;

template <class A, class B> constexpr bool same = false;
template <class A> constexpr bool same<A, A> = true;
template <class T> constexpr bool is_float = same<T, f32> || same<T, f64>;
template <class T> constexpr bool is_signed = T(-1) < T(0);

// 2^(bits of T that count): the first value that is too large for T. Unlike T's largest, every float type
// holds it.
template <class T, class Acc>
constexpr Acc past_largest = Acc(2) * Acc(1ull << (8 * sizeof(T) - is_signed<T> - 1));
template <class T> constexpr T largest = T(~0ull >> (64 - 8 * sizeof(T) + is_signed<T>));

__device__ inline i64 ceil_div(i64 a, i64 b) { return (a + b - 1) / b; }
__device__ inline int smaller(int a, int b) { return a < b ? a : b; }

// The last digit of `rest` in a number system of digits below `base`; `rest` keeps the digits before it.
__device__ inline i64 take_digit(i64& rest, i64 base)
{
    const i64 digit = rest % base;
    rest /= base;
    return digit;
}

// Round half to even and saturate; NaN becomes 0.
template <class T, class Acc> __device__ inline T round_to(Acc v)
{
    if (v != v) return T(0);
    v = rint(v);
    if (v >= past_largest<T, Acc>) return largest<T>;
    if (is_signed<T> ? v < -past_largest<T, Acc> : v <= Acc(0)) return T(~largest<T>);
    return T(v);
}

// C's conversion as x86 and scipy make it: toward zero, then the low bits. What 64 bits do not hold
// becomes -2^63, or 0 if they are unsigned.
template <class T, class Acc> __device__ inline T truncate_to(Acc v)
{
    if constexpr (same<T, u64>) {
        const u64 size = fabs(v) < past_largest<u64, Acc> ? u64(fabs(v)) : 0;
        return v > Acc(-1) ? size : 0 - size;
    } else {
        const bool fits = v >= -past_largest<i64, Acc> && v < past_largest<i64, Acc>;
        return T(fits ? i64(v) : -largest<i64> - 1);
    }
}

template <class Out, class Acc> __device__ inline Out cast_to(Acc v, int truncate)
{
    if constexpr (is_float<Out> || same<Out, Acc>) return Out(v);
    else if constexpr (same<Out, bool>) return truncate ? !(fabs(v) < Acc(1)) : v > Acc(0.5);
    else return truncate ? truncate_to<Out>(v) : round_to<Out>(v);
}

// The nearest number of half precision: 11 significant bits, exponents from -14 to 15.
template <class Acc> __device__ inline Acc nearest_half(Acc v)
{
    if (v == Acc(0)) return v;
    const Acc infinity = exp(Acc(1000));
    if (!(fabs(v) < Acc(65536))) return v * infinity;
    const int exponent = ilogb(v) < -14 ? -14 : ilogb(v);
    const Acc rounded = scalbn(rint(scalbn(v, 10 - exponent)), exponent - 10);
    return fabs(rounded) < Acc(65536) ? rounded : rounded * infinity;
}

// a * b + c: of float32 rounded once, of others after each step, as the CPU's sums are.
template <class Acc> __device__ inline Acc multiply_add(Acc a, Acc b, Acc c)
{
    if constexpr (same<Acc, f32>) return fma(a, b, c);
    else return a * b + c;
}

// sum[r] += sum over k of w[k] * line[(r + k) * step], k ascending, for R neighbouring outputs. A window of
// R values lives in registers and slides by one value a tap, so a tap costs one load for R multiply-adds.
// SKIP leaves out the taps that are 0: 0 * infinity would be NaN.
template <bool SKIP, int R, class Acc>
__device__ inline void add_taps(const Acc* line, int step, const Acc* w, int taps, Acc (&sum)[R])
{
    Acc window[R];
    if (taps <= 0) return;
#pragma unroll
    for (int r = 0; r < R; ++r) window[r] = line[r * step];
    for (int first = 0; first < taps; first += R) {
#pragma unroll
        for (int j = 0; j < R; ++j) {
            const int k = first + j;
            if (k >= taps) break;
            const Acc weight = w[k];
            if (!SKIP || weight != Acc(0)) {
#pragma unroll
                for (int r = 0; r < R; ++r) sum[r] = multiply_add(weight, window[(r + j) % R], sum[r]);
            }
            if (k + 1 < taps) window[j] = line[(k + R) * step];
        }
    }
}

// The same for weights that are even (sign 1) or odd (sign -1) about their middle: the middle first, then
// the pairs from the outside in, which is scipy's order. Two windows slide toward each other.
template <int R, class Acc>
__device__ inline void sum_pairs(const Acc* line, int step, const Acc* w, int taps, Acc sign, Acc (&sum)[R])
{
    const int middle = taps / 2, last = taps - 1;
    Acc near[R], far[R];
#pragma unroll
    for (int r = 0; r < R; ++r) {
        sum[r] = w[middle] * line[(r + middle) * step];
        near[r] = line[r * step];
        far[r] = line[(r + last) * step];
    }
    for (int first = 0; first < middle; first += R) {
#pragma unroll
        for (int j = 0; j < R; ++j) {
            const int k = first + j;
            if (k >= middle) break;
            const Acc weight = w[k];
#pragma unroll
            for (int r = 0; r < R; ++r) sum[r] += weight * (near[(r + j) % R] + sign * far[(r + R - j) % R]);
            near[j] = line[(k + R) * step];
            far[R - 1 - j] = line[(last - k - 1) * step];
        }
    }
}

// sum[r] = sum over k of w[k] * line[(r + k) * step], in scipy's order: without symmetry the last tap comes
// first.
template <int R, class Acc>
__device__ inline void weighted_sums(const Acc* line, int step, const Acc* w, int taps, int symmetry,
                                     Acc (&sum)[R])
{
    if (symmetry != 0) return sum_pairs<R>(line, step, w, taps, Acc(symmetry), sum);
#pragma unroll
    for (int r = 0; r < R; ++r) sum[r] = w[taps - 1] * line[(r + taps - 1) * step];
    add_taps<false, R>(line, step, w, taps - 1, sum);
}

template <class Acc>
__device__ inline Acc divide(Acc sum, Acc divisor) { return divisor == Acc(1) ? sum : sum / divisor; }
