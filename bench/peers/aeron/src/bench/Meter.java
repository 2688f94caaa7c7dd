// SPDX-License-Identifier: Apache-2.0
package bench;

/** Counts messages at the receiver: it skips the warm-up and stops after the duration. */
final class Meter {
    private final long warmup;
    private final long duration;
    private long count;
    private long base;
    private long first;
    private long started;
    private long stopped;

    Meter(final Options o) {
        warmup = o.warmup;
        duration = o.duration;
    }

    /** Counts one message and says whether to go on. The clock is read at every 256th. */
    boolean add() {
        return (++count & 255) != 0 || look();
    }

    private boolean look() {
        final long t = System.nanoTime();
        if (first == 0) {
            first = t;
        }
        if (started == 0) {
            if (t - first >= warmup) {
                started = t;
                base = count;
            }
            return true;
        }
        stopped = t;
        return t - started < duration;
    }

    double perSecond() {
        return (count - base) * 1e9 / (stopped - started);
    }
}
