#include "allocation.h"

#include <cstdlib>
#include <new>

namespace {
std::size_t refused_bytes = 0;  // threads of the engine never allocate
}

void* operator new(std::size_t n_bytes) {
  void* memory = std::malloc(n_bytes == 0 ? 1 : n_bytes);
  if (memory == nullptr) {
    refused_bytes = n_bytes;
    throw std::bad_alloc();
  }
  return memory;
}

std::size_t bitwright::bindings::last_refused_bytes() { return refused_bytes; }
