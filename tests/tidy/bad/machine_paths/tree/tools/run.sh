#!/bin/sh
exec /home/somebody/hakmem/build/bin/bench --log ~/home/x "$root/work/x" https://example.org/work/x
