#pragma once

#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/xxh64.h"
#include "engine/session.h"
#include "files/model_file.h"
#include "files/onnx/onnx.h"
#include "quant/recipe.h"

namespace bitwright::fuzz {

/// What a fuzzed model may ask for, so that a slow answer is told from a hang.
inline constexpr WorkLimits kLimits{.max_result_bytes = 8u << 20, .max_total_bytes = 32u << 20, .max_work = 4u << 20};

/// Choices drawn from the input's hash: any model file is a seed as it stands, and the same input chooses the same.
class Draw {
 public:
  explicit Draw(std::span<const std::uint8_t> input) {
    Xxh64 hash;
    hash.add(input);
    random_.seed(hash.value());
  }
  std::uint64_t below(std::uint64_t n) { return random_() % n; }
  bool coin() { return below(2) == 0; }

 private:
  std::mt19937_64 random_;
};

/// Only our own fault ends the fuzzer; whatever else is refused is refused rightly.
inline void expect_typed(const Error& error) {
  if (error.code() == ErrorCode::internal) {
    std::fprintf(stderr, "internal error: %s\n", error.what());
    if (std::getenv("BITWRIGHT_FUZZ_GO_ON") == nullptr) std::abort();  // set: all findings of a run are listed
  }
}

inline std::shared_ptr<Model> read(std::span<const std::uint8_t> bytes) {
  return std::make_shared<Model>(
      read_model(std::make_shared<MemorySource>(std::vector<std::uint8_t>(bytes.begin(), bytes.end()), "fuzz.onnx")));
}

inline std::vector<std::uint8_t> written(const Model& model) {
  MemorySink sink;
  write_onnx(model, sink, nullptr);
  return sink.take();
}

/// Any arithmetic, with the kernels that this build has.
inline SessionOptions draw_session(Draw& draw) {
  return {.arithmetic = static_cast<SessionArithmetic>(draw.below(3)),
          .family = draw.coin() ? KernelFamily::simd128 : KernelFamily::reference,
          .limits = kLimits};
}

/// Small feeds of the declared types: open extents are drawn, values are small with a rare infinity or NaN.
inline std::map<std::string, Tensor> draw_feeds(const std::vector<ValueInfo>& inputs, Draw& draw) {
  constexpr std::int64_t kMaxFeedElements = 1 << 14;
  std::map<std::string, Tensor> feeds;
  for (const ValueInfo& input : inputs) {
    Shape shape = input.has_shape ? input.shape : Shape(static_cast<std::size_t>(draw.below(4)), kUnknownDim);
    for (std::int64_t& extent : shape)
      if (extent < 0) extent = static_cast<std::int64_t>(draw.below(5));
    if (n_elements(shape) > kMaxFeedElements) throw Error(ErrorCode::limit_exceeded, "a fuzzed feed is too large");
    if (input.dtype == DType::undefined) throw Error(ErrorCode::unsupported, "an input without a type");
    Tensor tensor(input.dtype, shape);
    if (input.dtype == DType::f32) {
      for (float& value : tensor.data<float>()) {
        const std::uint64_t kind = draw.below(64);
        value = kind == 0   ? std::numeric_limits<float>::infinity()
                : kind == 1 ? std::numeric_limits<float>::quiet_NaN()
                            : static_cast<float>(static_cast<std::int64_t>(draw.below(2001)) - 1000) / 250.0f;
      }
    } else if (input.dtype == DType::boolean) {
      for (std::uint8_t& byte : tensor.bytes()) byte = static_cast<std::uint8_t>(draw.below(2));
    } else if (input.dtype == DType::i64) {
      for (std::int64_t& value : tensor.data<std::int64_t>()) value = static_cast<std::int64_t>(draw.below(7)) - 2;
    } else if (input.dtype != DType::string) {
      for (std::uint8_t& byte : tensor.bytes()) byte = static_cast<std::uint8_t>(draw.below(256));
    }
    feeds.emplace(input.name, std::move(tensor));
  }
  return feeds;
}

}  // namespace bitwright::fuzz
