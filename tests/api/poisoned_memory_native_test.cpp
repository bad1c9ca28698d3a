// Output depends on input alone: whatever fresh memory holds, the same job gives the same bytes.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "allocations.h"
#include "api/calibration_run.h"
#include "api/quantize.h"
#include "api/small_network.h"
#include "base/error.h"
#include "host.h"

using namespace bitwright;
using namespace bitwright::tests;

namespace {

std::vector<std::uint8_t> bytes_of(const Tensor& tensor) { return {tensor.bytes().begin(), tensor.bytes().end()}; }

/// The same with zeros, two patterns and what the heap happens to hold; arena blocks are among it.
void check_same_bytes(const std::function<std::vector<std::uint8_t>()>& job) {
  const std::vector<std::uint8_t> wanted = job();
  for (const int fill : {0x00, 0xa5, 0xff, 0x7f}) {
    CAPTURE(fill);
    const FilledMemory filled(static_cast<std::uint8_t>(fill));
    if (job() != wanted) FAIL_CHECK("another result");
  }
}

std::vector<std::uint8_t> read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

TEST_CASE("poisoned memory: a run and every mode of quantization give the same bytes") {
  const auto model = std::make_shared<const Model>(read_bytes(file_of(small_network())));
  check_same_bytes([&] { return bytes_of(Session(model).run(small_network_feeds()).at("y")); });
  for (const QuantMode mode : {QuantMode::static_, QuantMode::weight_only, QuantMode::dynamic, QuantMode::float16}) {
    CAPTURE(static_cast<int>(mode));
    check_same_bytes([&] {
      Recipe recipe;
      recipe.mode = mode;
      CalibrationRun run(model, recipe, false);
      run.feed(small_network_feeds());
      const Statistics statistics = run.statistics();
      const auto result = quantize(*model, recipe, &statistics, "", {}, {.allows_larger = true});
      std::vector<std::uint8_t> bytes = file_of(*result.model);
      const std::vector<std::uint8_t> y = bytes_of(Session(result.model).run(small_network_feeds()).at("y"));
      bytes.insert(bytes.end(), y.begin(), y.end());
      return bytes;
    });
  }
}

TEST_CASE("poisoned memory: every shared model up to 3 MB is quantized to the same bytes, 4-bit codes included") {
  const auto shared = shared_folder();
  if (!shared) return skip("the shared models are not here");
  int n = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(*shared / "models")) {
    if (entry.path().extension() != ".onnx" || entry.file_size() > 3u << 20) continue;
    CAPTURE(entry.path().filename().string());
    const std::vector<std::uint8_t> bytes = read_file(entry.path());
    for (const bool is_4_bit : {false, true}) {
      check_same_bytes([&]() -> std::vector<std::uint8_t> {
        try {
          Recipe recipe;
          recipe.mode = QuantMode::weight_only;
          if (is_4_bit) recipe.weight = {DType::u4, false, false, TensorScheme::Grain::per_block, 32};
          return file_of(
              *quantize(read_bytes(bytes), recipe, nullptr, "", {}, {.measures_weights = false, .allows_larger = true}).model);
        } catch (const Error& error) {
          const std::string message = error.what();
          return {message.begin(), message.end()};
        }
      });
    }
    ++n;
  }
  CHECK(n > 3);
}
