/**
 * @file environment.hpp
 * @box environment — the options as this process was given them
 *
 * All options stand in one table, base/options.inc. This box turns `HAKMEM_<NAME>=value` into
 * fields of a struct, and complains once about what it cannot use: a bad value keeps the default,
 * an unknown name is answered with the nearest one if there is one near. `HAKMEM_STRICT=1` makes
 * both fatal. A program that runs with more rights than its caller (AT_SECURE) is not configured by
 * its caller's environment at all.
 *
 * The first allocation of a process may come before the C library knows the environment. Reading is
 * therefore tried again until there is an environment to read.
 *
 * @owns      the options' values and origins
 * @calls     base/options os/futex_lock os/raw_log base/attributes base/lock_rank
 * @threads   any; written once, under a lock, before other threads can exist as a rule
 * @invariant none
 * @failure   a bad value or an unknown name prints one line; with strict the process ends with
 *            status 1
 * @cost      one pass over the environment a process
 * @phase     introduced in 16
 */
#pragma once

#include <cstddef>
#include <cstdint>

#include "os/raw_log.hpp"

namespace hakmem::os {

/** What can be written behind the equals sign. */
enum class OptionType : std::uint8_t {
    BOOL,    ///< A truth value.
    COUNT,   ///< A whole number.
    BYTES,   ///< A size.
    TIME,    ///< Milliseconds.
    CHOICE,  ///< One of some words.
    SIGNAL,  ///< A signal.
};

/** The values in force; one field for each line of base/options.inc. */
struct Options {
#define HAKMEM_OPTION(name, type, value, minimum, maximum, unit, phases, sentence) \
    std::uint64_t name = value;
#include "base/options.inc"
#undef HAKMEM_OPTION
};

/** What to do with a foreign pointer: the choices of the option `foreign`. */
enum class ForeignPolicy : std::uint8_t {
    libc,    ///< Hand it to the C library and say so once.
    abort,   ///< Say so and abort.
    ignore,  ///< Do nothing.
};

/** The description of an option. */
struct OptionRow {
    const char* name;               ///< Without the prefix, lower case.
    OptionType type;                ///< How its value is written.
    std::uint64_t default_value;    ///< In force when nothing is given.
    std::uint64_t minimum;          ///< Least value.
    std::uint64_t maximum;          ///< Largest value.
    const char* unit;               ///< Unit; or the words of a choice, separated by bars.
    const char* phases;             ///< Where it has a meaning.
    const char* sentence;           ///< What it does.
    std::uint64_t Options::*field;  ///< Where its value stands.
};

/** The phase that this library is, as options.inc has it. */
extern const char phase_name[];

/** Number of options that there are, in all phases. */
extern const std::size_t option_rows;

/**
 * @param row An option.
 * @param phase A phase as options.inc has it: "13-B", "16".
 * @return Whether the phase has it.
 */
bool is_of_phase(const OptionRow& row, const char* phase);

/** @return Number of options that this phase has; they come first. */
std::size_t option_count();

/**
 * @param i Below option_rows.
 * @return The i-th option.
 */
const OptionRow& option_row(std::size_t i);

namespace detail {
extern constinit Options options;  // written by load_options() alone
}  // namespace detail

/** @return The options in force. Before load_options() has succeeded these are the defaults. */
inline const Options& options() { return detail::options; }

/**
 * Reads the environment, unless that was done already.
 * @param environment What a constructor was given; null for what the C library has, which is
 *        nothing before its own constructor.
 * @return Whether this call was the one that read it.
 */
bool load_options(const char* const* environment = nullptr);

/**
 * Parses a list of environment strings: what load_options does to the real one. For tests.
 * @param environment Strings `NAME=value`, ended by a null pointer.
 * @param values Receives the values; fields that are not named keep theirs.
 * @return How many complaints there were; each has been printed.
 */
unsigned parse_options(const char* const* environment, Options& values);

/**
 * @param name An option's name, with or without the prefix, in any case.
 * @return The option, or null if this phase has none of the name.
 */
const OptionRow* find_option(const char* name);

/**
 * Writes an option's full name, as it stands in the environment.
 * @param text Receives it.
 * @param row The option.
 */
void write_option_name(Text& text, const OptionRow& row);

/**
 * Writes an option's value as one would write it in the environment.
 * @param text Receives it.
 * @param row The option.
 * @param value The value.
 */
void write_option_value(Text& text, const OptionRow& row, std::uint64_t value);

}  // namespace hakmem::os
