// SPDX-License-Identifier: Apache-2.0
package bench;

/** Exact to 1 ns below 16,384 ns; above that 128 buckets an octave, under 1 % wide. */
final class Histogram {
    private static final int EXACT = 1 << 14;
    private final int[] fine = new int[EXACT];
    private final int[] coarse = new int[128 * 40];
    private long total;
    long max;

    void add(final long ns) {
        max = Math.max(max, ns);
        total++;
        if (ns < EXACT) {
            fine[(int) ns]++;
            return;
        }
        final int octave = 63 - Long.numberOfLeadingZeros(ns);
        final int i = (octave - 14) * 128 + (int) (ns >> (octave - 7) & 127);
        coarse[Math.min(i, coarse.length - 1)]++;
    }

    long quantile(final double q) {
        final long want = (long) (total * q);
        long seen = 0;
        for (int i = 0; i < EXACT; i++) {
            seen += fine[i];
            if (seen > want) {
                return i;
            }
        }
        for (int i = 0; i < coarse.length; i++) {
            seen += coarse[i];
            if (seen > want) {
                return (128L + i % 128) << (i / 128 + 7);
            }
        }
        return max;
    }
}
