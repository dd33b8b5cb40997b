#include <malloc.h>

#include <cstdlib>
#include <new>

#include "extension.hpp"
#include "subject.hpp"

namespace hakmem::model {

// The sized forms are named by symbol: without -fsized-deallocation clang does not declare them.
extern "C" {
void sized_delete(void* block, std::size_t size) __asm__("_ZdlPvm");
void sized_aligned_delete(void* block, std::size_t size,
                          std::align_val_t alignment) __asm__("_ZdlPvmSt11align_val_t");
}

namespace {

// The standard functions are reached through volatile pointers where the compiler would otherwise
// know them: it may drop a malloc whose result is only freed, or warn of absurd sizes.
void* (*volatile malloc_function)(std::size_t) = &std::malloc;
void* (*volatile calloc_function)(std::size_t, std::size_t) = &std::calloc;
void* (*volatile realloc_function)(void*, std::size_t) = &std::realloc;

void* call_malloc(std::size_t size) { return malloc_function(size); }
void* call_calloc(std::size_t count, std::size_t size) { return calloc_function(count, size); }
void* call_realloc(void* block, std::size_t size) { return realloc_function(block, size); }
void* call_aligned_alloc(std::size_t alignment, std::size_t size) {
    return ::aligned_alloc(alignment, size);
}
int call_posix_memalign(void** out, std::size_t alignment, std::size_t size) {
    return ::posix_memalign(out, alignment, size);
}
void* call_memalign(std::size_t alignment, std::size_t size) { return ::memalign(alignment, size); }

void* call_new(std::size_t size, std::size_t alignment) {
    return alignment == 0 ? ::operator new(size, std::nothrow)
                          : ::operator new (size, std::align_val_t{alignment}, std::nothrow);
}

void call_delete(void* block, std::size_t size, std::size_t alignment) {
    if (alignment == 0) {
        sized_delete(block, size);
    } else {
        sized_aligned_delete(block, size, std::align_val_t{alignment});
    }
}

void call_free(void* block) { ::free(block); }
std::size_t call_usable_size(void* block) { return ::malloc_usable_size(block); }
int call_trim() { return ::malloc_trim(0); }

}  // namespace

const Subject& real_subject() {
    static const Subject subject = {
        &call_malloc,         &call_calloc,      &call_realloc, &call_aligned_alloc,
        &call_posix_memalign, &call_memalign,    &call_new,     &call_delete,
        &call_free,           &call_usable_size, &call_trim,    find_extension().validate,
    };
    return subject;
}

bool real_subject_is_hakmem() { return find_extension().version != nullptr; }

std::string real_subject_name() {
    const Extension extension = find_extension();
    return extension.version == nullptr ? "the malloc of this process, which is not HAKMEM"
                                        : "malloc of HAKMEM " + std::to_string(extension.version());
}

}  // namespace hakmem::model
