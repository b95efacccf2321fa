// Everything a C++ user includes.
#pragma once

#include "latchwork/cpu.h"
#include "latchwork/error.h"
#include "latchwork/layer.h"
#include "latchwork/model.h"
