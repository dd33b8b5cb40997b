/**
 * @file new_handler.hpp
 * @box new_handler — what operator new does once memory has run out
 *
 * The standard asks operator new to call the program's new_handler as long as there is one, and to
 * throw std::bad_alloc when there is none. Both belong to the C++ library, which a C program must
 * not come to need by using HAKMEM. So they are reached through weak references, which are null
 * where there was no C++ library when HAKMEM was loaded. Such a program may open libstdc++ later,
 * for a plugin: the functions are then looked up in it. The nothrow forms cannot catch anything
 * there, so they give null without asking a handler.
 *
 * It stands apart from the operators because a nothrow form must catch what a handler throws. That
 * takes exceptions, and so references to the C++ library. They are weak by a directive of the
 * assembler, from which link-time optimization may part the code; so this file is left out of that.
 *
 * @owns      nothing
 * @calls     abi/composition base/attributes os/raw_log os/real_libc
 * @threads   any
 * @invariant none
 * @failure   std::bad_alloc, or what the handler throws; null from the nothrow form. Where none
 *            can be had, a message, and the process ends
 * @cost      off every fast path
 * @phase     introduced in 16, with a file of its own since 19
 */
#pragma once

#include <cstddef>

#include "abi/composition.hpp"
#include "base/attributes.hpp"

namespace hakmem::abi {

/** The alignment that every block has. */
constexpr std::size_t no_alignment = base::block_alignment;

/**
 * One attempt, without the handler.
 * @param bytes Size of the request.
 * @param alignment A power of two.
 * @return A block, or null.
 */
inline void* new_attempt(std::size_t bytes, std::size_t alignment) {
    return alignment == no_alignment ? Composition::allocate(bytes)
                                     : Composition::allocate_aligned(alignment, bytes);
}

/**
 * Calls the new_handler and tries again until there is memory ([new.delete.single]/4). Throws what
 * the handler throws, and std::bad_alloc when there is no handler.
 * @param bytes Size of the request.
 * @param alignment A power of two.
 * @return A block.
 */
HAK_SLOW void* new_slow(std::size_t bytes, std::size_t alignment);

/**
 * The same for the forms that do not throw ([new.delete.single]/8).
 * @param bytes Size of the request.
 * @param alignment A power of two.
 * @return A block; null where the other form throws.
 */
HAK_SLOW void* new_nothrow_slow(std::size_t bytes, std::size_t alignment) noexcept;

}  // namespace hakmem::abi
