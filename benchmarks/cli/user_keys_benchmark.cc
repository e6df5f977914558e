// What a user token costs a login: one keyed hash for each key that the server has.

#include <benchmark/benchmark.h>
#include <sys/stat.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "libhongbao/check.h"
#include "libhongbao/cli/user_keys.h"

namespace hongbao::cli {
namespace {

UserKeys Keys(int64_t number) {
  std::string path = "/tmp/hongbao-benchmark-" + std::string(6, 'X');
  const int descriptor = mkstemp(path.data());  // readable by nobody else
  Check(descriptor >= 0, "no room for the benchmark's key file in /tmp");
  std::FILE* file = fdopen(descriptor, "w");
  for (int64_t i = 0; i < number; ++i) {
    std::fprintf(file, "%063x%d\n", 1, static_cast<int>(i));
  }
  std::fclose(file);
  UserKeys keys = *UserKeys::ReadFile(path);
  std::remove(path.c_str());
  return keys;
}

void CheckToken(benchmark::State& state) {
  const UserKeys keys = Keys(state.range(0));
  uint32_t user = 0;
  wire::Token token = keys.Make(user, 1, 2'000'000'000);
  for ([[maybe_unused]] auto step : state) {
    benchmark::DoNotOptimize(keys.Check(token, ++user, 1, 1'486'824'165));
  }
}
BENCHMARK(CheckToken)->Arg(1)->Arg(2)->Arg(8);

void MakeToken(benchmark::State& state) {
  const UserKeys keys = Keys(1);
  uint32_t user = 0;
  for ([[maybe_unused]] auto step : state) {
    benchmark::DoNotOptimize(keys.Make(++user, 1, 2'000'000'000));
  }
}
BENCHMARK(MakeToken);

}  // namespace
}  // namespace hongbao::cli
