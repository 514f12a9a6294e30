// Bindings of the ops that choose tokens.
#include "arrays.h"

namespace adagen {

using namespace nb::literals;

static void bind_guided_sample(nb::module_& module) {
  module.def(
      "guided_sample",
      [](In<float> cond, In<float> null, In<float> guidance, In<float> temperature,
         In<float> confidence_temperature, In<std::int64_t> tokens, std::int64_t mask_id,
         Maybe<std::int64_t> seeds, Maybe<std::int64_t> steps, Maybe<float> token_gumbel,
         Maybe<float> confidence_gumbel, Out<std::int64_t> sampled, Out<float> confidence,
         int threads) {
        const BatchNoise noise{data_or_null(seeds), data_or_null(steps),
                               data_or_null(token_gumbel), data_or_null(confidence_gumbel)};
        const GuidedSample op{logits_of(cond, null, guidance), temperature.data(),
                              confidence_temperature.data(), tokens.data(), mask_id, noise,
                              sampled.data(), confidence.data(), {}};
        run(guided_sample, op, threads);
      },
      "cond"_a.noconvert(), "null"_a.noconvert(), "guidance"_a.noconvert(),
      "temperature"_a.noconvert(), "confidence_temperature"_a.noconvert(), "tokens"_a.noconvert(),
      "mask_id"_a, "seeds"_a.noconvert().none(), "steps"_a.noconvert().none(),
      "token_gumbel"_a.noconvert().none(), "confidence_gumbel"_a.noconvert().none(),
      "sampled"_a.noconvert(), "confidence"_a.noconvert(), "threads"_a);
}

static void bind_remask(nb::module_& module) {
  module.def(
      "remask",
      [](In<std::int64_t> sampled, In<float> confidence, In<float> mask_ratio,
         std::int64_t mask_id, Out<std::int64_t> masked, int threads) {
        const Remask op{sampled.data(),
                        confidence.data(),
                        mask_ratio.data(),
                        mask_id,
                        static_cast<std::int64_t>(sampled.shape(0)),
                        static_cast<std::int64_t>(sampled.shape(1)),
                        1,
                        masked.data(),
                        nullptr};
        run(remask, op, threads);
      },
      "sampled"_a.noconvert(), "confidence"_a.noconvert(), "mask_ratio"_a.noconvert(),
      "mask_id"_a, "masked"_a.noconvert(), "threads"_a);
}

static void bind_sample_top_k_top_p(nb::module_& module) {
  module.def(
      "sample_top_k_top_p",
      [](In<float> cond, In<float> null, In<float> guidance, In<float> top_k, In<float> top_p,
         In<float> temperature, Maybe<std::int64_t> seeds, Maybe<std::int64_t> steps,
         Maybe<float> token_gumbel, Out<std::int64_t> sampled, int threads) {
        const BatchNoise noise{data_or_null(seeds), data_or_null(steps),
                               data_or_null(token_gumbel), nullptr};
        const SampleTopKTopP op{logits_of(cond, null, guidance), top_k.data(), top_p.data(),
                                temperature.data(), noise, sampled.data(), {}};
        run(sample_top_k_top_p, op, threads);
      },
      "cond"_a.noconvert(), "null"_a.noconvert(), "guidance"_a.noconvert(), "top_k"_a.noconvert(),
      "top_p"_a.noconvert(), "temperature"_a.noconvert(), "seeds"_a.noconvert().none(),
      "steps"_a.noconvert().none(), "token_gumbel"_a.noconvert().none(), "sampled"_a.noconvert(),
      "threads"_a);
}

void bind_sampling(nb::module_& module) {
  bind_guided_sample(module);
  bind_remask(module);
  bind_sample_top_k_top_p(module);
}

}  // namespace adagen
