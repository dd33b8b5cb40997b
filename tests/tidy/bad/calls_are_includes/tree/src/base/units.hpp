/**
 * @box units — the sizes in which memory is cut
 * @calls —
 */
#pragma once
