// Declarations of kernels/kernels.hpp's functions inside one instruction set's namespace.
#pragma once

#include "kernels/kernels.hpp"

namespace kvasir::kernels::KVASIR_ISA {

void linear_float(const PackedMatrix& w, const float* x, std::ptrdiff_t ldx, int m, const float* bias, float* y,
                  std::ptrdiff_t ldy, int row_begin, int row_end);
void linear_quantized(const PackedMatrix& w, const QuantizedRows& x, int m, const float* bias, float* y,
                      std::ptrdiff_t ldy, int row_begin, int row_end);
void quantize_rows(const float* x, std::ptrdiff_t ldx, int m, int cols, const QuantizedRows& out);

void rms_norm(const float* x, const float* weight, float* y, int n, float eps);
void layer_norm(const float* x, const float* weight, const float* bias, float* y, int n, float eps);
void swiglu(const float* gate, const float* up, float* y, int n);
void geglu(const float* gate, const float* up, float* y, int n);
void gelu(float* x, int n);
void add_to(float* x, const float* y, int n);
void softmax(float* x, int n);
float dot(const float* a, const float* b, int n);

void rope(const RopeTable& table, float* x, int heads, int head_dim, int position);
void kv_write(const KvLayer& kv, const AttentionShape& shape, int block, int slot, const float* k, const float* v);
void attention(const KvLayer& kv, const AttentionShape& shape, const RopeTable& rope, const BlockRef* table,
               int first_length, int rows, int kv_head, const float* q, std::ptrdiff_t ldq, float* out,
               std::ptrdiff_t ldo, float* scratch);

}  // namespace kvasir::kernels::KVASIR_ISA
