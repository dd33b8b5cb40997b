/**
 * @file misuse.hpp
 * @box misuse — how a wrong call is named
 *
 * A program that frees twice has a bug that will be looked for by somebody who sees one line on
 * stderr, or only a stack in a crash report. So the line says what happened, to which address, of
 * which class, and where to read on; and the function that aborts carries the name of the misuse,
 * because crash reporters often keep nothing but the stack.
 *
 * @owns      nothing
 * @calls     base/attributes base/size_class os/futex_lock os/raw_log
 * @threads   any
 * @invariant none
 * @failure   every function here ends the process by SIGABRT
 * @cost      not applicable
 * @phase     introduced in 16
 */
#pragma once

#include <cstddef>

#include "base/attributes.hpp"
#include "base/size_class.hpp"

extern "C" {

/**
 * Ends the process: a block was freed that is free already.
 * @param block The block.
 * @param class_index Its size class; 0 when it is large or unknown.
 */
[[noreturn]] HAK_SLOW void hak_abort_double_free(const void* block, unsigned class_index);

/**
 * Ends the process: a pointer was freed that points into HAKMEM's memory, but not to the start of a
 * block.
 * @param pointer The pointer.
 * @param class_index The size class there; 0 when it is large or unknown.
 */
[[noreturn]] HAK_SLOW void hak_abort_invalid_free(const void* pointer, unsigned class_index);

/**
 * Ends the process: a pointer was freed that is not HAKMEM's, and nobody will take it.
 * @param pointer The pointer.
 */
[[noreturn]] HAK_SLOW void hak_abort_foreign_free(const void* pointer);

/**
 * Ends the process: a block was freed with a size that it cannot have.
 * @param block The block.
 * @param bytes The size that was named.
 * @param usable The block's usable size.
 */
[[noreturn]] HAK_SLOW void hak_abort_sized_mismatch(const void* block, std::size_t bytes,
                                                    std::size_t usable);

}  // extern "C"
