#include <dlfcn.h>

#include "extension.hpp"

namespace hakmem::model {

namespace {

using Function = int (*)();

Function find_function(const char* name) {
    return reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, name));
}

}  // namespace

Extension find_extension() {
    return {find_function("hakmem_version"), find_function("hakmem_validate")};
}

}  // namespace hakmem::model
