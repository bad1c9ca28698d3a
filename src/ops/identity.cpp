#include "ops/op.h"

namespace bitwright {

namespace {

void infer_identity(InferContext& context) { context.set_output(0, context.dtype(0), context.input(0).shape); }
void run_identity(RunContext& context) { context.set_output(0, context.input(0)); }

constexpr std::int64_t kIdentitySince[] = {1, 13, 14, 16, 19, 21, 23, 24, 25};
constexpr Op kOps[] = {
    {"Identity", "", kIdentitySince, infer_identity, run_identity},
};

}  // namespace

extern const OpFamily identity_family;
const OpFamily identity_family{"identity", kOps};

}  // namespace bitwright
