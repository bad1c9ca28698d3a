// Whatever is accepted is quantized by a recipe drawn from the input: a model that is written, read again and run, or a typed error.
// The same job gives the same bytes twice.
#include "api/calibration_run.h"
#include "api/quantize.h"
#include "fuzz/fuzz_model.h"
#include "quant/encodings/encoding.h"

using namespace bitwright;

namespace {

DType draw_dtype(fuzz::Draw& draw, std::span<const DType> of) { return of[static_cast<std::size_t>(draw.below(of.size()))]; }

/// A scheme with a name, and what may replace parts of it; what does not go together is refused.
TensorScheme draw_scheme(fuzz::Draw& draw) {
  TensorScheme scheme = named_schemes()[static_cast<std::size_t>(draw.below(named_schemes().size()))].scheme;
  if (draw.coin()) return scheme;
  if (draw.coin()) scheme.clipping = static_cast<CalibrationMethod>(draw.below(8));
  if (draw.coin()) scheme.rounding = static_cast<Rounding>(draw.below(3));
  if (draw.coin()) scheme.grain = static_cast<TensorScheme::Grain>(draw.below(4));
  if (draw.coin()) scheme.block_size = static_cast<std::int64_t>(2 + draw.below(40));
  if (draw.coin()) scheme.channel_group = static_cast<std::int64_t>(1 + draw.below(4));
  if (draw.coin()) scheme.scale_form = static_cast<ScaleForm>(draw.below(5));
  if (draw.coin()) scheme.bits = static_cast<int>(draw.below(9));
  if (draw.coin()) scheme.clip_ratio = 0.25 * static_cast<double>(1 + draw.below(4));
  if (draw.coin()) scheme.n_entries = static_cast<int>(draw.below(40));
  if (draw.coin()) scheme.sub_vector = static_cast<std::int64_t>(2 + draw.below(7));
  if (draw.coin()) scheme.column_group = static_cast<std::int64_t>(draw.below(4));
  return scheme;
}

/// As web/src/recipe.ts lets it through.
Recipe draw_recipe(fuzz::Draw& draw) {
  static constexpr DType kWeights[] = {DType::i8,  DType::u8,  DType::i8, DType::i4, DType::u4,
                                       DType::i16, DType::u16, DType::i2, DType::u2};
  static constexpr DType kActivations[] = {DType::u8, DType::i8, DType::u16, DType::i16};
  Recipe recipe;
  recipe.takes_small_weights = draw.below(8) != 0;  // files of a few kilobytes have no others
  recipe.mode = static_cast<QuantMode>(draw.below(4));
  recipe.target = static_cast<Target>(draw.below(3));
  if (draw.coin()) {
    recipe.weight.dtype = draw_dtype(draw, kWeights);
    recipe.weight.is_symmetric = draw.coin();
    recipe.weight.narrow_range = recipe.weight.is_symmetric && draw.coin();
    recipe.weight.grain = static_cast<TensorScheme::Grain>(draw.below(recipe.mode == QuantMode::weight_only ? 3 : 2));
    recipe.weight.block_size = static_cast<std::int64_t>(2 + draw.below(40));
    recipe.activation.dtype = draw_dtype(draw, kActivations);
    recipe.activation.is_symmetric = draw.coin();
  }
  if (recipe.mode == QuantMode::weight_only && draw.coin()) recipe.weight = draw_scheme(draw);
  recipe.float16_rest = recipe.mode == QuantMode::weight_only && draw.below(4) == 0;
  recipe.format = static_cast<QuantFormat>(draw.below(2));
  recipe.calibration.method = static_cast<CalibrationMethod>(draw.below(7));
  recipe.calibration.n_bins = 128;
  if (draw.below(4) == 0) recipe.include = {"*"};
  recipe.float16_weights_only = draw.coin();
  recipe.float16_keep_io = draw.coin();
  recipe.fold_batch_norm = draw.coin();
  return recipe;
}

std::optional<Statistics> draw_statistics(const std::shared_ptr<const Model>& model, const Recipe& recipe, fuzz::Draw& draw) {
  if (recipe.mode != QuantMode::static_ && values_to_calibrate(*model, recipe).empty()) return std::nullopt;
  CalibrationRun run(model, recipe, true);
  Session session(model, {.limits = fuzz::kLimits});
  for (int sample = 0; sample < 2; ++sample) {
    std::map<std::string, Tensor> values = fuzz::draw_feeds(session.inputs(), draw);
    session.run(values, [&](const std::string& value, const Tensor& tensor) { values.insert_or_assign(value, tensor.clone()); });
    run.observe(values);
  }
  return run.statistics();
}

std::vector<std::uint8_t> quantized(const Model& model, const Recipe& recipe, const std::optional<Statistics>& statistics) {
  const QuantizeResult result = quantize(model, recipe, statistics ? &*statistics : nullptr, "", {}, {.allows_larger = true});
  return fuzz::written(*result.model);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t n_bytes) {
  const std::span<const std::uint8_t> bytes(data, n_bytes);
  std::vector<std::uint8_t> file;
  try {
    const std::shared_ptr<const Model> model = fuzz::read(bytes);
    fuzz::Draw draw(bytes);
    const Recipe recipe = draw_recipe(draw);
    const std::optional<Statistics> statistics = draw_statistics(model, recipe, draw);
    file = quantized(*model, recipe, statistics);
    if (quantized(*model, recipe, statistics) != file) std::abort();
  } catch (const Error& error) {
    fuzz::expect_typed(error);
    return 0;
  }
  const std::shared_ptr<const Model> result = fuzz::read(file);
  try {
    fuzz::Draw draw(file);
    Session session(result, fuzz::draw_session(draw));
    static_cast<void>(session.run(fuzz::draw_feeds(session.inputs(), draw)));
  } catch (const Error& error) {
    fuzz::expect_typed(error);
  }
  return 0;
}
