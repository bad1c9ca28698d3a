#pragma once

namespace bitwright {

/// Milliseconds since some fixed moment; never goes back.
double now_ms();

}  // namespace bitwright
