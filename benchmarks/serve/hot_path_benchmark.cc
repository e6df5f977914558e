// All that our code does for a shake: from the completion that brings the bytes to the send that is handed to the ring,
// and that send's own completion. Worker turn, set, session, lucky pool and reply block are the server's; the kernel is
// left out.

#include <benchmark/benchmark.h>

#include <cstring>
#include <memory>
#include <vector>

#include "libhongbao/net/set.h"
#include "libhongbao/serve/app.h"

namespace hongbao::serve {
namespace {

// In the kernel's place: has one receive for each connection whenever it is told to, and takes every send at once.
class InstantRing {
 public:
  explicit InstantRing(uint32_t connections) : buffers_(connections * kBufferBytes), lengths_(connections) {
    completions_.reserve(size_t{2} * connections);
  }

  // ---- what net::Set uses ----
  void Accept(int) {}
  void Receive(uint32_t, uint32_t) {}
  void ReceiveBulk(uint32_t, uint32_t) {}
  void Send(uint32_t, uint32_t, const std::byte*, uint32_t) { Check(false, "all is sent in silence here"); }
  void Connect(uint32_t, uint32_t, const SocketAddress&) {}
  void Cancel(ring::Tag) { Check(false, "nothing is cancelled here"); }
  void Close(uint32_t, uint32_t) { Check(false, "no connection ends here"); }
  void WatchWake() {}
  int Install(uint32_t, int) { return 0; }
  void TakeOut(uint32_t, uint32_t) {}
  void TakeIn(uint32_t, int*) {}
  bool NeedsEnter() const { return false; }
  bool HasWork() const { return !completions_.empty(); }
  bool HasSubmissions() const { return false; }
  uint32_t Submissions() const { return 0; }
  bool Overflowed() const { return false; }
  bool silent_sends() const { return true; }
  void SendSilently(uint32_t, uint32_t, const std::byte* bytes, uint32_t) { benchmark::DoNotOptimize(bytes); }
  template <class Handle>
  void ReapSends(Handle&&) {}
  void Enter() {}
  template <class Handle>
  uint32_t Reap(uint32_t, Handle&& handle) {
    for (const ring::Completion& completion : completions_) handle(completion);
    const auto count = static_cast<uint32_t>(completions_.size());
    completions_.clear();
    return count;
  }
  absl::Span<const std::byte> Buffer(const ring::Completion& completion) const {
    return {&buffers_[completion.buffer * kBufferBytes], static_cast<size_t>(completion.result)};
  }
  void RecycleBuffer(const ring::Completion&) {}
  uint32_t PublishBuffers() { return 0; }

  // ---- what the benchmark says ----
  void Accepted(uint32_t slot) {
    completions_.push_back({.tag = {ring::Operation::kAccept, 0, 0}, .result = static_cast<int32_t>(slot), .more = true});
  }
  // What connection `slot` will receive from now on, whenever it does.
  std::byte* Bytes(uint32_t slot, size_t length) {
    lengths_[slot] = static_cast<int32_t>(length);
    return &buffers_[slot * kBufferBytes];
  }
  void Receives(uint32_t slot) {
    completions_.push_back({.tag = {ring::Operation::kReceive, 1, slot},  // nobody had the slot before: generation 1
                            .result = lengths_[slot],
                            .more = true,
                            .has_buffer = true,
                            .buffer = static_cast<uint16_t>(slot)});
  }

 private:
  static constexpr size_t kBufferBytes = 256;
  std::vector<std::byte> buffers_;
  std::vector<int32_t> lengths_;
  std::vector<ring::Completion> completions_;
};

// A worker's parts, with `connections` users logged in.
class Service {
 public:
  explicit Service(uint32_t connections)
      : connections_(connections),
        mailboxes_(OneMailbox()),
        ring_(connections),
        port_(0, {.slots = connections}),
        context_(0, clock_, mailboxes_),
        shared_(*Directory::Create(connections), 1 << 12, 0, clock_) {
    context_.AddPort(&port_);
    app_ = std::make_unique<App>(
        context_, WorkerOptions{.connections_max = connections, .gifts = {.gifts_max = 1}, .delay = {.wait_max_us = 0}}, shared_,
        worker_counters_);
    set_ = std::make_unique<net::Set<InstantRing, App>>(ring_, port_, *app_, counters_);
    for (uint32_t user = 0; user < connections; ++user) {
      ring_.Accepted(user);
      constexpr wire::Version kVersion = wire::Version::k2;
      wire::EncodeLoginRequest(ring_.Bytes(user, wire::LoginRequestBytes(kVersion)),
                               {.stamp = 1, .version = kVersion, .first_user = user});
      ring_.Receives(user);
    }
    Turn();
    Check(Count(Counter::kLoginsOk) == connections, "all users log in");
    for (uint32_t user = 0; user < connections; ++user) {
      wire::EncodeShakeRequest(ring_.Bytes(user, wire::kShakeRequestBytes), {.stamp = 2, .user_id = user});
    }
  }

  // Each connection shakes once.
  void ShakeAll() {
    for (uint32_t slot = 0; slot < connections_; ++slot) ring_.Receives(slot);
    Turn();
  }
  // As in net::Worker::Run, as far as the kernel is not concerned; the second look is at the sends' own completions.
  void Turn() {
    app_->OnTurn(clock_.MonotonicNs());
    set_->Turn(1);
    set_->Turn(1);
  }
  size_t Publish(absl::Span<const envelope::LuckyEnvelope> envelopes) { return shared_.pool.Publish(envelopes); }
  uint64_t Count(Counter counter) const { return worker_counters_.cells.Get(counter); }

 private:
  static std::vector<std::unique_ptr<net::Mailbox<Message>>> OneMailbox() {
    std::vector<std::unique_ptr<net::Mailbox<Message>>> mailboxes;
    mailboxes.push_back(std::make_unique<net::Mailbox<Message>>(64));
    return mailboxes;
  }

  uint32_t connections_;
  time::RealClock clock_;
  std::vector<std::unique_ptr<net::Mailbox<Message>>> mailboxes_;
  InstantRing ring_;
  net::Port port_;
  net::WorkerContext<Message> context_;
  net::Counters counters_;
  Shared shared_;
  WorkerCounters worker_counters_;
  std::unique_ptr<App> app_;
  std::unique_ptr<net::Set<InstantRing, App>> set_;
};

// range(0) shakes in a turn, each on its own connection.
void HotPathOfALosingShake(benchmark::State& state) {
  const auto shakes = static_cast<uint32_t>(state.range(0));
  Service service(shakes);
  for ([[maybe_unused]] auto step : state) service.ShakeAll();
  Check(service.Count(Counter::kNothing) == static_cast<uint64_t>(state.iterations()) * shakes, "all shakes found nothing");
  state.SetItemsProcessed(state.iterations() * shakes);
}
BENCHMARK(HotPathOfALosingShake)->Arg(1)->Arg(64)->Arg(512);

// Each shake wins; the publish of the envelopes is part of the time.
void HotPathOfAWin(benchmark::State& state) {
  const auto shakes = static_cast<uint32_t>(state.range(0));
  Service service(shakes);
  const std::vector<envelope::LuckyEnvelope> envelopes(shakes, {.id = kFirstShakeId, .amount = envelope::Fen(257)});
  for ([[maybe_unused]] auto step : state) {
    benchmark::DoNotOptimize(service.Publish(envelopes));
    service.ShakeAll();
  }
  Check(service.Count(Counter::kWon) == static_cast<uint64_t>(state.iterations()) * shakes, "all shakes won");
  state.SetItemsProcessed(state.iterations() * shakes);
}
BENCHMARK(HotPathOfAWin)->Arg(1)->Arg(64)->Arg(512);

}  // namespace
}  // namespace hongbao::serve
