#pragma once

#include <cstdint>

namespace bitwright::onnx {

/// The field numbers of onnx.proto (ONNX 1.19), message by message, as far as they are read or written here.
namespace model_proto {
inline constexpr std::uint32_t kIrVersion = 1, kProducerName = 2, kProducerVersion = 3, kDomain = 4, kModelVersion = 5, kDoc = 6,
                               kGraph = 7, kOpsetImport = 8, kMetadata = 14, kFunctions = 25;
}
namespace opset_proto {
inline constexpr std::uint32_t kDomain = 1, kVersion = 2;
}
namespace entry_proto {
inline constexpr std::uint32_t kKey = 1, kValue = 2;
}
namespace graph_proto {
inline constexpr std::uint32_t kNode = 1, kName = 2, kInitializer = 5, kDoc = 10, kInput = 11, kOutput = 12, kValueInfo = 13,
                               kSparseInitializer = 15;
}
namespace node_proto {
inline constexpr std::uint32_t kInput = 1, kOutput = 2, kName = 3, kOpType = 4, kAttribute = 5, kDoc = 6, kDomain = 7,
                               kOverload = 8;
}
namespace attribute_proto {
inline constexpr std::uint32_t kName = 1, kF = 2, kI = 3, kS = 4, kT = 5, kG = 6, kFloats = 7, kInts = 8, kStrings = 9,
                               kTensors = 10, kGraphs = 11, kDoc = 13, kTypeProto = 14, kTypeProtos = 15, kType = 20,
                               kRefAttrName = 21, kSparseTensor = 22, kSparseTensors = 23;
}
namespace tensor_proto {
inline constexpr std::uint32_t kDims = 1, kDataType = 2, kSegment = 3, kFloatData = 4, kInt32Data = 5, kStringData = 6,
                               kInt64Data = 7, kName = 8, kRawData = 9, kDoubleData = 10, kUint64Data = 11, kDoc = 12,
                               kExternalData = 13, kDataLocation = 14;
}
namespace sparse_proto {
inline constexpr std::uint32_t kValues = 1, kIndices = 2, kDims = 3;
}
namespace value_info_proto {
inline constexpr std::uint32_t kName = 1, kType = 2, kDoc = 3;
}
namespace type_proto {
inline constexpr std::uint32_t kTensor = 1, kSequence = 4, kMap = 5, kDenotation = 6, kSparseTensor = 8, kOptional = 9;
}
namespace tensor_type_proto {
inline constexpr std::uint32_t kElemType = 1, kShape = 2;
}
namespace shape_proto {
inline constexpr std::uint32_t kDim = 1, kDimValue = 1, kDimParam = 2, kDimDenotation = 3;
}
namespace sequence_type_proto {
inline constexpr std::uint32_t kElemType = 1;
}
namespace map_type_proto {
inline constexpr std::uint32_t kKeyType = 1, kValueType = 2;
}
namespace function_proto {
inline constexpr std::uint32_t kName = 1, kInput = 4, kOutput = 5, kAttribute = 6, kNode = 7, kDoc = 8, kOpsetImport = 9,
                               kDomain = 10, kAttributeProto = 11, kValueInfo = 12, kOverload = 13;
}

}  // namespace bitwright::onnx
