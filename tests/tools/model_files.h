#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "files/onnx/onnx.h"
#include "io/byte_source.h"

namespace bitwright::tools {

inline std::vector<std::uint8_t> read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Error(ErrorCode::io_failed, bitwright::quoted(path.string()) + " cannot be opened");
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

/// External data beside the model.
class FolderData final : public ExternalData {
 public:
  explicit FolderData(std::filesystem::path folder) : folder_(std::move(folder)) {}
  std::shared_ptr<ByteSource> open(const std::string& name) override {
    const std::filesystem::path path = folder_ / name;
    if (!std::filesystem::is_regular_file(path)) return nullptr;
    return std::make_shared<MemorySource>(read_file(path), name);
  }

 private:
  std::filesystem::path folder_;
};

inline std::shared_ptr<const Model> read_model(const std::filesystem::path& path) {
  FolderData data(path.parent_path());
  return std::make_shared<const Model>(
      read_onnx(std::make_shared<MemorySource>(read_file(path), path.filename().string()), &data));
}

/// prefix0.pb, prefix1.pb ... of a folder, as far as they go.
inline std::vector<std::filesystem::path> numbered(const std::filesystem::path& folder, const std::string& prefix) {
  std::vector<std::filesystem::path> paths;
  for (std::size_t i = 0;; ++i) {
    const std::filesystem::path path = folder / (prefix + std::to_string(i) + ".pb");
    if (!std::filesystem::exists(path)) return paths;
    paths.push_back(path);
  }
}

inline Tensor read_tensor(const std::filesystem::path& path) { return read_tensor_proto(read_file(path)); }

}  // namespace bitwright::tools
