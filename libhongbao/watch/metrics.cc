#include "libhongbao/watch/metrics.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "libhongbao/cli/options.h"
#include "libhongbao/watch/build_commit.h"  // made by meson: HONGBAO_COMMIT
#include "libhongbao/watch/process_stats.h"
#include "prometheus/text_serializer.h"

namespace hongbao::watch {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

#if defined(__clang__)
constexpr char kCompiler[] = "clang " __clang_version__;
#else
constexpr char kCompiler[] = "gcc " __VERSION__;
#endif

class FunctionCollectable : public prometheus::Collectable {
 public:
  explicit FunctionCollectable(std::function<Families()> collect) : collect_(std::move(collect)) {}
  Families Collect() const override { return collect_(); }

 private:
  std::function<Families()> collect_;
};

MetricFamily FamilyOf(MetricType type, std::string name, std::string help, std::vector<Labelled> samples) {
  MetricFamily family{.name = std::move(name), .help = std::move(help), .type = type, .metric = {}};
  for (Labelled& sample : samples) {
    ClientMetric metric;
    metric.label = std::move(sample.labels);
    (type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = sample.value;
    family.metric.push_back(std::move(metric));
  }
  return family;
}

// ---- OpenMetrics ----

std::string Number(double value) {
  if (std::isnan(value)) {
    return "NaN";
  }
  if (std::isinf(value)) {
    return value > 0 ? "+Inf" : "-Inf";
  }
  char digits[32];
  if (value == std::floor(value) && std::abs(value) < 1e17) {
    return absl::StrCat(static_cast<int64_t>(value));
  }
  return std::string(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
}

// As OpenMetrics writes bounds: "0.0001", "1.0".
std::string Bound(double value) {
  if (std::isinf(value)) {
    return "+Inf";
  }
  char digits[32];
  std::snprintf(digits, sizeof digits, "%.15g", value);
  const std::string text = digits;
  return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
}

std::string Escaped(const std::string& text) {
  return absl::StrReplaceAll(text, {{"\\", "\\\\"}, {"\"", "\\\""}, {"\n", "\\n"}});
}

std::string Braces(const std::vector<ClientMetric::Label>& labels, const std::string& le = "") {
  std::string inside;
  for (const ClientMetric::Label& label : labels) {
    absl::StrAppend(&inside, inside.empty() ? "" : ",", label.name, "=\"", Escaped(label.value), "\"");
  }
  if (!le.empty()) {
    absl::StrAppend(&inside, inside.empty() ? "" : ",", "le=\"", le, "\"");
  }
  return inside.empty() ? "" : absl::StrCat("{", inside, "}");
}

void AppendHistogram(std::string& out, const std::string& name, const ClientMetric& metric) {
  for (const ClientMetric::Bucket& bucket : metric.histogram.bucket) {
    absl::StrAppend(&out, name, "_bucket", Braces(metric.label, Bound(bucket.upper_bound)), " ", bucket.cumulative_count, "\n");
  }
  absl::StrAppend(&out, name, "_count", Braces(metric.label), " ", metric.histogram.sample_count, "\n");
  absl::StrAppend(&out, name, "_sum", Braces(metric.label), " ", Number(metric.histogram.sample_sum), "\n");
}

void AppendSummary(std::string& out, const std::string& name, const ClientMetric& metric) {
  for (const ClientMetric::Quantile& quantile : metric.summary.quantile) {
    std::vector<ClientMetric::Label> labels = metric.label;
    labels.push_back({"quantile", Bound(quantile.quantile)});
    absl::StrAppend(&out, name, Braces(labels), " ", Number(quantile.value), "\n");
  }
  absl::StrAppend(&out, name, "_count", Braces(metric.label), " ", metric.summary.sample_count, "\n");
  absl::StrAppend(&out, name, "_sum", Braces(metric.label), " ", Number(metric.summary.sample_sum), "\n");
}

void AppendFamily(std::string& out, const MetricFamily& family) {
  const bool info = family.type == MetricType::Gauge && absl::EndsWith(family.name, "_info");
  std::string name = family.name;
  std::string suffix;
  const char* type = "unknown";
  switch (family.type) {
    case MetricType::Counter:
      suffix = "_total";
      type = "counter";
      break;
    case MetricType::Gauge:
      suffix = info ? "_info" : "";
      type = info ? "info" : "gauge";
      break;
    case MetricType::Histogram:
      type = "histogram";
      break;
    case MetricType::Summary:
      type = "summary";
      break;
    case MetricType::Untyped:
      break;
  }
  name = std::string(absl::StripSuffix(name, suffix));
  absl::StrAppend(&out, "# TYPE ", name, " ", type, "\n");
  for (const char* unit : {"seconds", "bytes", "fen", "ratio"}) {
    if (!info && absl::EndsWith(name, absl::StrCat("_", unit))) {
      absl::StrAppend(&out, "# UNIT ", name, " ", unit, "\n");
    }
  }
  absl::StrAppend(&out, "# HELP ", name, " ", Escaped(family.help), "\n");
  for (const ClientMetric& metric : family.metric) {
    if (family.type == MetricType::Histogram) {
      AppendHistogram(out, name, metric);
    } else if (family.type == MetricType::Summary) {
      AppendSummary(out, name, metric);
    } else {
      const double value = family.type == MetricType::Counter ? metric.counter.value
                           : family.type == MetricType::Gauge ? metric.gauge.value
                                                              : metric.untyped.value;
      absl::StrAppend(&out, name, suffix, Braces(metric.label), " ", Number(value), "\n");
    }
  }
}

std::string PlainText(const Families& families) { return prometheus::TextSerializer().Serialize(families); }

// What one element of an Accept header asks for.
struct Wanted {
  std::string type;
  std::string version{};
  double quality = 1;
};

Wanted WantedBy(absl::string_view element) {
  const std::vector<std::string> parts = absl::StrSplit(element, ';');
  Wanted wanted{.type = absl::AsciiStrToLower(absl::StripAsciiWhitespace(parts[0]))};
  for (size_t i = 1; i < parts.size(); ++i) {
    const std::pair<std::string, std::string> parameter = absl::StrSplit(parts[i], absl::MaxSplits('=', 1));
    const std::string name = absl::AsciiStrToLower(absl::StripAsciiWhitespace(parameter.first));
    const std::string value(absl::StripAsciiWhitespace(parameter.second));
    if (name == "version") {
      wanted.version = value;
    } else if (name == "q" && !absl::SimpleAtod(value, &wanted.quality)) {
      wanted.quality = 0;  // not a number: not asked for
    }
  }
  return wanted;
}

}  // namespace

MetricFamily CounterOf(std::string name, std::string help, std::vector<Labelled> samples) {
  return FamilyOf(MetricType::Counter, std::move(name), std::move(help), std::move(samples));
}

MetricFamily GaugeOf(std::string name, std::string help, std::vector<Labelled> samples) {
  return FamilyOf(MetricType::Gauge, std::move(name), std::move(help), std::move(samples));
}

std::vector<int64_t> BucketBoundsNs() {
  std::vector<int64_t> bounds;
  for (int64_t decade_ns = 100'000; decade_ns <= 1'000'000'000; decade_ns *= 10) {
    bounds.insert(bounds.end(), {decade_ns, 2 * decade_ns, 5 * decade_ns});
  }
  bounds.push_back(10'000'000'000);
  return bounds;
}

MetricFamily HistogramOf(std::string name, std::string help, const count::HistogramSnapshot& values) {
  ClientMetric metric;
  metric.histogram.sample_count = values.count();
  metric.histogram.sample_sum = static_cast<double>(values.sum_ns()) * 1e-9;
  size_t bucket = 0;
  uint64_t below = 0;
  for (const int64_t bound_ns : BucketBoundsNs()) {
    for (; bucket < count::kBuckets && count::BucketHighNs(bucket) <= static_cast<uint64_t>(bound_ns); ++bucket) {
      below += values.CountAt(bucket);
    }
    metric.histogram.bucket.push_back({.cumulative_count = below, .upper_bound = static_cast<double>(bound_ns) / 1e9});
  }
  metric.histogram.bucket.push_back({.cumulative_count = values.count(), .upper_bound = std::numeric_limits<double>::infinity()});
  return {.name = std::move(name), .help = std::move(help), .type = MetricType::Histogram, .metric = {std::move(metric)}};
}

MetricFamily ClockStepsOf(uint64_t steps) {
  return CounterOf("hongbao_clock_steps_total", "Times that the wall clock was set: it moved against the monotonic clock.",
                   steps);
}

MetricFamily ClosedConnectionsOf(const std::vector<std::pair<std::string, uint64_t>>& by_cause) {
  std::vector<Labelled> samples;
  for (const auto& [cause, number] : by_cause) {
    if (cause == "none") {
      continue;
    }
    const char* reason = cause == "peer" || cause == "reset"        ? "peer"
                         : cause == "idle" || cause == "superseded" ? cause.c_str()
                         : cause == "drain"                         ? "shutdown"
                                                                    : "error";
    samples.push_back({.labels = {{"reason", reason}, {"cause", cause}}, .value = Whole(number)});
  }
  return CounterOf("hongbao_connections_closed_total", "Connections that ended, by whose doing it was and why exactly.",
                   std::move(samples));
}

bool WantsOpenMetrics(const std::string& accept) {
  double open_metrics = 0;
  double text = 0;
  for (const absl::string_view element : absl::StrSplit(accept, ',')) {
    const Wanted wanted = WantedBy(element);
    if (wanted.type == "application/openmetrics-text" && (wanted.version.empty() || wanted.version == "1.0.0")) {
      open_metrics = std::max(open_metrics, wanted.quality);
    } else if (wanted.type == "text/plain" && (wanted.version.empty() || wanted.version == "0.0.4")) {
      text = std::max(text, wanted.quality);
    }
  }
  return open_metrics > 0 && open_metrics >= text;
}

std::string OpenMetricsText(const Families& families) {
  std::string out;
  for (const MetricFamily& family : families) {
    AppendFamily(out, family);
  }
  return out + "# EOF\n";
}

std::shared_ptr<const prometheus::Collectable> Collects(std::function<Families()> collect) {
  return std::make_shared<const FunctionCollectable>(std::move(collect));
}

namespace {

Families HttpFamilies(const http::HttpCounts& counts) {
  return {CounterOf("hongbao_http_connections_total", "Connections to the HTTP side.", counts.connections),
          CounterOf("hongbao_http_requests_total", "Requests that came whole and within limits.", counts.requests),
          CounterOf("hongbao_http_refused_total",
                    "Requests answered with an error before any route: malformed, too large, or too many wait.", counts.refused),
          CounterOf("hongbao_http_dropped_total", "HTTP connections closed before they had their answer, by cause.",
                    {{.labels = {{"cause", "room"}}, .value = Whole(counts.dropped_for_room)},
                     {.labels = {{"cause", "deadline"}}, .value = Whole(counts.dropped_late)}})};
}

}  // namespace

MetricsPage::MetricsPage(std::string role) : role_(std::move(role)), start_unix_s_(ProcessStartUnixSeconds()) {}

void MetricsPage::AddTo(http::AdminServer& server) {
  server_ = &server;
  server.Get("/metrics", [this](const http::Request& request) { return Answer(request); });
}

Families MetricsPage::ProcessFamilies() const {
  const ProcessStats stats = ReadProcessStats();
  const auto number = [](int64_t value) { return value < 0 ? std::nan("") : static_cast<double>(value); };
  return {GaugeOf("hongbao_build_info", "Always 1; the labels say what runs.",
                  {{.labels = {{"version", cli::Version()}, {"commit", HONGBAO_COMMIT}, {"compiler", kCompiler}, {"role", role_}},
                    .value = 1}}),
          FamilyOf(MetricType::Counter, "process_cpu_seconds_total", "Processor time, in user and in system mode.",
                   {{.labels = {}, .value = stats.user_s + stats.system_s}}),
          GaugeOf("process_resident_memory_bytes", "Resident memory.", number(stats.rss_bytes)),
          GaugeOf("process_open_fds", "Open files; connections are direct descriptors where the kernel can, and not among them.",
                  number(stats.open_files)),
          GaugeOf("process_max_fds", "Open files at most.", number(stats.open_files_max)),
          GaugeOf("process_start_time_seconds", "When the process began, unix time.", start_unix_s_),
          GaugeOf("process_threads", "Threads.", number(stats.threads))};
}

Families MetricsPage::Collect() const {
  Families families = ProcessFamilies();
  if (server_ != nullptr) {
    Families http = HttpFamilies(server_->counts());
    std::move(http.begin(), http.end(), std::back_inserter(families));
  }
  for (const auto& source : sources_) {
    Families more = source->Collect();
    std::move(more.begin(), more.end(), std::back_inserter(families));
  }
  return families;
}

http::Response MetricsPage::Answer(const http::Request& request) const {
  if (WantsOpenMetrics(request.Header("accept"))) {
    return {.body = OpenMetricsText(Collect()), .content_type = kOpenMetricsFormat};
  }
  return {.body = PlainText(Collect()), .content_type = kTextFormat};
}

}  // namespace hongbao::watch
