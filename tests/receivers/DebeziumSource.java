// What Debezium's own Postgres connector makes of a slot: one line of JSON per record, {"topic":…,"key":…,"value":…,"headers":{…}}.
//
//   DebeziumSource HOST PORT DATABASE USER PREFIX SLOT PUBLICATION RECORDS [OPTION=VALUE…]
//
// Ends after so many records.
import io.debezium.engine.ChangeEvent;
import io.debezium.engine.DebeziumEngine;
import io.debezium.engine.Header;
import io.debezium.engine.format.Json;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;

public class DebeziumSource {
  public static void main(String[] args) throws Exception {
    Properties options = new Properties();
    options.setProperty("name", "source");
    options.setProperty("connector.class", "io.debezium.connector.postgresql.PostgresConnector");
    options.setProperty("offset.storage", "org.apache.kafka.connect.storage.MemoryOffsetBackingStore");
    options.setProperty("database.hostname", args[0]);
    options.setProperty("database.port", args[1]);
    options.setProperty("database.dbname", args[2]);
    options.setProperty("database.user", args[3]);
    options.setProperty("database.password", "unused");
    options.setProperty("topic.prefix", args[4]);
    options.setProperty("slot.name", args[5]);
    options.setProperty("publication.name", args[6]);
    options.setProperty("publication.autocreate.mode", "disabled");
    options.setProperty("plugin.name", "pgoutput");
    options.setProperty("snapshot.mode", "no_data");
    options.setProperty("skipped.operations", "none");
    int wanted = Integer.parseInt(args[7]);
    for (int i = 8; i < args.length; ++i) {
      options.setProperty(args[i].substring(0, args[i].indexOf('=')), args[i].substring(args[i].indexOf('=') + 1));
    }
    CountDownLatch left = new CountDownLatch(wanted);
    PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
    DebeziumEngine<ChangeEvent<String, String>> engine = DebeziumEngine.create(Json.class).using(options).notifying(event -> {
      StringBuilder headers = new StringBuilder();
      for (Header<?> header : event.headers()) {
        headers.append(headers.isEmpty() ? "" : ",").append('"').append(header.getKey()).append("\":").append(header.getValue());
      }
      out.println("{\"topic\":\"" + event.destination() + "\",\"key\":" + event.key() + ",\"value\":" + event.value() + ",\"headers\":{" + headers + "}}");
      left.countDown();
    }).build();
    var thread = Executors.newSingleThreadExecutor();
    thread.execute(engine);
    boolean all = left.await(60, TimeUnit.SECONDS);
    out.flush();
    Runtime.getRuntime().halt(all ? 0 : 1);  // its own end waits for the slot
  }
}
