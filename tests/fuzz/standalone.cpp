// A driver for the fuzz targets where there is no libFuzzer: blind random changes of seed files, the same for the same seed.
//   <target>_blind SECONDS FINDINGS-PREFIX FOLDER...
// An input that ends the program, or runs for 20 seconds, is left in a file beginning with the prefix.
#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t n_bytes);

namespace {

using Bytes = std::vector<std::uint8_t>;
constexpr std::size_t kMaxBytes = 16384;
constexpr unsigned kMaxSeconds = 20;

Bytes current;
std::string finding;

extern "C" void keep_and_end(int signal) {
  const int file = open(finding.c_str(), O_CREAT | O_WRONLY | O_TRUNC, 0644);
  if (file < 0 || write(file, current.data(), current.size()) < 0) _exit(3);
  _exit(signal == SIGALRM ? 2 : 1);
}

class Mutator {
 public:
  explicit Mutator(std::vector<Bytes> seeds) : seeds_(std::move(seeds)) {}

  Bytes next() {
    Bytes bytes = seeds_[below(seeds_.size())];
    // Most changes stay in their place: a file whose lengths are wrong is refused at once.
    const std::size_t n_kinds = below(4) == 0 ? 7 : 4;
    for (std::size_t n = 1 + below(4); n > 0; --n) change(bytes, below(n_kinds));
    if (bytes.size() > kMaxBytes) bytes.resize(kMaxBytes);
    return bytes;
  }

 private:
  std::size_t below(std::size_t n) { return n == 0 ? 0 : random_() % n; }

  void change(Bytes& bytes, std::size_t kind) {
    static constexpr std::uint8_t kExtremes[] = {0, 1, 2, 0x7f, 0x80, 0xff};
    const std::size_t at = below(bytes.size());
    const auto place = bytes.begin() + static_cast<std::ptrdiff_t>(at);
    const std::size_t left = bytes.size() - at;
    switch (kind) {
      case 0:
        if (left > 0) bytes[at] = static_cast<std::uint8_t>(below(256));
        break;
      case 1:
        if (left > 0) bytes[at] ^= static_cast<std::uint8_t>(1u << below(8));
        break;
      case 2:
        for (std::size_t i = 0; i < std::min<std::size_t>(left, 1 + below(9)); ++i) bytes[at + i] = kExtremes[below(6)];
        break;
      case 3:  // a number one larger or smaller: extents, axes, types
        if (left > 0) bytes[at] = static_cast<std::uint8_t>(bytes[at] + (below(2) == 0 ? 1 : 255));
        break;
      case 4:
        bytes.erase(place, place + static_cast<std::ptrdiff_t>(std::min(left, 1 + below(24))));
        break;
      case 5: {  // a piece of another file
        const Bytes& other = seeds_[below(seeds_.size())];
        const std::size_t from = below(other.size());
        const std::size_t n = std::min(other.size() - from, 1 + below(64));
        bytes.insert(place, other.begin() + static_cast<std::ptrdiff_t>(from),
                     other.begin() + static_cast<std::ptrdiff_t>(from + n));
        break;
      }
      default: {  // a piece of the same file again
        const Bytes piece(place, place + static_cast<std::ptrdiff_t>(std::min(left, 1 + below(64))));
        bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(below(bytes.size() + 1)), piece.begin(), piece.end());
      }
    }
  }

  std::vector<Bytes> seeds_;
  std::mt19937_64 random_{1};
};

void try_one(const Bytes& bytes) {
  current = bytes;
  alarm(kMaxSeconds);
  LLVMFuzzerTestOneInput(current.data(), current.size());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: %s SECONDS FINDINGS-PREFIX FOLDER...\n", argv[0]);
    return 2;
  }
  const double seconds = std::atof(argv[1]);
  finding = std::string(argv[2]) + std::to_string(getpid());
  for (const int signal : {SIGABRT, SIGSEGV, SIGFPE, SIGBUS, SIGILL, SIGALRM}) std::signal(signal, keep_and_end);
  std::vector<Bytes> seeds;
  for (int i = 3; i < argc; ++i)
    for (const auto& entry : std::filesystem::directory_iterator(argv[i])) {
      std::ifstream file(entry.path(), std::ios::binary);
      seeds.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    }
  if (seeds.empty()) seeds.emplace_back(Bytes{8, 8});
  const std::clock_t start = std::clock();
  const auto taken = [&] { return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC; };
  std::uint64_t n_tried = 0;
  for (const Bytes& seed : seeds) {
    if (taken() >= seconds) break;
    try_one(seed);
    ++n_tried;
  }
  Mutator mutator(std::move(seeds));
  while (taken() < seconds) {
    try_one(mutator.next());
    ++n_tried;
  }
  std::printf("%llu executions in %.0f s of processor time\n", static_cast<unsigned long long>(n_tried), taken());
  return 0;
}
