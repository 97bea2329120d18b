// Keys: unsigned integers in the order of the values, NaN the last; and windows on a padded copy of an array.
#include "stencil.cuh"

template <int BYTES> struct of_bytes;
template <> struct of_bytes<1> { using type = u8; };
template <> struct of_bytes<2> { using type = u16; };
template <> struct of_bytes<4> { using type = u32; };
template <> struct of_bytes<8> { using type = u64; };
template <class T> using Key = typename of_bytes<sizeof(T)>::type;

template <class T> constexpr Key<T> top_bit = Key<T>(Key<T>(1) << (8 * sizeof(T) - 1));

template <class T> __device__ inline Key<T> to_key(T v)
{
    if constexpr (is_float<T>) {
        if (v != v) return ~Key<T>(0);
        Key<T> bits;
        if constexpr (same<T, f32>) bits = Key<T>(__float_as_int(v));
        else bits = Key<T>(__double_as_longlong(v));
        return bits & top_bit<T> ? ~bits : bits | top_bit<T>;
    } else return is_signed<T> ? Key<T>(Key<T>(v) ^ top_bit<T>) : Key<T>(v);
}

template <class T> __device__ inline T from_key(Key<T> key)
{
    if constexpr (is_float<T>) {
        const Key<T> bits = key & top_bit<T> ? key ^ top_bit<T> : ~key;
        if constexpr (same<T, f32>) return __int_as_float(int(bits));
        else return __longlong_as_double(i64(bits));
    } else return is_signed<T> ? T(key ^ top_bit<T>) : T(key);
}

// Where the results are, and the windows: strides of the padded copy, in elements.
struct Windows {
    i64 size[6], stride[6];
};

__device__ inline i64 first_of(const Windows& g, i64 element)
{
    i64 at = 0;
    for (int axis = 5; axis >= 0; --axis) at += take_digit(element, g.size[axis]) * g.stride[axis];
    return at;
}
