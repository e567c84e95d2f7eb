// A chat client for the terminal: a line `u/bob hello` is sent to Bob, everything that happens is printed as JSON.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"
	"github.com/google/uuid"
)

type event struct {
	Event   string          `json:"event"`
	Topic   string          `json:"topic,omitempty"`
	Payload json.RawMessage `json:"payload,omitempty"`
}

func show(e event) {
	line, _ := json.Marshal(e)
	fmt.Println(string(line))
}

func main() {
	address, user, token, device := os.Args[1], os.Args[3], os.Args[4], os.Args[5] // the library speaks MQTT 5 alone
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	server, err := url.Parse(address)
	check(err)
	var trust *tls.Config
	if len(os.Args) > 6 {
		trust = trusting(os.Args[6])
	}

	// docs: connect
	config := autopaho.ClientConfig{
		ServerUrls:      []*url.URL{server},
		TlsCfg:          trust,
		ConnectUsername: user,
		ConnectPassword: []byte(token),
		KeepAlive:       240, // none unless set
		// The session stays: what this device misses comes when it is back.
		SessionExpiryInterval: 30 * 24 * 3600,
		// The default waits 10 s before it tries again.
		ReconnectBackoff: autopaho.NewConstantBackoff(time.Second),
		OnConnectionUp: func(connection *autopaho.ConnectionManager, _ *paho.Connack) {
			show(event{Event: "connected"})
			// At every connect: it costs nothing and replays nothing.
			inbox := &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "me/#", QoS: 1}}}
			if _, err := connection.Subscribe(ctx, inbox); err == nil {
				show(event{Event: "subscribed"})
			}
		},
		OnConnectError: func(err error) { fmt.Fprintln(os.Stderr, err) }, // refused or unreachable: it tries again all the same
		ClientConfig: paho.ClientConfig{
			ClientID:          device,
			OnPublishReceived: []func(paho.PublishReceived) (bool, error){received},
		},
	}
	connection, err := autopaho.NewConnection(ctx, config)
	// docs: end
	check(err)

	// docs: send
	say := func(conversation, text string) {
		cid := uuid.NewString() // the broker stores a cid once, however often the library sends it
		content, _ := json.Marshal(map[string]string{"cid": cid, "body": text})
		// Publish would report a timeout when the PUBACK is lost, although the message is stored; the queue goes on trying.
		check(connection.PublishViaQueue(ctx, &autopaho.QueuePublish{
			Publish: &paho.Publish{Topic: conversation + "/msg", QoS: 1, Payload: content},
		}))
	}
	// docs: end

	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		target, text, _ := strings.Cut(lines.Text(), " ")
		if strings.HasPrefix(target, "rpc/") {
			check(connection.PublishViaQueue(ctx, &autopaho.QueuePublish{Publish: &paho.Publish{Topic: target, QoS: 1, Payload: []byte(text)}}))
		} else {
			say(target, text)
		}
	}
	check(connection.Disconnect(ctx))
}

// docs: receive
var newest = map[string]int{} // the newest seq of each conversation; an app keeps it with its messages

func received(p paho.PublishReceived) (bool, error) {
	topic, payload := p.Packet.Topic, p.Packet.Payload
	switch topic {
	case "me/ack":
		show(event{Event: "sent"}) // the queue keeps the PUBACK to itself; me/ack says the same
	case "me/msg":
		var entry struct {
			Conv string
			Seq  int
		}
		if err := json.Unmarshal(payload, &entry); err != nil {
			return true, err
		}
		if entry.Seq <= newest[entry.Conv] { // after a torn connection some come twice
			show(event{Event: "again"})
			return true, nil
		}
		newest[entry.Conv] = entry.Seq
	}
	show(event{Event: "received", Topic: topic, Payload: payload})
	return true, nil
}

// docs: end

func trusting(file string) *tls.Config {
	pem, err := os.ReadFile(file)
	check(err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	return &tls.Config{RootCAs: roots}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
