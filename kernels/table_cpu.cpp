// The table of one instruction set.
#include "kernels/ops_cpu.hpp"

#define KVASIR_CONCAT(a, b) a##b
#define KVASIR_TABLE(isa) KVASIR_CONCAT(isa, _table)
#define KVASIR_TEXT(x) #x
#define KVASIR_NAME(x) KVASIR_TEXT(x)

namespace kvasir::kernels {

const Kernels& KVASIR_TABLE(KVASIR_ISA)();

const Kernels& KVASIR_TABLE(KVASIR_ISA)() {
  namespace isa = KVASIR_ISA;
  static constexpr Kernels table{
      .isa = Isa::KVASIR_ISA,
      .name = KVASIR_NAME(KVASIR_ISA),
      .linear_float = isa::linear_float,
      .linear_quantized = isa::linear_quantized,
      .quantize_rows = isa::quantize_rows,
      .rms_norm = isa::rms_norm,
      .layer_norm = isa::layer_norm,
      .swiglu = isa::swiglu,
      .geglu = isa::geglu,
      .gelu = isa::gelu,
      .add = isa::add_to,
      .softmax = isa::softmax,
      .dot = isa::dot,
      .rope = isa::rope,
      .kv_write = isa::kv_write,
      .attention = isa::attention,
  };
  return table;
}

}  // namespace kvasir::kernels
