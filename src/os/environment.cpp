#include "os/environment.hpp"

#include <sys/auxv.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <climits>
#include <csignal>
#include <cstring>

#include "base/attributes.hpp"
#include "base/lock_rank.hpp"
#include "os/futex_lock.hpp"

namespace hakmem::os {

constinit Options detail::options;

namespace {

constexpr char prefix[] = "HAKMEM_";
constexpr std::size_t prefix_length = sizeof prefix - 1;
constexpr std::size_t name_length_max = 32;

// [rows]
constexpr OptionRow rows[] = {
#define HAKMEM_OPTION(name, type, value, minimum, maximum, unit, phases, sentence) \
    {#name, OptionType::type, value, minimum, maximum, unit, phases, sentence, &Options::name},
#include "base/options.inc"
#undef HAKMEM_OPTION
};
// [/rows]

constinit std::uint64_t given = 0;  // bit i: option i came from the environment
constinit std::atomic<bool> loaded{false};
constinit FutexLock load_lock{base::LockRank::leaf};

constexpr char to_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

// A piece of a string, not ended by a zero.
struct Word {
    const char* start;
    std::size_t length;

    bool is(const char* other) const {
        if (std::strlen(other) != length) return false;
        for (std::size_t i = 0; i < length; i++) {
            if (to_lower(start[i]) != to_lower(other[i])) return false;
        }
        return true;
    }
};

struct Suffix {
    const char* text;
    std::uint64_t factor;
};
constexpr Suffix byte_suffixes[] = {{"", 1},
                                    {"B", 1},
                                    {"KiB", 1ull << 10},
                                    {"K", 1ull << 10},
                                    {"MiB", 1ull << 20},
                                    {"M", 1ull << 20},
                                    {"GiB", 1ull << 30},
                                    {"G", 1ull << 30}};
constexpr Suffix time_suffixes[] = {{"", 1}, {"ms", 1}, {"s", 1000}};
constexpr Suffix no_suffixes[] = {{"", 1}};
constexpr Suffix truths[] = {{"0", 0}, {"false", 0}, {"off", 0}, {"no", 0},
                             {"1", 1}, {"true", 1},  {"on", 1},  {"yes", 1}};
constexpr Suffix signals[] = {{"HUP", SIGHUP},   {"INT", SIGINT},   {"QUIT", SIGQUIT},
                              {"USR1", SIGUSR1}, {"USR2", SIGUSR2}, {"ALRM", SIGALRM},
                              {"TERM", SIGTERM}, {"CONT", SIGCONT}, {"WINCH", SIGWINCH},
                              {"URG", SIGURG},   {"PROF", SIGPROF}, {"VTALRM", SIGVTALRM},
                              {"IO", SIGIO},     {"PWR", SIGPWR}};

// [number]
// A number that does not fit becomes the largest, which is out of every option's range.
std::uint64_t multiply_add(std::uint64_t a, std::uint64_t b, std::uint64_t c) {
    std::uint64_t result = 0;
    const bool fits =
        !__builtin_mul_overflow(a, b, &result) && !__builtin_add_overflow(result, c, &result);
    return fits ? result : UINT64_MAX;
}

template <std::size_t n>
bool parse_number(Word word, const Suffix (&suffixes)[n], std::uint64_t& value) {
    std::uint64_t number = 0;
    std::size_t i = 0;
    for (; i < word.length && word.start[i] >= '0' && word.start[i] <= '9'; i++) {
        number = multiply_add(number, 10, static_cast<std::uint64_t>(word.start[i] - '0'));
    }
    if (i == 0) return false;
    const Word rest{word.start + i, word.length - i};
    for (const Suffix& suffix : suffixes) {
        if (!rest.is(suffix.text)) continue;
        value = multiply_add(number, suffix.factor, 0);
        return true;
    }
    return false;
}
// [/number]

template <std::size_t n>
bool parse_word(Word word, const Suffix (&words)[n], std::uint64_t& value) {
    for (const Suffix& candidate : words) {
        if (word.is(candidate.text)) {
            value = candidate.factor;
            return true;
        }
    }
    return false;
}

bool parse_choice(Word word, const char* choices, std::uint64_t& value) {
    std::uint64_t i = 0;
    for (const char* choice = choices;; choice++, i++) {
        const std::size_t length = std::strcspn(choice, "|");
        if (length == word.length && strncasecmp(choice, word.start, length) == 0) {
            value = i;
            return true;
        }
        choice += length;
        if (*choice == '\0') return parse_number(word, no_suffixes, value);
    }
}

bool parse_value(const OptionRow& row, Word word, std::uint64_t& value) {
    switch (row.type) {
        case OptionType::BOOL:
            return parse_word(word, truths, value);
        case OptionType::COUNT:
            return parse_number(word, no_suffixes, value);
        case OptionType::BYTES:
            return parse_number(word, byte_suffixes, value);
        case OptionType::TIME:
            return parse_number(word, time_suffixes, value);
        case OptionType::CHOICE:
            return parse_choice(word, row.unit, value);
        case OptionType::SIGNAL:
            if (word.length > 3 && strncasecmp(word.start, "SIG", 3) == 0) {
                word = {word.start + 3, word.length - 3};
            }
            return parse_word(word, signals, value) || parse_number(word, no_suffixes, value);
    }
    return false;
}

// Edit distance (Levenshtein) between two names: how many letters must be changed, added or left
// out.
unsigned distance(Word a, const char* b) {
    const std::size_t b_length = std::strlen(b);
    unsigned costs[name_length_max + 1];
    if (a.length > name_length_max || b_length > name_length_max) return UINT_MAX;
    for (unsigned j = 0; j <= b_length; j++) costs[j] = j;
    for (unsigned i = 1; i <= a.length; i++) {
        unsigned diagonal = costs[0];
        costs[0] = i;
        for (unsigned j = 1; j <= b_length; j++) {
            const bool same = to_lower(a.start[i - 1]) == to_lower(b[j - 1]);
            const unsigned replace = diagonal + (same ? 0 : 1);
            diagonal = costs[j];
            costs[j] = std::min({replace, costs[j] + 1, costs[j - 1] + 1});
        }
    }
    return costs[b_length];
}

// Text from the environment is shown without its control characters and not at any length.
void write_quoted(Text& text, Word word) {
    constexpr std::size_t shown_max = 60;
    text << '"';
    for (std::size_t i = 0; i < word.length && i < shown_max; i++) {
        const char c = word.start[i];
        text << (c < ' ' || c > '~' ? '?' : c);
    }
    if (word.length > shown_max) text << "...";
    text << '"';
}

void write_range(Text& text, const OptionRow& row) {
    switch (row.type) {
        case OptionType::BOOL:
            text << "0 or 1";
            return;
        case OptionType::CHOICE:
            text << row.unit;
            return;
        case OptionType::SIGNAL:
            text << "a signal's name or number, 0 for none";
            return;
        case OptionType::COUNT:
        case OptionType::BYTES:
        case OptionType::TIME:
            break;
    }
    write_option_value(text, row, row.minimum);
    text << " to ";
    write_option_value(text, row, row.maximum);
}

void complain_about_value(const OptionRow& row, Word value, const char* what) {
    Message message;
    write_option_name(message, row);
    message << '=';
    write_quoted(message, value);
    message << " is " << what << " (";
    write_range(message, row);
    message << "); the default ";
    write_option_value(message, row, row.default_value);
    message << " stays";
}

// [unknown_name]
void complain_about_name(Word name) {
    const OptionRow* const nearest = std::min_element(
        rows, rows + option_count(), [name](const OptionRow& a, const OptionRow& b) {
            return distance(name, a.name) < distance(name, b.name);
        });
    Message message;
    message << "there is no option ";
    write_quoted(message, {name.start - prefix_length, name.length + prefix_length});
    // With more than half of its letters changed it is another word.
    if (distance(name, nearest->name) <= name.length / 2) {
        message << "; the nearest is ";
        write_option_name(message, *nearest);
    } else {
        message << "; HAKMEM_HELP=1 lists them";
    }
}
// [/unknown_name]

void complain_about_phase(const OptionRow& row) {
    Message message;
    write_option_name(message, row);
    message << " means nothing to phase " << phase_name << ": it belongs to " << row.phases
            << ", whose libraries are hakmem/libhakmem_phase_*.so";
}

void print_help() {
    Text text(write_to_descriptor, descriptor_context(STDERR_FILENO));
    text << "hakmem: options of version " << HAKMEM_PROJECT_VERSION << '\n';
    const std::size_t count = option_count();
    for (std::size_t i = 0; i < count; i++) {
        text << "hakmem:   ";
        write_option_name(text, rows[i]);
        text << '=';
        write_option_value(text, rows[i], detail::options.*rows[i].field);
        text << ((given >> i & 1) != 0 ? "  (environment; " : "  (default; ");
        write_range(text, rows[i]);
        text << ")\nhakmem:       " << rows[i].sentence << '\n';
    }
}

}  // namespace

// Weak, so that the library of a recorded phase can have its own.
[[gnu::weak]] extern const char phase_name[];
constinit const char phase_name[] = "16";

const std::size_t option_rows = std::size(rows);

// The name is a word of the column.
bool is_of_phase(const OptionRow& row, const char* phase) {
    if (std::strcmp(row.phases, "all") == 0) return true;
    const std::size_t length = std::strlen(phase);
    for (const char* word = row.phases; *word != '\0';) {
        const std::size_t word_length = std::strcspn(word, " ");
        if (word_length == length && std::strncmp(word, phase, length) == 0) return true;
        word += word_length + (word[word_length] == ' ' ? 1 : 0);
    }
    return false;
}

std::size_t option_count() {
    const auto end = std::find_if(std::begin(rows), std::end(rows), [](const OptionRow& row) {
        return !is_of_phase(row, phase_name);
    });
    return static_cast<std::size_t>(end - std::begin(rows));
}

const OptionRow& option_row(std::size_t i) { return rows[i]; }

const OptionRow* find_option(const char* name) {
    if (strncasecmp(name, prefix, prefix_length) == 0) name += prefix_length;
    for (const OptionRow& row : rows) {
        if (strcasecmp(name, row.name) == 0) return is_of_phase(row, phase_name) ? &row : nullptr;
    }
    return nullptr;
}

void write_option_name(Text& text, const OptionRow& row) {
    text << prefix;
    for (const char* c = row.name; *c != '\0'; c++) {
        text << (*c >= 'a' && *c <= 'z' ? static_cast<char>(*c - 32) : *c);
    }
}

void write_option_value(Text& text, const OptionRow& row, std::uint64_t value) {
    if (row.type == OptionType::CHOICE) {
        const char* choice = row.unit;
        for (std::uint64_t i = 0; i < value; i++) choice += std::strcspn(choice, "|") + 1;
        text.append(choice, std::strcspn(choice, "|"));
    } else if (row.type == OptionType::SIGNAL && value != 0) {
        for (const Suffix& signal : signals) {
            if (signal.factor == value) {
                text << signal.text;
                return;
            }
        }
        text << value;
    } else {
        const Suffix* unit = &byte_suffixes[0];
        for (const Suffix& suffix : byte_suffixes) {
            const bool fits = row.type == OptionType::BYTES && value != 0 &&
                              value % suffix.factor == 0 && suffix.factor > unit->factor;
            if (fits) unit = &suffix;
        }
        text << value / unit->factor << unit->text;
        if (row.type == OptionType::TIME) text << "ms";
    }
}

unsigned parse_options(const char* const* environment, Options& values) {
    unsigned complaints = 0;
    for (const char* const* entry = environment; *entry != nullptr; entry++) {
        if (std::strncmp(*entry, prefix, prefix_length) != 0) continue;
        const char* const equals = std::strchr(*entry, '=');
        if (equals == nullptr) continue;
        const Word name{*entry + prefix_length,
                        static_cast<std::size_t>(equals - *entry) - prefix_length};
        const Word value{equals + 1, std::strlen(equals + 1)};
        const auto row = std::find_if(std::begin(rows), std::end(rows),
                                      [name](const OptionRow& r) { return name.is(r.name); });
        if (row == std::end(rows)) {
            complain_about_name(name);
            complaints++;
            continue;
        }
        if (!is_of_phase(*row, phase_name)) {
            complain_about_phase(*row);
            complaints++;
            continue;
        }
        std::uint64_t parsed = 0;
        const bool understood = parse_value(*row, value, parsed);
        if (!understood || parsed < row->minimum || parsed > row->maximum) {
            complain_about_value(*row, value, understood ? "out of range" : "not understood");
            complaints++;
            continue;
        }
        values.*row->field = parsed;
        if (&values == &detail::options) given |= std::uint64_t{1} << (row - std::begin(rows));
    }
    return complaints;
}

bool load_options(const char* const* environment) {
    if (environment == nullptr) environment = environ;
    if (loaded.load(std::memory_order_acquire) || environment == nullptr) return false;
    LockGuard guard(load_lock);
    if (loaded.load(std::memory_order_relaxed)) return false;
    unsigned complaints = 0;
    if (getauxval(AT_SECURE) == 0) complaints = parse_options(environment, detail::options);
    loaded.store(true, std::memory_order_release);
    if (complaints > 0 && detail::options.strict != 0) {
        Message() << "HAKMEM_STRICT is set: the process ends here";
        _exit(1);
    }
    if (detail::options.help != 0) print_help();
    return true;
}

}  // namespace hakmem::os
