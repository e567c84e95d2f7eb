"""A chat client for the terminal: a line `u/bob hello` is sent to Bob, everything that happens is printed as JSON."""
import json
import ssl
import sys
from urllib.parse import urlsplit
from uuid import uuid4

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

url, version, user, token, device, ca = (sys.argv[1:] + [None])[:6]
address = urlsplit(url)


def show(event, **more):
    print(json.dumps({"event": event, **more}), flush=True)


# docs: connect
kept = {}  # how the session is kept, so that what this device misses comes when it is back
if version == "5":
    kept["properties"] = Properties(PacketTypes.CONNECT)
    kept["properties"].SessionExpiryInterval = 30 * 24 * 3600  # seconds
    kept["clean_start"] = False  # the default begins every life of the app with an empty session
client = mqtt.Client(
    mqtt.CallbackAPIVersion.VERSION2,
    client_id=device,
    protocol=mqtt.MQTTv5 if version == "5" else mqtt.MQTTv311,
    clean_session=None if version == "5" else False,
    transport="websockets" if address.scheme.startswith("ws") else "tcp",
)
client.username_pw_set(user, token)
client.reconnect_delay_set(min_delay=1, max_delay=60)
if address.scheme in ("mqtts", "wss"):
    client.tls_set_context(ssl.create_default_context(cafile=ca))
if address.path:
    client.ws_set_options(path=address.path)


@client.connect_callback()
def on_connect(client, userdata, flags, reason, properties):
    if reason.is_failure:
        print(reason, file=sys.stderr)  # refused: the library tries again all the same; sign in anew
        return
    show("connected")
    client.subscribe("me/#", qos=1)  # at every connect: it costs nothing and replays nothing


@client.subscribe_callback()
def on_subscribe(client, userdata, mid, reasons, properties):
    show("subscribed")
# docs: end


# docs: receive
newest = {}  # the newest seq of each conversation; an app keeps it with its messages


@client.message_callback()
def on_message(client, userdata, message):
    payload = json.loads(message.payload)
    if message.topic == "me/msg":
        if payload["seq"] <= newest.get(payload["conv"], 0):  # after a torn connection some come twice
            return show("again")
        newest[payload["conv"]] = payload["seq"]
    show("received", topic=message.topic, payload=payload)
# docs: end


# docs: send
def say(conversation, body):
    cid = str(uuid4())  # the broker stores a cid once, however often the library sends it
    client.publish(f"{conversation}/msg", json.dumps({"cid": cid, "body": body}), qos=1)


@client.publish_callback()
def on_publish(client, userdata, mid, reason, properties):
    show("sent")
# docs: end


client.connect(address.hostname, address.port, keepalive=240, **kept)
client.loop_start()
for line in sys.stdin:
    target, text = line.rstrip("\n").split(" ", 1)
    if target.startswith("rpc/"):
        client.publish(target, text, qos=1)
    else:
        say(target, text)
client.disconnect()
client.loop_stop()
