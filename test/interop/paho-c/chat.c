// A chat client for the terminal: a line `u/bob hello` is sent to Bob, everything that happens is printed as JSON.
#define _DEFAULT_SOURCE // getentropy
#include <MQTTAsync.h>
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static MQTTAsync client;

static void show(const char *event) {
  printf("{\"event\":\"%s\"}\n", event);
  fflush(stdout);
}

static void check(int code, const char *what) {
  if (code == MQTTASYNC_SUCCESS) return;
  fprintf(stderr, "%s: %s (%d)\n", what, MQTTAsync_strerror(code) ? MQTTAsync_strerror(code) : "failed", code);
  exit(1);
}

// docs: receive
static int arrived(void *newest, char *topic, int topic_length, MQTTAsync_message *message) {
  (void)topic_length;
  // `newest` holds the newest seq of each conversation; an app keeps it with its messages.
  cJSON *payload = cJSON_ParseWithLength(message->payload, message->payloadlen);
  if (strcmp(topic, "me/msg") == 0) {
    const char *conversation = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(payload, "conv"));
    double seq = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(payload, "seq"));
    cJSON *last = cJSON_GetObjectItemCaseSensitive(newest, conversation);
    if (last != NULL && seq <= last->valuedouble) {
      show("again"); // after a torn connection some come twice
      goto done;
    }
    if (last == NULL) cJSON_AddNumberToObject(newest, conversation, seq);
    else cJSON_SetNumberValue(last, seq);
  }
  printf("{\"event\":\"received\",\"topic\":\"%s\",\"payload\":%.*s}\n", topic, message->payloadlen, (char *)message->payload);
  fflush(stdout);
done:
  cJSON_Delete(payload);
  MQTTAsync_freeMessage(&message);
  MQTTAsync_free(topic);
  return 1; // taken: the library acknowledges it
}
// docs: end

static void subscribed(void *context, MQTTAsync_successData *data) { (void)context; (void)data; show("subscribed"); }
static void subscribed5(void *context, MQTTAsync_successData5 *data) { (void)context; (void)data; show("subscribed"); }
static void sent(void *context, MQTTAsync_token token) { (void)context; (void)token; show("sent"); }

static void lost(void *context, char *cause) { (void)context; (void)cause; show("lost"); }

static void connected(void *version, char *cause) {
  (void)cause;
  show("connected");
  MQTTAsync_responseOptions then = MQTTAsync_responseOptions_initializer;
  if (strcmp(version, "5") == 0) then.onSuccess5 = subscribed5;
  else then.onSuccess = subscribed;
  check(MQTTAsync_subscribe(client, "me/#", 1, &then), "subscribe"); // at every connect: it costs nothing and replays nothing
}

// docs: send
static void say(const char *conversation, const char *text) {
  unsigned char random[12];
  char topic[400];
  if (getentropy(random, sizeof random) != 0) exit(1);
  // The cid stands in the topic, so the payload is the text alone. The broker stores a cid once, however often it is sent.
  int at = snprintf(topic, sizeof topic, "%s/msg/", conversation);
  for (size_t i = 0; i < sizeof random && at > 0 && (size_t)at + 2 < sizeof topic; i++) at += sprintf(topic + at, "%02x", random[i]);
  check(MQTTAsync_send(client, topic, strlen(text), text, 1, 0, NULL), "send");
}
// docs: end

int main(int argc, char **argv) {
  if (argc < 6) return 2;
  char *url = argv[1], *version = argv[2];
  MQTTAsync_SSLOptions trust = MQTTAsync_SSLOptions_initializer;
  MQTTProperty expiry = {.identifier = MQTTPROPERTY_CODE_SESSION_EXPIRY_INTERVAL, .value.integer4 = 30 * 24 * 3600};
  MQTTProperties properties = MQTTProperties_initializer;
  int five = strcmp(version, "5") == 0;

  // docs: connect
  MQTTAsync_createOptions create = MQTTAsync_createOptions_initializer;
  MQTTAsync_connectOptions connect = MQTTAsync_connectOptions_initializer;
  if (five) {
    MQTTAsync_createOptions create5 = MQTTAsync_createOptions_initializer5;
    MQTTAsync_connectOptions connect5 = MQTTAsync_connectOptions_initializer5;
    create = create5;
    connect = connect5;
    connect.cleanstart = 0;
    MQTTProperties_add(&properties, &expiry); // without it the session ends with the connection
    connect.connectProperties = &properties;
  } else {
    connect.MQTTVersion = MQTTVERSION_3_1_1;
    connect.cleansession = 0; // the session stays: what this device misses comes when it is back
  }
  create.sendWhileDisconnected = 1; // what is sent offline waits in memory, or on disk with MQTTCLIENT_PERSISTENCE_DEFAULT
  create.maxBufferedMessages = 5000; // the hundred and first fails by default
  connect.username = argv[3];
  connect.password = argv[4];
  connect.keepAliveInterval = 240;
  connect.automaticReconnect = 1;
  connect.minRetryInterval = 1;
  connect.maxRetryInterval = 60;
  // docs: end
  if (argc > 6) {
    trust.trustStore = argv[6];
    trust.verify = 1; // the name, too
    connect.ssl = &trust;
  }
  check(MQTTAsync_createWithOptions(&client, url, argv[5], MQTTCLIENT_PERSISTENCE_NONE, NULL, &create), "create");
  check(MQTTAsync_setMessageArrivedCallback(client, cJSON_CreateObject(), arrived), "setMessageArrivedCallback");
  check(MQTTAsync_setDeliveryCompleteCallback(client, NULL, sent), "setDeliveryCompleteCallback");
  check(MQTTAsync_setConnected(client, version, connected), "setConnected");
  check(MQTTAsync_setConnectionLostCallback(client, NULL, lost), "setConnectionLostCallback");
  check(MQTTAsync_connect(client, &connect), "connect");

  char *line = NULL;
  size_t size = 0;
  while (getline(&line, &size, stdin) > 0) {
    line[strcspn(line, "\n")] = '\0';
    char *text = line, *target = strsep(&text, " ");
    if (text == NULL) continue;
    if (strncmp(target, "rpc/", 4) == 0) check(MQTTAsync_send(client, target, strlen(text), text, 1, 0, NULL), "send");
    else say(target, text);
  }
  free(line);
  MQTTAsync_disconnectOptions leave = MQTTAsync_disconnectOptions_initializer;
  leave.timeout = 1000;
  check(MQTTAsync_disconnect(client, &leave), "disconnect");
  while (MQTTAsync_isConnected(client)) usleep(10000);
  MQTTAsync_destroy(&client);
  return 0;
}
