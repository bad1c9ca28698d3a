#include "kernels/depthwise_f32/tiles.h"

namespace bitwright {

void depthwise_f32__simd128(const DepthwiseF32& d) { depthwise_tiles::run<MultiplyThenAdd>(d); }

}  // namespace bitwright
