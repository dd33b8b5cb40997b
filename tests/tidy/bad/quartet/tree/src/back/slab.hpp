/**
 * @box slab — a span of blocks of one class
 * @cost a scan of the bitmap;
 *       bench: slab
 */
#pragma once
