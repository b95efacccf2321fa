# Stages that .ci/run and .ci/full share. Sourced, from the root of the tree. Both set
#   WORK      a folder of their own
#   BIN       the programs of a virtual environment with cmake, ninja, pybind11 and latchwork[test]
#   REQUIRED  not empty: a program of the system that is missing is an error; else its stage is left out, and $WORK/left_out
#             names it

system_tools() { # qemu, a compiler for AArch64, clang, and ccache, which only saves time: installed by apt where this is root
  local missing=()
  command -v qemu-x86_64 qemu-aarch64 >/dev/null || missing+=(qemu-user)
  command -v aarch64-linux-gnu-g++ >/dev/null || missing+=(g++-aarch64-linux-gnu)
  command -v clang clang++ >/dev/null || missing+=(clang)
  command -v ccache >/dev/null || missing+=(ccache)
  if [ ${#missing[@]} -eq 0 ]; then return; fi
  echo "missing: ${missing[*]}"
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then return; fi
  quietly apt-get -q update && DEBIAN_FRONTEND=noninteractive quietly apt-get -q -y --no-install-recommends install "${missing[@]}" ||
    echo "apt could not install them"
}

needs() { # PROGRAM...: whether all are there
  local program
  for program; do
    if command -v "$program" >/dev/null; then continue; fi
    echo "$program is not installed"
    if [ -n "$REQUIRED" ]; then exit 1; fi
    echo "${FUNCNAME[1]}: $program is not installed" >>"$WORK/left_out"
    return 1
  done
}

quietly() { # what a command says is shown where it fails
  local log
  log=$(mktemp -p "$WORK")
  "$@" >"$log" 2>&1 || { tail -n 200 "$log"; return 1; }
}

configure() { # FOLDER CMAKE_OPTION...
  local folder=$1 PATH=$BIN:$PATH
  shift
  quietly cmake -S . -B "$folder" -G Ninja -DLATCHWORK_TESTS=ON -DPython_EXECUTABLE="$BIN/python" "$@"
}

build() { # FOLDER [TARGET...]
  local folder=$1 PATH=$BIN:$PATH
  shift
  quietly cmake --build "$folder" ${@:+--target "$@"}
}

run_tests() { # FOLDER [CTEST_OPTION...]
  "$BIN/ctest" --test-dir "$1" --output-on-failure --no-tests=error "${@:2}"
}

# Hardly optimised and for these ISAs alone: minutes less to compile, the same bits.
CHECKED=(-DCMAKE_BUILD_TYPE=Debug "-DCMAKE_CXX_FLAGS_DEBUG=-O1 -g1" "-DLATCHWORK_ISAS=portable;avx2")

# Addresses, undefined behaviour and the standard library's assertions: the C++ tests, then Python's tests of what has
# the most index arithmetic. The bugs of tests/cpp/planted.cpp must be reported, and the extension must be of this build.
sanitized() { # ISA...: of Python's tests; the C++ tests run on both
  local folder=$WORK/sanitized runtime isa isas
  configure "$folder" "${CHECKED[@]}" -DLATCHWORK_PLANTED="address;undefined;assertion" -DLATCHWORK_PYTHON=ON \
    -Dpybind11_DIR="$("$BIN/python" -m pybind11 --cmakedir)" \
    -DCMAKE_CXX_FLAGS="-fsanitize=address,undefined -fno-sanitize-recover=all -D_GLIBCXX_ASSERTIONS"
  build "$folder"
  run_tests "$folder"
  mkdir -p "$folder/package"
  cp -r src/latchwork "$folder/package"
  cp "$folder"/cpp/bindings/_core*.so "$folder/package/latchwork"
  nm -D --undefined-only "$folder"/package/latchwork/_core*.so | grep __asan_report_load >"$WORK/log"  # grep -q would stop nm, and pipefail us
  # The interpreter is not of this build: the checks must be in the process before it, and its own leaks do not count.
  runtime="$(g++ -print-file-name=libasan.so) $(g++ -print-file-name=libstdc++.so.6)"
  isas=$("$BIN/python" -c "import sys, latchwork as lw; print(*(set(sys.argv[1:]) & set(lw.cpu.supported())))" "$@")
  for isa in $isas; do
    LD_PRELOAD=$runtime ASAN_OPTIONS=detect_leaks=0 PYTHONMALLOC=malloc PYTHONPATH=$folder/package LATCHWORK_ISA=$isa \
      "$BIN/python" -m pytest -q -p no:cacheprovider tests/test_{masks,sequence_layers,bidirectional,stateful,cells}.py \
      tests/test_{model_files,safetensors,losses,optimizers}.py \
      tests/test_{windows,normalization,ctc,formula_losses,generate,forecast}.py
  done
}

races() { # the thread team, under the thread sanitizer
  configure "$WORK/races" "${CHECKED[@]}" -DLATCHWORK_PLANTED=race -DCMAKE_CXX_FLAGS=-fsanitize=thread
  build "$WORK/races"
  run_tests "$WORK/races"
}

emulated() { # FOLDER TEST...: a native build of all ISAs on a processor without AVX, and on one without AVX-512
  local folder=$1 first
  shift
  needs qemu-x86_64 || return 0
  for test; do LATCHWORK_ISA=portable qemu-x86_64 -cpu Nehalem "$folder/tests/cpp/test_$test"; done &
  first=$!
  for test; do
    LATCHWORK_ISA=avx2 qemu-x86_64 -cpu Haswell-noTSX,-pcid,-x2apic,-tsc-deadline,-invpcid "$folder/tests/cpp/test_$test"
  done
  wait "$first"
}

neon() { # TEST...
  local test folder=$WORK/neon
  needs qemu-aarch64 aarch64-linux-gnu-g++ aarch64-linux-gnu-gcc || return 0
  configure "$folder" -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 -DCMAKE_EXE_LINKER_FLAGS=-static \
    -DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++ -DCMAKE_C_COMPILER=aarch64-linux-gnu-gcc
  build "$folder" "${@/#/test_}"
  for test; do qemu-aarch64 "$folder/tests/cpp/test_$test"; done
}

# libFuzzer, with addresses and undefined behaviour checked: the kept inputs, then mutations of them. A crash is printed
# with its input in base64.
fuzzed() { # SECONDS
  local folder=$WORK/fuzz target workers=() status=0
  needs clang clang++ || return 0
  configure "$folder" "${CHECKED[@]}" -DLATCHWORK_ISAS=portable -DLATCHWORK_FUZZ=ON \
    -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ -DLATCHWORK_PLANTED="address;undefined" \
    -DCMAKE_CXX_FLAGS="-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all"
  build "$folder" fuzz_reader fuzz_c planted
  run_tests "$folder" -R planted
  for target in reader c; do
    cp -r "tests/fuzz/corpus/$target" "$folder/corpus_$target"
    LATCHWORK_NUM_THREADS=1 "$folder/tests/fuzz/fuzz_$target" "$folder/corpus_$target" \
      -max_total_time="$1" -timeout=20 -max_len=8192 -artifact_prefix="$folder/" >"$folder/$target.log" 2>&1 &
    workers+=($!)
  done
  for target in "${workers[@]}"; do wait "$target" || status=1; done
  tail -n "$((status ? 60 : 2))" "$folder"/{reader,c}.log
  return $status
}

faults() { # [--some N]: faults seeded into the C++ code, one at a time: the tests must notice all
  PATH=$BIN:$PATH .ci/faults "$BIN/python" "$@"
}
