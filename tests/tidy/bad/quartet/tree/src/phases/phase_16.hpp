/**
 * @box phase_16 — the composition
 * @cost none
 */
#pragma once
