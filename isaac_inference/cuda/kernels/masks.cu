// SPDX-License-Identifier: Apache-2.0
// options: --fmad=false
// From prototypes and the boxes that NMS has left to the image of instances: in each source pixel the number of the best
// object that covers it.
//
// A block makes a tile of the image. For each box on it, best first, it mixes the few cells of the maps that the tile
// needs in shared memory, and interpolates between them: ops/masks/prototypes.py, step by step in float32, but for the
// order in which a sum's terms are added. No includes: NVRTC has none.

// As in detect.cu and stages/detection/gpu_memory.py.
struct Header {
    int kept;
    int flags;
    int candidates;
    int boxes, inverted, outside, tiny;
    float best_score;
};

struct Row {
    float box[4];  // x_min, y_min, x_max, y_max in source pixels
    float score;
    int class_id;
    int anchor;
    int pixels;  // counter: of its mask; arrives as 0
};

// How source pixels lie along one axis of the maps; stages/detection/masks_gpu.py has the same fields in the same order.
struct Axis {
    double scale;   // cells a pixel
    double offset;  // cells
    int first;      // cells from `first` to before `stop` show the image
    int stop;
    int size;    // of the maps
    int pixels;  // of the image
};

struct Maps {
    Axis x, y;
    int channels;
    float threshold;
};

#define FLAG_MASK 4
#define TILE 32      // pixels of a tile's side
#define ROWS 8       // of threads: each has TILE / ROWS pixels
#define CELLS 1024   // of a tile that are mixed in shared memory
#define MAX_CHANNELS 256
#define LARGEST 3.402823466e38f

__device__ inline float to_float(unsigned short bits) {
    const unsigned magnitude = bits & 0x7fffu;
    float value = __uint_as_float(magnitude << 13) * __uint_as_float(0x77800000u);  // 2^112
    if (magnitude >= 0x7c00u) value = __uint_as_float(magnitude << 13 | 0x7f800000u);
    return __uint_as_float(__float_as_uint(value) | (bits & 0x8000u) << 16);
}

__device__ inline float read(const void *data, int is_half, long long i) {
    return is_half ? to_float(static_cast<const unsigned short *>(data)[i]) : static_cast<const float *>(data)[i];
}

struct Place {
    int lower, upper;
    float share;
};

// Between which cells a pixel's centre lies: `Axis.at` of ops/masks/sampling.py.
__device__ inline Place place_of(const Axis &axis, int pixel) {
    double centered = (pixel + 0.5) * axis.scale + axis.offset - 0.5;
    if (centered < axis.first) centered = axis.first;
    if (centered > axis.stop - 1) centered = axis.stop - 1;
    Place place;
    const int last = axis.stop - 2 > axis.first ? axis.stop - 2 : axis.first;
    place.lower = static_cast<int>(centered) < last ? static_cast<int>(centered) : last;
    place.upper = place.lower + 1 < axis.stop ? place.lower + 1 : axis.stop - 1;
    place.share = static_cast<float>(centered - place.lower);
    return place;
}

// First pixel at or behind an edge: pixel i belongs to a box where x_min <= i < x_max.
__device__ inline int pixel_at(float edge, int low, int high) {
    const float whole = ceilf(edge);
    return whole <= low ? low : whole >= high ? high : static_cast<int>(whole);
}

// One cell of one object's map.
__device__ inline float mixed(const float *coefficients, const void *prototypes, int is_half, const Maps *maps,
                              int column, int row) {
    const long long plane = static_cast<long long>(maps->x.size) * maps->y.size;
    long long at = static_cast<long long>(row) * maps->x.size + column;
    float sum = 0.0f;
    for (int i = 0; i < maps->channels; ++i, at += plane) sum += coefficients[i] * read(prototypes, is_half, at);
    return sum;
}

// Grid: (tiles across, tiles down), block: (32, 8). Predictions as in detect.cu; `first_channel` is the first of the
// coefficients. `numbers` is the image, row by row.
extern "C" __global__ void __launch_bounds__(256)
paint(Header *header, Row *rows, const void *data, int is_half, long long anchor_step, long long channel_step,
      int first_channel, const void *prototypes, int prototypes_half, const Maps *maps, unsigned short *numbers) {
    __shared__ float cells[CELLS];
    __shared__ float coefficients[MAX_CHANNELS];
    __shared__ int hits;
    const Axis x_axis = maps->x, y_axis = maps->y;
    const int thread = threadIdx.y * TILE + threadIdx.x, kept = header->kept;
    const int left = blockIdx.x * TILE, top = blockIdx.y * TILE, column = left + threadIdx.x;
    const int right = min(left + TILE, x_axis.pixels), bottom = min(top + TILE, y_axis.pixels);
    const int first_x = place_of(x_axis, left).lower, first_y = place_of(y_axis, top).lower;
    const int width = place_of(x_axis, right - 1).upper - first_x + 1;
    const int height = place_of(y_axis, bottom - 1).upper - first_y + 1;
    const bool fits = width * height <= CELLS;  // else the image is so small that mixing for each pixel costs little
    const Place x = place_of(x_axis, min(column, right - 1));
    int found[TILE / ROWS];
    for (int j = 0; j < TILE / ROWS; ++j) found[j] = 0;
    bool finite = true;
    for (int i = 0; i < kept; ++i) {
        const float *box = rows[i].box;
        const int x0 = pixel_at(box[0], left, right), x1 = pixel_at(box[2], left, right);
        const int y0 = pixel_at(box[1], top, bottom), y1 = pixel_at(box[3], top, bottom);
        if (x0 >= x1 || y0 >= y1) continue;  // the same for all threads
        for (int k = thread; k < maps->channels; k += TILE * ROWS)
            coefficients[k] = read(data, is_half, rows[i].anchor * anchor_step + (first_channel + k) * channel_step);
        if (thread == 0) hits = 0;
        __syncthreads();
        if (fits) {
            for (int c = thread; c < width * height; c += TILE * ROWS)
                cells[c] =
                    mixed(coefficients, prototypes, prototypes_half, maps, first_x + c % width, first_y + c / width);
            __syncthreads();
        }
        int own = 0;
        for (int j = 0; j < TILE / ROWS; ++j) {
            const int row = top + threadIdx.y + j * ROWS;
            if (column < x0 || column >= x1 || row < y0 || row >= y1) continue;
            const Place y = place_of(y_axis, row);
            float corner[4];
            for (int k = 0; k < 4; ++k) {
                const int cx = k % 2 ? x.upper : x.lower, cy = k / 2 ? y.upper : y.lower;
                corner[k] = fits ? cells[(cy - first_y) * width + cx - first_x]
                                 : mixed(coefficients, prototypes, prototypes_half, maps, cx, cy);
                finite &= fabsf(corner[k]) <= LARGEST;
            }
            const float above = corner[0] + (corner[1] - corner[0]) * x.share;
            const float below = corner[2] + (corner[3] - corner[2]) * x.share;
            if (!((below - above) * y.share > maps->threshold - above)) continue;
            ++own;
            if (found[j] == 0) found[j] = i + 1;
        }
        if (own) atomicAdd(&hits, own);
        __syncthreads();
        if (thread == 0 && hits) atomicAdd(&rows[i].pixels, hits);
    }
    if (!finite) atomicOr(&header->flags, FLAG_MASK);
    for (int j = 0; j < TILE / ROWS; ++j) {
        const int row = top + threadIdx.y + j * ROWS;
        if (column < right && row < bottom)
            numbers[static_cast<long long>(row) * x_axis.pixels + column] = static_cast<unsigned short>(found[j]);
    }
}
