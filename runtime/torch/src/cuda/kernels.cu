// Batch norm with ReLU in training, forward and backward, and the affine maps with ReLU of inference, on
// images that are channels last in memory. Compiled when it is first needed, by NVRTC, once per storage
// format: BF16, FLOAT or DOUBLE is defined.
//
// An image tensor is `rows` pixels of `groups` packs each. A pack is 16 bytes: LANES neighbouring channels
// of a pixel. Arithmetic is in `Real`; parameters and sums are stored in it.

struct __align__(16) Pack { unsigned int word[4]; };

#if defined(BF16)
typedef float Real;
#define LANES 8
__device__ __forceinline__ void unpack(const Pack& pack, Real* values) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
        values[2 * i] = __uint_as_float(pack.word[i] << 16);
        values[2 * i + 1] = __uint_as_float(pack.word[i] & 0xffff0000u);
    }
}
// To the nearest bf16, ties to even. A NaN stays one.
__device__ __forceinline__ unsigned int bf16(float value) {
    unsigned int bits = __float_as_uint(value);
    if (value != value) return bits >> 16 | 0x40;
    return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}
__device__ __forceinline__ Pack packed(const Real* values) {
    Pack pack;
#pragma unroll
    for (int i = 0; i < 4; i++) {
#if __CUDA_ARCH__ >= 800
        asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pack.word[i])
            : "f"(values[2 * i + 1]), "f"(values[2 * i]));
#else
        pack.word[i] = bf16(values[2 * i + 1]) << 16 | bf16(values[2 * i]);
#endif
    }
    return pack;
}
#elif defined(FLOAT)
typedef float Real;
#define LANES 4
__device__ __forceinline__ void unpack(const Pack& pack, Real* values) {
#pragma unroll
    for (int i = 0; i < LANES; i++) values[i] = __uint_as_float(pack.word[i]);
}
__device__ __forceinline__ Pack packed(const Real* values) {
    Pack pack;
#pragma unroll
    for (int i = 0; i < LANES; i++) pack.word[i] = __float_as_uint(values[i]);
    return pack;
}
#elif defined(DOUBLE)
typedef double Real;
#define LANES 2
__device__ __forceinline__ void unpack(const Pack& pack, Real* values) {
#pragma unroll
    for (int i = 0; i < LANES; i++)
        values[i] = __hiloint2double(pack.word[2 * i + 1], pack.word[2 * i]);
}
__device__ __forceinline__ Pack packed(const Real* values) {
    Pack pack;
#pragma unroll
    for (int i = 0; i < LANES; i++) {
        pack.word[2 * i] = __double2loint(values[i]);
        pack.word[2 * i + 1] = __double2hiint(values[i]);
    }
    return pack;
}
#endif

// A block has as many rows of packs as fit into its threads; a thread stays in its group of channels. More
// groups than threads are divided among blocks, along the grid's second dimension.
#define THREADS 256
// As in PyTorch.
#define EPSILON ((Real)1e-5)
#define MOMENTUM ((Real)0.1)

struct Place {
    int group, row, step;
    bool active;
};

// The number of a block's groups.
__device__ __forceinline__ int groups_of_block(int groups) {
    return groups < THREADS ? groups : THREADS;
}

__device__ __forceinline__ Place place_of_thread(int groups) {
    int width = groups_of_block(groups), rows = THREADS / width;
    Place place;
    place.group = blockIdx.y * width + threadIdx.x % width;
    place.row = blockIdx.x * rows + threadIdx.x / width;
    place.step = gridDim.x * rows;
    place.active = threadIdx.x < rows * width && place.group < groups;
    return place;
}

__device__ __forceinline__ Real relu(Real value) {
    // As in PyTorch, NaN passes.
    return value <= 0 ? (Real)0 : value;
}

// Adds two values for each channel over the block, and then to `sums`, whose two halves have a number for
// each channel.
__device__ __forceinline__ void add_over_block(Real* first, Real* second, Real* sums, int groups) {
    __shared__ Real shared[THREADS][2 * LANES + 1];
    int width = groups_of_block(groups), rows = THREADS / width, rows_of_sum = 1;
    // Where a warp holds whole rows, its lanes add up first.
    if (width < 32 && (width & (width - 1)) == 0) {
        rows_of_sum = 32 / width;
        for (int offset = 16; offset >= width; offset /= 2) {
#pragma unroll
            for (int i = 0; i < LANES; i++) {
                first[i] += __shfl_xor_sync(0xffffffffu, first[i], offset);
                second[i] += __shfl_xor_sync(0xffffffffu, second[i], offset);
            }
        }
    }
#pragma unroll
    for (int i = 0; i < LANES; i++) {
        shared[threadIdx.x][i] = first[i];
        shared[threadIdx.x][LANES + i] = second[i];
    }
    __syncthreads();
    for (int column = threadIdx.x; column < 2 * LANES * width; column += THREADS) {
        int half = column / (LANES * width), channel = column % (LANES * width);
        if (blockIdx.y * width + channel / LANES >= groups) continue;
        Real sum = 0;
        for (int row = 0; row < rows; row += rows_of_sum)
            sum += shared[row * width + channel / LANES][half * LANES + channel % LANES];
        atomicAdd(&sums[(half * groups + blockIdx.y * width) * LANES + channel], sum);
    }
}

// Batch norm of a group of channels: `scale * x + shift`, from the sums of x and of its squares.
struct Norm {
    Real mean[LANES], variance[LANES], inverse_std[LANES], scale[LANES], shift[LANES];
};

__device__ __forceinline__ void norm_of(Norm& norm, const Real* sums, const Real* weight,
                                        const Real* bias, int rows, int groups, int group) {
#pragma unroll
    for (int i = 0; i < LANES; i++) {
        int channel = group * LANES + i;
        Real mean = sums[channel] / rows;
        Real variance = sums[groups * LANES + channel] / rows - mean * mean;
        norm.mean[i] = mean;
        // Rounding can make it negative.
        norm.variance[i] = variance < 0 ? (Real)0 : variance;
        norm.inverse_std[i] = 1 / sqrt(norm.variance[i] + EPSILON);
        norm.scale[i] = weight[channel] * norm.inverse_std[i];
        norm.shift[i] = bias[channel] - mean * norm.scale[i];
    }
}

// `sum = a + b`, and the sums of it and of its squares. Without `b`, those of `a`, and `sum` is not written.
extern "C" __global__ void __launch_bounds__(THREADS)
add_and_sum(const Pack* a, const Pack* b, Pack* sum, Real* sums, int rows, int groups) {
    Place place = place_of_thread(groups);
    Real first[LANES] = {}, second[LANES] = {};
    if (place.active) {
#pragma unroll 4
        for (int row = place.row; row < rows; row += place.step) {
            long long at = (long long)row * groups + place.group;
            Real x[LANES];
            unpack(a[at], x);
            if (b) {
                Real y[LANES];
                unpack(b[at], y);
#pragma unroll
                for (int i = 0; i < LANES; i++) x[i] += y[i];
                Pack rounded = packed(x);
                sum[at] = rounded;
                unpack(rounded, x);
            }
#pragma unroll
            for (int i = 0; i < LANES; i++) {
                first[i] += x[i];
                second[i] += x[i] * x[i];
            }
        }
    }
    add_over_block(first, second, sums, groups);
}

// `out = relu(batch_norm(x))`. Updates the running statistics.
extern "C" __global__ void __launch_bounds__(THREADS)
normalise_relu(const Pack* x, const Real* sums, const Real* weight, const Real* bias,
               Real* running_mean, Real* running_var, Pack* out, int rows, int groups) {
    Place place = place_of_thread(groups);
    if (!place.active) return;
    Norm norm;
    norm_of(norm, sums, weight, bias, rows, groups, place.group);
    if (place.row == 0) {
        Real unbiased = (Real)rows / (rows > 1 ? rows - 1 : 1);
#pragma unroll
        for (int i = 0; i < LANES; i++) {
            int channel = place.group * LANES + i;
            running_mean[channel] += MOMENTUM * (norm.mean[i] - running_mean[channel]);
            running_var[channel] += MOMENTUM * (norm.variance[i] * unbiased - running_var[channel]);
        }
    }
#pragma unroll 4
    for (int row = place.row; row < rows; row += place.step) {
        long long at = (long long)row * groups + place.group;
        Real y[LANES];
        unpack(x[at], y);
#pragma unroll
        for (int i = 0; i < LANES; i++) y[i] = relu(y[i] * norm.scale[i] + norm.shift[i]);
        out[at] = packed(y);
    }
}

// With g the gradient before ReLU: the sums of g, and of g times the normalised x.
extern "C" __global__ void __launch_bounds__(THREADS)
sum_gradient(const Pack* x, const Pack* gradient, const Real* sums, const Real* weight,
             const Real* bias, Real* gradient_sums, int rows, int groups) {
    Place place = place_of_thread(groups);
    Real first[LANES] = {}, second[LANES] = {};
    if (place.active) {
        Norm norm;
        norm_of(norm, sums, weight, bias, rows, groups, place.group);
#pragma unroll 4
        for (int row = place.row; row < rows; row += place.step) {
            long long at = (long long)row * groups + place.group;
            Real v[LANES], g[LANES];
            unpack(x[at], v);
            unpack(gradient[at], g);
#pragma unroll
            for (int i = 0; i < LANES; i++) {
                Real passed = v[i] * norm.scale[i] + norm.shift[i] > 0 ? g[i] : (Real)0;
                first[i] += passed;
                second[i] += passed * (v[i] - norm.mean[i]) * norm.inverse_std[i];
            }
        }
    }
    add_over_block(first, second, gradient_sums, groups);
}

// The gradients with respect to x, plus `skip` where it is given, and to weight and bias. `out` may be
// `gradient`.
extern "C" __global__ void __launch_bounds__(THREADS)
gradient_of_x(const Pack* x, const Pack* gradient, const Pack* skip, const Real* sums,
              const Real* gradient_sums, const Real* weight, const Real* bias, Real* weight_gradient,
              Real* bias_gradient, Pack* out, int rows, int groups) {
    Place place = place_of_thread(groups);
    if (!place.active) return;
    Norm norm;
    norm_of(norm, sums, weight, bias, rows, groups, place.group);
    // scale * (g - mean of g - x^ * mean of (g x^)) = scale * g + slope * x + offset, with
    // x^ = (x - mean) * inverse_std.
    Real slope[LANES], offset[LANES];
#pragma unroll
    for (int i = 0; i < LANES; i++) {
        int channel = place.group * LANES + i;
        Real sum = gradient_sums[channel];
        Real weighted_sum = gradient_sums[groups * LANES + channel];
        if (place.row == 0) {
            bias_gradient[channel] = sum;
            weight_gradient[channel] = weighted_sum;
        }
        slope[i] = -norm.scale[i] * norm.inverse_std[i] * weighted_sum / rows;
        offset[i] = -norm.scale[i] * sum / rows - slope[i] * norm.mean[i];
    }
#pragma unroll 2
    for (int row = place.row; row < rows; row += place.step) {
        long long at = (long long)row * groups + place.group;
        Real v[LANES], g[LANES], s[LANES] = {};
        unpack(x[at], v);
        unpack(gradient[at], g);
        if (skip) unpack(skip[at], s);
#pragma unroll
        for (int i = 0; i < LANES; i++) {
            Real passed = v[i] * norm.scale[i] + norm.shift[i] > 0 ? g[i] : (Real)0;
            v[i] = norm.scale[i] * passed + (slope[i] * v[i] + offset[i]) + s[i];
        }
        out[at] = packed(v);
    }
}

// In inference: `x += y` where `y` is given, and `out = relu(scale * x + shift)`.
extern "C" __global__ void __launch_bounds__(THREADS)
add_affine_relu(Pack* x, const Pack* y, const Real* scale, const Real* shift, Pack* out, int rows,
                int groups) {
    Place place = place_of_thread(groups);
    if (!place.active) return;
    Real scales[LANES], shifts[LANES];
#pragma unroll
    for (int i = 0; i < LANES; i++) {
        scales[i] = scale[place.group * LANES + i];
        shifts[i] = shift[place.group * LANES + i];
    }
#pragma unroll 4
    for (int row = place.row; row < rows; row += place.step) {
        long long at = (long long)row * groups + place.group;
        Real v[LANES];
        unpack(x[at], v);
        if (y) {
            Real w[LANES];
            unpack(y[at], w);
#pragma unroll
            for (int i = 0; i < LANES; i++) v[i] += w[i];
            Pack rounded = packed(v);
            x[at] = rounded;
            unpack(rounded, v);
        }
#pragma unroll
        for (int i = 0; i < LANES; i++) v[i] = relu(v[i] * scales[i] + shifts[i]);
        out[at] = packed(v);
    }
}
