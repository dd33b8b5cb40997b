#include "extension.hpp"

#include "abi/hakmem.h"

namespace hakmem::model {

Extension find_extension() { return {&hakmem_version, &hakmem_validate}; }

}  // namespace hakmem::model
