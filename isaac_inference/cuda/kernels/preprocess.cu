// options: --fmad=false
// SPDX-License-Identifier: Apache-2.0
//
// From the bytes of a camera image to a model's input tensor in one pass: one thread makes one pixel of the input.
//
// What the CPU does in three steps (colour conversion, resize, normalisation) happens here for those source pixels
// only that the result needs. Each step rounds to 8 bits as OpenCV does there, so the results are the same; a fused
// multiply-add would break that, hence the option above.
//
// Where to read and with which weights comes from the host, a `Tap` per column and row of the input, so there is no
// floating-point geometry here. Where the image is rectified too, the host gives a place in it for each pixel instead,
// and the four pixels around that are mixed as `cv2.remap` does. `Arguments` and taps lie at fixed addresses and change
// with the image's size, encoding or calibration; the launch, with the pointers to them, never changes, so a captured
// graph stays valid.

enum Kind { PACKED = 0, YUV = 1, YUV_FULL = 2, BAYER = 3 };
enum Mode { POINT = 0, LINEAR = 1, CUBIC = 2, AREA = 3, BLOCK = 4 };

// 136 bytes, written by stages/image/gpu_arguments.py, field by field in this order. Offsets and strides are in bytes,
// positions in pixels.
struct Arguments {
    unsigned long long image;  // address of the image's first byte
    long long step;            // between rows
    long long chroma_start;    // YUV: from the image's first byte to the first chroma sample
    long long chroma_step;     // YUV: between chroma rows
    int kind;
    int mode;
    int stride;         // between pixels (YUV: luma samples) of a row
    int offset[3];      // PACKED: of blue, green, red in a pixel; YUV: of y in a pixel, of u, v in a chroma sample
    int chroma_stride;  // YUV: between chroma samples of a row
    int shift_x;        // YUV: log2 of how many columns share a chroma sample
    int shift_y;        // YUV: the same for rows
    int red_x, red_y;   // BAYER: column and row of a red pixel in the 2x2 pattern
    int width, height;  // of the image
    int low_byte;       // 16-bit samples of fewer significant bits: from a sample's upper byte to its lower one; else 0
    int shift;          // such samples: how many of their significant bits are dropped
    int left, top, right, bottom;  // first and last column and row that may be read: the part of the image shown
    int rgb;            // the tensor's order is red, green, blue
    int pad;            // pixel value around the image
    float block_scale;  // BLOCK: 1 / pixels in a block
    unsigned long long map;   // address of a `Place` for each pixel of the input, row by row; 0: by taps instead
    unsigned long long part;  // address of what is beyond each of them, in 32nds of a pixel: y * 32 + x, 16 bits
};

// The pixel to the upper left of a place in the image; negative: nothing is shown.
struct Place {
    short x, y;
};

// What a column or row of the input is made of. `count` source pixels from `start` on; 0: it is padding.
// LINEAR, CUBIC: a weight for each, in units of 1 / 2048; positions may lie outside and are moved to the edge.
// AREA: weights of the first, of each middle one, and of the last.
struct Tap {
    int start;
    int count;
    float weight[4];
};

struct Pixel {
    int b, g, r;
};

static __device__ __forceinline__ int clamp(int value, int low, int high) {
    return value < low ? low : value > high ? high : value;
}

static __device__ __forceinline__ int to_byte(int value) { return clamp(value, 0, 255); }

// To the nearest whole number, halves to the even one; |value| < 2^22. Adding 1.5 * 2^23 leaves no bits for a fraction.
static __device__ __forceinline__ int round_to_even(float value) {
    return static_cast<int>((value + 12582912.0f) - 12582912.0f);
}

static __device__ __forceinline__ const unsigned char *row_of(const Arguments &args, int y) {
    return reinterpret_cast<const unsigned char *>(args.image) + y * args.step;
}

// The upper 8 of a sample's significant bits; a sample that has more bits than announced is as bright as can be.
static __device__ __forceinline__ int sample_at(const Arguments &args, const unsigned char *at) {
    if (args.low_byte == 0) return *at;
    int value = (*at << 8 | at[args.low_byte]) >> args.shift;
    return value > 255 ? 255 : value;
}

struct PackedReader {
    static __device__ __forceinline__ Pixel read(const Arguments &args, int x, int y) {
        const unsigned char *at = row_of(args, y) + x * args.stride;
        return {sample_at(args, at + args.offset[0]), sample_at(args, at + args.offset[1]),
                sample_at(args, at + args.offset[2])};
    }
};

// BT.601, studio range. FULL has its chroma at full resolution, which OpenCV's matrix transform with 10 fractional
// bits converts; its conversions of the other formats have 20.
template <bool FULL> struct YuvReader {
    static __device__ __forceinline__ Pixel read(const Arguments &args, int x, int y) {
        const unsigned char *chroma = reinterpret_cast<const unsigned char *>(args.image) + args.chroma_start +
                                      (y >> args.shift_y) * args.chroma_step + (x >> args.shift_x) * args.chroma_stride;
        int luma = row_of(args, y)[x * args.stride + args.offset[0]];
        int u = chroma[args.offset[1]], v = chroma[args.offset[2]];
        luma = luma < 16 ? 16 : luma;
        if (FULL)
            return {to_byte((1192 * luma + 2066 * u - 283062) >> 10),
                    to_byte((1192 * luma - 400 * u - 833 * v + 139252) >> 10),
                    to_byte((1192 * luma + 1634 * v - 227750) >> 10)};
        u -= 128, v -= 128;
        int base = (luma - 16) * 1220542 + (1 << 19);
        return {to_byte((base + 2116026 * u) >> 20), to_byte((base - 409993 * u - 852492 * v) >> 20),
                to_byte((base + 1673527 * v) >> 20)};
    }
};

// Each missing colour is the mean of the nearest two or four samples; the outermost pixels copy their inner neighbour.
struct BayerReader {
    static __device__ __forceinline__ Pixel read(const Arguments &args, int x, int y) {
        x = clamp(x, 1, args.width - 2);
        y = clamp(y, 1, args.height - 2);
        const unsigned char *middle = row_of(args, y) + x * args.stride + args.offset[0];
        const unsigned char *above = middle - args.step, *below = middle + args.step;
        int s = args.stride;
        int beside = sample_at(args, middle - s) + sample_at(args, middle + s);
        int upright = sample_at(args, above) + sample_at(args, below), own = sample_at(args, middle);
        bool red_row = (y & 1) == args.red_y, red_column = (x & 1) == args.red_x;
        if (red_row != red_column) {
            beside = (beside + 1) >> 1, upright = (upright + 1) >> 1;
            return red_row ? Pixel{upright, own, beside} : Pixel{beside, own, upright};
        }
        int cross = (beside + upright + 2) >> 2;
        int diagonal = (sample_at(args, above - s) + sample_at(args, above + s) + sample_at(args, below - s) +
                        sample_at(args, below + s) + 2) >>
                       2;
        return red_row ? Pixel{diagonal, cross, own} : Pixel{own, cross, diagonal};
    }
};

// 11-bit weights; between the two directions 4 bits are dropped, after the second 16, and the last 2 are rounded.
static __device__ __forceinline__ int mix_linear(int a, int b, int weight_a, int weight_b) {
    return (((weight_a * (a >> 4)) >> 16) + ((weight_b * (b >> 4)) >> 16) + 2) >> 2;
}

template <class Reader>
static __device__ __forceinline__ Pixel sample_linear(const Arguments &args, const Tap &column, const Tap &row) {
    int x0 = clamp(column.start, args.left, args.right), x1 = clamp(column.start + 1, args.left, args.right);
    int y0 = clamp(row.start, args.top, args.bottom), y1 = clamp(row.start + 1, args.top, args.bottom);
    Pixel p00 = Reader::read(args, x0, y0), p01 = Reader::read(args, x1, y0);
    Pixel p10 = Reader::read(args, x0, y1), p11 = Reader::read(args, x1, y1);
    int u0 = static_cast<int>(column.weight[0]), u1 = static_cast<int>(column.weight[1]);
    int v0 = static_cast<int>(row.weight[0]), v1 = static_cast<int>(row.weight[1]);
    return {mix_linear(p00.b * u0 + p01.b * u1, p10.b * u0 + p11.b * u1, v0, v1),
            mix_linear(p00.g * u0 + p01.g * u1, p10.g * u0 + p11.g * u1, v0, v1),
            mix_linear(p00.r * u0 + p01.r * u1, p10.r * u0 + p11.r * u1, v0, v1)};
}

// Along the row in integers, then down in float from the last row to the first.
template <class Reader>
static __device__ __forceinline__ Pixel sample_cubic(const Arguments &args, const Tap &column, const Tap &row) {
    float b = 0.0f, g = 0.0f, r = 0.0f;
    for (int j = 3; j >= 0; --j) {
        int y = clamp(row.start + j, args.top, args.bottom);
        Pixel sum = {0, 0, 0};
        for (int i = 0; i < 4; ++i) {
            Pixel pixel = Reader::read(args, clamp(column.start + i, args.left, args.right), y);
            int weight = static_cast<int>(column.weight[i]);
            sum.b += pixel.b * weight, sum.g += pixel.g * weight, sum.r += pixel.r * weight;
        }
        float weight = row.weight[j] * (1.0f / (2048.0f * 2048.0f));
        b = static_cast<float>(sum.b) * weight + b;
        g = static_cast<float>(sum.g) * weight + g;
        r = static_cast<float>(sum.r) * weight + r;
    }
    return {to_byte(round_to_even(b)), to_byte(round_to_even(g)), to_byte(round_to_even(r))};
}

static __device__ __forceinline__ float area_weight(const Tap &tap, int i) {
    return i == 0 ? tap.weight[0] : i == tap.count - 1 ? tap.weight[2] : tap.weight[1];
}

template <class Reader>
static __device__ __forceinline__ Pixel sample_area(const Arguments &args, const Tap &column, const Tap &row) {
    float b = 0.0f, g = 0.0f, r = 0.0f;
    for (int j = 0; j < row.count; ++j) {
        float row_b = 0.0f, row_g = 0.0f, row_r = 0.0f;
        for (int i = 0; i < column.count; ++i) {
            Pixel pixel = Reader::read(args, column.start + i, row.start + j);
            float weight = area_weight(column, i);
            row_b += static_cast<float>(pixel.b) * weight;
            row_g += static_cast<float>(pixel.g) * weight;
            row_r += static_cast<float>(pixel.r) * weight;
        }
        float weight = area_weight(row, j);
        b += row_b * weight, g += row_g * weight, r += row_r * weight;
    }
    return {to_byte(round_to_even(b)), to_byte(round_to_even(g)), to_byte(round_to_even(r))};
}

// The mean of a whole number of pixels; of 2x2 its halves are rounded up, of other blocks to the even value.
template <class Reader>
static __device__ __forceinline__ Pixel sample_block(const Arguments &args, const Tap &column, const Tap &row) {
    Pixel sum = {0, 0, 0};
    for (int j = 0; j < row.count; ++j)
        for (int i = 0; i < column.count; ++i) {
            Pixel pixel = Reader::read(args, column.start + i, row.start + j);
            sum.b += pixel.b, sum.g += pixel.g, sum.r += pixel.r;
        }
    if (row.count == 2 && column.count == 2) return {(sum.b + 2) >> 2, (sum.g + 2) >> 2, (sum.r + 2) >> 2};
    return {round_to_even(static_cast<float>(sum.b) * args.block_scale),
            round_to_even(static_cast<float>(sum.g) * args.block_scale),
            round_to_even(static_cast<float>(sum.r) * args.block_scale)};
}

// The sum is exact, and rounded once.
template <class Reader>
static __device__ __forceinline__ Pixel sample_place(const Arguments &args, Place place, int part) {
    int x0 = place.x, y0 = place.y, u = part & 31, v = part >> 5;
    int x1 = x0 + 1 < args.width ? x0 + 1 : x0, y1 = y0 + 1 < args.height ? y0 + 1 : y0;
    Pixel p00 = Reader::read(args, x0, y0), p01 = Reader::read(args, x1, y0);
    Pixel p10 = Reader::read(args, x0, y1), p11 = Reader::read(args, x1, y1);
    int w00 = (32 - u) * (32 - v), w01 = u * (32 - v), w10 = (32 - u) * v, w11 = u * v;
    return {(p00.b * w00 + p01.b * w01 + p10.b * w10 + p11.b * w11 + 512) >> 10,
            (p00.g * w00 + p01.g * w01 + p10.g * w10 + p11.g * w11 + 512) >> 10,
            (p00.r * w00 + p01.r * w01 + p10.r * w10 + p11.r * w11 + 512) >> 10};
}

template <class Reader>
static __device__ Pixel sample(const Arguments &args, const Tap &column, const Tap &row) {
    switch (args.mode) {
        case LINEAR: return sample_linear<Reader>(args, column, row);
        case CUBIC: return sample_cubic<Reader>(args, column, row);
        case AREA: return sample_area<Reader>(args, column, row);
        case BLOCK: return sample_block<Reader>(args, column, row);
        default: return Reader::read(args, column.start, row.start);
    }
}

static __device__ Pixel shown(const Arguments &args, const Tap &column, const Tap &row) {
    switch (args.kind) {
        case YUV: return sample<YuvReader<false>>(args, column, row);
        case YUV_FULL: return sample<YuvReader<true>>(args, column, row);
        case BAYER: return sample<BayerReader>(args, column, row);
        default: return sample<PackedReader>(args, column, row);
    }
}

static __device__ Pixel shown(const Arguments &args, Place place, int part) {
    switch (args.kind) {
        case YUV: return sample_place<YuvReader<false>>(args, place, part);
        case YUV_FULL: return sample_place<YuvReader<true>>(args, place, part);
        case BAYER: return sample_place<BayerReader>(args, place, part);
        default: return sample_place<PackedReader>(args, place, part);
    }
}

// `table` holds the 3 x 256 values that a pixel can become, one row per channel of the tensor, in its own type; so the
// types differ in their size only. `taps` are those of the columns, then those of the rows.
template <class Bits>
static __device__ __forceinline__ void preprocess(const Arguments *args, const Tap *taps, const Bits *table,
                                                  Bits *tensor, int width, int height, int interleaved) {
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= width || y >= height) return;
    size_t index = static_cast<size_t>(y) * width + x, plane = static_cast<size_t>(width) * height;
    Pixel pixel = {args->pad, args->pad, args->pad};
    if (args->map != 0) {
        const Place place = reinterpret_cast<const Place *>(args->map)[index];
        if (place.x >= 0) pixel = shown(*args, place, reinterpret_cast<const unsigned short *>(args->part)[index]);
    } else {
        const Tap column = taps[x], row = taps[width + y];
        if (column.count > 0 && row.count > 0) pixel = shown(*args, column, row);
    }
    int first = args->rgb ? pixel.r : pixel.b, last = args->rgb ? pixel.b : pixel.r;
    Bits *out = tensor + (interleaved ? index * 3 : index);
    size_t next = interleaved ? 1 : plane;
    out[0] = table[first];
    out[next] = table[256 + pixel.g];
    out[2 * next] = table[512 + last];
}

extern "C" __global__ void preprocess_uint8(const Arguments *args, const Tap *taps, const unsigned char *table,
                                            unsigned char *tensor, int width, int height, int interleaved) {
    preprocess(args, taps, table, tensor, width, height, interleaved);
}

extern "C" __global__ void preprocess_float16(const Arguments *args, const Tap *taps, const unsigned short *table,
                                              unsigned short *tensor, int width, int height, int interleaved) {
    preprocess(args, taps, table, tensor, width, height, interleaved);
}

extern "C" __global__ void preprocess_float32(const Arguments *args, const Tap *taps, const unsigned int *table,
                                              unsigned int *tensor, int width, int height, int interleaved) {
    preprocess(args, taps, table, tensor, width, height, interleaved);
}
