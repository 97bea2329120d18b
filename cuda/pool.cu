// Pooling: one output for each box of elements. Boxes lie side by side; those at the end are of what exists.
#include "stencil.cuh"

// Six axes, the leading ones of length 1 where there are fewer; strides in elements of the input.
struct Boxes {
    i64 size[6], available[6], factor[6], stride[6];
};

// Calls use(value) for each element of the box of an output, in C order, and returns how many there are.
template <class In, class Use>
__device__ inline i64 for_each(const In* in, const Boxes& g, i64 output, Use use)
{
    i64 first[6], end[6], at[6], count = 1;
    for (int axis = 5; axis >= 0; --axis) {
        first[axis] = take_digit(output, g.size[axis]) * g.factor[axis];
        end[axis] = first[axis] + g.factor[axis] < g.available[axis] ? first[axis] + g.factor[axis] : g.available[axis];
        at[axis] = first[axis];
        count *= end[axis] - first[axis];
    }
    for (i64 k = 0; k < count; k += end[5] - first[5]) {
        i64 line = 0;
        for (int axis = 0; axis < 5; ++axis) line += at[axis] * g.stride[axis];
        for (i64 x = first[5]; x < end[5]; ++x) use(in[line + x]);
        for (int axis = 4; axis >= 0; --axis) {
            if (++at[axis] < end[axis]) break;
            at[axis] = first[axis];
        }
    }
    return count;
}

// sizeof(T) bytes read an element, in lines of a box, and sizeof(T) written an output.
template <class T, bool LARGEST>
__global__ void __launch_bounds__(256)
extreme(const T* __restrict__ in, T* __restrict__ out, const Boxes* __restrict__ boxes, i64 count)
{
    const i64 stride = i64(gridDim.x) * blockDim.x;
    for (i64 e = i64(blockIdx.x) * blockDim.x + threadIdx.x; e < count; e += stride) {
        T best = T(0);
        bool any = false;
        for_each(in, *boxes, e, [&](T v) {
            const bool better = LARGEST ? v > best : v < best;
            if (!any || (best == best && (better || v != v))) best = v;  // NaN stays
            any = true;
        });
        out[e] = best;
    }
}

// Keys are in the order of the numbers: NaN is the last, and zeros have no sign.
template <int BYTES> struct unsigned_of;
template <> struct unsigned_of<1> { using type = u8; };
template <> struct unsigned_of<2> { using type = u16; };
template <> struct unsigned_of<4> { using type = u32; };
template <> struct unsigned_of<8> { using type = u64; };
template <class T> using Key = typename unsigned_of<sizeof(T)>::type;
template <class T> constexpr Key<T> top_bit = Key<T>(Key<T>(1) << (8 * sizeof(T) - 1));

template <class T> __device__ inline Key<T> key_of(T v)
{
    if constexpr (!is_float<T>) return is_signed<T> ? Key<T>(Key<T>(v) ^ top_bit<T>) : Key<T>(v);
    else {
        if (v != v) return ~Key<T>(0);
        Key<T> bits;
        if constexpr (same<T, f32>) bits = Key<T>(__float_as_int(v + T(0)));
        else bits = Key<T>(__double_as_longlong(v + T(0)));
        return bits & top_bit<T> ? ~bits : bits | top_bit<T>;
    }
}

template <class T> __device__ inline T value_of(Key<T> key)
{
    if constexpr (!is_float<T>) return is_signed<T> ? T(key ^ top_bit<T>) : T(key);
    else {
        const Key<T> bits = key & top_bit<T> ? key ^ top_bit<T> : ~key;
        if constexpr (same<T, f32>) return __int_as_float(int(bits));
        else return __longlong_as_double(i64(bits));
    }
}

// The mean of two; integers half to even, and not added, which may overflow.
template <class Out, class T> __device__ inline Out between(T a, T b)
{
    if constexpr (is_float<T>) return (a + b) / T(2);
    else {
        const T low = T(T(a & b) + T(T(a ^ b) >> 1)), odd = T((a ^ b) & 1);
        if constexpr (is_float<Out>) return Out(low) + Out(odd) / 2;
        else return T(low + T(odd & low & 1));
    }
}

// Of a box: how many keys are below a limit; the least of the others, and how many there are of it.
template <class T> struct Seen {
    i64 elements, missing, below, found;
    Key<T> least;
};

// Not inlined, because it would be compiled at every call.
template <class T>
__device__ __attribute__((noinline)) Seen<T> look(const T* in, const Boxes& boxes, i64 output, Key<T> limit)
{
    Seen<T> seen = {0, 0, 0, 0, 0};
    seen.elements = for_each(in, boxes, output, [&](T v) {
        const Key<T> key = key_of(v);
        seen.missing += is_float<T> && v != v;
        seen.below += key < limit;
        if (key < limit) return;
        if (seen.found == 0 || key < seen.least) seen.found = 0, seen.least = key;
        seen.found += key == seen.least;
    });
    return seen;
}

// The median of each box, or its most frequent element, of several the least. A box is read once for each bit of a
// key, or once for each number that it has.
template <class In, class Out>
__global__ void __launch_bounds__(256)
ordered(const In* __restrict__ in, Out* __restrict__ out, const Boxes* __restrict__ boxes, i64 count, int frequent)
{
    const i64 stride = i64(gridDim.x) * blockDim.x;
    for (i64 e = i64(blockIdx.x) * blockDim.x + threadIdx.x; e < count; e += stride) {
        Key<In> low = 0, high = 0, limit = 0;
        i64 most = 0;
        if (frequent) {
            do {
                const Seen<In> seen = look(in, *boxes, e, limit);
                if (seen.found > most) most = seen.found, low = seen.least;
                limit = seen.found > 0 ? Key<In>(seen.least + 1) : Key<In>(0);
            } while (limit > 0);
            out[e] = Out(value_of<In>(low));
            continue;
        }
        for (int bit = 8 * sizeof(In) - 1; bit >= 0; --bit) {
            limit = Key<In>(low | Key<In>(Key<In>(1) << bit));
            const Seen<In> seen = look(in, *boxes, e, limit);
            if (seen.below <= (seen.elements - 1) / 2) low = limit;
        }
        const Seen<In> seen = look(in, *boxes, e, low);
        high = low;
        if (seen.below + seen.found <= seen.elements / 2) high = look(in, *boxes, e, Key<In>(low + 1)).least;
        if (seen.missing > 0) low = high = Key<In>(~Key<In>(0));
        out[e] = between<Out>(value_of<In>(low), value_of<In>(high));
    }
}

// (high 2^32 + low) / count, rounded half to even, for sums of `count` parts each.
__device__ inline i64 whole_mean(i64 high, i64 low, i64 count)
{
    const auto divide_down = [](i64 a, i64 b) { return a / b - (a % b < 0); };
    const i64 quotient = divide_down(high, count);
    low += (high - quotient * count) * (i64(1) << 32);
    const i64 below = divide_down(low, count), rest = low - below * count;
    const i64 mean = i64((u64(quotient) << 32) + u64(below));
    return i64(u64(mean) + (2 * rest > count || (2 * rest == count && (mean & 1))));
}

// 64-bit integers saturated; of uint64 the bits are in `mean`.
template <class Out, bool SIGNED> __device__ inline Out saturated(i64 mean)
{
    if constexpr (same<Out, bool>) return mean != 0 && (!SIGNED || mean > 0);
    else {
        constexpr Out high = largest<Out>, low = Out(~largest<Out>);
        if (SIGNED && mean < 0) {
            if (!is_signed<Out>) return Out(0);
            return mean < i64(low) ? low : Out(mean);
        }
        return u64(mean) > u64(high) ? high : Out(mean);
    }
}

// As `extreme`; integers are summed exactly (the high and the low 32 bits apart), others in float64.
template <class In, class Acc, class Out>
__global__ void __launch_bounds__(256)
mean(const In* __restrict__ in, Out* __restrict__ out, const Boxes* __restrict__ boxes, i64 count)
{
    const i64 stride = i64(gridDim.x) * blockDim.x;
    for (i64 e = i64(blockIdx.x) * blockDim.x + threadIdx.x; e < count; e += stride) {
        if constexpr (!is_float<In> && !is_float<Out>) {
            i64 high = 0, low = 0;
            const i64 n = for_each(in, *boxes, e, [&](In v) {
                if constexpr (sizeof(In) == 8) {
                    high += i64(v >> 32);
                    low += i64(v & In(0xFFFFFFFF));
                } else low += i64(v);
            });
            out[e] = saturated<Out, is_signed<In>>(whole_mean(high, low, n));
        } else {
            Acc sum = -Acc(0);
            const i64 n = for_each(in, *boxes, e, [&](In v) { sum += Acc(v); });
            out[e] = cast_to<Out>(sum / Acc(n), 0);
        }
    }
}
