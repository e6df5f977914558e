// Service: an application on all of a machine's workers: sizes the sets, listens, starts the threads, drains them.
//
// Owns the threads, the listeners and the mailboxes. Never knows what the connections are for.
// Thread tag: thread-compatible (Start, Drain and the destructor from one thread); Post is thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <future>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "libhongbao/net/service_plan.h"
#include "libhongbao/net/set_up.h"
#include "libhongbao/net/worker.h"
#include "libhongbao/ring/listener.h"

namespace hongbao::net {

template <Application App>
class Service {
 public:
  using Message = typename MessageOf<App>::Type;
  using Context = WorkerContext<Message>;

  explicit Service(const time::Clock& clock) : clock_(clock) {}
  ~Service() { Drain(0); }
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  // `make_app(Context&)` gives each worker its application (std::unique_ptr<App>), on that worker's thread; the context
  // outlives it. Returns when all workers serve, or why one cannot.
  template <class Factory>
  absl::Status Start(const ServiceOptions& options, Factory make_app);

  const ServicePlan& plan() const { return plan_; }
  uint16_t port() const { return listeners_.port(); }
  uint32_t workers() const { return static_cast<uint32_t>(workers_.size()); }
  // For what the application offers to other threads (its counters), until the service is destroyed.
  App& app(uint32_t worker) { return workers_[worker]->app(); }
  const Counters& counters(uint32_t worker) const { return workers_[worker]->counters(); }

  // From any thread. False when that worker's inbox is full: nothing was taken.
  bool Post(uint32_t worker, const Message& message) { return mailboxes_[worker]->Post(message); }

  // Stops accepting, sends what is owed, closes, and waits for the workers, `drain_ms` at most. Then counters stand still.
  void Drain(uint32_t drain_ms);

 private:
  template <class Factory>
  absl::Status StartWorkers(const ServiceOptions& options, Factory& make_app);

  const time::Clock& clock_;
  ServicePlan plan_;
  ring::Listeners listeners_;
  std::vector<std::unique_ptr<Mailbox<Message>>> mailboxes_;
  std::vector<std::unique_ptr<Worker<App>>> workers_;
  std::vector<std::thread> threads_;
};

template <Application App>
template <class Factory>
absl::Status Service<App>::Start(const ServiceOptions& options, Factory make_app) {
  absl::StatusOr<ServicePlan> plan = PlanService(options);
  if (!plan.ok()) {
    return plan.status();
  }
  plan_ = *std::move(plan);
  for (;;) {
    const absl::Status status = SetUp([&] { return StartWorkers(options, make_app); });
    if (status.ok()) {
      return status;
    }
    Drain(0);
    // Other processes of the user may hold the locked memory that the plan counted on: smaller rings before none.
    if (status.code() != absl::StatusCode::kResourceExhausted || !plan_.features.locked_rings || !plan_.Shrink()) {
      return status;
    }
    workers_.clear();
    mailboxes_.clear();
    listeners_ = {};
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // the kernel takes rings apart behind our back
  }
}

template <Application App>
template <class Factory>
absl::Status Service<App>::StartWorkers(const ServiceOptions& options, Factory& make_app) {
  if (options.listen) {
    absl::StatusOr<ring::Listeners> listeners =
        ring::Listeners::Open(options.listen_address, plan_.sets, plan_.backlog, options.sockets);
    if (!listeners.ok()) {
      return listeners.status();
    }
    listeners_ = *std::move(listeners);
  }
  for (uint32_t i = 0; i < plan_.workers; ++i) {
    mailboxes_.push_back(std::make_unique<Mailbox<Message>>(options.inbox_messages));
  }
  std::vector<std::future<absl::Status>> started;
  for (uint32_t i = 0; i < plan_.workers; ++i) {
    workers_.push_back(std::make_unique<Worker<App>>(i, clock_, mailboxes_));
    std::vector<int> descriptors;
    for (uint32_t set = 0; options.listen && set < plan_.worker.sets; ++set) {
      descriptors.push_back(listeners_.descriptor(i * plan_.worker.sets + set));
    }
    WorkerOptions worker_options = plan_.worker;
    worker_options.processor = options.tuning.first_processor < 0 ? -1 : static_cast<int>(options.tuning.first_processor + i);
    std::promise<absl::Status> promise;
    started.push_back(promise.get_future());
    threads_.emplace_back([worker = workers_.back().get(), worker_options, features = plan_.features, descriptors, make_app,
                           promise = std::move(promise)]() mutable {
      absl::Status status = SetUp([&] { return worker->Init(worker_options, features, descriptors, make_app); });
      const bool ok = status.ok();
      promise.set_value(std::move(status));
      if (ok) {
        worker->Run();
      }
    });
  }
  absl::Status result;
  for (std::future<absl::Status>& future : started) {
    result.Update(future.get());
  }
  return result;
}

template <Application App>
void Service<App>::Drain(uint32_t drain_ms) {
  const int64_t deadline_ns = clock_.MonotonicNs() + int64_t{drain_ms} * 1'000'000;
  for (std::unique_ptr<Worker<App>>& worker : workers_) {
    worker->Drain(deadline_ns);
  }
  for (std::thread& thread : threads_) {
    thread.join();
  }
  threads_.clear();
}

}  // namespace hongbao::net
