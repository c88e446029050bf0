// What Debezium's own connectors make of a database's log: one line of JSON per record, {"topic":…,"key":…,"value":…,"headers":{…}}.
//
//   DebeziumSource RECORDS TOPIC OPTION=VALUE…
//
// Ends after so many records; those of TOPIC do not count.
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
    int wanted = Integer.parseInt(args[0]);
    String others = args[1];
    Properties options = new Properties();
    options.setProperty("name", "source");
    options.setProperty("offset.storage", "org.apache.kafka.connect.storage.MemoryOffsetBackingStore");
    options.setProperty("skipped.operations", "none");
    for (int i = 2; i < args.length; ++i) {
      options.setProperty(args[i].substring(0, args[i].indexOf('=')), args[i].substring(args[i].indexOf('=') + 1));
    }
    CountDownLatch left = new CountDownLatch(wanted);
    PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    DebeziumEngine<ChangeEvent<String, String>> engine = DebeziumEngine.create(Json.class).using(options).notifying(event -> {
      StringBuilder headers = new StringBuilder();
      for (Header<?> header : event.headers()) {
        headers.append(headers.isEmpty() ? "" : ",").append('"').append(header.getKey()).append("\":").append(header.getValue());
      }
      out.println("{\"topic\":\"" + event.destination() + "\",\"key\":" + event.key() + ",\"value\":" + event.value() + ",\"headers\":{" + headers + "}}");
      if (!event.destination().equals(others)) {
        left.countDown();
      }
    }).build();
    var thread = Executors.newSingleThreadExecutor();
    thread.execute(engine);
    boolean all = left.await(60, TimeUnit.SECONDS);
    out.flush();
    Runtime.getRuntime().halt(all ? 0 : 1);  // its own end waits for the log
  }
}
