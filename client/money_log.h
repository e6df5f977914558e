// MoneyLog: --money-log: every booked reply that brought money, as a line of CSV.
//
// Owns the file, whose lines are of all runs that were given its name. Written by the main thread from what the workers hand
// over; never asks a worker to wait. What stands in the file after a crash of this process is a prefix of each worker's
// replies, in whole lines but for the last one.
// Thread tag: thread-compatible (main's thread).
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "client/status.h"
#include "libhongbao/load/client.h"

namespace hongbao::client {

// On their way to the file at most, per worker: seconds of the highest rates, should this process be slow for a while.
inline constexpr uint32_t kMoneyRecordsPerWorker = 1 << 18;

class MoneyLog {
 public:
  MoneyLog() = default;
  // Creates the file with the header line, or goes on behind the lines of an earlier run, after a crash too; what is there
  // is never lost. Refused: a file that holds something else. The Status names the path, the cause and the cure.
  absl::Status Open(const std::string& path);

  bool open() const { return file_ != nullptr; }
  void Write(const load::MoneyRecord& record);
  // To be called several times a second while the client runs, and once after its end.
  void WriteAll(load::Client& client);
  // After the last record: whatever is still in memory is in the file, or the log is known to be incomplete.
  void Close();

  const MoneyLogEnd& end() const { return end_; }

 private:
  struct Closer {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  std::unique_ptr<std::FILE, Closer> file_;
  MoneyLogEnd end_;
};

}  // namespace hongbao::client
