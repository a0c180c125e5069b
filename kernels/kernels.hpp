// The math, as a table of functions that is chosen once for the processor at hand.
//
// Comes in: raw pointers, shapes in elements. Goes out: numbers that depend on a row alone. Never: allocation in a
// step, a thread, a model's name.
//
// The rule of every kernel here (ARCHITECTURE.md, "Warm equals cold"): a row's result depends on that row alone, not on
// how many rows the call has, how they are split over threads, or which instruction set runs them. SIMD lanes are
// *outputs*; each output is summed over K in one fixed order. So results are equal bit for bit across batch shapes and
// across the instruction sets.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace kvasir::kernels {

enum class Isa { generic, avx2, avx512 };

// Number formats of weights as GGUF stores them (ggml's type numbers).
enum class WeightType : std::uint32_t {
  f32 = 0,
  f16 = 1,
  q4_0 = 2,
  q4_1 = 3,
  q5_0 = 6,
  q5_1 = 7,
  q8_0 = 8,
  q2_k = 10,
  q3_k = 11,
  q4_k = 12,
  q5_k = 13,
  q6_k = 14,
  iq4_nl = 20,
  iq4_xs = 23,
  bf16 = 30,
};

inline constexpr int kBlock = 32;    // elements that share a scale, in weights and activations
inline constexpr int kTile = 16;     // output rows that lie side by side in a packed matrix
inline constexpr int kKvBlock = 16;  // tokens in a KV block (PagedAttention, arXiv 2309.06180)

// A matrix [rows, cols] packed for `linear`. Owns nothing: `data` is `packed_bytes()` long and 64-byte aligned.
struct PackedMatrix {
  WeightType type = WeightType::f32;
  int rows = 0;  // outputs
  int cols = 0;  // inputs (K)
  const std::byte* data = nullptr;
};

// One row of activations, quantised to 16 bits in blocks of 32: value = scale[b] * q[i]. Error 2^-16 of the block's
// largest magnitude, so that integer weights can be multiplied exactly at close to float precision.
struct QuantizedRows {
  std::int16_t* q = nullptr;  // [rows, cols]
  float* scale = nullptr;     // [rows, cols / 32]
  // scale * Σ q, for weights with a minimum:
  float* sum = nullptr;       // [rows, cols / 32]: over the block
  float* half_sum = nullptr;  // [rows, cols / 32]: over the block's first 16
};

// A run of KV blocks of one sequence. `block` is an index into the layer's storage, `shift` is by how many positions
// the block's keys stand later here than where they were rotated (0: an exact prefix).
struct BlockRef {
  std::int32_t block = 0;
  std::int32_t shift = 0;
};

// How KV is kept. int8 and int4 have a scale (f16) for each head and token, and vectors are rotated by a Hadamard
// matrix first, which spreads outliers over all dimensions (QuaRot, arXiv 2404.00456).
enum class KvType : std::uint8_t { f16, int8, int4 };
inline constexpr std::array<std::string_view, 3> kKvTypeNames = {"f16", "int8", "int4"};

// KV of one layer. Block b, KV head h begin at b * block_stride + h * kv_head_bytes() in `k` and in `v`:
//   keys   [head_dim, 16 tokens]   (lanes are tokens; int4: bytes [head_dim / 2, 16], the even dimension's bits are
//   low) values [16 tokens, head_dim]   (lanes are dimensions; int4: bytes [16, head_dim / 16, 8], dimension i's bits
//   are low,
//                                   those of i + 8 high)
//   then, but for f16, 16 scales, a token each. int8: value = scale * q; int4: value = scale * (q - 7.5).
struct KvLayer {
  std::byte* k = nullptr;
  std::byte* v = nullptr;
  std::ptrdiff_t block_stride = 0;  // bytes
  KvType type = KvType::f16;
};

struct AttentionShape {
  int heads = 0;
  int kv_heads = 0;  // divides heads; at most kMaxGroup query heads share one
  int head_dim = 0;  // a multiple of 16, at most kMaxHeadDim
  float scale = 0;   // usually 1/sqrt(head_dim)
  int window = 0;    // how many keys a query sees, its own among them; 0: all
};

// Rotation tables: cos and sin [positions, rotated_dims / 2].
struct RopeTable {
  const float* cos = nullptr;
  const float* sin = nullptr;
  int rotated_dims = 0;
  bool interleaved = true;  // pairs (2i, 2i+1), as llama in GGUF; else (i, i + rotated_dims/2)
};

struct Kernels {
  Isa isa;
  std::string_view name;

  // y[m, n] = Σ_k x[m, k] w[n, k] for n in [row_begin, row_end), row_begin a multiple of 16; float activations, for
  // f32, f16 and bf16 weights. x [m, cols] with stride `ldx`, y [m, rows] with stride `ldy` (elements). bias [rows] or
  // nullptr.
  void (*linear_float)(const PackedMatrix& w, const float* x, std::ptrdiff_t ldx, int m, const float* bias, float* y,
                       std::ptrdiff_t ldy, int row_begin, int row_end);
  // The same for quantised weights and 16-bit activations.
  void (*linear_quantized)(const PackedMatrix& w, const QuantizedRows& x, int m, const float* bias, float* y,
                           std::ptrdiff_t ldy, int row_begin, int row_end);
  // Quantises m rows of `cols` (a multiple of 32) elements.
  void (*quantize_rows)(const float* x, std::ptrdiff_t ldx, int m, int cols, const QuantizedRows& out);

  // y = x / sqrt(mean(x²) + eps) * weight, a row of n. (Zhang & Sennrich, arXiv 1910.07467)
  void (*rms_norm)(const float* x, const float* weight, float* y, int n, float eps);
  // y = (x - mean) / sqrt(var + eps) * weight + bias, a row of n. (arXiv 1607.06450)
  void (*layer_norm)(const float* x, const float* weight, const float* bias, float* y, int n, float eps);
  // y = silu(gate) * up, n elements. (arXiv 2002.05202)
  void (*swiglu)(const float* gate, const float* up, float* y, int n);
  // y = gelu(gate) * up, n elements; GELU's approximation by tanh. (arXiv 1606.08415, section 2)
  void (*geglu)(const float* gate, const float* up, float* y, int n);
  // x = x Φ(x), the exact GELU by erf, n elements, in place. (arXiv 1606.08415)
  void (*gelu)(float* x, int n);
  // x += y, n elements.
  void (*add)(float* x, const float* y, int n);
  // In place softmax of a row of n.
  void (*softmax)(float* x, int n);
  // Dot product of n floats.
  float (*dot)(const float* a, const float* b, int n);

  // Rotates `heads` vectors of head_dim by the row `position` of the table (negative: backwards). In place.
  void (*rope)(const RopeTable& table, float* x, int heads, int head_dim, int position);
  // Writes one token's keys and values (float [kv_heads, head_dim]) into slot `slot` (0..15) of block `block`. Tokens
  // of one block may be written by several threads.
  void (*kv_write)(const KvLayer& kv, const AttentionShape& shape, int block, int slot, const float* k, const float* v);
  // Causal attention of `rows` consecutive query rows of one sequence, for the query heads that share KV head
  // `kv_head`. Row r reads keys 0..first_length + r - 1 of the block table, the last `window` of them if there is one.
  // q and out point at the first of heads / kv_heads vectors of head_dim; rows are `ldq` and `ldo` elements apart. q is
  // rotated for its own position. `scratch`: attention_scratch() floats. Summed in splits of 256 keys cut at absolute
  // indices, merged in order by (value, log-sum-exp), so a row never depends on the other rows.
  void (*attention)(const KvLayer& kv, const AttentionShape& shape, const RopeTable& rope, const BlockRef* table,
                    int first_length, int rows, int kv_head, const float* q, std::ptrdiff_t ldq, float* out,
                    std::ptrdiff_t ldo, float* scratch);
};

// Floats of scratch that `attention` needs; rows at most kAttentionRows.
std::size_t attention_scratch(const AttentionShape& shape);
inline constexpr int kAttentionRows = 8;
inline constexpr int kMaxGroup = 64;
inline constexpr int kMaxHeadDim = 1024;

// Bytes of one head's keys, or values, in one block.
std::size_t kv_head_bytes(KvType type, int head_dim);

// The table for this processor; KVASIR_ISA=generic|avx2|avx512 in the environment overrides (unknown or unsupported
// values are ignored). Thread safe.
const Kernels& best();
// The table for one instruction set, or nullptr if this processor or build lacks it.
const Kernels* find(Isa isa);

bool is_quantized(WeightType type);
// Bytes that the packed form takes (rows are padded to a multiple of 16).
std::size_t packed_bytes(WeightType type, int rows, int cols);
// Bytes of a matrix as GGUF stores it.
std::size_t stored_bytes(WeightType type, std::size_t rows, std::size_t cols);
// Packs `rows` rows of `cols` elements stored as in GGUF into rows [row_offset, …) of a packed matrix that has
// `total_rows` rows; row_offset is a multiple of 16 unless it is the last part. cols: a multiple of the type's block
// in the file (32 or 256 elements) if it is quantised. `packed` begins as zeros.
void pack(WeightType type, const std::byte* stored, int rows, int cols, int row_offset, std::byte* packed);
// Dequantises one stored row of `cols` elements.
void dequantize_row(WeightType type, const std::byte* stored, int cols, float* out);

float f16_to_f32(std::uint16_t bits);
std::uint16_t f32_to_f16(float value);  // round to nearest even
float bf16_to_f32(std::uint16_t bits);

}  // namespace kvasir::kernels
