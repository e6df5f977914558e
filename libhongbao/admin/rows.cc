#include "libhongbao/admin/rows.h"
