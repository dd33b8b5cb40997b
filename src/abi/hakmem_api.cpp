// The functions of hakmem.h. Their documentation stands there.

#include <cerrno>
#include <cstring>

#include "abi/composition.hpp"
#include "abi/hakmem.h"
#include "abi/lifecycle.hpp"
#include "abi/statistics.hpp"
#include "base/attributes.hpp"
#include "base/size_class.hpp"
#include "middle/ledger.hpp"
#include "os/environment.hpp"
#include "os/raw_log.hpp"

using hakmem::abi::Composition;
using namespace hakmem;

namespace {

// A linker takes from an archive only what is referred to, and nobody calls a constructor.
[[gnu::used]] void (*const linked_with_this_file)(int, char**, char**) = abi::start;

// Collects text in a caller's buffer.
struct Buffer {
    char* text;
    std::size_t capacity;
    std::size_t used;
    bool overflow;
};

void write_to_buffer(const char* text, std::size_t length, void* context) {
    Buffer& buffer = *static_cast<Buffer*>(context);
    if (length >= buffer.capacity - buffer.used) {
        buffer.overflow = true;
        return;
    }
    std::memcpy(buffer.text + buffer.used, text, length);
    buffer.used += length;
}

constexpr std::size_t option_name_bytes = 64;   // the prefix and the longest name
constexpr std::size_t option_value_bytes = 64;  // the longest value

void write_option(const os::OptionRow& row, Buffer& buffer) {
    {
        os::Text text(write_to_buffer, &buffer);
        os::write_option_value(text, row, os::options().*row.field);
    }
    buffer.text[buffer.used] = '\0';
}

}  // namespace

extern "C" {

HAK_EXPORT int hakmem_version() { return HAKMEM_VERSION; }

HAK_EXPORT void* hakmem_malloc(std::size_t size) { return Composition::allocate(size); }

HAK_EXPORT void* hakmem_calloc(std::size_t count, std::size_t size) {
    return Composition::allocate_zeroed(count, size);
}

HAK_EXPORT void* hakmem_realloc(void* block, std::size_t size) {
    return Composition::reallocate(block, size);
}

HAK_EXPORT void* hakmem_aligned_alloc(std::size_t alignment, std::size_t size) {
    return Composition::allocate_aligned(alignment, size);
}

HAK_EXPORT void hakmem_free(void* block) { Composition::deallocate(block); }

HAK_EXPORT void* hakmem_allocate(std::size_t size, std::size_t* usable) {
    void* const block = Composition::allocate(size);
    if (block != nullptr && usable != nullptr) *usable = Composition::usable_bytes(block);
    return block;
}

HAK_EXPORT std::size_t hakmem_release(void* block) {
    const std::size_t usable = Composition::usable_bytes(block);
    Composition::deallocate(block);
    return usable;
}

HAK_EXPORT std::size_t hakmem_usable_size(const void* block) {
    return Composition::usable_bytes(block);
}

HAK_EXPORT std::size_t hakmem_good_size(std::size_t size) { return Composition::good_bytes(size); }

HAK_EXPORT int hakmem_purge() { return Composition::trim() > 0 ? 1 : 0; }

HAK_EXPORT int hakmem_statistics_get(hakmem_statistics* out, std::size_t out_bytes) {
    if (out == nullptr) return EINVAL;
    hakmem_statistics statistics{};
    if (!abi::fill_statistics(statistics)) return ENOMEM;
    std::memset(out, 0, out_bytes);
    std::memcpy(out, &statistics, out_bytes < sizeof statistics ? out_bytes : sizeof statistics);
    return 0;
}

HAK_EXPORT int hakmem_heap_walk(hakmem_walk_visitor visitor, void* context) {
    if (visitor == nullptr) return EINVAL;
    struct Walk {
        hakmem_walk_visitor visitor;
        void* context;
        int result;
    } walk{visitor, context, 0};
    const bool walked = middle::ledger::walk(
        [](const void* start, std::size_t bytes, base::ClassId id, void* walk_context) {
            Walk& w = *static_cast<Walk*>(walk_context);
            const phases::KnownBlock known = Composition::user_block(start, bytes, id);
            const hakmem_block block{known.start, known.bytes,
                                     base::is_small(id) ? static_cast<int>(base::index(id)) : 0};
            w.result = w.visitor(&block, w.context);
            return w.result == 0;
        },
        &walk);
    return walked ? walk.result : ENOMEM;
}

HAK_EXPORT int hakmem_validate() {
    const char* const broken = Composition::validate();
    if (broken == nullptr) return 0;
    os::Message() << "invariant " << broken << " does not hold";
    return 1;
}

HAK_EXPORT int hakmem_report(int format, int file_descriptor) {
    if (format != HAKMEM_REPORT_TEXT && format != HAKMEM_REPORT_JSON) return EINVAL;
    os::Text text(os::write_to_descriptor, os::descriptor_context(file_descriptor));
    return abi::write_report(static_cast<hakmem_report_format>(format), text) ? 0 : ENOMEM;
}

HAK_EXPORT int hakmem_option_get(const char* name, char* buffer, std::size_t buffer_bytes) {
    if (name == nullptr || buffer == nullptr || buffer_bytes == 0) return EINVAL;
    const os::OptionRow* const row = os::find_option(name);
    if (row == nullptr) return ENOENT;
    Buffer target{buffer, buffer_bytes, 0, false};
    write_option(*row, target);
    return target.overflow ? ERANGE : 0;
}

HAK_EXPORT void hakmem_option_list(hakmem_option_visitor visitor, void* context) {
    if (visitor == nullptr) return;
    for (std::size_t i = 0; i < os::option_count(); i++) {
        const os::OptionRow& row = os::option_row(i);
        char name[option_name_bytes];
        char value[option_value_bytes];
        Buffer name_buffer{name, sizeof name, 0, false};
        Buffer value_buffer{value, sizeof value, 0, false};
        {
            os::Text text(write_to_buffer, &name_buffer);
            os::write_option_name(text, row);
        }
        name[name_buffer.used] = '\0';
        write_option(row, value_buffer);
        visitor(name, value, row.sentence, context);
    }
}

HAK_EXPORT void hakmem_set_message_writer(hakmem_message_writer writer, void* context) {
    os::set_message_sink(writer, context);
}

HAK_EXPORT void hakmem_set_oom_handler(hakmem_oom_handler handler, void* context) {
    Composition::set_oom_handler(handler, context);
}

}  // extern "C"
