/**
 * @file subject.hpp
 * @brief Which allocator a scenario speaks to, and the proof that it is the one meant.
 *
 * A scenario is written once and runs in three ways. Linked with libhakmem.a, or as a plain binary
 * under LD_PRELOAD, `subject_malloc` is malloc. In a sanitizer build, where malloc belongs to the
 * sanitizer, HAKMEM_TEST_API is defined and `subject_malloc` is hakmem_malloc. The plain binary
 * knows nothing of HAKMEM and therefore runs on any other allocator as well.
 *
 * A test that silently ran on the C library would pass and prove nothing. So ctest sets
 * ABI_SUBJECT=hakmem, and subject_require() then fails unless malloc is HAKMEM's. (The variable
 * does not begin with HAKMEM_, since HAKMEM would take it for a misspelt option.)
 */
#ifndef HAKMEM_TESTS_ABI_SUBJECT_HPP
#define HAKMEM_TESTS_ABI_SUBJECT_HPP

#include <cstdlib>
#include <cstring>

#include <dlfcn.h>
#include <malloc.h>

#include "abi/hakmem.h"
#include "check.hpp"

// The pointers are volatile: the compiler must not know that malloc is behind them, or it removes
// pairs of malloc and free and assumes what this folder wants to find out.
#ifdef HAKMEM_TEST_API
inline constexpr bool subject_is_interposed = false;
inline void* (*volatile subject_malloc)(std::size_t) = hakmem_malloc;
inline void* (*volatile subject_calloc)(std::size_t, std::size_t) = hakmem_calloc;
inline void* (*volatile subject_realloc)(void*, std::size_t) = hakmem_realloc;
inline void* (*volatile subject_aligned_alloc)(std::size_t, std::size_t) = hakmem_aligned_alloc;
inline void (*volatile subject_free)(void*) = hakmem_free;
inline std::size_t subject_usable_size(void* block) { return hakmem_usable_size(block); }
inline int subject_trim() { return hakmem_purge(); }
#else
inline constexpr bool subject_is_interposed = true;
inline void* (*volatile subject_malloc)(std::size_t) = malloc;
inline void* (*volatile subject_calloc)(std::size_t, std::size_t) = calloc;
inline void* (*volatile subject_realloc)(void*, std::size_t) = realloc;
inline void* (*volatile subject_aligned_alloc)(std::size_t, std::size_t) = aligned_alloc;
inline void (*volatile subject_free)(void*) = free;
inline std::size_t subject_usable_size(void* block) { return malloc_usable_size(block); }
inline int subject_trim() { return malloc_trim(0); }

// Weak: the plain binary is linked without HAKMEM, and finds these under the preload by name.
extern "C" {
int hakmem_version(void) __attribute__((weak));
int hakmem_validate(void) __attribute__((weak));
int hakmem_heap_walk(hakmem_walk_visitor, void*) __attribute__((weak));
int hakmem_statistics_get(hakmem_statistics*, std::size_t) __attribute__((weak));
void hakmem_option_list(hakmem_option_visitor, void*) __attribute__((weak));
int hakmem_option_get(const char*, char*, std::size_t) __attribute__((weak));
}
#endif

/** A function of HAKMEM's that is linked in or loaded, else null. */
template <class Function>
Function* subject_optional(Function* linked, const char* name) {
    if (linked != nullptr) {
        return linked;
    }
    return reinterpret_cast<Function*>(dlsym(RTLD_DEFAULT, name));
}

/** The start of the object (executable or library) that holds an address. */
inline const void* subject_object_of(const void* address, const char** name = nullptr) {
    Dl_info info;
    if (address == nullptr || dladdr(address, &info) == 0) {
        return nullptr;
    }
    if (name != nullptr) {
        *name = info.dli_fname;
    }
    return info.dli_fbase;
}

/** Whether malloc is HAKMEM's, for the program and for the C library alike. */
inline bool subject_is_hakmem() {
    if constexpr (!subject_is_interposed) {
        return true;
    }
    const void* const serving = subject_object_of(dlsym(RTLD_DEFAULT, "malloc"));
    const auto version = subject_optional(hakmem_version, "hakmem_version");
    if (version != nullptr) {
        return serving != nullptr && serving == subject_object_of(reinterpret_cast<void*>(version));
    }
    // Linked statically, and nothing pulled the member with hakmem_version in: then the executable
    // itself defines malloc, and libhakmem.a is the only place it can have it from.
    static const char own = 0;
    return serving != nullptr && serving == subject_object_of(&own);
}

/** To be called first by every main. */
inline void subject_require() {
    const char* const wanted = std::getenv("ABI_SUBJECT");
    if (wanted != nullptr && std::strcmp(wanted, "hakmem") == 0 && !subject_is_hakmem()) {
        check::Line().add("ABI_SUBJECT=hakmem, but another allocator serves malloc").put(2);
        ::_exit(1);
    }
}

/** Walks the whole heap and checks HAKMEM's invariants, where the allocator can. */
inline void subject_validate() {
    const auto validate = subject_optional(hakmem_validate, "hakmem_validate");
    if (validate != nullptr) {
        CHECK_EQ(validate(), 0);
    }
}

/** Sanitizer builds run at a tenth of the speed: they get a tenth of the rounds. */
constexpr int subject_scaled(int rounds) { return subject_is_interposed ? rounds : rounds / 10; }

#if defined(__SANITIZE_THREAD__)
inline constexpr bool subject_under_tsan = true;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
inline constexpr bool subject_under_tsan = true;
#else
inline constexpr bool subject_under_tsan = false;
#endif
#else
inline constexpr bool subject_under_tsan = false;
#endif

#endif
