// SPDX-License-Identifier: Apache-2.0
package bench;

import static java.nio.ByteOrder.LITTLE_ENDIAN;

import io.aeron.Aeron;
import io.aeron.ExclusivePublication;
import io.aeron.Image;
import io.aeron.Subscription;
import io.aeron.driver.MediaDriver;
import io.aeron.driver.ThreadingMode;
import io.aeron.logbuffer.BufferClaim;
import io.aeron.logbuffer.FragmentHandler;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.locks.LockSupport;
import org.agrona.DirectBuffer;
import org.agrona.concurrent.BackoffIdleStrategy;
import org.agrona.concurrent.BusySpinIdleStrategy;
import org.agrona.concurrent.IdleStrategy;
import org.agrona.concurrent.UnsafeBuffer;

/**
 * Measures Aeron IPC between two processes: an exclusive publication and an image polled by a fragment
 * handler. The first process holds the media driver (one thread for all its work, as it idles by default)
 * and the measuring side; the second one is started by it and ends with it.
 *
 * <p>One way, messages are offered (copied in) or with --claim written into the log buffer; both are read
 * there. --wait spin polls without rest; --wait adaptive uses Aeron's default backoff.
 */
public final class Main {
    private static final int THERE = 1001;
    private static final int BACK = 1002;
    private static final int FRAGMENTS = 256;

    private final Options o;
    private final Aeron aeron;
    private final IdleStrategy idle;

    private Main(final Options o, final Aeron aeron) {
        this.o = o;
        this.aeron = aeron;
        idle = o.wait.equals("spin") ? new BusySpinIdleStrategy() : new BackoffIdleStrategy();
    }

    public static void main(final String[] args) throws Exception {
        final Options o = Options.parse(args);
        bound(o);
        if (o.driver == null) {
            first(o, args);
        } else {
            second(o);
        }
    }

    private static void first(final Options o, final String[] args) throws Exception {
        final long since = System.nanoTime();
        final String dir = o.dir + "/aeron-" + ProcessHandle.current().pid();
        final MediaDriver.Context context = new MediaDriver.Context()
            .aeronDirectoryName(dir)
            .dirDeleteOnStart(true)
            .dirDeleteOnShutdown(true)
            .threadingMode(ThreadingMode.SHARED);
        try (MediaDriver driver = MediaDriver.launch(context);
            Aeron aeron = Aeron.connect(new Aeron.Context().aeronDirectoryName(driver.aeronDirectoryName()))) {
            final Process other = startSecond(args, driver.aeronDirectoryName());
            try {
                pin(o, 0);
                final Main m = new Main(o, aeron);
                final Histogram h = new Histogram();
                final double rate = o.latency ? m.ask(h) : m.consume();
                print(o, rate, h, since, other);
            } finally {
                other.destroyForcibly().waitFor();
            }
        }
    }

    private static void second(final Options o) throws Exception {
        endWithParent();
        pin(o, 1);
        try (Aeron aeron = Aeron.connect(new Aeron.Context().aeronDirectoryName(o.driver))) {
            final Main m = new Main(o, aeron);
            if (o.latency) {
                m.answer();
            } else if (o.claim) {
                m.produceInPlace();
            } else {
                m.produce();
            }
        }
    }

    // A frame must fit one message, or Aeron would cut it into pieces; the default is made for a network.
    private String channel() {
        return "aeron:ipc?mtu=" + (o.size <= 1024 ? 1408 : 32 * 1024);
    }

    private ExclusivePublication publish(final int stream) {
        final ExclusivePublication p = aeron.addExclusivePublication(channel(), stream);
        while (!p.isConnected()) {
            LockSupport.parkNanos(100_000);
        }
        return p;
    }

    private Image subscribe(final int stream) {
        final Subscription s = aeron.addSubscription(channel(), stream);
        while (s.imageCount() == 0) {
            LockSupport.parkNanos(100_000);
        }
        return s.imageAtIndex(0);
    }

    private void produce() {
        final ExclusivePublication out = publish(THERE);
        final UnsafeBuffer message = new UnsafeBuffer(new byte[o.size]);
        for (long n = 1;; n++) {
            message.putLong(0, n, LITTLE_ENDIAN);
            send(out, message, 0, o.size);
        }
    }

    private void produceInPlace() {
        final ExclusivePublication out = publish(THERE);
        final UnsafeBuffer content = new UnsafeBuffer(new byte[o.size]);
        final BufferClaim claim = new BufferClaim();
        for (long n = 1;; n++) {
            while (out.tryClaim(o.size, claim) < 0) {
                idle.idle();
            }
            claim.putBytes(content, 0, o.size);
            claim.buffer().putLong(claim.offset(), n, LITTLE_ENDIAN);
            claim.commit();
        }
    }

    private void send(
        final ExclusivePublication out, final DirectBuffer message, final int offset, final int length) {
        while (out.offer(message, offset, length) < 0) {
            idle.idle();
        }
        idle.reset();
    }

    private double consume() {
        final Image in = subscribe(THERE);
        final Meter meter = new Meter(o);
        final long[] want = {0};
        final boolean[] more = {true};
        final FragmentHandler handler = (buffer, offset, length, header) -> {
            check(buffer.getLong(offset, LITTLE_ENDIAN), ++want[0]);
            more[0] &= meter.add();
        };
        while (more[0]) {
            idle.idle(in.poll(handler, FRAGMENTS));
        }
        return meter.perSecond();
    }

    private void answer() {
        final ExclusivePublication out = publish(BACK);
        final Image in = subscribe(THERE);
        final FragmentHandler echo = (buffer, offset, length, header) -> send(out, buffer, offset, length);
        while (true) {
            idle.idle(in.poll(echo, FRAGMENTS));
        }
    }

    private double ask(final Histogram h) {
        final Subscription replies = aeron.addSubscription(channel(), BACK);
        final ExclusivePublication out = publish(THERE);
        while (replies.imageCount() == 0) {
            LockSupport.parkNanos(100_000);
        }
        final Image in = replies.imageAtIndex(0);
        final UnsafeBuffer message = new UnsafeBuffer(new byte[o.size]);
        final long[] reply = {0};
        final FragmentHandler take =
            (buffer, offset, length, header) -> reply[0] = buffer.getLong(offset, LITTLE_ENDIAN);
        final Runnable trip = () -> {
            send(out, message, 0, o.size);
            while (in.poll(take, 1) == 0) {
                idle.idle();
            }
            idle.reset();
            check(reply[0], message.getLong(0, LITTLE_ENDIAN));
        };
        trip.run(); // the first one is before everything
        final long begin = System.nanoTime();
        final long started = begin + o.warmup;
        final long stop = started + o.duration;
        long trips = 0;
        for (long n = 1;; n++) {
            if (o.rate > 0) {
                LockSupport.parkNanos(begin + n * 1_000_000_000L / o.rate - System.nanoTime());
            }
            final long t0 = System.nanoTime();
            message.putLong(0, n, LITTLE_ENDIAN);
            trip.run();
            final long t1 = System.nanoTime();
            if (t0 >= started) {
                h.add(t1 - t0);
                trips++;
            }
            if (t1 >= stop) {
                return trips * 1e9 / (t1 - started);
            }
        }
    }

    private static void check(final long got, final long want) {
        if (got != want) {
            System.err.println("message " + got + " arrived where " + want + " was due");
            Runtime.getRuntime().halt(1);
        }
    }

    /** Starts this program again, with the same JVM and flags. */
    private static Process startSecond(final String[] args, final String dir) throws IOException {
        final ProcessHandle.Info self = ProcessHandle.current().info();
        final List<String> command = new ArrayList<>();
        command.add(self.command().orElseThrow());
        command.addAll(java.lang.management.ManagementFactory.getRuntimeMXBean().getInputArguments());
        command.add("-cp");
        command.add(System.getProperty("java.class.path"));
        command.add(Main.class.getName());
        command.addAll(List.of(args));
        command.addAll(List.of("--driver", dir));
        return new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
    }

    /** Makes this process end when its standard input closes, which happens when its parent dies. */
    private static void endWithParent() {
        daemon(() -> {
            try {
                while (System.in.read() >= 0) { }
            } catch (final IOException e) {
                // as good as closed
            }
            Runtime.getRuntime().halt(0);
        });
    }

    /** Nothing here runs for ever. */
    private static void bound(final Options o) {
        daemon(() -> {
            LockSupport.parkNanos(o.warmup + o.duration + 20_000_000_000L);
            System.err.println("still running 20 s past the end");
            Runtime.getRuntime().halt(1);
        });
    }

    private static void daemon(final Runnable body) {
        final Thread t = new Thread(body);
        t.setDaemon(true);
        t.start();
    }

    /** Ties the calling thread to a CPU. Java has no call for it; taskset has. */
    private static void pin(final Options o, final int process) throws Exception {
        if (o.pin[process] < 0) {
            return;
        }
        final String thread = Path.of("/proc/thread-self").toRealPath().getFileName().toString();
        final int code = new ProcessBuilder("taskset", "-p", "-c", Integer.toString(o.pin[process]), thread)
            .redirectOutput(ProcessBuilder.Redirect.DISCARD).start().waitFor();
        if (code != 0) {
            throw new IllegalStateException("taskset ended with " + code);
        }
    }

    private static void print(
        final Options o, final double rate, final Histogram h, final long since, final Process other) {
        final double wall = (System.nanoTime() - since) / 1e9;
        final double cpu = seconds(ProcessHandle.current()) + seconds(other.toHandle());
        System.out.printf(Locale.ROOT,
            "{\"name\":\"aeron\",\"size\":%d,\"mode\":\"%s\",\"wait\":\"%s\",\"msgs_per_s\":%.1f,\"bytes_per_s\":%.1f,"
                + "\"p50_ns\":%d,\"p99_ns\":%d,\"p999_ns\":%d,\"max_ns\":%d,\"cpu\":%.2f}%n",
            o.size, o.latency ? "latency" : "throughput", o.wait, rate, rate * o.size,
            h.quantile(.5), h.quantile(.99), h.quantile(.999), h.max, cpu / wall);
    }

    private static double seconds(final ProcessHandle p) {
        return p.info().totalCpuDuration().map(d -> d.toNanos() / 1e9).orElse(0.0);
    }
}
