#include <cerrno>

#include "abi/hakmem.h"
#include "extension.hpp"
#include "subject.hpp"

namespace hakmem::model {

namespace {

// hakmem.h has one aligned function and no operators; the other entry points of libhakmem are
// one-line bodies over the same functions, and are tested where they exist.
int aligned_to(void** out, std::size_t alignment, std::size_t size) {
    if (alignment < sizeof(void*) || (alignment & (alignment - 1)) != 0) {
        return EINVAL;
    }
    void* block = hakmem_aligned_alloc(alignment, size);
    if (block == nullptr) {
        return errno;
    }
    *out = block;
    return 0;
}

void* create(std::size_t size, std::size_t alignment) {
    return alignment == 0 ? hakmem_malloc(size) : hakmem_aligned_alloc(alignment, size);
}

void destroy(void* block, std::size_t, std::size_t) { hakmem_free(block); }
std::size_t usable_size(void* block) { return hakmem_usable_size(block); }

}  // namespace

const Subject& real_subject() {
    static const Subject subject = {
        &hakmem_malloc, &hakmem_calloc,        &hakmem_realloc, &hakmem_aligned_alloc,
        &aligned_to,    &hakmem_aligned_alloc, &create,         &destroy,
        &hakmem_free,   &usable_size,          &hakmem_purge,   find_extension().validate,
    };
    return subject;
}

bool real_subject_is_hakmem() { return true; }

std::string real_subject_name() {
    return "hakmem_malloc of HAKMEM " + std::to_string(hakmem_version());
}

}  // namespace hakmem::model
