#include "ops/float_operands.h"

#include "tensor/elements.h"

namespace bitwright {

Tensor as_f32(const Tensor& tensor, Allocator& allocator) {
  if (tensor.dtype() == DType::f32) return tensor;
  Tensor values(DType::f32, tensor.shape(), allocator);
  read_elements(tensor, 0, values.data<float>());
  return values;
}

F32Output::F32Output(RunContext& context, std::size_t i) : context_(context), i_(i) {
  const Tensor& output = context.output(i);
  values_ = output.dtype() == DType::f32 ? output : Tensor(DType::f32, output.shape(), context.allocator());
}

void F32Output::finish() {
  Tensor& output = context_.output(i_);
  if (output.dtype() != DType::f32) write_elements(output, 0, std::span<const float>(values_.data<float>()));
}

Tensor scratch_f32(std::int64_t n_floats, Allocator& allocator) { return Tensor(DType::f32, {n_floats}, allocator); }

}  // namespace bitwright
