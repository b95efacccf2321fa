/* Inference from C, and from anything that can call C: load a model that `model.save` wrote, predict, step.
 *
 * Every function that can fail returns a status; latchwork_last_error() has the text of this thread's last failure.
 * Nothing is written where a call fails. Handles are opaque and freed by their own function; null may be freed.
 * A model may serve several threads at once; streams serve one at a time and do not need their model any more.
 * Shapes: B batch, T time steps, F features; arrays are contiguous, batch first, and the caller's. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

typedef enum latchwork_status {
  LATCHWORK_OK = 0,
  LATCHWORK_INVALID = 1, /* an argument or a file is not right */
  LATCHWORK_FILE = 2,    /* the system refused a file */
  LATCHWORK_MEMORY = 3,  /* no memory */
  LATCHWORK_INTERNAL = 4 /* a defect of the library */
} latchwork_status;

typedef struct latchwork_model latchwork_model;
typedef struct latchwork_streams latchwork_streams;

/* Rises when a function here changes or goes; functions may be added without. */
int latchwork_abi_version(void);
const char* latchwork_version(void); /* "0.1.0" */
/* Of this thread; "" before the first failure. Valid until this thread's next failure. */
const char* latchwork_last_error(void);

latchwork_status latchwork_model_load(const char* path, latchwork_model** model);
void latchwork_model_free(latchwork_model* model);
/* 1: arrays are double; 0: float; -1: model is null. */
int latchwork_model_float64(const latchwork_model* model);

/* The shape of y for x of `shape` [rank], batch first. *y_rank: room in y_shape on entry, the rank on return. */
latchwork_status latchwork_model_output_shape(const latchwork_model* model, const int64_t* shape, size_t rank,
                                              int64_t* y_shape, size_t* y_rank);
latchwork_status latchwork_model_predict_f32(const latchwork_model* model, const float* x, const int64_t* shape,
                                             size_t rank, float* y);
latchwork_status latchwork_model_predict_f64(const latchwork_model* model, const double* x, const int64_t* shape,
                                             size_t rank, double* y);

/* Sequences of different lengths, one behind the other: x [N, F], N the sum of lengths [batch]. y has a row for each
 * step or, where the model gives one output a sequence, for each sequence. */
latchwork_status latchwork_model_ragged_output_shape(const latchwork_model* model, const int64_t* lengths, size_t batch,
                                                     int64_t* y_shape, size_t* y_rank);
latchwork_status latchwork_model_predict_ragged_f32(const latchwork_model* model, const float* x,
                                                    const int64_t* lengths, size_t batch, float* y);
latchwork_status latchwork_model_predict_ragged_f64(const latchwork_model* model, const double* x,
                                                    const int64_t* lengths, size_t batch, double* y);

/* How tokens are chosen; null stands for {1, 0, 1, 0, -1, -1, 1}. latchwork/model.h says what each means. */
typedef struct latchwork_generate_options {
  double temperature;
  int64_t top_k; /* 0: all */
  double top_p;  /* 1: all */
  uint64_t seed;
  int64_t end;     /* -1: none */
  int from_logits; /* 1, 0, or -1: as the last layer says */
  int threads;
} latchwork_generate_options;
/* Goes on from prompts laid end to end, lengths [batch] of them: tokens [batch, n]. */
latchwork_status latchwork_model_generate(const latchwork_model* model, const int64_t* prompts, const int64_t* lengths,
                                          size_t batch, int64_t n, const latchwork_generate_options* options,
                                          int64_t* tokens);

/* What a model's outputs are, for F features fed back: F values; F * Q quantiles; F means, then F scales. */
typedef enum latchwork_outputs {
  LATCHWORK_VALUES = 0,
  LATCHWORK_QUANTILES = 1,
  LATCHWORK_GAUSSIAN = 2
} latchwork_outputs;
/* How a forecast goes on; null stands for zeros and one thread. latchwork/model.h says what each means. */
typedef struct latchwork_forecast_options {
  int outputs;             /* one of latchwork_outputs */
  const double* quantiles; /* [Q] */
  size_t quantile_count;   /* Q */
  int64_t paths;
  double min_scale;
  uint64_t seed;
  int64_t known_features; /* K */
  int threads;
} latchwork_forecast_options;
/* Goes on from histories x [N, F + K] laid end to end, known [batch, horizon, K] beside: y [batch, horizon, F], and
 * behind that Q quantiles or, of paths without quantiles, the paths. */
latchwork_status latchwork_model_forecast_f32(const latchwork_model* model, const float* x, const int64_t* lengths,
                                              size_t batch, int64_t horizon, const latchwork_forecast_options* options,
                                              const float* known, float* y);
latchwork_status latchwork_model_forecast_f64(const latchwork_model* model, const double* x, const int64_t* lengths,
                                              size_t batch, int64_t horizon, const latchwork_forecast_options* options,
                                              const double* known, double* y);

/* `batch` streams that have seen nothing. */
latchwork_status latchwork_streams_new(const latchwork_model* model, int64_t batch, latchwork_streams** streams);
void latchwork_streams_free(latchwork_streams* streams);
latchwork_status latchwork_streams_reset(latchwork_streams* streams);
/* One time step of every stream: x [B, F] -> y [B, outputs]. */
latchwork_status latchwork_streams_step_f32(latchwork_streams* streams, const float* x, float* y);
latchwork_status latchwork_streams_step_f64(latchwork_streams* streams, const double* x, double* y);
/* Numbers of x and of y for one stream, and of the states of all streams; null where not wanted. */
latchwork_status latchwork_streams_sizes(const latchwork_streams* streams, int64_t* features, int64_t* outputs,
                                         int64_t* state);
/* All that is carried from step to step, to keep or to give to as many streams of the same model. */
latchwork_status latchwork_streams_get_state_f32(latchwork_streams* streams, float* values);
latchwork_status latchwork_streams_get_state_f64(latchwork_streams* streams, double* values);
latchwork_status latchwork_streams_set_state_f32(latchwork_streams* streams, const float* values);
latchwork_status latchwork_streams_set_state_f64(latchwork_streams* streams, const double* values);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif
