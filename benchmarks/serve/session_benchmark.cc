// A shake from bytes in to bytes out, without the kernel: what the server itself adds to a request.

#include <benchmark/benchmark.h>

#include <memory>
#include <vector>

#include "libhongbao/serve/worker_parts.h"

namespace hongbao::serve {
namespace {

// Takes replies and forgets them, as a connection does whose peer reads.
class ForgottenReplies {
 public:
  std::byte* Append(size_t size) {
    if (used_ + size > sizeof(bytes_)) {
      used_ = 0;
    }
    used_ += size;
    return bytes_ + used_ - size;
  }
  bool open() const { return true; }
  // As on a connection whose block has just left.
  size_t Room() const { return sizeof(bytes_); }

 private:
  size_t used_ = 0;
  std::byte bytes_[131'072];
};

// A ledger that nobody may need: what a losing shake costs beside one.
class UntouchedLedger : public ledger::Ledger {
 public:
  ledger::Recovered TakeRecovered() override { return {}; }
  void Start(uint32_t, uint32_t, ledger::OutcomeSink*) override {}
  void Stop() override {}
  void Submit(uint32_t, const ledger::Record&) override { Check(false, "a losing shake never reaches the ledger"); }
  absl::Status RecordOrder(const ledger::Order&) override { return absl::OkStatus(); }
  absl::Status RecordCancel(const ledger::Cancel&) override { return absl::OkStatus(); }
};

struct Worker {
  explicit Worker(uint32_t users, uint32_t wins_per_user = 0, int64_t max_qps = 0, ledger::Ledger* books = nullptr)
      : shared(*Directory::Create(users), 1 << 16, max_qps, clock) {
    shared.ledger = books;
    const WorkerOptions options{.ledger_waiting_max = 1,
                                .sessions = {.wins_per_user = wins_per_user, .gateways_max = 1, .gateway_token = wire::Token{}}};
    parts = std::make_unique<WorkerParts>(0, 1, options, shared, clock, cells, [](uint32_t, const Message&) {});
    parts->overload.BeginTurn(time::kNsPerSecond, 0, 1);
  }

  Served Feed(Session& session, uint64_t address, absl::Span<const std::byte> frames) {
    return parts->sessions.OnBytes(session, address, frames, replies);
  }

  time::RealClock clock;
  Shared shared;
  count::Cells<Counter> cells;
  std::unique_ptr<WorkerParts> parts;
  ForgottenReplies replies;
};

std::vector<std::byte> Shakes(uint32_t user, size_t count) {
  std::vector<std::byte> frames(count * wire::kShakeRequestBytes);
  for (size_t i = 0; i < count; ++i) {
    wire::EncodeShakeRequest(frames.data() + i * wire::kShakeRequestBytes, {.stamp = i, .user_id = user});
  }
  return frames;
}

// One shake per call, each of another user, as in direct mode: range(0) users.
void LosingShake(benchmark::State& state, uint32_t wins_per_user, int64_t max_qps, bool durable = false) {
  const auto users = static_cast<uint32_t>(state.range(0));
  UntouchedLedger books;
  const auto worker = std::make_unique<Worker>(users, wins_per_user, max_qps, durable ? &books : nullptr);
  std::vector<Session> sessions(users);
  std::vector<std::byte> frame = Shakes(0, 1);
  for (uint32_t user = 0; user < users; ++user) {
    sessions[user] = {.user = user, .version = wire::Version::k2, .logged_in = true};
  }
  wire::EncodeShakeRequest(frame.data(), {.stamp = 1, .user_id = 0});  // a stamp above what any session has seen
  uint32_t user = 0;
  for ([[maybe_unused]] auto step : state) {
    user = (user + 7'919) % users;
    wire::StoreU32(frame.data() + wire::kHeaderBytes, user);
    benchmark::DoNotOptimize(worker->Feed(sessions[user], user, frame));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK_CAPTURE(LosingShake, plain, 0, 0)->Arg(1)->Arg(1'000'000);
BENCHMARK_CAPTURE(LosingShake, with_ledger, 0, 0, true)->Arg(1)->Arg(1'000'000);
BENCHMARK_CAPTURE(LosingShake, with_wins_per_user, 3, 0)->Arg(1)->Arg(1'000'000);
BENCHMARK_CAPTURE(LosingShake, refused_by_max_qps, 0, 1)->Arg(1'000'000);

// range(0) shakes of one user pipelined in one call.
void PipelinedShakes(benchmark::State& state) {
  const auto worker = std::make_unique<Worker>(8);
  Session session{.user = 7, .version = wire::Version::k2, .logged_in = true};
  const std::vector<std::byte> frames = Shakes(7, static_cast<size_t>(state.range(0)));
  for ([[maybe_unused]] auto step : state) {
    benchmark::DoNotOptimize(worker->Feed(session, 1, frames));
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(PipelinedShakes)->Arg(16)->Arg(256);

// range(0) shakes of a gateway's users in one call, each of another of a million; range(1): one in so many wins, 0 = none.
void GatewayShakes(benchmark::State& state) {
  constexpr uint32_t kUsers = 1'000'000;
  const auto worker = std::make_unique<Worker>(kUsers);
  std::vector<std::byte> login(wire::LoginRequestBytes(wire::Version::k2));
  wire::EncodeLoginRequest(login.data(), {.version = wire::Version::k2, .user_count = kUsers});
  Session session;
  worker->Feed(session, 1, login);
  Check(session.is_gateway(), "the gateway is let in");
  GatewayLogins& logins = worker->parts->sessions.gateway_logins();
  while (logins.EnterSome(session, 1) == GatewayLogins::Entered::kSome) {
    logins.BeginTurn();
  }
  logins.Answer(session, wire::LoginResult::kOk, worker->replies.Append(wire::LoginResponseBytes(session.version)));
  const auto count = static_cast<uint32_t>(state.range(0));
  std::vector<std::byte> frames(count * wire::kShakeRequestBytes);
  std::vector<envelope::LuckyEnvelope> envelopes(state.range(1) == 0 ? 0 : count / static_cast<uint32_t>(state.range(1)));
  for (uint32_t i = 0; i < count; ++i) {
    wire::EncodeShakeRequest(&frames[i * wire::kShakeRequestBytes], {.stamp = i, .user_id = i * 7'919 % kUsers});
  }
  for (uint32_t i = 0; i < envelopes.size(); ++i) {
    envelopes[i] = {.id = kFirstShakeId + i, .amount = envelope::Fen(257)};
  }
  for ([[maybe_unused]] auto step : state) {
    if (!envelopes.empty()) {
      benchmark::DoNotOptimize(worker->shared.pool.Publish(envelopes));
    }
    benchmark::DoNotOptimize(worker->Feed(session, 1, frames));
  }
  state.SetItemsProcessed(state.iterations() * count);
}
BENCHMARK(GatewayShakes)->Args({4'096, 0})->Args({4'096, 280});

// Each shake wins; the publish of its envelope is part of the time.
void WinningShake(benchmark::State& state) {
  const auto users = static_cast<uint32_t>(state.range(0));
  const auto worker = std::make_unique<Worker>(users);
  std::vector<std::byte> frame = Shakes(0, 1);
  uint32_t id = kFirstShakeId;
  uint32_t user = 0;
  for ([[maybe_unused]] auto step : state) {
    const envelope::LuckyEnvelope envelope{.id = id++, .amount = envelope::Fen(257)};
    benchmark::DoNotOptimize(worker->shared.pool.Publish({&envelope, 1}));
    user = (user + 7'919) % users;
    Session session{.user = user, .version = wire::Version::k2, .logged_in = true};
    wire::StoreU32(frame.data() + wire::kHeaderBytes, user);
    benchmark::DoNotOptimize(worker->Feed(session, user, frame));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(WinningShake)->Arg(1)->Arg(1'000'000);

}  // namespace
}  // namespace hongbao::serve
