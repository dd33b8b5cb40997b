/**
 * @file entry_points.hpp
 * @brief Every entry point of the contract, declared here under a name of its own.
 *
 * The names are bound to the real symbols by assembler labels. So the compiler takes none of them
 * for the function whose semantics it knows, no header can leave one out (glibc's lack cfree,
 * free_sized and the sized delete of some compilers), and a call is a call.
 * What other allocators may lack is weak: null there, and looked up by name under a preload.
 */
#ifndef HAKMEM_TESTS_ABI_ENTRY_POINTS_HPP
#define HAKMEM_TESTS_ABI_ENTRY_POINTS_HPP

#include <cstddef>
#include <cstdio>
#include <new>

#include <malloc.h>

namespace entry {

extern "C" {
void* c_malloc(std::size_t) __asm__("malloc");
void* c_calloc(std::size_t, std::size_t) __asm__("calloc");
void* c_realloc(void*, std::size_t) __asm__("realloc");
void c_free(void*) __asm__("free");
void* c_aligned_alloc(std::size_t, std::size_t) __asm__("aligned_alloc");
int c_posix_memalign(void**, std::size_t, std::size_t) __asm__("posix_memalign");
void* c_memalign(std::size_t, std::size_t) __asm__("memalign");
void* c_valloc(std::size_t) __asm__("valloc");
void* c_pvalloc(std::size_t) __asm__("pvalloc");
std::size_t c_usable(void*) __asm__("malloc_usable_size");
int c_trim(std::size_t) __asm__("malloc_trim");
struct mallinfo c_mallinfo() __asm__("mallinfo");
struct mallinfo2 c_mallinfo2() __asm__("mallinfo2");
int c_mallopt(int, int) __asm__("mallopt");
void c_stats() __asm__("malloc_stats");
int c_info(int, std::FILE*) __asm__("malloc_info");

void w_cfree(void*) __asm__("cfree") __attribute__((weak));
void w_free_sized(void*, std::size_t) __asm__("free_sized") __attribute__((weak));
void w_free_aligned_sized(void*, std::size_t, std::size_t) __asm__("free_aligned_sized")
    __attribute__((weak));
void* w_libc_malloc(std::size_t) __asm__("__libc_malloc") __attribute__((weak));
void* w_libc_calloc(std::size_t, std::size_t) __asm__("__libc_calloc") __attribute__((weak));
void* w_libc_realloc(void*, std::size_t) __asm__("__libc_realloc") __attribute__((weak));
void w_libc_free(void*) __asm__("__libc_free") __attribute__((weak));
void* w_libc_memalign(std::size_t, std::size_t) __asm__("__libc_memalign") __attribute__((weak));
void* w_libc_valloc(std::size_t) __asm__("__libc_valloc") __attribute__((weak));
void* w_libc_pvalloc(std::size_t) __asm__("__libc_pvalloc") __attribute__((weak));

// The 20 replaceable operators, by their mangled names: _Znw new, _Zna new[], _Zdl delete,
// _Zda delete[]; m size, St11align_val_t alignment, RKSt9nothrow_t nothrow.
void* n_new(std::size_t) __asm__("_Znwm");
void* n_new_array(std::size_t) __asm__("_Znam");
void* n_new_nothrow(std::size_t, const std::nothrow_t&) __asm__("_ZnwmRKSt9nothrow_t");
void* n_new_array_nothrow(std::size_t, const std::nothrow_t&) __asm__("_ZnamRKSt9nothrow_t");
void* n_new_aligned(std::size_t, std::size_t) __asm__("_ZnwmSt11align_val_t");
void* n_new_array_aligned(std::size_t, std::size_t) __asm__("_ZnamSt11align_val_t");
void* n_new_aligned_nothrow(std::size_t, std::size_t,
                            const std::nothrow_t&) __asm__("_ZnwmSt11align_val_tRKSt9nothrow_t");
void* n_new_array_aligned_nothrow(std::size_t, std::size_t, const std::nothrow_t&) __asm__(
    "_ZnamSt11align_val_tRKSt9nothrow_t");
void n_delete(void*) __asm__("_ZdlPv");
void n_delete_array(void*) __asm__("_ZdaPv");
void n_delete_nothrow(void*, const std::nothrow_t&) __asm__("_ZdlPvRKSt9nothrow_t");
void n_delete_array_nothrow(void*, const std::nothrow_t&) __asm__("_ZdaPvRKSt9nothrow_t");
void n_delete_sized(void*, std::size_t) __asm__("_ZdlPvm");
void n_delete_array_sized(void*, std::size_t) __asm__("_ZdaPvm");
void n_delete_aligned(void*, std::size_t) __asm__("_ZdlPvSt11align_val_t");
void n_delete_array_aligned(void*, std::size_t) __asm__("_ZdaPvSt11align_val_t");
void n_delete_aligned_nothrow(void*, std::size_t,
                              const std::nothrow_t&) __asm__("_ZdlPvSt11align_val_tRKSt9nothrow_t");
void n_delete_array_aligned_nothrow(void*, std::size_t, const std::nothrow_t&) __asm__(
    "_ZdaPvSt11align_val_tRKSt9nothrow_t");
void n_delete_sized_aligned(void*, std::size_t, std::size_t) __asm__("_ZdlPvmSt11align_val_t");
void n_delete_array_sized_aligned(void*, std::size_t,
                                  std::size_t) __asm__("_ZdaPvmSt11align_val_t");
}

}  // namespace entry

#endif
