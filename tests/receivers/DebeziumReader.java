// Reads topics of change events as Kafka Connect and Debezium do, and rebuilds the tables with Debezium's own JDBC sink connector:
// Kafka's JsonConverter, ExtractNewRecordState, JdbcSinkConnectorTask. Nothing here knows the form of a record.
//
//   DebeziumReader BROKERS JDBC_URL USER TOPIC,TOPIC,…
//
// Each topic is read from its beginning to its end as it is now, by a committed reader. Prints one line of JSON with counts.
import io.debezium.connector.jdbc.JdbcSinkConnectorTask;
import io.debezium.transforms.ExtractNewRecordState;
import java.lang.reflect.Proxy;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.connect.data.SchemaAndValue;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.header.ConnectHeaders;
import org.apache.kafka.connect.json.JsonConverter;
import org.apache.kafka.connect.sink.SinkRecord;
import org.apache.kafka.connect.sink.SinkTaskContext;
import org.apache.kafka.connect.storage.StringConverter;

public class DebeziumReader {
  public static void main(String[] args) throws Exception {
    JsonConverter keys = new JsonConverter();
    keys.configure(Map.of("schemas.enable", "true"), true);
    JsonConverter values = new JsonConverter();
    values.configure(Map.of("schemas.enable", "true"), false);
    StringConverter headerConverter = new StringConverter();
    headerConverter.configure(Map.of(), false);
    ExtractNewRecordState<SinkRecord> flatten = new ExtractNewRecordState<>();
    flatten.configure(Map.of("delete.tombstone.handling.mode", "rewrite", "add.fields", "op,source.ts_ms,source.lsn"));

    Map<String, Object> reader = new HashMap<>();
    reader.put("bootstrap.servers", args[0]);
    reader.put("isolation.level", "read_committed");
    reader.put("key.deserializer", ByteArrayDeserializer.class);
    reader.put("value.deserializer", ByteArrayDeserializer.class);
    List<SinkRecord> records = new ArrayList<>();
    Set<TopicPartition> partitions = new HashSet<>();
    Map<String, Integer> operations = new HashMap<>();
    int flattened = 0;
    try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(reader)) {
      for (String topic : args[3].split(",")) {
        for (PartitionInfo info : consumer.partitionsFor(topic)) partitions.add(new TopicPartition(topic, info.partition()));
      }
      consumer.assign(partitions);
      consumer.seekToBeginning(partitions);
      Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
      while (ends.entrySet().stream().anyMatch(end -> consumer.position(end.getKey()) < end.getValue())) {
        for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofSeconds(1))) {
          SchemaAndValue key = keys.toConnectData(record.topic(), record.key());
          SchemaAndValue value = values.toConnectData(record.topic(), record.value());
          ConnectHeaders headers = new ConnectHeaders();
          for (Header header : record.headers()) {
            headers.add(header.key(), headerConverter.toConnectHeader(record.topic(), header.key(), header.value()));
          }
          SinkRecord made = new SinkRecord(record.topic(), record.partition(), key.schema(), key.value(), value.schema(),
              value.value(), record.offset(), record.timestamp(), TimestampType.CREATE_TIME, headers);
          records.add(made);
          String operation = value.value() == null ? "tombstone" : ((Struct) value.value()).getString("op");
          operations.merge(operation, 1, Integer::sum);
          if (!operation.equals("t") && flatten.apply(made) != null) ++flattened;
        }
      }
    }

    Map<String, String> sink = new HashMap<>();
    sink.put("name", "rebuild");
    sink.put("connector.class", "io.debezium.connector.jdbc.JdbcSinkConnector");
    sink.put("connection.url", args[1]);
    sink.put("connection.username", args[2]);
    sink.put("connection.password", "unused");
    sink.put("topics", args[3]);
    sink.put("insert.mode", "upsert");
    sink.put("delete.enabled", "true");
    sink.put("truncate.enabled", "true");
    sink.put("primary.key.mode", "record_key");
    sink.put("schema.evolution", "none");
    sink.put("collection.name.format", "${source.table}");
    sink.put("use.time.zone", "UTC");
    JdbcSinkConnectorTask task = new JdbcSinkConnectorTask();
    task.initialize((SinkTaskContext) Proxy.newProxyInstance(DebeziumReader.class.getClassLoader(), new Class<?>[] {SinkTaskContext.class},
        (proxy, method, arguments) -> switch (method.getName()) {
          case "assignment" -> partitions;
          case "configs" -> sink;
          default -> null;
        }));
    task.start(sink);
    task.open(partitions);
    for (SinkRecord record : records) {  // one at a time: a failure names its record
      task.put(List.of(record));
      if (task.getLastProcessingException() != null) {
        throw new IllegalStateException("key " + record.key() + ", value " + record.value(), task.getLastProcessingException());
      }
    }
    task.stop();
    StringBuilder out = new StringBuilder("{\"records\":" + records.size() + ",\"flattened\":" + flattened);
    operations.forEach((operation, count) -> out.append(",\"").append(operation).append("\":").append(count));
    System.out.println(out.append('}'));
  }
}
