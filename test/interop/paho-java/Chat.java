import static java.nio.charset.StandardCharsets.UTF_8;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.BufferedReader;
import java.io.FileInputStream;
import java.io.InputStreamReader;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.util.HashMap;
import java.util.Map;
import java.util.UUID;
import javax.net.SocketFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;
import org.eclipse.paho.client.mqttv3.DisconnectedBufferOptions;
import org.eclipse.paho.client.mqttv3.IMqttActionListener;
import org.eclipse.paho.client.mqttv3.IMqttDeliveryToken;
import org.eclipse.paho.client.mqttv3.IMqttToken;
import org.eclipse.paho.client.mqttv3.MqttAsyncClient;
import org.eclipse.paho.client.mqttv3.MqttCallbackExtended;
import org.eclipse.paho.client.mqttv3.MqttConnectOptions;
import org.eclipse.paho.client.mqttv3.MqttException;
import org.eclipse.paho.client.mqttv3.MqttMessage;
import org.eclipse.paho.client.mqttv3.persist.MemoryPersistence;

/** A chat client for the terminal: a line `u/bob hello` is sent to Bob, everything that happens is printed as JSON. */
class Chat implements MqttCallbackExtended, IMqttActionListener {
  final MqttAsyncClient client;

  Chat(String url, String user, String token, String device, SocketFactory trust) throws MqttException {
    // docs: connect
    client = new MqttAsyncClient(url, device, new MemoryPersistence()); // MqttDefaultFilePersistence keeps what is unsent over a restart
    MqttConnectOptions options = new MqttConnectOptions();
    options.setMqttVersion(MqttConnectOptions.MQTT_VERSION_3_1_1);
    options.setUserName(user);
    options.setPassword(token.toCharArray());
    options.setCleanSession(false); // the session stays: what this device misses comes when it is back
    options.setKeepAliveInterval(240);
    options.setAutomaticReconnect(true);
    options.setMaxReconnectDelay(60_000);
    options.setMaxInflight(100); // the default throws at the eleventh message that waits for its PUBACK
    if (trust != null) options.setSocketFactory(trust);
    DisconnectedBufferOptions offline = new DisconnectedBufferOptions();
    offline.setBufferEnabled(true); // else a publish throws while the network is away
    client.setBufferOpts(offline);
    client.setCallback(this);
    client.connect(options, null, this);
    // docs: end
  }

  // docs: receive
  final Map<String, Long> newest = new HashMap<>(); // the newest seq of each conversation; an app keeps it with its messages

  @Override public void messageArrived(String topic, MqttMessage message) {
    JsonObject payload = JsonParser.parseString(new String(message.getPayload(), UTF_8)).getAsJsonObject();
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
  void say(String conversation, String text) throws MqttException {
    JsonObject content = new JsonObject();
    content.addProperty("cid", UUID.randomUUID().toString()); // the broker stores a cid once, however often the library sends it
    content.addProperty("body", text);
    publish(conversation + "/msg", content.toString());
  }

  void publish(String topic, String payload) throws MqttException { client.publish(topic, payload.getBytes(UTF_8), 1, false); }

  @Override public void deliveryComplete(IMqttDeliveryToken token) { show("sent"); }
  // docs: end

  @Override public void connectComplete(boolean again, String server) {
    show("connected");
    try {
      client.subscribe("me/#", 1, null, this); // at every connect: it costs nothing and replays nothing
    } catch (MqttException e) {
      System.err.println(e); // the connection is gone already: the next one subscribes
    }
  }

  @Override public void connectionLost(Throwable cause) { System.err.println(cause); }

  @Override public void onSuccess(IMqttToken token) { if (token.getTopics() != null) show("subscribed"); }

  /** Automatic reconnect begins after the first success: until then connecting is the app's. */
  @Override public void onFailure(IMqttToken token, Throwable cause) {
    cause.printStackTrace();
    System.exit(1);
  }

  static void show(String event) { System.out.println("{\"event\":\"" + event + "\"}"); }

  public static void main(String[] args) throws Exception {
    String url = args[0].replaceFirst("^mqtts:", "ssl:").replaceFirst("^mqtt:", "tcp:"); // args[1]: 4
    Chat chat = new Chat(url, args[2], args[3], args[4], args.length > 5 ? trusting(args[5]) : null);
    BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, UTF_8));
    for (String line; (line = lines.readLine()) != null;) {
      String[] words = line.split(" ", 2);
      if (words[0].startsWith("rpc/")) chat.publish(words[0], words[1]);
      else chat.say(words[0], words[1]);
    }
    chat.client.disconnect().waitForCompletion();
    chat.client.close();
  }

  static SocketFactory trusting(String file) throws Exception {
    KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
    store.load(null);
    try (FileInputStream in = new FileInputStream(file)) {
      store.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(in));
    }
    TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
    trust.init(store);
    SSLContext context = SSLContext.getInstance("TLS");
    context.init(null, trust.getTrustManagers(), null);
    return context.getSocketFactory();
  }
}
