#include "base/xxh64.h"

#include <doctest/doctest.h>

#include <string_view>
#include <vector>

namespace bitwright::tests {
namespace {

std::string hash_of(std::string_view text) {
  Xxh64 hash;
  hash.add({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
  return hash.hex();
}

}  // namespace

TEST_CASE("xxh64: published values of short texts") {
  CHECK(hash_of("") == "ef46db3751d8e999");
  CHECK(hash_of("a") == "d24ec4f1a98c6e5b");
  CHECK(hash_of("abc") == "44bc2cf5ad770999");
  CHECK(hash_of("Nobody inspects the spammish repetition") == "fbcea83c8a378bf1");
}

TEST_CASE("xxh64: pieces of any length give the hash of the whole") {
  std::vector<std::uint8_t> bytes(1000);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(i * 37 + i / 256);
  Xxh64 whole;
  whole.add(bytes);
  for (std::size_t length = 1; length < 100; ++length) {
    Xxh64 pieces;
    for (std::size_t at = 0; at < bytes.size(); at += length)
      pieces.add(std::span(bytes).subspan(at, std::min(length, bytes.size() - at)));
    CHECK(pieces.value() == whole.value());
  }
}

}  // namespace bitwright::tests
