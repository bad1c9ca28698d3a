#include <string>

#include "base/error.h"
#include "files/onnx/reader.h"

namespace bitwright::onnx {

std::string normalized_external_name(const std::string& location, const std::string& tensor) {
  const auto refuse = [&](const std::string& finding) {
    throw_error(ErrorCode::bad_external_data,
                {"tensor ", in_quotes(tensor), ": the external file name ", in_quotes(location), " ", finding,
                 "; only plain names inside the model's folder are opened"},
                tensor);
  };
  if (location.empty()) refuse("is empty");
  if (location.find('\0') != std::string::npos) refuse("has a NUL");
  if (location.find('\\') != std::string::npos) refuse("has a backslash");
  if (location.front() == '/') refuse("is absolute");
  if (location.size() >= 2 && location[1] == ':') refuse("names a drive");
  std::string plain;
  std::size_t begin = 0;
  while (begin <= location.size()) {
    std::size_t end = location.find('/', begin);
    if (end == std::string::npos) end = location.size();
    const std::string part = location.substr(begin, end - begin);
    begin = end + 1;
    if (part == "..") refuse("leaves the folder");
    if (part.empty() || part == ".") continue;
    plain += concat({(plain.empty() ? "" : "/"), part});
  }
  if (plain.empty()) refuse("names no file");
  return plain;
}

}  // namespace bitwright::onnx
