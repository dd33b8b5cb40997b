/**
 * @file hakmem.h
 * @brief HAKMEM's own C interface: what the standard entry points cannot express.
 *
 * Programs that only want a faster malloc need none of this: they link or preload the library
 * and call malloc. Every function here works on the same heap as malloc and free do; a block from
 * one may be given to the other. All functions may be called from any thread at any time, and none
 * may be called from a signal handler unless its text says so.
 */
#ifndef HAKMEM_H
#define HAKMEM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** @brief Version of this header: major * 10000 + minor * 100 + patch. */
#define HAKMEM_VERSION 1600

/**
 * @brief Version of the library that is running.
 * @return The value that ::HAKMEM_VERSION had when the library was built.
 */
int hakmem_version(void);

/**
 * @brief Allocates a block, as malloc does (C17 7.22.3.4).
 * @param size Bytes wanted, 0 to PTRDIFF_MAX; 0 gives a unique block of the smallest class.
 * @return A block aligned to 16 bytes, or NULL with errno ENOMEM.
 */
void* hakmem_malloc(size_t size);

/**
 * @brief Allocates a zeroed array, as calloc does (C17 7.22.3.2).
 * @param count Number of elements.
 * @param size Bytes of one element; `count * size` may be at most PTRDIFF_MAX.
 * @return A zeroed block aligned to 16 bytes, or NULL with errno ENOMEM, also on overflow.
 */
void* hakmem_calloc(size_t count, size_t size);

/**
 * @brief Changes the size of a block, as realloc does (C17 7.22.3.5).
 * @param block A live block, or NULL, which makes this hakmem_malloc.
 * @param size Bytes wanted, 0 to PTRDIFF_MAX; 0 with a block frees it and returns NULL.
 * @return The block, moved or not; or NULL with errno ENOMEM, the old block then being untouched.
 */
void* hakmem_realloc(void* block, size_t size);

/**
 * @brief Allocates a block of a given alignment, as aligned_alloc does (C17 7.22.3.1, DR 460).
 * @param alignment A power of two, in bytes, up to 1 GiB.
 * @param size Bytes wanted, 0 to PTRDIFF_MAX; it need not be a multiple of the alignment.
 * @return The block; or NULL with errno EINVAL (alignment no power of two) or ENOMEM.
 */
void* hakmem_aligned_alloc(size_t alignment, size_t size);

/**
 * @brief Frees a block, as free does (C17 7.22.3.3). errno is left as it was.
 * @param block A live block, or NULL, which does nothing.
 */
void hakmem_free(void* block);

/**
 * @brief Allocates a block and says how large it really is, in one call.
 * @param size Bytes wanted, 0 to PTRDIFF_MAX.
 * @param usable Where the writable bytes of the block are stored, at least `size`; left alone on
 *        failure; may be NULL.
 * @return As hakmem_malloc.
 */
void* hakmem_allocate(size_t size, size_t* usable);

/**
 * @brief Frees a block and says how large it was.
 * @param block A live block, or NULL.
 * @return The bytes that hakmem_usable_size would have returned; 0 for NULL.
 */
size_t hakmem_release(void* block);

/**
 * @brief The bytes of a block that may be written.
 * @param block A live block, or NULL.
 * @return At least the size that was asked for; 0 for NULL.
 */
size_t hakmem_usable_size(const void* block);

/**
 * @brief The usable size that a request would get: what a growing container should round up to.
 * @param size Bytes, 0 to PTRDIFF_MAX.
 * @return Bytes, at least `size`; 0 when no such block can exist.
 */
size_t hakmem_good_size(size_t size);

/**
 * @brief Gives every free page back to the system at once, as malloc_trim(0) does.
 * @return 1 when memory was given back, else 0.
 */
int hakmem_purge(void);

/**
 * @brief What the heap consists of, in bytes, and what it has done.
 *
 * The terms of one snapshot add up: `live + cached + free_in_slabs + slack + dirty + metadata`
 * is `resident`. Under concurrent use a block in transit may be counted in the term it is leaving.
 */
struct hakmem_statistics {
    size_t live;           /**< Resident bytes of blocks that the program holds. */
    size_t cached;         /**< Resident bytes of blocks in magazines and pending remote frees. */
    size_t free_in_slabs;  /**< Resident bytes of free blocks in slabs that are in use. */
    size_t slack;          /**< Resident bytes of slab ends that hold no whole block. */
    size_t dirty;          /**< Resident bytes of free units and cached mappings not yet purged. */
    size_t metadata;       /**< Resident bytes of HAKMEM's own records and tables. */
    size_t resident;       /**< The sum of the six terms above. */
    size_t mapped;         /**< Bytes of address space that are mapped readable and writable. */
    size_t reserved;       /**< Bytes of address space reserved in all, mapped or not. */
    size_t live_bytes;     /**< Bytes of live blocks, touched or not. */
    size_t live_blocks;    /**< Number of live blocks. */
    size_t heaps;          /**< Thread heaps made so far; parked ones included. */
    size_t heaps_parked;   /**< Thread heaps that wait for a thread. */
    uint64_t purged;       /**< Bytes given back to the system since the start. */
    uint64_t purge_calls;  /**< Purge system calls since the start. */
    uint64_t system_calls; /**< Memory calls and lock waits since the start. */
};

/**
 * @brief Takes a snapshot of the heap. Costs a walk of the whole heap.
 * @param out Where it is stored.
 * @param out_bytes `sizeof *out` as the caller was compiled; a shorter struct gets its prefix,
 *        the rest of a longer one is zeroed.
 * @return 0; or EINVAL when `out` is NULL; or ENOMEM when the walk found no working memory.
 */
int hakmem_statistics_get(struct hakmem_statistics* out, size_t out_bytes);

/** @brief One block, as the heap walk shows it. */
struct hakmem_block {
    const void* start; /**< First byte. */
    size_t bytes;      /**< Usable bytes. */
    int size_class;    /**< Small size class (1 and up), or 0 for a large block. */
};

/** @brief Called for each live block; a result other than 0 ends the walk. */
typedef int (*hakmem_walk_visitor)(const struct hakmem_block* block, void* context);

/**
 * @brief Visits every live block. Other threads go on, but for slow paths: those of the heap that
 * is being visited, and, while large blocks are, those that need a superslab or a mapping. A block
 * that comes or goes meanwhile is visited or not. The visitor must not allocate or free.
 * @param visitor Called once for each live block, in address order within a superslab.
 * @param context Passed through to the visitor.
 * @return 0, or what the visitor returned to end the walk; EINVAL when `visitor` is NULL; ENOMEM
 *         when the walk found no working memory.
 */
int hakmem_heap_walk(hakmem_walk_visitor visitor, void* context);

/**
 * @brief Checks every invariant of the heap and names the first that does not hold.
 * @return 0 when all hold; otherwise 1, after a message.
 */
int hakmem_validate(void);

/** @brief Formats of hakmem_report(). */
enum hakmem_report_format {
    HAKMEM_REPORT_TEXT = 1, /**< Tables for people. */
    HAKMEM_REPORT_JSON = 2  /**< One JSON object. */
};

/**
 * @brief Writes the report that `HAKMEM_REPORT` prints at exit.
 * @param format One of ::hakmem_report_format.
 * @param file_descriptor Where it is written.
 * @return 0; EINVAL for an unknown format; ENOMEM when the walk found no working memory.
 */
int hakmem_report(int format, int file_descriptor);

/**
 * @brief Reads an option as it is in force.
 * @param name Its name, with or without `HAKMEM_`, in any case.
 * @param buffer Where the value is stored as text, ended by a zero.
 * @param buffer_bytes Bytes of the buffer.
 * @return 0; ENOENT when there is no such option; ERANGE when the buffer is too short; EINVAL for
 *         NULL.
 */
int hakmem_option_get(const char* name, char* buffer, size_t buffer_bytes);

/** @brief Called for each option with its full name, its value as text and its one sentence. */
typedef void (*hakmem_option_visitor)(const char* name, const char* value, const char* sentence,
                                      void* context);

/**
 * @brief Visits every option.
 * @param visitor Called once for each option.
 * @param context Passed through to the visitor.
 */
void hakmem_option_list(hakmem_option_visitor visitor, void* context);

/** @brief Receives HAKMEM's messages: text of `length` bytes, without a zero at its end. */
typedef void (*hakmem_message_writer)(const char* text, size_t length, void* context);

/**
 * @brief Replaces the writer of messages, which writes to file descriptor 2.
 * @param writer Called with each message, perhaps under HAKMEM's locks: it must not allocate.
 *        NULL restores the default.
 * @param context Passed through to the writer.
 */
void hakmem_set_message_writer(hakmem_message_writer writer, void* context);

/**
 * @brief Called when memory has run out, before an allocation fails.
 *
 * A result other than 0 says that the handler freed something, and the allocation is tried again.
 * No lock is held meanwhile: the handler may free and allocate.
 */
typedef int (*hakmem_oom_handler)(size_t wanted_bytes, void* context);

/**
 * @brief Sets the handler of exhaustion; there is none at first.
 * @param handler The handler, or NULL for none.
 * @param context Passed through to the handler.
 */
void hakmem_set_oom_handler(hakmem_oom_handler handler, void* context);

#ifdef __cplusplus
}
#endif

#endif
