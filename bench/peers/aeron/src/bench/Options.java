// SPDX-License-Identifier: Apache-2.0
package bench;

/** The flags that every program of this module takes, as peers/common/peer.hpp has them. */
final class Options {
    int size = 64;
    boolean latency;
    String wait = "spin";
    long duration = 1_000_000_000L;
    long warmup;
    boolean claim;
    int[] pin = {-1, -1};
    long rate;
    String dir = "/dev/shm";
    /** The media driver's directory; only the second process is given one. */
    String driver;

    static Options parse(final String[] args) {
        final Options o = new Options();
        for (int i = 0; i < args.length; i++) {
            switch (args[i]) {
                case "--size" -> o.size = Integer.parseInt(args[++i]);
                case "--mode" -> o.latency = args[++i].equals("latency");
                case "--wait" -> o.wait = args[++i];
                case "--duration" -> o.duration = nanos(args[++i]);
                case "--warmup" -> o.warmup = nanos(args[++i]);
                case "--batch" -> i++; // every message of Aeron's is published by itself
                case "--claim" -> o.claim = true;
                case "--pin" -> {
                    final String[] cpus = args[++i].split(",");
                    o.pin = new int[] {Integer.parseInt(cpus[0]), Integer.parseInt(cpus[1])};
                }
                case "--rate" -> o.rate = Long.parseLong(args[++i]);
                case "--dir" -> o.dir = args[++i];
                case "--driver" -> o.driver = args[++i];
                case "--json" -> { }
                default -> throw new IllegalArgumentException("unknown flag " + args[i]);
            }
        }
        if (o.warmup == 0) {
            o.warmup = o.duration / 5;
        }
        if (o.size < 8) {
            throw new IllegalArgumentException("--size must be at least 8");
        }
        return o;
    }

    /** Reads what Go's flag package reads, as far as this module writes it: 2s, 500ms, 250us. */
    private static long nanos(final String text) {
        final String[] units = {"ns", "us", "ms", "s"};
        final double[] scales = {1, 1e3, 1e6, 1e9};
        for (int i = 0; i < units.length; i++) {
            if (text.endsWith(units[i])) {
                final String number = text.substring(0, text.length() - units[i].length());
                return (long) (Double.parseDouble(number) * scales[i]);
            }
        }
        throw new IllegalArgumentException("bad duration " + text);
    }
}
