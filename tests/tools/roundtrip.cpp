// roundtrip IN.onnx OUT.onnx [--opset N] [--external NAME]: reads a model and writes it again. Exit code 3: refused, 4: no upgrade.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "base/error.h"
#include "files/model_file.h"
#include "files/onnx/onnx.h"
#include "passes/upgrade_opset.h"

namespace {

using namespace bitwright;

class FileSource final : public ByteSource {
 public:
  explicit FileSource(const std::filesystem::path& path) : path_(path), stream_(path, std::ios::binary) {
    if (!stream_) throw Error(ErrorCode::io_failed, path.string() + " cannot be opened");
    n_bytes_ = std::filesystem::file_size(path);
  }
  std::uint64_t size_bytes() const override { return n_bytes_; }
  std::string name() const override { return path_.filename().string(); }

 protected:
  void do_read(std::uint64_t offset, std::span<std::uint8_t> out) const override {
    stream_.seekg(static_cast<std::streamoff>(offset));
    if (!stream_.read(reinterpret_cast<char*>(out.data()), static_cast<std::streamsize>(out.size())))
      throw Error(ErrorCode::io_failed, name() + ": a read failed");
  }

 private:
  std::filesystem::path path_;
  mutable std::ifstream stream_;
  std::uint64_t n_bytes_ = 0;
};

class FolderData final : public ExternalData {
 public:
  explicit FolderData(std::filesystem::path folder) : folder_(std::move(folder)) {}
  std::shared_ptr<ByteSource> open(const std::string& name) override {
    const auto path = folder_ / name;
    if (!std::filesystem::is_regular_file(path)) return nullptr;
    return std::make_shared<FileSource>(path);
  }

 private:
  std::filesystem::path folder_;
};

class FileSink final : public ByteSink {
 public:
  explicit FileSink(const std::filesystem::path& path) : stream_(path, std::ios::binary) {}
  void write(std::span<const std::uint8_t> bytes) override {
    if (!stream_.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size())))
      throw Error(ErrorCode::io_failed, "a write failed");
  }

 private:
  std::ofstream stream_;
};

int run(int argc, char** argv) {
  if (argc < 3) {
    std::fputs("usage: roundtrip IN.onnx OUT.onnx [--opset N] [--external NAME]\n", stderr);
    return 2;
  }
  const std::filesystem::path in = argv[1];
  const std::filesystem::path out = argv[2];
  OnnxWriteOptions options;
  std::int64_t opset = 0;
  for (int i = 3; i + 1 < argc; i += 2) {
    if (std::strcmp(argv[i], "--external") == 0) options.external_name = argv[i + 1];
    if (std::strcmp(argv[i], "--opset") == 0) opset = std::atoll(argv[i + 1]);
  }
  FolderData folder(in.parent_path());
  Model model = read_model(std::make_shared<FileSource>(in), &folder);
  if (opset != 0) {
    const UpgradeResult result = upgrade_opset(model, opset);
    for (const std::string& message : result.messages) std::cout << message << "\n";
    if (!result.is_done) {
      std::cerr << result.node << ": " << result.reason << "\n";
      return 4;
    }
  }
  FileSink sink(out);
  std::unique_ptr<FileSink> external;
  if (!options.external_name.empty()) external = std::make_unique<FileSink>(out.parent_path() / options.external_name);
  write_onnx(model, sink, external.get(), options);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const Error& error) {
    std::cerr << error_code_name(error.code()) << ": " << error.what() << "\n";
    return 3;
  }
}
