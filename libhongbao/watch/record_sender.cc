#include "libhongbao/watch/record_sender.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"

namespace hongbao::watch {
namespace {

uint64_t Known(int64_t value) { return static_cast<uint64_t>(std::max<int64_t>(value, 0)); }
uint64_t CpuUs(const ProcessStats& stats) { return static_cast<uint64_t>((stats.user_s + stats.system_s) * 1e6); }

}  // namespace

void SetLife(wire::CounterRecord& record, const Life& life) {
  record.Set(wire::Slot::kLife, static_cast<uint64_t>(life.began_unix_ns), static_cast<uint64_t>(life.process_id));
}

void SetProcess(wire::CounterRecord& record, const ProcessStats& before, const ProcessStats& now) {
  record.Set(wire::Slot::kCpuUs, CpuUs(now) - std::min(CpuUs(before), CpuUs(now)), CpuUs(now));
  record.Set(wire::Slot::kMemory, Known(now.rss_bytes), Known(now.rss_max_bytes));
}

void SetEnd(wire::CounterRecord& record, int exit_code) { record.Set(wire::Slot::kEnd, 1, static_cast<uint64_t>(exit_code)); }

RecordSender::RecordSender(std::string program, const HostPort& monitor, const time::Clock& clock)
    : program_(std::move(program)),
      life_{.began_unix_ns = clock.WallNs(), .process_id = getpid()},
      link_(monitor.host.empty() ? nullptr : std::make_unique<MonitorLink>(monitor, clock)) {}

void RecordSender::Add(const wire::CounterRecord& record) {
  if (on()) {
    waiting_.push_back(record);
  }
}

void RecordSender::SendWaiting() {
  for (wire::CounterRecord& record : waiting_) {
    SetLife(record, life_);
    const ProcessStats now = &record == &waiting_.back() ? ReadProcessStats() : sampled_;
    SetProcess(record, sampled_, now);
    sampled_ = now;
    link_->Add(record);
  }
  if (!waiting_.empty()) {
    newest_ = waiting_.back();
    waiting_.clear();
  }
}

void RecordSender::Tick() {
  if (!on()) {
    return;
  }
  SendWaiting();
  link_->Tick();
  if (const absl::optional<std::string> news = link_->News()) {
    Say(*news);
  }
}

void RecordSender::End(int exit_code) {
  if (!on()) {
    return;
  }
  if (waiting_.empty() && newest_) {
    waiting_.push_back(*newest_);
  }
  if (!waiting_.empty()) {
    SetEnd(waiting_.back(), exit_code);
    SendWaiting();
  }
  if (!link_->Flush(kFlushMs)) {
    Say(absl::StrCat("the last ", link_->waiting(), link_->waiting() == 1 ? " record has" : " records have",
                     " not reached the monitor"));
  }
}

void RecordSender::Say(const std::string& line) const { std::fprintf(stderr, "%s: %s\n", program_.c_str(), line.c_str()); }

}  // namespace hongbao::watch
