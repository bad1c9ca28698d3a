#include "base/error.h"
#include "files/onnx/fields.h"
#include "files/onnx/reader.h"
#include "model/limits.h"

namespace bitwright::onnx {

namespace {

void read_shape(MessageReader& reader, ValueInfo& info) {
  while (reader.next()) {
    if (reader.field().number != shape_proto::kDim) continue;
    if (info.shape.size() == kMaxRank)
      throw_error(ErrorCode::limit_exceeded, {"value ", in_quotes(info.name), ": its rank passes the limit of ", kMaxRank},
                  info.name);
    std::int64_t extent = kUnknownDim;
    std::string param;
    MessageReader dim(reader, "TensorShapeProto.Dimension");
    while (dim.next()) {
      if (dim.field().number == shape_proto::kDimValue) {
        extent = dim.int64();
        param.clear();
      } else if (dim.field().number == shape_proto::kDimParam) {
        param = dim.text(kMaxNameBytes);
        extent = kUnknownDim;
      }
    }
    // Some exporters write -1 or 0 for what they do not know; 0 is a legal extent, a negative one is none.
    info.shape.push_back(extent < 0 ? kUnknownDim : extent);
    info.dim_params.push_back(std::move(param));
  }
}

void read_tensor_type(MessageReader& reader, ValueInfo& info) {
  while (reader.next()) {
    if (reader.field().number == tensor_type_proto::kElemType) {
      info.dtype = dtype_from_onnx(reader.int64()).value_or(DType::undefined);
    } else if (reader.field().number == tensor_type_proto::kShape) {
      info.has_shape = true;
      MessageReader shape(reader, "TensorShapeProto");
      read_shape(shape, info);
    }
  }
}

void read_type(MessageReader& reader, ValueInfo& info) {
  while (reader.next()) {
    switch (reader.field().number) {
      case type_proto::kTensor: {
        info.is_tensor = true;
        MessageReader type(reader, "TypeProto.Tensor");
        read_tensor_type(type, info);
        break;
      }
      case type_proto::kSequence:
      case type_proto::kMap:
      case type_proto::kSparseTensor:
      case type_proto::kOptional:
        info.is_tensor = false;
        break;
      default:
        break;
    }
  }
}

}  // namespace

ValueInfo read_value_info(ReadContext& context, MessageReader& reader) {
  context.count_message();
  ValueInfo info;
  while (reader.next()) {
    switch (reader.field().number) {
      case value_info_proto::kName:
        info.name = reader.text(kMaxNameBytes);
        break;
      case value_info_proto::kDoc:
        info.doc = reader.text(kMaxTextBytes);
        break;
      case value_info_proto::kType: {
        const std::string bytes = reader.text(kMaxTextBytes);
        info.type_bytes.insert(info.type_bytes.end(), bytes.begin(), bytes.end());
        MessageReader type(reader, "TypeProto");
        read_type(type, info);
        break;
      }
      default:
        reader.keep_unknown(info.unknown_fields);
    }
  }
  if (!info.is_tensor) info.dtype = DType::undefined;
  return info;
}

}  // namespace bitwright::onnx
