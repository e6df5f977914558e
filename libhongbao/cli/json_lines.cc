#include "libhongbao/cli/json_lines.h"

#include <string>

#include "libhongbao/cli/exact_json.h"
#include "libhongbao/cli/standard_streams.h"
#include "nlohmann/json.hpp"

namespace hongbao::cli {

void JsonLines::Write(const nlohmann::json& document) {
  if (gone_) {
    return;
  }
  gone_ = !WriteOut(out_, Dump(document, -1) + "\n");
}

}  // namespace hongbao::cli
