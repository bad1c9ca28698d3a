#include "kernels/gemm_f32/tiles.h"

namespace bitwright {

void gemm_f32__relaxed_6x8(const GemmF32& g) { GemmF32Tiles<Contracted, 6>::run(g); }

}  // namespace bitwright
