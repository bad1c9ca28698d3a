#pragma once

#include "kernels/int8.h"

namespace bitwright {

/// Runs the two kernels that most time goes to, on zeros, for about a millisecond. Browsers compile WebAssembly twice: fast at the first
/// call, and well, in the background, when a function has been at work for a while. Done before a session is planned and its weights
/// are packed, this has the kernels ready for its first run.
void warm_up_integer_kernels(KernelFamily family, Arithmetic arithmetic);

}  // namespace bitwright
