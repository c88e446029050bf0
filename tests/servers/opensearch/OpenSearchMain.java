import java.util.Map;
import java.util.concurrent.CountDownLatch;
import org.codelibs.opensearch.runner.OpenSearchRunner;

/**
 * One OpenSearch node on 127.0.0.1: arguments are its folder, the HTTP port and the transport port.
 * System properties tw.set.NAME become settings of the node. The runner's own main takes no
 * settings, and none of its HTTP ports may lie above 9299.
 */
public final class OpenSearchMain {
  public static void main(String[] arguments) throws Exception {
    String home = arguments[0];
    String http = arguments[1];
    String transport = arguments[2];
    OpenSearchRunner runner = new OpenSearchRunner();
    runner.setMaxHttpPort(-1);
    runner.onBuild((number, settings) -> {
      settings.put("network.host", "127.0.0.1");
      settings.put("http.port", http);
      settings.put("transport.port", transport);
      settings.put("discovery.type", "single-node");
      settings.put("cluster.routing.allocation.disk.threshold_enabled", false);
      settings.putList("node.roles", "cluster_manager", "data", "ingest");
      for (Map.Entry<Object, Object> property : System.getProperties().entrySet()) {
        String name = (String) property.getKey();
        if (name.startsWith("tw.set.")) {
          settings.put(name.substring("tw.set.".length()), (String) property.getValue());
        }
      }
    });
    Runtime.getRuntime().addShutdownHook(new Thread(() -> {
      try {
        runner.close();
      } catch (Exception failure) {
        failure.printStackTrace();
      }
    }));
    runner.build(OpenSearchRunner.newConfigs().basePath(home).clusterName("tailwater").numOfNode(1));
    new CountDownLatch(1).await();
  }
}
