// SPDX-License-Identifier: Apache-2.0
// options: --fmad=false
// From a segmentation network's scores to a class for each source pixel: the best class of each cell of the output,
// then, through tables that the host made of the letterbox, source pixels.
//
// The classes are those of the CPU's ops, bit for bit; confidence is so up to the last bit of an exponential. Without
// contraction, as requested above, interpolation has exactly the CPU's float32 steps. No includes: NVRTC has none.

#define LARGEST 3.402823466e38f

enum Activation { SOFTMAX = 0, SIGMOID = 1, NONE = 2 };

// Beside the results; arrives as zeros. stages/segmentation/segmenter_gpu.py has the same fields in the same order.
struct Header {
    int non_finite;  // a score is NaN or infinite
    int differs;     // not all cells have the same class
    int first;       // the class of the first cell
    int unused;
};

// One image's scores in any layout; 40 bytes, passed by value to no kernel: it lies on the device.
struct Scores {
    unsigned long long data;
    long long class_step, cell_step;  // elements from one class, or cell, to the next
    int is_half;
    int classes;
    int is_binary;  // one class against the rest: the rest has `level`, the class the only channel
    float level;
};

// IEEE half precision; exact, subnormals too.
static __device__ __forceinline__ float to_float(unsigned short bits) {
    const unsigned magnitude = bits & 0x7fffu;
    float value = __uint_as_float(magnitude << 13) * __uint_as_float(0x77800000u);  // 2^112
    if (magnitude >= 0x7c00u) value = __uint_as_float(magnitude << 13 | 0x7f800000u);
    return __uint_as_float(__float_as_uint(value) | (bits & 0x8000u) << 16);
}

static __device__ __forceinline__ float channel(const Scores &in, int class_id, int cell) {
    const long long i = class_id * in.class_step + cell * in.cell_step;
    return in.is_half ? to_float(reinterpret_cast<const unsigned short *>(in.data)[i])
                      : reinterpret_cast<const float *>(in.data)[i];
}

// The score of a class; of a single class against the rest there are two.
static __device__ __forceinline__ float score(const Scores &in, int class_id, int cell) {
    if (!in.is_binary) return channel(in, class_id, cell);
    return class_id == 0 ? in.level : channel(in, 0, cell);
}

static __device__ __forceinline__ bool is_finite(float value) { return fabsf(value) <= LARGEST; }  // false for NaN

static __device__ __forceinline__ float clipped(float value) {
    return value < 0.0f ? 0.0f : value > 1.0f ? 1.0f : value;
}

static __device__ __forceinline__ float probability(float value, int activation) {
    return clipped(activation == NONE ? value : 1.0f / (1.0f + expf(-value)));
}

static __device__ __forceinline__ float confidence(const Scores &in, int cell, int best_id, float best, int activation) {
    if (in.is_binary) {
        const float own = probability(channel(in, 0, cell), activation);
        return best_id == 1 ? own : 1.0f - own;
    }
    if (activation != SOFTMAX) return probability(best, activation);
    float total = 0.0f;
    for (int i = 0; i < in.classes; ++i) total += expf(channel(in, i, cell) - best);
    return 1.0f / total;
}

// One thread a cell: its best class, the first of equal ones, and, where `sure` is not null, its confidence in 0..255.
extern "C" __global__ void best_cells(const Scores *scores, int cells, int activation, unsigned short *ids,
                                      unsigned char *sure, Header *header) {
    const int cell = blockIdx.x * blockDim.x + threadIdx.x;
    if (cell >= cells) return;
    const Scores in = *scores;
    float best = score(in, 0, cell);
    bool finite = is_finite(best);
    int best_id = 0;
    for (int i = 1; i < in.classes; ++i) {
        const float value = score(in, i, cell);
        finite = finite && is_finite(value);
        if (value > best) best = value, best_id = i;
    }
    if (!finite) header->non_finite = 1;  // whoever writes it writes the same
    ids[cell] = static_cast<unsigned short>(best_id);
    if (cell == 0) header->first = best_id;
    if (sure != nullptr)
        sure[cell] = static_cast<unsigned char>(confidence(in, cell, best_id, best, activation) * 255.0f + 0.5f);
}

// What tells this output from another one: `count` of its numbers, `step` apart; and whether all cells are alike.
extern "C" __global__ void survey(const Scores *scores, const unsigned short *ids, int cells, int step, int count,
                                  unsigned char *samples, Header *header) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < cells && ids[i] != ids[0]) header->differs = 1;
    if (i >= count) return;
    const long long at = static_cast<long long>(i) * step;
    if (scores->is_half)
        reinterpret_cast<unsigned short *>(samples)[i] = reinterpret_cast<const unsigned short *>(scores->data)[at];
    else
        reinterpret_cast<unsigned *>(samples)[i] = reinterpret_cast<const unsigned *>(scores->data)[at];
}

// Where the source pixels of one axis are, in cells: -1 where the network did not see them.
struct Tap {
    int nearest;
    int first, second;
    float weight;
};

// What is made of a cell's class before it is written.
struct Output {
    int width, height;  // of the source image
    int cells_wide;
    int fill;   // the id of pixels without a class
    int least;  // confidence below which a pixel is one of them
    int wide;   // ids have 16 bits
    int has_kept;
    int unused;
};

static __device__ __forceinline__ float between(float one, float other, float weight) {
    return (other - one) * weight + one;
}

// The class of interpolated scores; only where the four cells do not agree can it be another than theirs.
static __device__ int interpolated(const Scores &in, const unsigned short *ids, const Tap &x, const Tap &y, int wide) {
    const int a = y.first * wide + x.first, b = y.first * wide + x.second;
    const int c = y.second * wide + x.first, d = y.second * wide + x.second;
    if (ids[a] == ids[b] && ids[a] == ids[c] && ids[a] == ids[d]) return ids[a];
    float best = 0.0f;
    int best_id = 0;
    for (int i = 0; i < in.classes; ++i) {
        const float top = between(score(in, i, a), score(in, i, b), x.weight);
        const float value = between(top, between(score(in, i, c), score(in, i, d), x.weight), y.weight);
        if (i == 0 || value > best) best = value, best_id = i;
    }
    return best_id;
}

// One thread a source pixel. `sure` is null where no confidence is wanted, `out_sure` where only the least counts.
extern "C" __global__ void to_source(const Scores *scores, const Output *output, const Tap *columns, const Tap *rows,
                                     const unsigned short *ids, const unsigned char *sure, const unsigned short *kept,
                                     int bilinear, unsigned char *mask, unsigned char *out_sure) {
    const Output out = *output;
    const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= out.width || y >= out.height) return;
    const Tap column = columns[x], row = rows[y];
    int id = out.fill, own = 0;
    if (column.nearest >= 0 && row.nearest >= 0) {
        const int cell = row.nearest * out.cells_wide + column.nearest;
        id = bilinear ? interpolated(*scores, ids, column, row, out.cells_wide) : ids[cell];
        if (sure != nullptr) own = sure[cell];
        if (out.has_kept) id = kept[id];
        if (own < out.least) id = out.fill;
    }
    const int place = y * out.width + x;
    if (out.wide)
        reinterpret_cast<unsigned short *>(mask)[place] = static_cast<unsigned short>(id);
    else
        mask[place] = static_cast<unsigned char>(id);
    if (out_sure != nullptr) out_sure[place] = static_cast<unsigned char>(own);
}
