// SPDX-License-Identifier: Apache-2.0
// options: --fmad=false
// From a detector's raw outputs to the few boxes that are left, in source pixels: decode, rank, overlap, finish.
//
// Grids depend on shapes only, and all settings lie in `Frame`, so that a CUDA graph of these launches stays valid
// when a threshold or the letterbox changes. What is kept does not depend on the order of the atomics. Without
// contraction, as requested above, boxes get exactly the float32 steps of the CPU ops, and the same ones are kept.
// No includes: NVRTC has none.

typedef unsigned long long Word;

// The frame's settings and counters, uploaded in one piece before the first kernel; one threshold per class follows.
// stages/detection/gpu_memory.py has the same fields in the same order.
struct Frame {
    int candidates;  // counter; arrives as 0
    int flags;       // FLAG_*; arrives as 0
    int boxes, inverted, outside, tiny;  // counters of ops/boxes/plausibility.py's Tally; arrive as 0
    unsigned best;   // the highest score, in the order of `ordered`; arrives as 0, which is none
    int top_k;
    int max_detections;
    int class_aware;
    int level_count;
    int input_wh[2];
    int strides[8];
    float min_threshold;  // the lowest of all classes
    float iou_threshold;
    float offset_xy[2];
    float scale_xy[2];
    float source_wh[2];
};

// What comes back: this, then `max_detections` rows, then their keypoints.
struct Header {
    int kept;
    int flags;
    int candidates;
    int boxes, inverted, outside, tiny;
    float best_score;  // NaN for none
};

struct Row {
    float box[4];  // x_min, y_min, x_max, y_max in source pixels
    float score;
    int class_id;
    int anchor;
    int pixels;  // of its mask; masks.cu counts them
};

// Candidates in the order of the atomics. A key sorts by score, then by the lower anchor.
struct Candidates {
    Word *keys;
    float4 *boxes;
    int *classes;
};

#define FLAG_BOX_OR_SCORE 1
#define FLAG_KEYPOINT 2
#define ANCHORS 32  // a decoding block's: one for each lane of its first warp
#define GROUPS 8    // threads that share an anchor's classes
#define RANK_TILE 2048
#define MAX_WORDS 512  // of a row of the overlap matrix: 32768 boxes
#define LARGEST 3.402823466e38f

__device__ inline bool is_nan(float value) { return value != value; }
__device__ inline bool is_finite(float value) { return fabsf(value) <= LARGEST; }  // false for NaN

__device__ inline float to_float(float value) { return value; }

// IEEE half precision; exact, subnormals too.
__device__ inline float to_float(unsigned short bits) {
    const unsigned magnitude = bits & 0x7fffu;
    float value = __uint_as_float(magnitude << 13) * __uint_as_float(0x77800000u);  // 2^112
    if (magnitude >= 0x7c00u) value = __uint_as_float(magnitude << 13 | 0x7f800000u);
    return __uint_as_float(__float_as_uint(value) | (bits & 0x8000u) << 16);
}

// One image's predictions, any of the two layouts and types.
struct Predictions {
    const void *data;
    int is_half;
    long long anchor_step;
    long long channel_step;

    __device__ float at(int anchor, int channel) const {
        const long long i = anchor * anchor_step + channel * channel_step;
        return is_half ? to_float(static_cast<const unsigned short *>(data)[i]) : static_cast<const float *>(data)[i];
    }
};

// The highest class score and its class, of equal ones the first; NaN as soon as there is one, as nothing beats that.
struct Best {
    float score;
    int class_id;
};

__device__ inline Best nothing() {
    Best best = {__uint_as_float(0xff800000u), 0x7fffffff};
    return best;
}

__device__ inline void take(Best &best, float score, int class_id) {
    if (is_nan(score) || score > best.score || (score == best.score && class_id < best.class_id)) {
        best.score = score;
        best.class_id = class_id;
    }
}

template <class T>
__device__ inline Best best_of(const T *scores, long long step, int class_count, int group) {
    Best best = nothing();
#pragma unroll 8
    for (int i = group; i < class_count; i += GROUPS) take(best, to_float(scores[i * step]), i);
    return best;
}

// Neighbouring threads read neighbouring values: along the anchors or along the classes, as they lie in memory.
__device__ inline int own_anchor(const Predictions &in) {
    return in.channel_step == 1 ? threadIdx.x / GROUPS : threadIdx.x % ANCHORS;
}
__device__ inline int own_group(const Predictions &in) {
    return in.channel_step == 1 ? threadIdx.x % GROUPS : threadIdx.x / ANCHORS;
}

// The best class of one anchor, complete in the first warp's lane of that number. Anchors whose objectness rules them
// out (`objectness` is its channel, -1 for none) are left out. All threads of the block take part.
__device__ inline Best best_class(const Predictions &in, int anchors, int objectness, int first_channel,
                                  int class_count, float min_score, Best (*shared)[ANCHORS]) {
    const int slot = own_anchor(in), group = own_group(in), anchor = blockIdx.x * ANCHORS + slot;
    Best best = nothing();
    if (anchor < anchors && (objectness < 0 || in.at(anchor, objectness) >= min_score)) {
        const long long first = anchor * in.anchor_step + first_channel * in.channel_step;
        if (in.is_half) {
            best = best_of(static_cast<const unsigned short *>(in.data) + first, in.channel_step, class_count, group);
        } else {
            best = best_of(static_cast<const float *>(in.data) + first, in.channel_step, class_count, group);
        }
    }
    shared[group][slot] = best;
    __syncthreads();
    if (threadIdx.x < ANCHORS) {
        best = shared[0][threadIdx.x];
        for (int i = 1; i < GROUPS; ++i) take(best, shared[i][threadIdx.x].score, shared[i][threadIdx.x].class_id);
    }
    return best;
}

__device__ inline float4 from_center(float x, float y, float width, float height) {
    const float half_width = width * 0.5f, half_height = height * 0.5f;
    return make_float4(x - half_width, y - half_height, x + half_width, y + half_height);
}

// Column, row and stride of an anchor: level by level, each row by row.
__device__ inline void cell_of(const Frame &frame, int anchor, float &column, float &row, float &stride) {
    int rest = anchor;
    column = row = stride = 0.0f;
    for (int level = 0; level < frame.level_count; ++level) {
        const int step = frame.strides[level];
        const int columns = (frame.input_wh[0] + step - 1) / step, rows = (frame.input_wh[1] + step - 1) / step;
        if (rest < columns * rows) {
            column = static_cast<float>(rest % columns);
            row = static_cast<float>(rest / columns);
            stride = static_cast<float>(step);
            return;
        }
        rest -= columns * rows;
    }
}

// Bits that sort as the scores do. -0 counts as 0.
__device__ inline unsigned ordered(float score) {
    const unsigned bits = __float_as_uint(score + 0.0f);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

__device__ inline float of_ordered(unsigned bits) {
    return __uint_as_float(bits & 0x80000000u ? bits & 0x7fffffffu : ~bits);
}

// Higher is better: the score, then the lower anchor.
__device__ inline Word key_of(float score, int anchor) {
    return static_cast<Word>(ordered(score)) << 32 | (0xffffffffu - static_cast<unsigned>(anchor));
}

__device__ inline float score_of(Word key) { return of_ordered(static_cast<unsigned>(key >> 32)); }

__device__ inline int anchor_of(Word key) { return static_cast<int>(0xffffffffu - static_cast<unsigned>(key)); }

// Adds the lanes that vote to a counter. All 32 lanes take part.
__device__ inline void count(int *counter, bool vote) {
    const unsigned votes = __ballot_sync(0xffffffffu, vote);
    if (votes != 0 && threadIdx.x == 0) atomicAdd(counter, __popc(votes));
}

// What the host judges the frame by: `tally` of ops/boxes/plausibility.py. All 32 lanes take part.
__device__ inline void count_implausible(Frame *frame, bool counts, const float4 &box) {
    const float width = box.z - box.x, height = box.w - box.y;
    const float x_limit = static_cast<float>(frame->input_wh[0]), y_limit = static_cast<float>(frame->input_wh[1]);
    count(&frame->boxes, counts);
    count(&frame->inverted, counts && (width < -1.0f || height < -1.0f));
    const float farthest = fmaxf(fmaxf(fabsf(box.x), fabsf(box.y)), fmaxf(fabsf(box.z), fabsf(box.w)));
    count(&frame->tiny, counts && ((width < 1.0f && height < 1.0f) || farthest <= 4.0f));
    count(&frame->outside, counts && (fminf(box.x, box.z) < -x_limit || fminf(box.y, box.w) < -y_limit ||
                                      fmaxf(box.x, box.z) > 2.0f * x_limit || fmaxf(box.y, box.w) > 2.0f * y_limit));
}

// The first warp's candidates join the list, those that NMS can use. `reaches`: the score reaches the lowest threshold;
// from then on every value of the candidate must be finite. `known`: the score is that of an anchor, not of padding or of
// one that its objectness rules out. All 32 lanes take part.
__device__ inline void append(Frame *frame, const Candidates &out, bool known, bool reaches, const Best &best,
                              int anchor, const float4 &box, int flags) {
    bool joins = false, counts = false;
    if (known && !is_nan(best.score) && ordered(best.score) > frame->best)
        atomicMax(&frame->best, ordered(best.score));
    if (reaches) {
        if (!(is_finite(best.score) && is_finite(box.x) && is_finite(box.y) && is_finite(box.z) && is_finite(box.w)))
            flags |= FLAG_BOX_OR_SCORE;
        const float *thresholds = reinterpret_cast<const float *>(frame + 1);
        const float width = box.z - box.x, height = box.w - box.y, area = width * height;
        const bool is_found = best.score >= thresholds[best.class_id];
        counts = is_found && best.score > 0.0f;
        joins = is_found && width > 0.0f && area > 0.0f && area <= LARGEST;
    }
    if (flags) atomicOr(&frame->flags, flags);
    if (__ballot_sync(0xffffffffu, counts) != 0) count_implausible(frame, counts, box);
    const unsigned votes = __ballot_sync(0xffffffffu, joins);
    if (votes == 0) return;
    const int lane = threadIdx.x;
    int base = 0;
    if (lane == 0) base = atomicAdd(&frame->candidates, __popc(votes));
    base = __shfl_sync(0xffffffffu, base, 0);
    if (!joins) return;
    const int place = base + __popc(votes & ((1u << lane) - 1u));
    out.keys[place] = key_of(best.score, anchor);
    out.boxes[place] = box;
    out.classes[place] = best.class_id;
}

// YOLOv8: box in pixels, class scores; `keypoint_values` channels more belong to a box and must be finite.
// Grid: (anchors / 32), block: 256, as for all decoders.
extern "C" __global__ void __launch_bounds__(256)
decode_yolov8(const void *data, int is_half, long long anchor_step, long long channel_step, int anchors,
              int class_count, int keypoint_values, Frame *frame, Word *keys, float4 *boxes, int *classes) {
    __shared__ Best shared[GROUPS][ANCHORS];
    const Predictions in = {data, is_half, anchor_step, channel_step};
    const Candidates out = {keys, boxes, classes};
    const float min_score = frame->min_threshold;
    const Best best = best_class(in, anchors, -1, 4, class_count, min_score, shared);
    if (threadIdx.x >= ANCHORS) return;
    const int anchor = blockIdx.x * ANCHORS + threadIdx.x;
    const bool reaches = anchor < anchors && best.score >= min_score;
    int flags = anchor < anchors && is_nan(best.score) ? FLAG_BOX_OR_SCORE : 0;
    float4 box = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    if (reaches) {
        box = from_center(in.at(anchor, 0), in.at(anchor, 1), in.at(anchor, 2), in.at(anchor, 3));
        bool finite = true;
#pragma unroll 8
        for (int i = 0; i < keypoint_values; ++i) finite &= is_finite(in.at(anchor, 4 + class_count + i));
        if (!finite) flags |= FLAG_KEYPOINT;
    }
    append(frame, out, anchor < anchors, reaches, best, anchor, box, flags);
}

// YOLOv5: box in pixels, objectness, class scores. YOLOX: the same with the box relative to its cell.
__device__ inline void decode_objectness(const Predictions &in, int anchors, int class_count, bool is_grid,
                                         Frame *frame, const Candidates &out, Best (*shared)[ANCHORS]) {
    const float min_score = frame->min_threshold;
    Best best = best_class(in, anchors, 4, 5, class_count, min_score, shared);
    if (threadIdx.x >= ANCHORS) return;
    const int anchor = blockIdx.x * ANCHORS + threadIdx.x;
    const float objectness = anchor < anchors ? in.at(anchor, 4) : 0.0f;
    const bool wanted = anchor < anchors && objectness >= min_score;
    best.score = objectness * best.score;
    const bool reaches = wanted && best.score >= min_score;
    const int flags = is_nan(objectness) || (wanted && is_nan(best.score)) ? FLAG_BOX_OR_SCORE : 0;
    float4 box = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    if (reaches) {
        float x = in.at(anchor, 0), y = in.at(anchor, 1), width = in.at(anchor, 2), height = in.at(anchor, 3);
        if (is_grid) {
            float column, row, stride;
            cell_of(*frame, anchor, column, row, stride);
            x = (x + column) * stride;
            y = (y + row) * stride;
            width = expf(width) * stride;
            height = expf(height) * stride;
        }
        box = from_center(x, y, width, height);
    }
    append(frame, out, wanted, reaches, best, anchor, box, flags);
}

extern "C" __global__ void __launch_bounds__(256)
decode_yolov5(const void *data, int is_half, long long anchor_step, long long channel_step, int anchors,
              int class_count, int unused, Frame *frame, Word *keys, float4 *boxes, int *classes) {
    __shared__ Best shared[GROUPS][ANCHORS];
    const Predictions in = {data, is_half, anchor_step, channel_step};
    const Candidates out = {keys, boxes, classes};
    decode_objectness(in, anchors, class_count, false, frame, out, shared);
}

extern "C" __global__ void __launch_bounds__(256)
decode_yolox(const void *data, int is_half, long long anchor_step, long long channel_step, int anchors,
             int class_count, int unused, Frame *frame, Word *keys, float4 *boxes, int *classes) {
    __shared__ Best shared[GROUPS][ANCHORS];
    const Predictions in = {data, is_half, anchor_step, channel_step};
    const Candidates out = {keys, boxes, classes};
    decode_objectness(in, anchors, class_count, true, frame, out, shared);
}

// Expected bin of the softmax over `bins` logits.
__device__ inline float expectation(const Predictions &in, int anchor, int channel, int bins) {
    float largest = in.at(anchor, channel);
    for (int i = 1; i < bins; ++i) {
        const float logit = in.at(anchor, channel + i);
        if (logit > largest || is_nan(logit)) largest = logit;
    }
    float sum = 0.0f, weighted = 0.0f;
    for (int i = 0; i < bins; ++i) {
        const float weight = expf(in.at(anchor, channel + i) - largest);
        sum += weight;
        weighted += weight * static_cast<float>(i);
    }
    return weighted / sum;
}

// NanoDet-Plus: class scores, then the distances of the four sides as distributions over `bins` steps of the stride.
extern "C" __global__ void __launch_bounds__(256)
decode_nanodet(const void *data, int is_half, long long anchor_step, long long channel_step, int anchors,
               int class_count, int bins, Frame *frame, Word *keys, float4 *boxes, int *classes) {
    __shared__ Best shared[GROUPS][ANCHORS];
    const Predictions in = {data, is_half, anchor_step, channel_step};
    const Candidates out = {keys, boxes, classes};
    const float min_score = frame->min_threshold;
    const Best best = best_class(in, anchors, -1, 0, class_count, min_score, shared);
    if (threadIdx.x >= ANCHORS) return;
    const int anchor = blockIdx.x * ANCHORS + threadIdx.x;
    const bool reaches = anchor < anchors && best.score >= min_score;
    const int flags = anchor < anchors && is_nan(best.score) ? FLAG_BOX_OR_SCORE : 0;
    float4 box = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    if (reaches) {
        float column, row, stride;
        cell_of(*frame, anchor, column, row, stride);
        const float x = column * stride, y = row * stride;
        box.x = x - expectation(in, anchor, class_count, bins) * stride;
        box.y = y - expectation(in, anchor, class_count + bins, bins) * stride;
        box.z = x + expectation(in, anchor, class_count + 2 * bins, bins) * stride;
        box.w = y + expectation(in, anchor, class_count + 3 * bins, bins) * stride;
    }
    append(frame, out, anchor < anchors, reaches, best, anchor, box, flags);
}

// A candidate's place is the number of better ones: all pairs, each once, whatever order they lie in. Those of a place
// under top_k go there. Grid: (anchors / 32), block: 256; each warp compares the block's 32 with its share of a tile.
extern "C" __global__ void __launch_bounds__(256)
rank(const Frame *frame, const Word *keys, const float4 *boxes, const int *classes, Word *ranked_keys,
     float4 *ranked_boxes, int *ranked_classes) {
    __shared__ Word tile[RANK_TILE];
    __shared__ int counts[GROUPS][ANCHORS];
    const int candidates = frame->candidates, first = blockIdx.x * ANCHORS;
    if (first >= candidates) return;
    const int lane = threadIdx.x % ANCHORS, part = threadIdx.x / ANCHORS, own = first + lane;
    const Word key = own < candidates ? keys[own] : ~0ull;
    int better = 0;
    for (int start = 0; start < candidates; start += RANK_TILE) {
        const int left = candidates - start < RANK_TILE ? candidates - start : RANK_TILE;
        const int share = (left + GROUPS - 1) / GROUPS, end = share * GROUPS;  // the last one's rest is zeros
        for (int i = threadIdx.x; i < end; i += 256) tile[i] = i < left ? keys[start + i] : 0;
        __syncthreads();
        const Word *others = tile + part * share;
#pragma unroll 8
        for (int i = 0; i < share; ++i) better += others[i] > key;
        __syncthreads();
    }
    counts[part][lane] = better;
    __syncthreads();
    if (part > 0 || own >= candidates) return;
    for (int i = 1; i < GROUPS; ++i) better += counts[i][lane];
    if (better >= frame->top_k) return;
    ranked_keys[better] = key;
    ranked_boxes[better] = boxes[own];
    ranked_classes[better] = classes[own];
}

__device__ inline float area_of(const float4 &box) { return (box.z - box.x) * (box.w - box.y); }

// Bit j of word w in row i: box i, if kept, drops box 64 w + j, which comes after it. Rows of `words` words.
// Grid: (words, words), block: 64; only the upper triangle is written, and only that is read.
extern "C" __global__ void __launch_bounds__(64)
overlap(const Frame *frame, const float4 *ranked_boxes, const int *ranked_classes, int words, Word *drops) {
    __shared__ float4 boxes[64];
    __shared__ float areas[64];
    __shared__ int classes[64];
    const int count = min(frame->candidates, frame->top_k);
    const int first_row = blockIdx.y * 64, first_column = blockIdx.x * 64;
    if (first_column < first_row || first_row >= count || first_column >= count) return;
    const int width = min(64, count - first_column), row = first_row + threadIdx.x;
    if (static_cast<int>(threadIdx.x) < width) {
        const float4 box = ranked_boxes[first_column + threadIdx.x];
        boxes[threadIdx.x] = box;
        areas[threadIdx.x] = area_of(box);
        classes[threadIdx.x] = ranked_classes[first_column + threadIdx.x];
    }
    __syncthreads();
    if (row >= count) return;
    const float4 own = ranked_boxes[row];
    const float own_area = area_of(own), threshold = frame->iou_threshold;
    const int own_class = ranked_classes[row], class_aware = frame->class_aware;
    Word bits = 0;
    for (int j = 0; j < width; ++j) {
        if (first_column + j <= row || (class_aware && classes[j] != own_class)) continue;
        const float4 other = boxes[j];
        const float shared_width = fmaxf(fminf(own.z, other.z) - fmaxf(own.x, other.x), 0.0f);
        const float shared_height = fmaxf(fminf(own.w, other.w) - fmaxf(own.y, other.y), 0.0f);
        const float shared = shared_width * shared_height;
        const float both = own_area + areas[j] - shared;
        if (shared / fmaxf(both, 1e-30f) > threshold) bits |= 1ull << j;
    }
    drops[static_cast<long long>(row) * words + blockIdx.x] = bits;
}

// The greedy scan, 64 boxes at a time, then the survivors in source pixels. Grid: 1, block: 512.
extern "C" __global__ void __launch_bounds__(512)
finish(const Frame *frame, const Word *ranked_keys, const float4 *ranked_boxes, const int *ranked_classes, int words,
       const Word *drops, int *kept, Header *header, Row *rows, float *keypoints, const void *data, int is_half,
       long long anchor_step, long long channel_step, int first_channel, int keypoint_count, int keypoint_dims) {
    __shared__ unsigned dropped[2 * MAX_WORDS];  // halves: 32-bit atomics in shared memory are native
    __shared__ Word diagonal[64];
    __shared__ Word kept_bits;
    __shared__ int total;
    const int thread = threadIdx.x, count = min(frame->candidates, frame->top_k), tiles = (count + 63) / 64;
    const int limit = frame->max_detections;
    for (int i = thread; i < 2 * tiles; i += 512) dropped[i] = 0;
    if (thread == 0) total = 0;
    for (int tile = 0; tile < tiles; ++tile) {
        const int first = tile * 64, height = min(64, count - first);
        if (thread < height) diagonal[thread] = drops[static_cast<long long>(first + thread) * words + tile];
        __syncthreads();
        if (thread == 0) {
            Word open = ~(static_cast<Word>(dropped[2 * tile + 1]) << 32 | dropped[2 * tile]);
            if (height < 64) open &= (1ull << height) - 1;
            Word bits = 0;
            int found = total;
            while (open != 0 && found < limit) {
                const int bit = __ffsll(static_cast<long long>(open)) - 1;
                bits |= 1ull << bit;
                kept[found++] = first + bit;
                open &= ~(diagonal[bit] | 1ull << bit);
            }
            kept_bits = bits;
            total = found;
        }
        __syncthreads();
        if (total >= limit) break;  // the same for all threads
        const Word bits = kept_bits;
        for (int word = tile + 1 + thread % 16; word < tiles; word += 16) {
            Word gone = 0;
#pragma unroll
            for (int row = thread / 16; row < 64; row += 32)
                if (bits >> row & 1) gone |= drops[static_cast<long long>(first + row) * words + word];
            if (static_cast<unsigned>(gone)) atomicOr(&dropped[2 * word], static_cast<unsigned>(gone));
            if (gone >> 32) atomicOr(&dropped[2 * word + 1], static_cast<unsigned>(gone >> 32));
        }
        __syncthreads();
    }
    __syncthreads();
    const int found = total;
    if (thread == 0) {
        header->kept = found;
        header->flags = frame->flags;
        header->candidates = frame->candidates;
        header->boxes = frame->boxes;
        header->inverted = frame->inverted;
        header->outside = frame->outside;
        header->tiny = frame->tiny;
        header->best_score = frame->best != 0 ? of_ordered(frame->best) : __uint_as_float(0x7fc00000u);
    }
    const float x_offset = frame->offset_xy[0], y_offset = frame->offset_xy[1];
    const float x_scale = frame->scale_xy[0], y_scale = frame->scale_xy[1];
    const float width = frame->source_wh[0], height = frame->source_wh[1];
    for (int i = thread; i < found; i += 512) {
        const int place = kept[i];
        const float4 box = ranked_boxes[place];
        Row row;
        row.box[0] = fminf(fmaxf((box.x - x_offset) / x_scale, 0.0f), width);
        row.box[1] = fminf(fmaxf((box.y - y_offset) / y_scale, 0.0f), height);
        row.box[2] = fminf(fmaxf((box.z - x_offset) / x_scale, 0.0f), width);
        row.box[3] = fminf(fmaxf((box.w - y_offset) / y_scale, 0.0f), height);
        row.score = score_of(ranked_keys[place]);
        row.class_id = ranked_classes[place];
        row.anchor = anchor_of(ranked_keys[place]);
        row.pixels = 0;
        rows[i] = row;
    }
    const Predictions in = {data, is_half, anchor_step, channel_step};
    for (int i = thread; i < found * keypoint_count; i += 512) {
        const int anchor = anchor_of(ranked_keys[kept[i / keypoint_count]]);
        const int channel = first_channel + i % keypoint_count * keypoint_dims;
        keypoints[3 * i] = (in.at(anchor, channel) - x_offset) / x_scale;
        keypoints[3 * i + 1] = (in.at(anchor, channel + 1) - y_offset) / y_scale;
        keypoints[3 * i + 2] = keypoint_dims == 3 ? fminf(fmaxf(in.at(anchor, channel + 2), 0.0f), 1.0f) : 1.0f;
    }
}
