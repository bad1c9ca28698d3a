#pragma once

#include <cstdint>

namespace bitwright {

// Named limits against files made to hurt, each beside the largest value seen in real models. tests/files/limits_test.cpp tries
// each just under and just over. kMaxRank and kMaxElements stand in tensor/shape.h, those of constant folding in engine/fold.h,
// those of pictures and samples in web/src/samples.

/// Subgraphs inside subgraphs. onnxruntime stops at 32 too; the deepest of its own test models nests 30 loops.
inline constexpr int kMaxNesting = 32;
/// Nodes, attributes, tensors, value infos and functions of a file together; each takes up to 400 bytes here.
/// Largest seen in real models: about 200 000 (an unrolled speech decoder).
inline constexpr std::uint64_t kMaxMessages = 1u << 23;
/// Names and symbolic dimensions. Longest seen in real models: about 500 bytes (scoped PyTorch names).
inline constexpr std::uint64_t kMaxNameBytes = 1u << 20;
/// String attributes, doc strings and metadata values. Largest seen: a few MB (tokenizer vocabularies, compiled contexts).
inline constexpr std::uint64_t kMaxTextBytes = 1u << 26;
/// Fields we carry without reading them. Largest seen: a few MB (sparse initializers, training information).
inline constexpr std::uint64_t kMaxUnknownBytes = 1u << 26;
/// Keys of one external_data list. ONNX defines six.
inline constexpr std::uint64_t kMaxExternalKeys = 64;
/// How often the tensors of a model may use each byte of its external files, on average. Tied weights use theirs twice or three
/// times; without a limit a small model asks for a huge output.
inline constexpr std::uint64_t kMaxExternalUses = 16;
/// A protobuf message, and so a model file without external data.
inline constexpr std::uint64_t kMaxMessageBytes = (std::uint64_t{1} << 31) - 1;
/// An .ort file, which is held in memory, and once more as ONNX. Such files are made for phones; largest seen: about 100 MB.
inline constexpr std::uint64_t kMaxOrtBytes = std::uint64_t{1} << 28;
/// How many times the file the translated model may be: parts of a FlatBuffer may stand in many places. Largest seen: below 1.
inline constexpr std::uint64_t kMaxOrtGrowth = 8;
/// Parts inside parts of an .ort file: four for each level of subgraphs, and types.
inline constexpr int kMaxOrtNesting = 4 * (kMaxNesting + 2);
/// Values of at least this many bytes stay in the file until asked for.
inline constexpr std::uint64_t kMinLazyBytes = 1024;

}  // namespace bitwright
