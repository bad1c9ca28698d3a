#pragma once

#include <filesystem>
#include <optional>
#include <string_view>

namespace bitwright::tests {

/// Marks the running test case as skipped and says why; the test returns right after. Skipped tests are counted apart from
/// passed ones and listed by name at the end, and CI does not accept them where shared data is present.
void skip(std::string_view reason);

/// The folder of shared models and data: the environment variable BITWRIGHT_SHARED, else the sibling `../shared` of the
/// project; nothing where it is absent and in wasm (a test that needs files is named *_native_test.cpp).
std::optional<std::filesystem::path> shared_folder();

}  // namespace bitwright::tests
