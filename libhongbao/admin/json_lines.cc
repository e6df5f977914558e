#include "libhongbao/admin/json_lines.h"

#include <string>

#include "libhongbao/admin/exact_json.h"
#include "libhongbao/admin/standard_streams.h"
#include "nlohmann/json.hpp"

namespace hongbao::admin {

void JsonLines::Write(const nlohmann::json& document) {
  if (gone_) {
    return;
  }
  gone_ = !WriteOut(out_, Dump(document, -1) + "\n");
}

}  // namespace hongbao::admin
