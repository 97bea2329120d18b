// Convolution of an image of several channels, as in a layer of a neural network (which does not turn the kernel round):
//
//     out[o, y, x] = bias[o] + sum over c, j, i of weights[o][c][j][i] * in[c, y + j - 1, x + i - 1]
//
//     gridstride apply examples/article/convolution.cu image.zarr features.zarr --axes c,y,x --halo 2,1,1 --mode constant
//         --out-dtype float32
//
// Every channel of the result needs all channels of the image: along c the halo is one less than there are channels, and
// what lies beyond them is 0 and counts for nothing. Weights of any number and size, from a file: gridstride filter conv.

constexpr int CHANNELS = 3, SIZE = 3;
// From red, green and blue: brightness smoothed, its slope along x, and what is redder than its surroundings.
__device__ const float weights[CHANNELS][CHANNELS][SIZE][SIZE] = {
    {{{.02f, .04f, .02f}, {.04f, .08f, .04f}, {.02f, .04f, .02f}},
     {{.04f, .08f, .04f}, {.08f, .16f, .08f}, {.04f, .08f, .04f}},
     {{.01f, .01f, .01f}, {.01f, .03f, .01f}, {.01f, .01f, .01f}}},
    {{{-.1f, 0, .1f}, {-.2f, 0, .2f}, {-.1f, 0, .1f}},
     {{-.1f, 0, .1f}, {-.2f, 0, .2f}, {-.1f, 0, .1f}},
     {{-.1f, 0, .1f}, {-.2f, 0, .2f}, {-.1f, 0, .1f}}},
    {{{-.1f, -.1f, -.1f}, {-.1f, 1.8f, -.1f}, {-.1f, -.1f, -.1f}},
     {{0, 0, 0}, {0, -.5f, 0}, {0, 0, 0}},
     {{0, 0, 0}, {0, -.5f, 0}, {0, 0, 0}}},
};
__device__ const float bias[CHANNELS] = {0, 0, .25f};

extern "C" __global__ void convolution(const float* block, float* result, const long long* origin, const long long* shape)
{
    // One thread for each element of the result.
    const long long e = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (e >= elements_of(shape)) return;
    At at(block, shape, origin, e);
    const int o = int(at.index[0]);
    float sum = bias[o];
    for (int c = 0; c < CHANNELS; ++c)
        for (int j = 0; j < SIZE; ++j)
            for (int i = 0; i < SIZE; ++i) sum += weights[o][c][j][i] * at(c - o, j - SIZE / 2, i - SIZE / 2);
    result[e] = sum;
}
