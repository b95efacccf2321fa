// The C ABI: no exception leaves it, and every failure has a text.
#include "latchwork/c.h"

#include <algorithm>
#include <exception>
#include <new>
#include <string>

#include "latchwork/error.h"
#include "latchwork/model.h"

struct latchwork_model {
  latchwork::Model model;
};

struct latchwork_streams {
  const latchwork::Model* model;
  latchwork::Streams streams;
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

template <class T>
latchwork_status predict(const latchwork_model* model, const T* x, const int64_t* shape, std::size_t rank, T* y) {
  return guarded([&] {
    require(model, "model");
    const latchwork::Shape given = shape_of(shape, rank);
    if (model->model.output_size(given) > 0) {
      require(x, "x");
      require(y, "y");
    }
    model->model.predict(x, given, y);
  });
}

template <class T>
latchwork_status step(latchwork_streams* streams, const T* x, T* y) {
  return guarded([&] {
    require(streams, "streams");
    require(x, "x");
    require(y, "y");
    streams->model->step(streams->streams, x, y);
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
    const latchwork::Shape y = model->model.output_shape(shape_of(shape, rank));
    if (y.size() > *y_rank)
      throw latchwork::Error("y_shape must have room for " + std::to_string(y.size()) + ", got " +
                             std::to_string(*y_rank));
    std::copy(y.begin(), y.end(), y_shape);
    *y_rank = y.size();
  });
}

latchwork_status latchwork_model_predict_f32(const latchwork_model* model, const float* x, const int64_t* shape,
                                             size_t rank, float* y) {
  return predict(model, x, shape, rank, y);
}
latchwork_status latchwork_model_predict_f64(const latchwork_model* model, const double* x, const int64_t* shape,
                                             size_t rank, double* y) {
  return predict(model, x, shape, rank, y);
}

latchwork_status latchwork_streams_new(const latchwork_model* model, int64_t batch, latchwork_streams** streams) {
  return guarded([&] {
    require(model, "model");
    require(streams, "streams");
    *streams = new latchwork_streams{&model->model, model->model.streams(batch)};
  });
}

void latchwork_streams_free(latchwork_streams* streams) { delete streams; }

latchwork_status latchwork_streams_reset(latchwork_streams* streams) {
  return guarded([&] {
    require(streams, "streams");
    streams->streams.reset();
  });
}

latchwork_status latchwork_streams_step_f32(latchwork_streams* streams, const float* x, float* y) {
  return step(streams, x, y);
}
latchwork_status latchwork_streams_step_f64(latchwork_streams* streams, const double* x, double* y) {
  return step(streams, x, y);
}

}  // extern "C"
