//! A chat client for the terminal: a line `u/bob hello` is sent to Bob, everything that happens is printed as JSON.
use std::{collections::HashMap, env, fs, io, thread, time::Duration};

use rumqttc::{Client, ConnectReturnCode, ConnectionError, Event, MqttOptions, Outgoing, Packet, Publish, QoS, Transport};
use serde_json::{json, Value};

fn main() {
    let args: Vec<String> = env::args().collect();
    let [_, url, _version, user, token, device, ..] = args.as_slice() else { panic!("URL VERSION USER TOKEN DEVICE [CA-FILE]") };
    let (_, address) = url.split_once("://").expect("a URL");
    let (host, port) = address.split_once(':').expect("host:port");
    let packet_bytes = env::var("PACKET_BYTES").map_or(512 * 1024, |n| n.parse().expect("a number"));

    // docs: connect
    let mut options = MqttOptions::new(device, host, port.parse().expect("a port"));
    options.set_credentials(user, token);
    options.set_clean_session(false); // the session stays: what this device misses comes when it is back
    options.set_keep_alive(Duration::from_secs(240));
    // 512 KiB: an answer holds up to 256 KiB of entries. At a packet larger than its limit, 10 KiB by default and told to
    // nobody, the library closes the connection.
    options.set_max_packet_size(packet_bytes, packet_bytes);
    if let Some(ca_file) = args.get(6) {
        options.set_transport(Transport::tls(fs::read(ca_file).expect("a CA file"), None, None));
    }
    let (client, mut connection) = Client::new(options, 1000); // so many lines wait while it is offline
    // docs: end

    let typed = client.clone();
    thread::spawn(move || {
        for line in io::stdin().lines().map_while(Result::ok) {
            let (target, text) = line.split_once(' ').unwrap_or((&line, ""));
            if target.starts_with("rpc/") {
                typed.publish(target, QoS::AtLeastOnce, false, text).expect("the event loop runs");
            } else {
                say(&typed, target, text);
            }
        }
        typed.disconnect().expect("the event loop runs");
    });

    // docs: loop
    let mut inbox = Inbox::default();
    for event in connection.iter() {
        match event {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                show(json!({"event": "connected"}));
                client.try_subscribe("me/#", QoS::AtLeastOnce).expect("room in the queue"); // at every connect: it replays nothing
            }
            Ok(Event::Incoming(Packet::SubAck(_))) => show(json!({"event": "subscribed"})),
            Ok(Event::Incoming(Packet::PubAck(_))) => show(json!({"event": "sent"})),
            Ok(Event::Incoming(Packet::Publish(publish))) => inbox.receive(&publish),
            Ok(Event::Outgoing(Outgoing::Disconnect)) => break,
            Ok(_) => {}
            Err(ConnectionError::ConnectionRefused(ConnectReturnCode::BadUserNamePassword)) => panic!("sign in anew"),
            Err(error) => {
                eprintln!("{error}");
                thread::sleep(Duration::from_secs(1)); // the next turn of the loop connects again, at once
            }
        }
    }
    // docs: end
}

// docs: receive
/// The newest seq of each conversation; an app keeps it with its messages.
#[derive(Default)]
struct Inbox { newest: HashMap<String, u64> }

impl Inbox {
    fn receive(&mut self, publish: &Publish) {
        let payload: Value = serde_json::from_slice(&publish.payload).expect("JSON");
        if publish.topic == "me/msg" {
            let newest = self.newest.entry(payload["conv"].to_string()).or_default();
            let seq = payload["seq"].as_u64().expect("a seq");
            if seq <= *newest {
                return show(json!({"event": "again"})); // after a torn connection some come twice
            }
            *newest = seq;
        }
        show(json!({"event": "received", "topic": publish.topic, "payload": payload}));
    }
}
// docs: end

// docs: send
fn say(client: &Client, conversation: &str, text: &str) {
    let cid = uuid::Uuid::new_v4(); // the broker stores a cid once, however often the library sends it
    let content = json!({"cid": cid.to_string(), "body": text}).to_string();
    client.publish(format!("{conversation}/msg"), QoS::AtLeastOnce, false, content).expect("the event loop runs");
}
// docs: end

fn show(event: Value) { println!("{event}"); }
