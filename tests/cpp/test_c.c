/* A C program that knows latchwork/c.h alone: a saved model, whole and step by step, and every way to fail. */
#include <latchwork/c.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int passed = 0, failed = 0;

static void check(int holds, const char* what) {
  if (holds) {
    ++passed;
  } else {
    ++failed;
    fprintf(stderr, "FAILED %s (%s)\n", what, latchwork_last_error());
  }
}

static void refused(latchwork_status got, latchwork_status expected, const char* word) {
  check(got == expected && strstr(latchwork_last_error(), word) != NULL, word);
}

int main(int count, char** arguments) {
  latchwork_model* model = NULL;
  latchwork_streams* streams = NULL;
  int64_t shape[3] = {2, 5, 0}, y_shape[3];
  size_t rank = 3;
  if (count != 3) return 2;
  check(latchwork_abi_version() == 1 && strlen(latchwork_version()) > 0, "versions");
  check(strcmp(latchwork_last_error(), "") == 0, "no error yet");
  refused(latchwork_model_load("/nowhere/m.safetensors", &model), LATCHWORK_FILE, "/nowhere/m.safetensors");
  refused(latchwork_model_load(NULL, &model), LATCHWORK_INVALID, "path");
  refused(latchwork_model_predict_f32(NULL, NULL, shape, 3, NULL), LATCHWORK_INVALID, "model");
  check(model == NULL && latchwork_model_float64(NULL) == -1, "nothing was made");

  check(latchwork_model_load(arguments[1], &model) == LATCHWORK_OK, "load");
  if (!model) return 1;
  check(latchwork_model_float64(model) == 0, "float32");
  shape[2] = atoi(arguments[2]);
  check(latchwork_model_output_shape(model, shape, 3, y_shape, &rank) == LATCHWORK_OK && y_shape[0] == 2,
        "output shape");
  refused(latchwork_model_predict_f32(model, NULL, shape, 3, NULL), LATCHWORK_INVALID, "x");
  refused(latchwork_model_predict_f64(model, (const double*)shape, shape, 3, (double*)shape), LATCHWORK_INVALID,
          "float");
  refused(latchwork_model_predict_f32(model, (const float*)shape, shape, 9, (float*)shape), LATCHWORK_INVALID, "rank");
  refused(latchwork_streams_new(model, 0, &streams), LATCHWORK_INVALID, "batch");

  const size_t features = (size_t)shape[2], outputs = (size_t)y_shape[rank - 1];
  float* x = malloc(2 * 5 * features * sizeof(float));
  float* whole = malloc(2 * 5 * outputs * sizeof(float));
  float* now = malloc(2 * features * sizeof(float));
  float* y = malloc(2 * outputs * sizeof(float));
  for (size_t i = 0; i < 2 * 5 * features; ++i) x[i] = (float)((int)(i * 7 % 11) - 5) / 8;
  check(latchwork_model_predict_f32(model, x, shape, 3, whole) == LATCHWORK_OK, "predict");
  check(latchwork_streams_new(model, 2, &streams) == LATCHWORK_OK, "streams");
  for (int pass = 0; pass < 2; ++pass) {
    check(latchwork_streams_reset(streams) == LATCHWORK_OK, "reset");
    for (size_t t = 0; t < 5; ++t) {
      for (size_t b = 0; b < 2; ++b) memcpy(now + b * features, x + (b * 5 + t) * features, features * sizeof(float));
      check(latchwork_streams_step_f32(streams, now, y) == LATCHWORK_OK, "step");
    }
    for (size_t b = 0; b < 2; ++b) {
      const float* last = rank == 3 ? whole + (b * 5 + 4) * outputs : whole + b * outputs;
      check(memcmp(y + b * outputs, last, outputs * sizeof(float)) == 0, "steps give the bits of the whole");
    }
  }
  int64_t sizes[3] = {0, 0, 0};
  check(latchwork_streams_sizes(streams, &sizes[0], &sizes[1], &sizes[2]) == LATCHWORK_OK && sizes[0] == shape[2] &&
            sizes[1] == y_shape[rank - 1] && sizes[2] > 0,
        "sizes");
  check(latchwork_streams_sizes(streams, NULL, NULL, NULL) == LATCHWORK_OK, "no size wanted");
  float* state = malloc((size_t)sizes[2] * sizeof(float));
  float* again = malloc(2 * outputs * sizeof(float));
  check(latchwork_streams_get_state_f32(streams, state) == LATCHWORK_OK, "get state");
  check(latchwork_streams_step_f32(streams, now, y) == LATCHWORK_OK, "a step behind it");
  check(latchwork_streams_set_state_f32(streams, state) == LATCHWORK_OK, "set state");
  check(latchwork_streams_step_f32(streams, now, again) == LATCHWORK_OK, "the same step again");
  check(memcmp(y, again, 2 * outputs * sizeof(float)) == 0, "the same bits from the same state");
  refused(latchwork_streams_get_state_f64(streams, (double*)state), LATCHWORK_INVALID, "float");
  refused(latchwork_streams_set_state_f32(streams, NULL), LATCHWORK_INVALID, "values");
  refused(latchwork_streams_step_f64(streams, (const double*)state, (double*)state), LATCHWORK_INVALID, "float");
  free(state), free(again);

  const int64_t lengths[2] = {5, 5}, negative[2] = {5, -1};
  float* each = malloc(2 * 5 * outputs * sizeof(float));
  size_t each_rank = 3;
  int64_t each_shape[3];
  check(latchwork_model_ragged_output_shape(model, lengths, 2, each_shape, &each_rank) == LATCHWORK_OK &&
            each_shape[each_rank - 1] == y_shape[rank - 1],
        "ragged output shape");
  check(latchwork_model_predict_ragged_f32(model, x, lengths, 2, each) == LATCHWORK_OK, "predict ragged");
  check(memcmp(each, whole, (rank == 3 ? 10 : 2) * outputs * sizeof(float)) == 0, "ragged gives the bits of padded");
  refused(latchwork_model_predict_ragged_f32(model, x, negative, 2, each), LATCHWORK_INVALID, "lengths");
  refused(latchwork_model_predict_ragged_f32(model, x, NULL, 2, each), LATCHWORK_INVALID, "lengths");
  refused(latchwork_model_predict_ragged_f64(model, (const double*)x, lengths, 2, (double*)each), LATCHWORK_INVALID,
          "float");
  free(each);

  /* Values fed back: by single steps, and in one call; then draws, twice the same. */
  float* ahead = malloc(2 * 4 * outputs * sizeof(float));
  latchwork_forecast_options forecasting = {LATCHWORK_GAUSSIAN, NULL, 0, 3, 0.5, 7, 1, 1};
  check(latchwork_model_forecast_f32(model, x, lengths, 2, 4, NULL, NULL, ahead) == LATCHWORK_OK, "forecast");
  check(latchwork_streams_reset(streams) == LATCHWORK_OK, "reset");
  for (size_t t = 0; t < 9; ++t) {
    for (size_t b = 0; b < 2; ++b) {
      const float* from = t < 5 ? x + (b * 5 + t) * features : ahead + (b * 4 + t - 5) * outputs;
      memcpy(now + b * features, from, features * sizeof(float));
    }
    check(latchwork_streams_step_f32(streams, now, y) == LATCHWORK_OK, "step");
    for (size_t b = 0; b < 2 && t >= 4 && t < 8; ++b)
      check(memcmp(y + b * outputs, ahead + (b * 4 + t - 4) * outputs, outputs * sizeof(float)) == 0, "fed back");
  }
  float drawn[2][2 * 4 * 3] = {{0}, {1}}, known[2 * 4] = {0};
  for (int pass = 0; pass < 2; ++pass)
    check(latchwork_model_forecast_f32(model, x, lengths, 2, 4, &forecasting, known, drawn[pass]) == LATCHWORK_OK,
          "paths");
  check(memcmp(drawn[0], drawn[1], sizeof(drawn[0])) == 0 && drawn[0][0] != drawn[0][1], "the same paths");
  refused(latchwork_model_forecast_f32(model, x, lengths, 2, 4, &forecasting, NULL, ahead), LATCHWORK_INVALID, "known");
  forecasting.outputs = 3;
  refused(latchwork_model_forecast_f32(model, x, lengths, 2, 4, &forecasting, known, ahead), LATCHWORK_INVALID,
          "outputs");
  forecasting.outputs = LATCHWORK_GAUSSIAN, forecasting.quantile_count = 1;
  refused(latchwork_model_forecast_f32(model, x, lengths, 2, 4, &forecasting, known, ahead), LATCHWORK_INVALID,
          "quantiles");
  refused(latchwork_model_forecast_f32(model, NULL, lengths, 2, 4, NULL, NULL, ahead), LATCHWORK_INVALID, "x");
  refused(latchwork_model_forecast_f64(model, (const double*)x, lengths, 2, 4, NULL, NULL, (double*)ahead),
          LATCHWORK_INVALID, "float");
  free(ahead);

  const int64_t prompts[3] = {0, 1, 1}, prompt_lengths[2] = {2, 1};
  int64_t tokens[2][12] = {{-1}, {-2}};
  latchwork_generate_options generating = {1, 0, 1, 0, -1, -1, 1};
  check(latchwork_model_generate(model, prompts, prompt_lengths, 2, 6, NULL, tokens[0]) == LATCHWORK_OK, "generate");
  check(latchwork_model_generate(model, prompts, prompt_lengths, 2, 6, &generating, tokens[1]) == LATCHWORK_OK,
        "generate by options");
  check(memcmp(tokens[0], tokens[1], sizeof(tokens[0])) == 0, "null stands for the defaults");
  generating.from_logits = 2;
  refused(latchwork_model_generate(model, prompts, prompt_lengths, 2, 6, &generating, tokens[1]), LATCHWORK_INVALID,
          "from_logits");
  refused(latchwork_model_generate(model, prompts, negative, 2, 6, NULL, tokens[1]), LATCHWORK_INVALID, "prompt");
  refused(latchwork_model_generate(model, NULL, prompt_lengths, 2, 6, NULL, tokens[1]), LATCHWORK_INVALID, "prompts");
  latchwork_streams_free(streams);
  latchwork_streams_free(NULL);
  latchwork_model_free(model);
  latchwork_model_free(NULL);
  free(x), free(whole), free(now), free(y);
  printf("c: %d passed, %d failed\n", passed, failed);
  return failed > 0;
}
