// Report: a JSON document in a file, whole or not at all.
//
// Owns: the temporary file beside the target, until the rename. A symbolic link stays, and what it points to is written; a
// file that is there keeps its permissions; "-" is stdout. Never leaves half a report under the target's name; never follows
// an error by ending the process. Thread tag: thread-safe (different targets).
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "libhongbao/cpp20.h"
#include "nlohmann/json_fwd.hpp"

namespace hongbao::cli {

// Writes `contents` to a temporary file in the same folder, syncs and renames it to `path`. The Status names the path
// and the cause.
absl::Status WriteFileAtomically(const std::string& path, absl::string_view contents);

// The same with the document, indented by two, and a final newline.
absl::Status WriteReport(const std::string& path, const nlohmann::json& document);

// Whether WriteReport could work there: to be asked before a run, not after it. Creates and removes a temporary file.
absl::Status CheckReportPath(const std::string& path);

}  // namespace hongbao::cli
