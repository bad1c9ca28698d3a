#include "kernels/depthwise_f32/tiles.h"

namespace bitwright {

void depthwise_f32__relaxed(const DepthwiseF32& d) { depthwise_tiles::run<Contracted>(d); }

}  // namespace bitwright
