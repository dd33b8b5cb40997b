/**
 * @file real_libc.hpp
 * @box real_libc — the C library's own malloc, behind ours, and libraries that came later
 *
 * Some pointers were made before us or beside us: by the loader, by a library that was opened in a
 * name space of its own, by a program that opened HAKMEM as a plugin. They belong to the C
 * library's malloc, which is still there: the next definition of the symbol after ours. A fully
 * static program has no next one, and then there is nobody to hand a pointer to.
 *
 * A library that a program opens at run time may be visible to its opener alone, and a weak
 * reference that was bound when HAKMEM was loaded stays null. What is needed of it is looked up in
 * the library itself.
 *
 * @owns      the addresses it has looked up
 * @calls     —
 * @threads   any; a look-up that two threads do at once gives both the same answer
 * @invariant none
 * @failure   each function says whether there was somebody to hand the pointer to
 * @cost      a symbol look-up once a function
 * @phase     introduced in 16
 */
#pragma once

#include <cstddef>

namespace hakmem::os {

/**
 * Hands a block to the C library's free.
 * @param block A block that the C library allocated.
 * @return Whether there is such a function.
 */
bool libc_free(void* block);

/**
 * Hands a block to the C library's realloc.
 * @param block A block that the C library allocated.
 * @param bytes Size wanted.
 * @param result Receives what realloc returned.
 * @return Whether there is such a function.
 */
bool libc_realloc(void* block, std::size_t bytes, void*& result);

/**
 * Asks the C library for a block's usable size.
 * @param block A block that the C library allocated.
 * @param bytes Receives the size.
 * @return Whether there is such a function.
 */
bool libc_usable_size(const void* block, std::size_t& bytes);

/**
 * Looks a function up in a library that the process has opened, by whatever way. Takes the loader's
 * lock.
 * @param library Name of the library, as programs are linked with it.
 * @param name Linkage name of the function.
 * @return Its address, which is valid as long as the caller knows that the library stays; null if
 *         the library is not open or has no such function.
 */
void* function_of(const char* library, const char* name);

}  // namespace hakmem::os
