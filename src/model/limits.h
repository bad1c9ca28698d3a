#pragma once

namespace bitwright {

/// Subgraphs inside subgraphs. onnxruntime stops at 32 too; the deepest of its own test models nests 30 loops.
inline constexpr int kMaxNesting = 32;

}  // namespace bitwright
