// What a gateway's request costs the load generator in user space: the real fleet on a real set, over a ring in memory
// that answers by itself (its time is left out). Per request, send and answer together.
#include "libhongbao/load/gateway_carrier.h"

#include <cerrno>
#include <cstring>
#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "benchmark/benchmark.h"
#include "libhongbao/check.h"
#include "libhongbao/net/set.h"

namespace hongbao::load {
namespace {

using ring::Operation;

constexpr int64_t kT = 1'800'000'000;
constexpr size_t kReceiveBytes = 65'536;

// One connection to a server that lets it in, and says "nothing" to every shake but each `win_every`-th, which wins and
// is answered behind the rest of its block, as behind a commit.
class MemoryRing {
 public:
  explicit MemoryRing(size_t win_every) : win_every_(win_every) {}

  // ---- what net::Set uses ----
  void Accept(int) {}
  void WatchWake() {}
  int Install(uint32_t, int) { return 0; }
  void Connect(uint32_t slot, uint32_t generation, const SocketAddress&) { Complete(Operation::kConnect, generation, slot, 0); }
  void Receive(uint32_t slot, uint32_t generation) { armed_ = {Operation::kReceive, generation, slot}; }
  void ReceiveBulk(uint32_t slot, uint32_t generation) { armed_ = {Operation::kReceiveBulk, generation, slot}; }
  void Cancel(ring::Tag target) {
    completions_.push_back({.tag = target, .result = -ECANCELED});
    armed_ = {};
    Complete(Operation::kCancel, target.generation, target.slot, 0);
  }
  void Send(uint32_t slot, uint32_t generation, const std::byte* bytes, uint32_t length) {
    sent_.assign(bytes, bytes + length);
    Complete(Operation::kSend, generation, slot, static_cast<int32_t>(length));
  }
  void Close(uint32_t, uint32_t) { Check(false, "the benchmark's connection was closed"); }
  bool NeedsEnter() const { return false; }
  bool HasWork() const { return !completions_.empty(); }
  bool HasSubmissions() const { return false; }
  uint32_t Submissions() const { return 0; }
  bool Overflowed() const { return false; }
  bool silent_sends() const { return false; }
  void SendSilently(uint32_t, uint32_t, const std::byte*, uint32_t) { Check(false, "sends complete here"); }
  template <class Handle>
  void ReapSends(Handle&&) {}
  void Enter() {}
  template <class Handle>
  uint32_t Reap(uint32_t, Handle&& handle) {
    uint32_t count = 0;
    for (; !completions_.empty(); ++count) {
      const ring::Completion completion = completions_.front();
      completions_.pop_front();
      handle(completion);
    }
    return count;
  }
  absl::Span<const std::byte> Buffer(const ring::Completion& completion) const {
    return {piece_.data(), static_cast<size_t>(completion.result)};
  }
  void RecycleBuffer(const ring::Completion&) {}
  uint32_t PublishBuffers() { return 0; }

  // ---- the server ----
  bool sent() const { return !sent_.empty(); }
  // Decides all that was sent.
  void Decide() {
    answers_.clear();
    taken_ = 0;
    if (wire::LoadU32(sent_.data()) == wire::Head(wire::FrameType::kLoginRequest, 44)) {
      wire::LoginRequest login;
      wire::DecodeLoginRequest(sent_, login);
      answers_.resize(wire::LoginResponseBytes(wire::Version::k2));
      wire::EncodeLoginResponse(answers_.data(), wire::Version::k2, {.stamp = login.stamp, .first_user = login.first_user});
    } else {
      DecideShakes();
    }
    sent_.clear();
  }
  // Hands over the next piece of the answers; false when there is none left.
  bool Deliver() {
    const size_t bytes = std::min(kReceiveBytes, answers_.size() - taken_);
    if (bytes == 0) return false;
    Check(armed_.operation != Operation::kNone, "nobody listens");
    piece_ = {answers_.data() + taken_, bytes};
    taken_ += bytes;
    const bool more = armed_.operation == Operation::kReceive;
    completions_.push_back({.tag = armed_, .result = static_cast<int32_t>(bytes), .more = more, .has_buffer = true});
    return true;
  }

 private:
  void Complete(Operation operation, uint32_t generation, uint32_t slot, int32_t result) {
    completions_.push_back({.tag = {operation, generation, slot}, .result = result});
  }
  void Answer(const std::byte* request, wire::ShakeResult result, uint32_t fen) {
    answers_.resize(answers_.size() + wire::kShakeResponseBytes);
    wire::EncodeShakeResponse(answers_.data() + answers_.size() - wire::kShakeResponseBytes,
                              {wire::LoadU64(request + 4), wire::LoadU32(request + 12), result, fen, fen});
  }
  void DecideShakes() {
    const size_t count = sent_.size() / wire::kShakeRequestBytes;
    for (size_t i = 0; i < count; ++i) {
      if ((decided_ + i) % win_every_ != 0) {
        Answer(&sent_[i * wire::kShakeRequestBytes], wire::ShakeResult::kNothing, 0);
      }
    }
    for (size_t i = 0; i < count; ++i) {
      if ((decided_ + i) % win_every_ == 0) Answer(&sent_[i * wire::kShakeRequestBytes], wire::ShakeResult::kWon, 100);
    }
    decided_ += count;
  }

  const size_t win_every_;
  uint64_t decided_ = 0;
  ring::Tag armed_;
  std::deque<ring::Completion> completions_;
  std::vector<std::byte> sent_;
  std::vector<std::byte> answers_;
  absl::Span<const std::byte> piece_;
  size_t taken_ = 0;
};

// One gateway with a million users, of which all are its own.
class Bench {
 public:
  Bench(bool max_rate, uint32_t window, size_t win_every)
      : ring_(win_every),
        addresses_(*AddressPlan::Make({.destinations = {SocketAddress::Ipv4(INADDR_LOOPBACK, 1)}, .users = {0, 0, 1}})),
        port_(0, {.slots = 4, .idle_timeout_ms = 0, .bulk = {.connections = 2, .unsent_bytes_max = 262'144}}) {
    tally_.phases[0] = std::make_unique<PhaseTally>();
    Check(schedule_.Add({.at_second = kT, .qps = 14'000'000}).ok(), "the rate is possible");
    net::Port* const ports[] = {&port_};
    fleet_ = std::make_unique<GatewayFleet>(
        FleetOptions{
            .own = {0, 1'000'000}, .total_users = 1'000'000, .statements = false, .window = window, .max_rate = max_rate},
        addresses_, ports, wall_, schedule_, skew_, tally_);
    set_ = std::make_unique<net::Set<MemoryRing, GatewayFleet>>(ring_, port_, *fleet_, counters_);
    while (tally_.cells.Get(Counter::kOnline) == 0) {
      Turn();
      if (ring_.sent()) ring_.Decide();
      while (ring_.Deliver()) Turn();
    }
  }
  void Turn() {
    fleet_->OnTurn(clock_.MonotonicNs());
    set_->Turn(3);
    set_->Flush();
    set_->Turn(3);
  }
  // A millisecond's requests are sent, decided (not timed), and answered.
  uint64_t Round(benchmark::State& state) {
    const uint64_t before = tally_.cells.Get(Counter::kAnswered);
    clock_.Advance(1'000'000);
    Turn();
    state.PauseTiming();
    ring_.Decide();
    state.ResumeTiming();
    while (ring_.Deliver()) {
      set_->Turn(3);
    }
    return tally_.cells.Get(Counter::kAnswered) - before;
  }

 private:
  time::FakeClock clock_{kT * time::kNsPerSecond - 1'000'000};
  time::WallSteps wall_{clock_};
  time::Schedule schedule_;
  time::SkewEstimator skew_;
  WorkerTally tally_;
  MemoryRing ring_;
  net::Counters counters_;
  AddressPlan addresses_;
  net::Port port_;
  std::unique_ptr<GatewayFleet> fleet_;
  std::unique_ptr<net::Set<MemoryRing, GatewayFleet>> set_;
};

void Measure(benchmark::State& state, bool max_rate) {
  Bench bench(max_rate, static_cast<uint32_t>(state.range(0)), static_cast<size_t>(state.range(1)));
  uint64_t answered = 0;
  for (auto _ : state) {
    answered += bench.Round(state);
  }
  state.SetItemsProcessed(static_cast<int64_t>(answered));
  state.counters["per_request"] =
      benchmark::Counter(static_cast<double>(answered), benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

// Requests in flight at most, and every so many wins. At 14M/s a millisecond holds 14,000 requests.
void BM_AtARate(benchmark::State& state) { Measure(state, /*max_rate=*/false); }
BENCHMARK(BM_AtARate)->Args({16'384, 1'000'000'000})->Args({16'384, 1'000})->Args({2'048, 1'000});
void BM_AtMaxRate(benchmark::State& state) { Measure(state, /*max_rate=*/true); }
BENCHMARK(BM_AtMaxRate)->Args({16'384, 1'000'000'000})->Args({16'384, 1'000})->Args({2'048, 1'000});

}  // namespace
}  // namespace hongbao::load
