#pragma once

#include <functional>
#include <string>
#include <vector>

#include "model/model.h"
#include "quant/encodings/encoding.h"
#include "quant/recipe.h"

namespace bitwright {

/// The nodes and records that stand for a constant; the last node makes it.
struct CodedConstant {
  std::vector<Node> nodes;
  std::vector<TensorRecord> records;
};

/// True where DequantizeLinear knows the codes, and the target's runtime has it: integers, floats of 8 bits, and portable ones of 4 bits.
/// Others are numbers of levels, which Cast and Gather look up in a table: any runtime can, and most do it once, while loading.
bool has_dequantize_form(const TensorScheme& scheme, Target target);

/// The element type that holds codes of so many bits at this opset: u2 from 25 on, u4 from 21 on, else u8.
DType container_of(int bits, bool is_signed, std::int64_t opset);

/// A constant of name `value` in the encoding's own form:
///
///   DequantizeLinear(codes, scale, zero_point)          scale_form f8e4m3fn and u6: the scale is made by another DequantizeLinear
///   Cast(codes) -> f32                                  f16, bf16
///   Cast -> Div, Mod -> Gather(levels) -> Mul(scales)   others, from opset 13 on: codes are the digits of bytes, or of as many bytes as
///                                                       hold whole codes; scales of blocks are spread by Expand, levels of a
///                                                       group begin where Add says, those of planes are made by MatMul
///
///   made      what encode_tensor gave, without which no scales are known; its codes may be left out
///   encode    makes it again, codes included, whenever the file is written; nothing where `made` holds the codes
///   dtype     of the result: f32 or f16
///   target    onnxruntime has no scales of e8m0 and no codes of f4e2m1: it gets floats and a table
CodedConstant coded_constant(const std::string& value, const EncodedTensor& made, const std::function<EncodedTensor()>& encode,
                             DType dtype, std::int64_t opset, NameAllocator& names, Target target = Target::portable);

}  // namespace bitwright
