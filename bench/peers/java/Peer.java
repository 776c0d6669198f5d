import io.confluent.parallelconsumer.ParallelConsumerOptions;
import io.confluent.parallelconsumer.ParallelConsumerOptions.CommitMode;
import io.confluent.parallelconsumer.ParallelConsumerOptions.ProcessingOrder;
import io.confluent.parallelconsumer.ParallelStreamProcessor;
import io.confluent.parallelconsumer.vertx.VertxParallelEoSStreamProcessor;
import io.vertx.core.Vertx;
import io.vertx.core.buffer.Buffer;
import io.vertx.ext.web.client.WebClient;
import io.vertx.ext.web.client.WebClientOptions;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** Parallel Consumer in order per key: {@code Peer vertx|core sync|async bootstrap topic group member url inFlight}. */
public final class Peer {
    public static void main(String[] words) throws Exception {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", words[2]);
        settings.put("group.id", words[4]);
        settings.put("group.instance.id", words[5]);
        settings.put("session.timeout.ms", "10000");
        settings.put("enable.auto.commit", "false");
        settings.put("auto.offset.reset", "earliest");
        settings.put("key.deserializer", ByteArrayDeserializer.class.getName());
        settings.put("value.deserializer", ByteArrayDeserializer.class.getName());
        int inFlight = Integer.parseInt(words[7]);
        ParallelConsumerOptions<byte[], byte[]> options = ParallelConsumerOptions.<byte[], byte[]>builder()
                .consumer(new KafkaConsumer<byte[], byte[]>(settings))
                .ordering(ProcessingOrder.KEY)
                .commitMode(words[1].equals("sync")
                        ? CommitMode.PERIODIC_CONSUMER_SYNC : CommitMode.PERIODIC_CONSUMER_ASYNCHRONOUS)
                .maxConcurrency(inFlight)
                .build();
        URI url = URI.create(words[6]);
        if (words[0].equals("vertx")) {
            vertx(options, words[3], url, inFlight);
        } else {
            core(options, words[3], url);
        }
        Thread.currentThread().join();
    }

    private static void vertx(ParallelConsumerOptions<byte[], byte[]> options, String topic, URI url, int inFlight) {
        Vertx vertx = Vertx.vertx();
        WebClient client = WebClient.create(vertx, new WebClientOptions()
                .setMaxPoolSize(inFlight).setMaxWaitQueueSize(-1).setKeepAlive(true).setDecompressionSupported(false));
        VertxParallelEoSStreamProcessor<byte[], byte[]> engine =
                new VertxParallelEoSStreamProcessor<>(vertx, client, options);
        engine.subscribe(List.of(topic));
        engine.vertxFuture(context -> client
                .post(url.getPort(), url.getHost(), url.getPath())
                .putHeader("content-type", "application/octet-stream")
                .putHeader("webhook-id", "451300_" + name(context.value()))
                .sendBuffer(Buffer.buffer(context.value()))
                .map(answer -> {
                    if (answer.statusCode() != 200) {
                        throw new IllegalStateException("answered " + answer.statusCode());
                    }
                    return answer;
                }));
    }

    private static void core(ParallelConsumerOptions<byte[], byte[]> options, String topic, URI url) {
        HttpClient client = HttpClient.newBuilder()
                .version(HttpClient.Version.HTTP_1_1).connectTimeout(Duration.ofSeconds(5)).build();
        ParallelStreamProcessor<byte[], byte[]> engine = ParallelStreamProcessor.createEosStreamProcessor(options);
        engine.subscribe(List.of(topic));
        engine.poll(context -> {
            HttpRequest request = HttpRequest.newBuilder(url)
                    .header("content-type", "application/octet-stream")
                    .header("webhook-id", "451300_" + name(context.value()))
                    .POST(HttpRequest.BodyPublishers.ofByteArray(context.value()))
                    .build();
            try {
                if (client.send(request, HttpResponse.BodyHandlers.discarding()).statusCode() != 200) {
                    throw new IllegalStateException("not taken");
                }
            } catch (java.io.IOException | InterruptedException fault) {
                throw new IllegalStateException(fault);
            }
        });
    }

    /** Five bytes of framing, the record's name, a space, and what fills it up. */
    private static String name(byte[] value) {
        int end = 5;
        while (value[end] != ' ') {
            end++;
        }
        return new String(value, 5, end - 5, StandardCharsets.US_ASCII);
    }

    private Peer() {
    }
}
