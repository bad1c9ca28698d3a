#include "kernels/gemm_f32/tiles.h"

namespace bitwright {

void gemm_f32__simd128_5x8(const GemmF32& g) { GemmF32Tiles<MultiplyThenAdd, 5>::run(g); }

}  // namespace bitwright
