// Flag sources: what else may set a flag than the command line: the environment, and a file.
//
// Owns: the order of precedence (command line, then environment, then --flags-file, then the default), the names of the
// variables (hongbao-server's --users-max is HONGBAO_SERVER_USERS_MAX) and the syntax of the file: one flag a line as
// it is typed, long names only, # begins a comment; "-" is stdin. A name that is no flag is an error in either, as a
// misspelt one must not silently do nothing; but what Kubernetes and Docker tell a container of a service of the program's
// name (HONGBAO_SERVER_PORT=tcp://10.0.0.1:1025) is left out, and named in `ignored`.
// Never holds a secret: those stay in files of their own. Thread tag: thread-compatible.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "libhongbao/cpp20.h"

namespace CLI {
class App;
}  // namespace CLI

namespace hongbao::cli {

struct GatheredFlags {
  std::vector<std::string> arguments{};         // of the command line, then "--name=value" or "--switch" from elsewhere
  std::vector<std::string> ignored{};           // variables
  std::map<std::string, std::string> origin{};  // "--name" -> "HONGBAO_SERVER_NAME" or "FILE:LINE", for messages
};

// "hongbao-server", "--users-max" -> "HONGBAO_SERVER_USERS_MAX".
std::string VariableOf(const std::string& program, const std::string& flag);

// `app` has all flags of the program, --flags-file among them. InvalidArgument names the file and line, or the
// variable.
absl::StatusOr<GatheredFlags> GatherFlags(const CLI::App& app, const std::string& program, int argc, const char* const* argv);

}  // namespace hongbao::cli
