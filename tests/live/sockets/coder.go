// The client coder/websocket: its arguments are the address, the token file and the channels.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/coder/websocket"
)

type message struct {
	Type      string          `json:"type"`
	ID        string          `json:"id"`
	ChannelID string          `json:"channel_id"`
	Cursor    string          `json:"cursor"`
	Data      json.RawMessage `json:"data"`
}

func main() {
	cursors := map[string]string{}
	for {
		fmt.Printf("{\"type\":\"closed\",\"code\":%d}\n", follow(cursors))
		time.Sleep(200 * time.Millisecond)
	}
}

func follow(cursors map[string]string) websocket.StatusCode {
	ctx := context.Background()
	token, _ := os.ReadFile(os.Args[2])
	options := &websocket.DialOptions{Subprotocols: []string{"statushub", "bearer." + string(token)}}
	socket, _, err := websocket.Dial(ctx, os.Args[1], options)
	if err != nil {
		return 1006
	}
	defer socket.CloseNow()
	// By default a message may have 32 KiB.
	socket.SetReadLimit(1 << 20)
	for _, channel := range os.Args[3:] {
		said, _ := json.Marshal(map[string]string{"type": "subscribe", "channel_id": channel, "since": cursors[channel]})
		if socket.Write(ctx, websocket.MessageText, said) != nil {
			return 1006
		}
	}
	for {
		_, text, err := socket.Read(ctx)
		if err != nil {
			return websocket.CloseStatus(err)
		}
		var said, data message
		json.Unmarshal(text, &said)
		switch {
		case said.Type == "ready":
			cursors[said.ChannelID] = said.Cursor
		case said.Type == "reset":
			delete(cursors, said.ChannelID)
		case said.ID != "":
			json.Unmarshal(said.Data, &data)
			cursors[data.ChannelID] = said.ID
		}
		fmt.Println(string(text))
	}
}
