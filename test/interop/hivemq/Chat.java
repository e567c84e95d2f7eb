import static com.hivemq.client.mqtt.datatypes.MqttQos.AT_LEAST_ONCE;
import static java.nio.charset.StandardCharsets.UTF_8;
import static java.util.concurrent.TimeUnit.SECONDS;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.hivemq.client.mqtt.MqttClient;
import com.hivemq.client.mqtt.MqttClientSslConfig;
import com.hivemq.client.mqtt.MqttGlobalPublishFilter;
import com.hivemq.client.mqtt.mqtt5.Mqtt5AsyncClient;
import com.hivemq.client.mqtt.mqtt5.message.publish.Mqtt5Publish;
import java.io.BufferedReader;
import java.io.FileInputStream;
import java.io.InputStreamReader;
import java.net.URI;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.util.HashMap;
import java.util.Map;
import java.util.UUID;
import javax.net.ssl.TrustManagerFactory;

/** A chat client for the terminal: a line `u/bob hello` is sent to Bob, everything that happens is printed as JSON. */
class Chat {
  final Mqtt5AsyncClient client;

  Chat(URI server, String user, String token, String device, MqttClientSslConfig trust) {
    // docs: connect
    client = MqttClient.builder()
        .useMqttVersion5()
        .serverHost(server.getHost())
        .serverPort(server.getPort())
        .identifier(device)
        .sslConfig(trust)
        .simpleAuth() // here, not at connect: an automatic reconnect would leave it out
            .username(user).password(token.getBytes(UTF_8)).applySimpleAuth()
        .automaticReconnect()
            .initialDelay(1, SECONDS).maxDelay(60, SECONDS).applyAutomaticReconnect()
        .addConnectedListener(context -> show("connected"))
        .buildAsync();
    client.publishes(MqttGlobalPublishFilter.ALL, this::receive); // before connect: what was missed comes right behind CONNACK
    client.connectWith()
        .cleanStart(false)
        .sessionExpiryInterval(30 * 24 * 3600) // the session stays: what this device misses comes when it is back
        .keepAlive(240)
        .send()
        .thenCompose(connack -> client.subscribeWith().topicFilter("me/#").qos(AT_LEAST_ONCE).send())
        .whenComplete((suback, error) -> { if (error == null) show("subscribed"); else error.printStackTrace(); });
    // docs: end
  }

  // docs: receive
  final Map<String, Long> newest = new HashMap<>(); // the newest seq of each conversation; an app keeps it with its messages

  void receive(Mqtt5Publish publish) {
    String topic = publish.getTopic().toString();
    JsonObject payload = JsonParser.parseString(new String(publish.getPayloadAsBytes(), UTF_8)).getAsJsonObject();
    if (topic.equals("me/msg")) {
      String conversation = payload.get("conv").getAsString();
      long seq = payload.get("seq").getAsLong();
      if (seq <= newest.getOrDefault(conversation, 0L)) { show("again"); return; } // after a torn connection some come twice
      newest.put(conversation, seq);
    }
    System.out.println("{\"event\":\"received\",\"topic\":\"" + topic + "\",\"payload\":" + payload + "}");
  }
  // docs: end

  // docs: send
  void say(String conversation, String text) {
    JsonObject content = new JsonObject();
    content.addProperty("cid", UUID.randomUUID().toString()); // the broker stores a cid once, however often the library sends it
    content.addProperty("body", text);
    publish(conversation + "/msg", content.toString());
  }

  void publish(String topic, String payload) {
    client.publishWith().topic(topic).qos(AT_LEAST_ONCE).payload(payload.getBytes(UTF_8)).send()
        .whenComplete((result, error) -> { if (error == null) show("sent"); else error.printStackTrace(); });
  }
  // docs: end

  static void show(String event) { System.out.println("{\"event\":\"" + event + "\"}"); }

  public static void main(String[] args) throws Exception {
    Chat chat = new Chat(URI.create(args[0]), args[2], args[3], args[4], args.length > 5 ? trusting(args[5]) : null); // args[1]: 5
    BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, UTF_8));
    for (String line; (line = lines.readLine()) != null;) {
      String[] words = line.split(" ", 2);
      if (words[0].startsWith("rpc/")) chat.publish(words[0], words[1]);
      else chat.say(words[0], words[1]);
    }
    chat.client.disconnect().join();
    System.exit(0); // the flow of publishes waits for another connect, and keeps its thread
  }

  static MqttClientSslConfig trusting(String file) throws Exception {
    KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
    store.load(null);
    try (FileInputStream in = new FileInputStream(file)) {
      store.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(in));
    }
    TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
    trust.init(store);
    return MqttClientSslConfig.builder().trustManagerFactory(trust).build();
  }
}
