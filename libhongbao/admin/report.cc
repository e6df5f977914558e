#include "libhongbao/admin/report.h"
