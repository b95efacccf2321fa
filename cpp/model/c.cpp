// The C ABI: no exception leaves it, and every failure has a text.
#include "latchwork/c.h"

#include <algorithm>
#include <exception>
#include <new>
#include <string>
#include <variant>

#include "latchwork/error.h"
#include "latchwork/model.h"

struct latchwork_model {
  latchwork::Model model;
};

struct latchwork_streams {
  std::variant<latchwork::Session<float>, latchwork::Session<double>> session;
};

namespace {

// Fixed, so that saying there is no memory needs none.
thread_local char last_error[512] = "";

latchwork_status fail(latchwork_status status, const char* text) noexcept {
  std::size_t i = 0;
  for (; text[i] && i + 1 < sizeof(last_error); ++i) last_error[i] = text[i];
  last_error[i] = '\0';
  return status;
}

template <class F>
latchwork_status guarded(F f) noexcept {
  try {
    f();
    return LATCHWORK_OK;
  } catch (const latchwork::FileError& error) {
    return fail(LATCHWORK_FILE, error.what());
  } catch (const latchwork::Error& error) {
    return fail(LATCHWORK_INVALID, error.what());
  } catch (const std::bad_alloc&) {
    return fail(LATCHWORK_MEMORY, "no memory");
  } catch (const std::exception& error) {
    return fail(LATCHWORK_INTERNAL, error.what());
  } catch (...) {
    return fail(LATCHWORK_INTERNAL, "an unknown exception");
  }
}

void require(const void* argument, const char* name) {
  if (!argument) throw latchwork::Error(std::string(name) + " must not be null");
}

latchwork::Shape shape_of(const int64_t* shape, std::size_t rank) {
  require(shape, "shape");
  if (rank < 1 || rank > 8) throw latchwork::Error("rank must be from 1 to 8, got " + std::to_string(rank));
  return {shape, shape + rank};
}

// Sequences laid end to end.
latchwork::Ragged ragged_of(const int64_t* lengths, std::size_t batch) {
  if (batch > 0) require(lengths, "lengths");
  return {{lengths, batch}};
}

template <class T, class Form>
void predict(const latchwork_model* model, const T* x, const Form& form, T* y) {
  if (model->model.output_size(form) > 0) {
    require(x, "x");
    require(y, "y");
  }
  model->model.predict(x, form, y);
}

template <class T>
latchwork_status predict_samples(const latchwork_model* model, const T* x, const int64_t* shape, std::size_t rank,
                                 T* y) {
  return guarded([&] {
    require(model, "model");
    predict(model, x, shape_of(shape, rank), y);
  });
}

template <class T>
latchwork_status predict_ragged(const latchwork_model* model, const T* x, const int64_t* lengths, std::size_t batch,
                                T* y) {
  return guarded([&] {
    require(model, "model");
    predict(model, x, ragged_of(lengths, batch), y);
  });
}

latchwork::GenerateOptions options_of(const latchwork_generate_options* given) {
  if (!given) return {};
  if (given->from_logits < -1 || given->from_logits > 1)
    throw latchwork::Error("from_logits must be 1, 0 or -1, got " + std::to_string(given->from_logits));
  latchwork::GenerateOptions options{.temperature = given->temperature,
                                     .top_k = given->top_k,
                                     .top_p = given->top_p,
                                     .seed = given->seed,
                                     .end = given->end,
                                     .threads = given->threads};
  if (given->from_logits >= 0) options.from_logits = given->from_logits == 1;
  return options;
}

latchwork::ForecastOptions options_of(const latchwork_forecast_options* given) {
  if (!given) return {};
  if (given->outputs < LATCHWORK_VALUES || given->outputs > LATCHWORK_GAUSSIAN)
    throw latchwork::Error("outputs must be from 0 to 2, got " + std::to_string(given->outputs));
  if (given->quantile_count > 0) require(given->quantiles, "quantiles");
  return {.outputs = static_cast<latchwork::Outputs>(given->outputs),
          .quantiles = {given->quantiles, given->quantiles + given->quantile_count},
          .paths = given->paths,
          .min_scale = given->min_scale,
          .seed = given->seed,
          .known_features = given->known_features,
          .threads = given->threads};
}

template <class T>
latchwork_status forecast(const latchwork_model* model, const T* x, const int64_t* lengths, std::size_t batch,
                          int64_t horizon, const latchwork_forecast_options* options, const T* known, T* y) {
  return guarded([&] {
    require(model, "model");
    require(x, "x");
    require(y, "y");
    model->model.forecast(x, ragged_of(lengths, batch), horizon, options_of(options), y, known);
  });
}

// What y_rank and y_shape receive.
void write_shape(const latchwork::Shape& y, int64_t* y_shape, size_t* y_rank) {
  if (y.size() > *y_rank)
    throw latchwork::Error("y_shape must have room for " + std::to_string(y.size()) + ", got " +
                           std::to_string(*y_rank));
  std::copy(y.begin(), y.end(), y_shape);
  *y_rank = y.size();
}

template <class T>
latchwork::Session<T>& session_of(latchwork_streams* streams) {
  require(streams, "streams");
  if (auto* const found = std::get_if<latchwork::Session<T>>(&streams->session)) return *found;
  throw latchwork::Error(std::string("x and y must be ") + (sizeof(T) == 8 ? "float" : "double") +
                         ", the model's type");
}

template <class T>
latchwork_status step(latchwork_streams* streams, const T* x, T* y) {
  return guarded([&] {
    latchwork::Session<T>& session = session_of<T>(streams);
    require(x, "x");
    require(y, "y");
    if (!session.step(x, y)) throw latchwork::Error("x must hold whole numbers within the Embedding's table");
  });
}

// All states, one after the other.
template <class T>
latchwork_status move_state(latchwork_streams* streams, T* values, bool out) {
  return guarded([&] {
    latchwork::Session<T>& session = session_of<T>(streams);
    if (!session.states().empty()) require(values, "values");
    for (std::size_t i = 0; i < session.states().size(); ++i) {
      if (out)
        session.get_state(i, values);
      else
        session.set_state(i, values);
      values += session.states()[i].units * session.streams();
    }
  });
}

}  // namespace

extern "C" {

int latchwork_abi_version(void) { return 1; }
const char* latchwork_version(void) { return LATCHWORK_VERSION; }
const char* latchwork_last_error(void) { return last_error; }

latchwork_status latchwork_model_load(const char* path, latchwork_model** model) {
  return guarded([&] {
    require(path, "path");
    require(model, "model");
    *model = new latchwork_model{latchwork::Model::load(path)};
  });
}

void latchwork_model_free(latchwork_model* model) { delete model; }

int latchwork_model_float64(const latchwork_model* model) { return model ? (model->model.float64() ? 1 : 0) : -1; }

latchwork_status latchwork_model_output_shape(const latchwork_model* model, const int64_t* shape, size_t rank,
                                              int64_t* y_shape, size_t* y_rank) {
  return guarded([&] {
    require(model, "model");
    require(y_shape, "y_shape");
    require(y_rank, "y_rank");
    write_shape(model->model.output_shape(shape_of(shape, rank)), y_shape, y_rank);
  });
}

latchwork_status latchwork_model_ragged_output_shape(const latchwork_model* model, const int64_t* lengths, size_t batch,
                                                     int64_t* y_shape, size_t* y_rank) {
  return guarded([&] {
    require(model, "model");
    require(y_shape, "y_shape");
    require(y_rank, "y_rank");
    write_shape(model->model.output_shape(ragged_of(lengths, batch)), y_shape, y_rank);
  });
}

latchwork_status latchwork_model_predict_f32(const latchwork_model* model, const float* x, const int64_t* shape,
                                             size_t rank, float* y) {
  return predict_samples(model, x, shape, rank, y);
}
latchwork_status latchwork_model_predict_f64(const latchwork_model* model, const double* x, const int64_t* shape,
                                             size_t rank, double* y) {
  return predict_samples(model, x, shape, rank, y);
}
latchwork_status latchwork_model_predict_ragged_f32(const latchwork_model* model, const float* x,
                                                    const int64_t* lengths, size_t batch, float* y) {
  return predict_ragged(model, x, lengths, batch, y);
}
latchwork_status latchwork_model_predict_ragged_f64(const latchwork_model* model, const double* x,
                                                    const int64_t* lengths, size_t batch, double* y) {
  return predict_ragged(model, x, lengths, batch, y);
}

latchwork_status latchwork_model_generate(const latchwork_model* model, const int64_t* prompts, const int64_t* lengths,
                                          size_t batch, int64_t n, const latchwork_generate_options* options,
                                          int64_t* tokens) {
  return guarded([&] {
    require(model, "model");
    require(prompts, "prompts");
    require(tokens, "tokens");
    const latchwork::Ragged ragged = ragged_of(lengths, batch);
    std::size_t size = 0;  // a length below 1 or beyond memory is refused before a prompt is read
    for (const std::int64_t length : ragged.lengths) size += static_cast<std::size_t>(length);
    model->model.generate({prompts, size}, ragged, n, options_of(options), tokens);
  });
}

latchwork_status latchwork_model_forecast_f32(const latchwork_model* model, const float* x, const int64_t* lengths,
                                              size_t batch, int64_t horizon, const latchwork_forecast_options* options,
                                              const float* known, float* y) {
  return forecast(model, x, lengths, batch, horizon, options, known, y);
}
latchwork_status latchwork_model_forecast_f64(const latchwork_model* model, const double* x, const int64_t* lengths,
                                              size_t batch, int64_t horizon, const latchwork_forecast_options* options,
                                              const double* known, double* y) {
  return forecast(model, x, lengths, batch, horizon, options, known, y);
}

latchwork_status latchwork_streams_new(const latchwork_model* model, int64_t batch, latchwork_streams** streams) {
  return guarded([&] {
    require(model, "model");
    require(streams, "streams");
    if (batch < 1) throw latchwork::Error("batch must be at least 1, got " + std::to_string(batch));
    if (model->model.inputs().size() != 1 || model->model.outputs().size() != 1)
      throw latchwork::Error("streams need a model of one input and one output, got " +
                             std::to_string(model->model.inputs().size()) + " and " +
                             std::to_string(model->model.outputs().size()));
    if (model->model.float64())
      *streams = new latchwork_streams{model->model.session<double>(batch)};
    else
      *streams = new latchwork_streams{model->model.session<float>(batch)};
  });
}

void latchwork_streams_free(latchwork_streams* streams) { delete streams; }

latchwork_status latchwork_streams_reset(latchwork_streams* streams) {
  return guarded([&] {
    require(streams, "streams");
    std::visit([](auto& session) { session.reset(); }, streams->session);
  });
}

latchwork_status latchwork_streams_sizes(const latchwork_streams* streams, int64_t* features, int64_t* outputs,
                                         int64_t* state) {
  return guarded([&] {
    require(streams, "streams");
    std::visit(
        [&](const auto& session) {
          int64_t size = 0;
          for (const latchwork::SessionState& each : session.states()) size += each.units * session.streams();
          if (features) *features = session.features();
          if (outputs) *outputs = session.outputs();
          if (state) *state = size;
        },
        streams->session);
  });
}

latchwork_status latchwork_streams_get_state_f32(latchwork_streams* streams, float* values) {
  return move_state(streams, values, true);
}
latchwork_status latchwork_streams_get_state_f64(latchwork_streams* streams, double* values) {
  return move_state(streams, values, true);
}
latchwork_status latchwork_streams_set_state_f32(latchwork_streams* streams, const float* values) {
  return move_state(streams, const_cast<float*>(values), false);
}
latchwork_status latchwork_streams_set_state_f64(latchwork_streams* streams, const double* values) {
  return move_state(streams, const_cast<double*>(values), false);
}

latchwork_status latchwork_streams_step_f32(latchwork_streams* streams, const float* x, float* y) {
  return step(streams, x, y);
}
latchwork_status latchwork_streams_step_f64(latchwork_streams* streams, const double* x, double* y) {
  return step(streams, x, y);
}

}  // extern "C"
