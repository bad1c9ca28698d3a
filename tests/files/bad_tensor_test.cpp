// Cases 16 to 31 of the list of bad inputs, as far as they concern the reader: tensors and external data.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <map>

#include "bad_input.h"
#include "files/onnx/onnx.h"
#include "files/wire_bytes.h"
#include "model/limits.h"

using namespace bitwright;
using namespace bitwright::tests;

namespace {

Wire with_tensor(const Wire& tensor) { return onnx_model(relu_graph(Wire().message(5, tensor))); }

struct Files final : ExternalData {
  std::shared_ptr<ByteSource> open(const std::string& name) override {
    opened.push_back(name);
    const auto found = files.find(name);
    return found != files.end() ? std::make_shared<MemorySource>(found->second, name) : nullptr;
  }
  std::map<std::string, std::vector<std::uint8_t>> files;
  std::vector<std::string> opened;
};

std::optional<ErrorCode> read_refusal(const Wire& wire, std::string* message = nullptr) {
  return refusal(
      [&] {
        const Model model = read_onnx(memory_source(wire));
        for (const TensorRecord& record : model.graph.initializers) static_cast<void>(record.load());
      },
      message);
}

Wire external_tensor(const std::string& location, const std::vector<std::pair<std::string, std::string>>& entries = {},
                     const std::string& name = "w") {
  Wire tensor = onnx_tensor(name, {2}, 1).message(13, Wire().text(1, "location").text(2, location));
  for (const auto& [key, value] : entries) tensor.message(13, Wire().text(1, key).text(2, value));
  return tensor.number(14, 1);
}

std::optional<ErrorCode> external_refusal(const Wire& wire, Files& files) {
  return refusal([&] { static_cast<void>(read_onnx(memory_source(wire), &files)); });
}

Wire dims(std::initializer_list<std::uint64_t> extents) {
  Wire wire;
  for (const std::uint64_t extent : extents) wire.number(1, extent);
  return wire;
}

}  // namespace

TEST_CASE("bad input 16: extents that are negative, wrap or promise too much, and a rank of 1000, are refused; 0 is legal") {
  CHECK(read_refusal(with_tensor(dims({~std::uint64_t{0}}).number(2, 1))) == ErrorCode::bad_model);
  CHECK(read_refusal(with_tensor(dims({std::uint64_t{1} << 63}).number(2, 1))) == ErrorCode::bad_model);
  const std::uint64_t huge = std::uint64_t{1} << 62;
  CHECK(read_refusal(with_tensor(dims({huge, huge, huge, huge}).number(2, 1))) == ErrorCode::limit_exceeded);
  CHECK(read_refusal(with_tensor(dims({huge, huge, 0}).number(2, 1))) == ErrorCode::limit_exceeded);
  CHECK(read_refusal(with_tensor(dims({std::uint64_t{1} << 40}).number(2, 1).text(9, "1234"))) == ErrorCode::bad_model);
  CHECK_FALSE(read_refusal(with_tensor(dims({3, 0}).number(2, 1).text(8, "w"))).has_value());
  Wire ranks;
  for (int i = 0; i < 1000; ++i) ranks.number(1, 1);
  CHECK(read_refusal(with_tensor(ranks.number(2, 1).text(9, "1234"))) == ErrorCode::limit_exceeded);
}

TEST_CASE("bad input 17: raw_data that is shorter or longer than shape and type ask for is refused by name") {
  std::string message;
  CHECK(read_refusal(with_tensor(onnx_tensor("w", {2}, 1).text(9, "1234567")), &message) == ErrorCode::bad_model);
  CHECK(message.find("'w'") != std::string::npos);
  CHECK(read_refusal(with_tensor(onnx_tensor("w", {2}, 1).text(9, "123456789"))) == ErrorCode::bad_model);
  CHECK(read_refusal(with_tensor(onnx_tensor("w", {2}, 1).text(9, ""))) == ErrorCode::bad_model);
  CHECK(read_refusal(with_tensor(onnx_tensor("w", {2}, 1))) == ErrorCode::bad_model);
}

TEST_CASE("bad input 18: raw and typed values together are refused, also across parts of a tensor") {
  CHECK(read_refusal(with_tensor(onnx_tensor("w", {2}, 1).text(9, "12345678").text(4, "12345678"))) == ErrorCode::bad_model);
  const Wire parts = Wire()
                         .text(1, "value")
                         .message(5, onnx_tensor("", {2}, 1).text(9, "12345678"))
                         .message(5, Wire().text(4, "12345678"))
                         .number(20, 4);
  CHECK(read_refusal(onnx_model(relu_graph(Wire().message(1, onnx_node("Constant", {}, {"c"}).message(5, parts))))) ==
        ErrorCode::bad_model);
}

TEST_CASE("bad input 19: values in a field for another element type are refused") {
  CHECK(read_refusal(with_tensor(onnx_tensor("w", {1}, 3).text(4, "1234"))) == ErrorCode::bad_model);      // i8 in float_data
  CHECK(read_refusal(with_tensor(onnx_tensor("w", {1}, 1).number(5, 7))) == ErrorCode::bad_model);         // f32 in int32_data
  CHECK(read_refusal(with_tensor(onnx_tensor("w", {1}, 7).number(11, 7))) == ErrorCode::bad_model);        // i64 in uint64_data
  CHECK(read_refusal(with_tensor(onnx_tensor("w", {1}, 8).number(7, 7))) == ErrorCode::bad_model);         // text in int64_data
  CHECK(read_refusal(with_tensor(onnx_tensor("w", {1}, 1).text(6, "text"))) == ErrorCode::bad_model);      // f32 in string_data
  CHECK(read_refusal(with_tensor(onnx_tensor("w", {1}, 7).text(7, "\x01\x02"))) == ErrorCode::bad_model);  // one too many
}

TEST_CASE("bad input 20: an element type that is not known is carried and refused when its values are asked for") {
  for (const int type : {0, 77, 255, 0x7fffffff}) {
    const Model model = read_onnx(memory_source(with_tensor(onnx_tensor("w", {2}, type).text(9, "abc"))));
    CHECK(model.graph.initializers[0].dtype == DType::undefined);
    CHECK(refusal([&] { static_cast<void>(model.graph.initializers[0].load()); }) == ErrorCode::unsupported);
    MemorySink sink;
    write_onnx(model, sink, nullptr);
    CHECK(read_onnx(std::make_shared<MemorySource>(sink.take(), "again")).graph.initializers.size() == 1);
  }
}

TEST_CASE("bad input 21: an odd count of 4-bit codes takes the half byte, and no byte less or more") {
  CHECK_FALSE(read_refusal(with_tensor(onnx_tensor("w", {3}, 22).text(9, "12"))).has_value());
  CHECK(read_refusal(with_tensor(onnx_tensor("w", {3}, 22).text(9, "1"))) == ErrorCode::bad_model);
  CHECK(read_refusal(with_tensor(onnx_tensor("w", {3}, 22).text(9, "123"))) == ErrorCode::bad_model);
  CHECK_FALSE(read_refusal(with_tensor(onnx_tensor("w", {3}, 21).number(5, 0x21).number(5, 0x0f))).has_value());
  CHECK(read_refusal(with_tensor(onnx_tensor("w", {3}, 21).number(5, 0x21).number(5, 0x0f).number(5, 1))) ==
        ErrorCode::bad_model);
}

TEST_CASE("bad input 24: string tensors are read and counted, sparse tensors are carried as they stand") {
  const Model model = read_onnx(memory_source(with_tensor(onnx_tensor("w", {2}, 8).text(6, "a").text(6, ""))));
  CHECK(model.graph.initializers[0].load().strings() == std::vector<std::string>{"a", ""});
  CHECK(read_refusal(with_tensor(onnx_tensor("w", {2}, 8).text(6, "a"))) == ErrorCode::bad_model);
  CHECK(read_refusal(with_tensor(onnx_tensor("w", {1}, 8).text(9, "abcd"))) == ErrorCode::bad_model);
  CHECK(read_refusal(with_tensor(onnx_tensor("w", {1 << 30}, 8).text(6, "a"))) == ErrorCode::bad_model);
  const Wire sparse =
      Wire().message(1, onnx_tensor("s", {1}, 1).text(9, "1234")).message(2, onnx_tensor("i", {1}, 7).number(7, 5));
  const Wire bytes = onnx_model(relu_graph(Wire().message(15, sparse)));
  const Model carried = read_onnx(memory_source(bytes));
  CHECK(carried.graph.unknown_fields.size() == Wire().message(15, sparse).bytes().size());
  CHECK(read_refusal(onnx_model(relu_graph(Wire().message(15, Wire().message(1, onnx_tensor("s", {9}, 1).text(9, "1234")))))) ==
        ErrorCode::bad_model);
}

TEST_CASE("bad input 25: one segment of a tensor is refused rather than taken for the whole") {
  std::string message;
  const Wire segment = onnx_tensor("w", {1}, 1).message(3, Wire().number(1, 0).number(2, 1)).text(9, "1234");
  CHECK(read_refusal(with_tensor(segment), &message) == ErrorCode::bad_model);
  CHECK(message.find("segment") != std::string::npos);
}

TEST_CASE("bad input 26: names of external files that leave the folder are refused and nothing is opened") {
  for (const std::string& name :
       {std::string(""), std::string("/etc/passwd"), std::string("../w"), std::string("a/../../w"), std::string("a/.."),
        std::string("./../w"), std::string("a//..//w"), std::string("C:\\w"), std::string("c:w"), std::string("C:/w"),
        std::string("\\\\host\\share\\w"), std::string("//host/share/w"), std::string("\\\\?\\C:\\w"), std::string("a\\w"),
        std::string("..\\w"), std::string("w\0.bin", 6), std::string("."), std::string("./"), std::string("/")}) {
    CAPTURE(name);
    Files files;
    std::string message;
    CHECK(refusal([&] { static_cast<void>(read_onnx(memory_source(with_tensor(external_tensor(name))), &files)); }, &message) ==
          ErrorCode::bad_external_data);
    CHECK(message.find("inside the model's folder") != std::string::npos);
    CHECK(files.opened.empty());
  }
  // Escapes and homes are names like any other: they are looked up as they stand.
  for (const std::string& name : {std::string("%2e%2e/w"), std::string("~/w"), std::string("$HOME"), std::string("...")}) {
    Files files;
    static_cast<void>(read_onnx(memory_source(with_tensor(external_tensor(name))), &files));
    CHECK(files.opened == std::vector<std::string>{name});
  }
}

TEST_CASE("bad input 28: external ranges that wrap or lie outside, counts that are none, and keys that contradict are refused") {
  Files files;
  files.files["w"] = std::vector<std::uint8_t>(10);
  for (const auto& [offset, length] : std::vector<std::pair<std::string, std::string>>{{"3", "8"},
                                                                                       {"18446744073709551615", "8"},
                                                                                       {"18446744073709551608", "8"},
                                                                                       {"18446744073709551616", "8"},
                                                                                       {"-1", "8"},
                                                                                       {"x", "8"},
                                                                                       {"4x", "8"},
                                                                                       {" 0", "8"},
                                                                                       {"0x0", "8"},
                                                                                       {"", "8"},
                                                                                       {"1e0", "8"}}) {
    const std::string shown = offset;
    CAPTURE(shown);
    CHECK(external_refusal(with_tensor(external_tensor("w", {{"offset", offset}, {"length", length}})), files) ==
          ErrorCode::bad_external_data);
  }
  CHECK(external_refusal(with_tensor(external_tensor("w", {{"length", "9"}})), files) == ErrorCode::bad_model);
  CHECK(external_refusal(with_tensor(external_tensor("w", {{"length", "1000000000000000"}})), files) == ErrorCode::bad_model);
  CHECK(external_refusal(with_tensor(external_tensor("w", {{"offset", "0"}, {"offset", "1"}})), files) ==
        ErrorCode::bad_external_data);
  CHECK(external_refusal(with_tensor(external_tensor("w", {{"location", "v"}})), files) == ErrorCode::bad_external_data);
  CHECK_FALSE(external_refusal(with_tensor(external_tensor("w", {{"checksum", "x"}, {"__class__", "y"}})), files).has_value());
  CHECK_FALSE(external_refusal(with_tensor(external_tensor("w", {{"offset", "2"}, {"length", "8"}})), files).has_value());
  const Wire nameless = onnx_tensor("w", {2}, 1).message(13, Wire().text(1, "offset").text(2, "0")).number(14, 1);
  CHECK(external_refusal(with_tensor(nameless), files) == ErrorCode::bad_external_data);
}

TEST_CASE("bad input 29: overlapping ranges share the file's bytes, and cannot ask for an output of any size") {
  constexpr std::uint64_t kFileBytes = 16u << 20;
  Files files;
  files.files["w"] = std::vector<std::uint8_t>(kFileBytes);
  const auto model_of = [&](std::uint64_t n_tensors) {
    Wire rest;
    for (std::uint64_t i = 0; i < n_tensors; ++i) {
      Wire tensor = dims({kFileBytes / 4}).number(2, 1).text(8, "w" + std::to_string(i));
      tensor.message(13, Wire().text(1, "location").text(2, "w")).number(14, 1);
      rest.message(5, tensor);
    }
    return onnx_model(relu_graph(rest));
  };
  CHECK_FALSE(external_refusal(model_of(kMaxExternalUses), files).has_value());
  CHECK(external_refusal(model_of(kMaxExternalUses + 1), files) == ErrorCode::limit_exceeded);
}

TEST_CASE("bad input 31: external data hides nowhere: names and ranges are checked in attributes and subgraphs too") {
  Files files;
  const Wire attribute = Wire().text(1, "value").message(5, external_tensor("../w")).number(20, 4);
  const Wire constant = onnx_node("Constant", {}, {"c"}).message(5, attribute);
  CHECK(external_refusal(onnx_model(relu_graph(Wire().message(1, constant))), files) == ErrorCode::bad_external_data);
  const Wire branch = Wire().message(1, constant).message(12, onnx_value("c"));
  const Wire holder = onnx_node("If", {"X"}, {"p"}).message(5, Wire().text(1, "then_branch").message(6, branch).number(20, 5));
  CHECK(external_refusal(onnx_model(relu_graph(Wire().message(1, holder))), files) == ErrorCode::bad_external_data);
  const Wire list = onnx_node("Op", {}, {"o"}).message(5, Wire().text(1, "ts").message(10, external_tensor("/w")).number(20, 9));
  CHECK(external_refusal(onnx_model(relu_graph(Wire().message(1, list))), files) == ErrorCode::bad_external_data);
  const Wire sparse = Wire().message(1, external_tensor("ok")).message(2, onnx_tensor("i", {1}, 7).number(7, 5));
  CHECK(external_refusal(onnx_model(relu_graph(Wire().message(15, sparse))), files) == ErrorCode::unsupported);
  const Wire sparse_attribute = Wire().text(1, "sparse_value").message(22, sparse).number(20, 11);
  CHECK(external_refusal(onnx_model(relu_graph(Wire().message(1, onnx_node("Constant", {}, {"c"}).message(5, sparse_attribute)))),
                         files) == ErrorCode::unsupported);
  const Wire function = Wire().text(1, "F").text(10, "d").text(5, "c").message(7, constant);
  CHECK(external_refusal(onnx_model(relu_graph()).message(25, function), files) == ErrorCode::bad_external_data);
}
