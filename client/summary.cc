#include "client/summary.h"

#include <string>

#include "absl/strings/str_format.h"
#include "libhongbao/cli/numbers.h"
#include "libhongbao/cli/options.h"
#include "libhongbao/cli/thresholds.h"

namespace hongbao::client {
namespace {

using cli::WithCommas;

std::string Number(const nlohmann::json& value) { return WithCommas(value.get<int64_t>()); }

void AddPhase(const Options& options, const nlohmann::json& phase, std::string& text) {
  const auto& latency = phase["latency_us"]["schedule"];
  absl::StrAppendFormat(
      &text, "  %-10s %s/s of %s/s for %.0f s (worst second %s, best %s)  p50 %.2f  p99 %.2f  p99.9 %.2f  max %.1f ms\n",
      phase["name"].get<std::string>(), WithCommas(static_cast<int64_t>(phase["mean_qps"].get<double>() + 0.5)),
      options.load.max_rate ? "max" : Number(phase["target_qps"]), phase["duration_s"].get<double>(),
      Number(phase["worst_second_qps"]), Number(phase["best_second_qps"]), latency["p50"].get<double>() / 1e3,
      latency["p99"].get<double>() / 1e3, latency["p999"].get<double>() / 1e3, latency["max"].get<double>() / 1e3);
  const auto& winners = phase["latency_us"]["winners"];
  const auto& others = phase["latency_us"]["others"];
  absl::StrAppendFormat(
      &text, "             of those that won  p50 %.2f  p99 %.2f ms; of the others  p50 %.2f  p99 %.2f  p99.9 %.2f ms\n",
      winners["p50"].get<double>() / 1e3, winners["p99"].get<double>() / 1e3, others["p50"].get<double>() / 1e3,
      others["p99"].get<double>() / 1e3, others["p999"].get<double>() / 1e3);
}

void AddBounds(const nlohmann::json& report, std::string& text) {
  const nlohmann::json& held = report["rate_held"];
  if (!held.is_null() && held["seconds"].get<int64_t>() > 0) {
    absl::StrAppendFormat(&text, "  rate held  >= %.0f %% of target in %s of %s seconds\n", held["share"].get<double>() * 100,
                          Number(held["held"]), Number(held["seconds"]));
  }
  absl::StrAppendFormat(&text, "  bound by   %s (%s)\n", report["bound_by"]["by"].get<std::string>(),
                        report["bound_by"]["reason"].get<std::string>());
}

// Who did not get in, and connections that did not last.
void AddConnections(const Options& options, const nlohmann::json& report, std::string& text) {
  const nlohmann::json& connections = report["connections"];
  if (!connections["trouble"].is_null()) {
    absl::StrAppendFormat(&text, "  connect    %s\n", connections["trouble"].get<std::string>());
  }
  if (connections["closed_idle"] > 0) {
    absl::StrAppendFormat(&text,
                          "  idle       the server closed %s connections after %.1f s without a byte: its --idle-timeout is "
                          "below the time between a user's requests; each had to log in again\n",
                          Number(connections["closed_idle"]), connections["closed_idle_after_s"].get<double>());
  }
  if (connections["closed_silent"] > 0) {
    absl::StrAppendFormat(
        &text,
        "  silent     %s connections said nothing for %s (--answer-timeout) while requests waited, and were made "
        "anew\n",
        Number(connections["closed_silent"]), cli::DurationToString(options.load.answer_timeout_ns));
  }
}

void AddThresholds(const nlohmann::json& report, std::string& text) {
  for (const nlohmann::json& threshold : report["thresholds"]) {
    const nlohmann::json& ok = threshold["ok"];
    absl::StrAppendFormat(&text, "  threshold  %s  %s: %s\n",
                          ok.is_null()     ? "not judged"
                          : ok.get<bool>() ? "ok    "
                                           : "FAILED",
                          threshold["expr"].get<std::string>(), cli::ThresholdValueText(threshold));
  }
}

}  // namespace

std::string SummaryOf(const Options& options, const nlohmann::json& report) {
  std::string text;
  const auto& requests = report["requests"];
  absl::StrAppendFormat(&text, "result     %s%s\n", report["verdict"] == "pass" ? "PASS" : "FAIL",
                        report["interrupted"].get<bool>() ? " (interrupted)" : "");
  for (const nlohmann::json& reason : report["reasons"]) {
    absl::StrAppendFormat(&text, "           %s\n", reason.get<std::string>());
  }
  absl::StrAppendFormat(&text, "  requests   %s sent, %s answered (%s refused), %s missed, %s late, %s lost, %s unanswered\n",
                        Number(requests["sent"]), Number(requests["answered"]), Number(requests["refused"]),
                        Number(requests["missed"]), Number(requests["late"]), Number(requests["lost"]),
                        Number(requests["unanswered"]));
  if (const uint64_t every = load::LatencySampleEvery(options.load); every > 1) {
    absl::StrAppendFormat(&text, "  latency    of one request in %d\n", static_cast<int>(every));
  }
  for (const nlohmann::json& phase : report["phases"]) {
    AddPhase(options, phase, text);
  }
  absl::StrAppendFormat(&text, "  envelopes  %s won by shaking, %s gifts opened of %s noticed\n", Number(report["won"]["count"]),
                        Number(report["gifts"]["opened"]), Number(report["gifts"]["opens_sent"]));
  absl::StrAppendFormat(&text, "  money      %s yuan received\n",
                        cli::Yuan(report["won"]["fen"].get<int64_t>() + report["gifts"]["opened_fen"].get<int64_t>()));
  if (options.load.statements) {
    const auto& statements = report["statements"];
    absl::StrAppendFormat(&text, "  statements %s equal, %s different, %s skipped\n", Number(statements["equal"]),
                          Number(statements["different"]), Number(statements["skipped"]));
  }
  AddConnections(options, report, text);
  if (const auto& clock = report["clock"]; clock["steps"].get<uint64_t>() > 0) {
    absl::StrAppendFormat(&text, "  clock      was set %s time%s, in all by %+.3f s; the schedule went on\n",
                          Number(clock["steps"]), clock["steps"] == 1 ? "" : "s", clock["step_sum_s"].get<double>());
  }
  AddBounds(report, text);
  AddThresholds(report, text);
  for (const auto& [name, holds] : report["identities"].items()) {
    if (!holds.get<bool>()) {
      absl::StrAppendFormat(&text, "  BROKEN     %s\n", name);
    }
  }
  return text;
}

}  // namespace hongbao::client
