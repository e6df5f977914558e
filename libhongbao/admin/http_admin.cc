#include "libhongbao/admin/http_admin.h"
