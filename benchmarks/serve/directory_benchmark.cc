// Logins and look-ups over a million users: mostly the price of one cache miss.

#include <benchmark/benchmark.h>

#include "libhongbao/serve/directory.h"

namespace hongbao::serve {
namespace {

constexpr uint32_t kUsers = 1'000'000;

void LoginAndLogout(benchmark::State& state) {
  Directory directory = *Directory::Create(kUsers);
  uint32_t user = 0;
  for ([[maybe_unused]] auto step : state) {
    user = (user + 7'919) % kUsers;
    const uint64_t address = Pack({.generation = 1, .slot = user});
    benchmark::DoNotOptimize(directory.Login(user, address));
    benchmark::DoNotOptimize(directory.Logout(user, address));
  }
}
BENCHMARK(LoginAndLogout);

void Find(benchmark::State& state) {
  Directory directory = *Directory::Create(kUsers);
  for (uint32_t user = 0; user < kUsers; ++user) {
    directory.Login(user, Pack({.generation = 1, .slot = user}));
  }
  uint32_t user = 0;
  for ([[maybe_unused]] auto step : state) {
    user = (user + 7'919) % kUsers;
    benchmark::DoNotOptimize(directory.Find(user));
  }
}
BENCHMARK(Find);

}  // namespace
}  // namespace hongbao::serve
