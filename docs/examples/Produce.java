import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.Future;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;

/**
 * Writes events to Kafka: one canonical JSON object a line on standard input, as schemas/README.md describes them.
 *
 * <pre>java -cp 'kafka-clients.jar:slf4j-api.jar:jackson-databind.jar:…' Produce.java localhost:9092 &lt; events.jsonl</pre>
 *
 * What matters for a producer of your own: all records of a trace have the key PROJECT/TRACE, sent means acknowledged.
 */
public class Produce {
    public static void main(String[] arguments) throws Exception {
        if (arguments.length == 0 || arguments[0].startsWith("-")) {
            System.err.println("usage: java Produce.java BOOTSTRAP [TOPIC] < events.jsonl   (localhost:9092)");
            System.exit(2);
        }
        Properties props = new Properties();
        props.put("bootstrap.servers", arguments[0]);
        props.put("acks", "all");
        props.put("enable.idempotence", "true");
        props.put("delivery.timeout.ms", "600000"); // outlives a broker's restart
        props.put("linger.ms", "20");
        props.put("key.serializer", "org.apache.kafka.common.serialization.StringSerializer");
        props.put("value.serializer", "org.apache.kafka.common.serialization.StringSerializer");
        String topic = arguments.length > 1 ? arguments[1] : "spanfold.events";
        ObjectMapper json = new ObjectMapper();
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(props)) {
            for (String line; (line = lines.readLine()) != null; ) {
                JsonNode event = json.readTree(line);
                String key = event.get("project_id").asText() + "/" + event.get("trace_id").asText();
                sent.add(producer.send(new ProducerRecord<>(topic, key, line)));
            }
            for (Future<RecordMetadata> one : sent) {
                one.get(); // acknowledged, or the reason why not
            }
        }
        System.out.println(sent.size() + " acknowledged");
    }
}
